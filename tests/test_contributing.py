"""What CONTRIBUTING.md, the README, docs/ and docstrings say of the code is so: paths, names, map, counts."""

import ast
import re
import tomllib
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
ROOMS = ["difficulty", "policies", "planner", "training"]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]
CONTRIBUTING = (ROOT / "CONTRIBUTING.md").read_text()
PATH = re.compile(r"\b(?:difficulty|policies|planner|training|tests|benchmarks|notebooks|docs)/[\w./-]*")
DOTTED = re.compile(r"`((?:difficulty|policies|planner|training)(?:\.[A-Za-z_]\w*)+)(?:\(.*?\))?`")
CODE = re.compile(r"`([^`]+)`")
SOURCES = [path for room in ROOMS for path in sorted((ROOT / room).rglob("*.py"))]
BUILT = "docs/api/"  # what `make docs` writes


@cache
def names_in(path: Path) -> frozenset[str]:
    """Return the names that the top level of a file defines or imports, also for type checking alone."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            found.add(node.name)
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            found.add(node.id)
        elif isinstance(node, ast.ImportFrom):
            found |= {alias.name for alias in node.names}
    return frozenset(found)


def exists(dotted: str) -> bool:
    """Return whether a dotted name is a package, a module, or a name in one."""
    where, parts = ROOT, dotted.split(".")
    while parts and (where / parts[0]).is_dir():
        where /= parts.pop(0)
    if parts and (where / f"{parts[0]}.py").exists():
        path = where / f"{parts.pop(0)}.py"
    else:
        stub = where / "__init__.pyi"
        path = stub if stub.exists() else stub.with_suffix(".py")
    return path.exists() and all(part in names_in(path) for part in parts)


def table(title: str) -> list[list[str]]:
    """Return the cells of the first table below a line."""
    lines = CONTRIBUTING[CONTRIBUTING.index(f"{title}\n") :].splitlines()[1:]
    start = next(n for n, line in enumerate(lines) if line.startswith("|---")) + 1
    rows: list[list[str]] = []
    for line in lines[start:]:
        if not line.startswith("|"):
            break
        rows.append([cell.strip() for cell in line.strip("|").split(" | ")])
    return rows


MAP = {room: [path for row in table(f"**{room}/**") for path in CODE.findall(row[0])] for room in ROOMS}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_path_on_a_page_exists(page: Path) -> None:
    paths = {path.rstrip(".") for path in PATH.findall(page.read_text())} - {BUILT}
    assert not [path for path in sorted(paths) if not (ROOT / path).exists()]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_dotted_name_on_a_page_exists(page: Path) -> None:
    # `planner.run` is a method of the planner that the examples call `planner`.
    methods = {f"planner.{name}" for name in names_in(ROOT / "planner" / "planner.py")}
    names = set(DOTTED.findall(page.read_text())) - methods
    assert not [name for name in sorted(names) if not exists(name)]


def test_every_dotted_name_in_a_docstring_exists() -> None:
    wrong = []
    for path in SOURCES:
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
                names = DOTTED.findall(ast.get_docstring(node) or "")
                wrong += [f"{path.relative_to(ROOT)}: {name}" for name in names if not exists(name)]
    assert not wrong


def test_every_wing_is_on_the_map() -> None:
    wings = {f"{path.parent.relative_to(ROOT)}/" for path in SOURCES if path.name == "__init__.py"}
    assert {path for paths in MAP.values() for path in paths} >= wings - {f"{room}/" for room in ROOMS}


@pytest.mark.parametrize("room", ROOMS)
def test_the_map_is_in_the_order_of_imports(room: str) -> None:
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]
    (layers,) = (contract["layers"] for contract in contracts if contract.get("containers") == [room])
    level = {wing: n for n, layer in enumerate(reversed(layers)) for wing in layer.split(" | ")}
    shown = [Path(path).with_suffix("").parts[1] for path in MAP[room]]
    assert [level[wing] for wing in shown] == sorted(level[wing] for wing in shown)
    assert set(level) - set(shown) <= {"cli"}  # on the line of its commands


@pytest.mark.parametrize(
    ("words", "name"),
    [
        ("where a budget is enforced at run time", "Ledger"),
        ("where prompt text becomes features", "PromptFeatures"),
        ("what a course picks its answer by", "Selection"),
    ],
)
def test_the_map_answers_with_one_path(words: str, name: str) -> None:
    (path,) = re.findall(rf"{words}: `([^`]+)`", CONTRIBUTING)
    assert name in names_in(ROOT / path)


@pytest.mark.parametrize("row", table("### Files that an addition touches"), ids=lambda row: row[0])
def test_adding_things_names_the_files_that_an_addition_touches(row: list[str]) -> None:
    _, names, files, _ = row
    # "value" stands in quotation marks, of a docstring too; a bare name is a class, function or field.
    patterns = [
        "[\"'`]" + name.strip('"') + "[\"'`]" if name.startswith('"') else rf"\b{name}\b"
        for name in CODE.findall(names)
    ]
    touched = [
        str(path.relative_to(ROOT))
        for path in (*SOURCES, *ROOT.glob("*/__init__.pyi"))
        if re.search("|".join(patterns), path.read_text())
    ]
    so_it_is = f"{len(touched)}: " + ", ".join(f"`{path}`" for path in sorted(touched))
    assert files == so_it_is, f"write into CONTRIBUTING.md: {so_it_is}"
