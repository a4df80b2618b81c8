"""The page of public names, the packages' `__all__` and the modules of the API reference are one list."""

import re
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "docs" / "api.md").read_text()
PACKAGES = ["difficulty", "policies", "planner", "training"]
ROW = re.compile(r"^\| (`.+?`) \| (.+?) \|", re.MULTILINE)
NAME = re.compile(r"`([\w.]+)`")


def section(title: str) -> str:
    start = PAGE.index(f"{title}\n")
    end = re.search(r"^#+ ", PAGE[start + len(title) :], re.MULTILINE)
    return PAGE[start:] if end is None else PAGE[start : start + len(title) + end.start()]


MODULES = {
    NAME.findall(module)[0]: NAME.findall(names)
    for module, names in ROW.findall(section("## From their own modules"))
}


@pytest.mark.parametrize("package", PACKAGES)
def test_the_page_lists_the_public_names_of_a_package_and_no_others(package: str) -> None:
    listed = [name for names, _ in ROW.findall(section(f"### {package}")) for name in NAME.findall(names)]
    assert sorted(listed) == sorted(import_module(package).__all__)


@pytest.mark.parametrize("module", MODULES)
def test_what_the_page_lists_of_a_module_is_in_its_all(module: str) -> None:
    assert MODULES[module] and set(MODULES[module]) <= set(import_module(module).__all__)


def test_only_public_modules_say_what_is_public() -> None:
    said = {
        str(path.relative_to(ROOT).with_suffix("")).replace("/", ".").removesuffix(".__init__")
        for package in PACKAGES
        for path in (ROOT / package).rglob("*.py")
        if re.search(r"^\s*__all__\b", path.read_text(), re.MULTILINE)
    }
    assert said == {*PACKAGES, *MODULES}


def test_public_modules_need_no_package_that_is_optional() -> None:
    code = "import sys, importlib\nfor name in sys.argv[1:]: importlib.import_module(name)\n"
    code += "print('loaded:', *sorted({'openai', 'torch', 'transformers', 'vllm'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code, *MODULES], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["loaded:"]


def test_make_docs_documents_the_packages_and_every_public_module() -> None:
    (recipe,) = re.findall(r"^\t(\$\(BIN\)/pdoc .*)$", (ROOT / "Makefile").read_text(), re.MULTILINE)
    command = recipe.replace("$(BIN)/pdoc", "echo").replace("$$", "$")
    done = subprocess.run(["sh", "-c", command], capture_output=True, text=True, check=True, cwd=ROOT)
    assert done.stdout.split("docs/api ")[1].split() == [*PACKAGES, *MODULES]


def test_the_api_reference_names_backends_verifiers_and_strategies(tmp_path: Path) -> None:
    modules = ["planner.backends.openai", "planner.verifiers.exact", "planner.strategies.search.rebase"]
    command = [sys.executable, "-m", "pdoc", "--docformat", "numpy", "-o", str(tmp_path), *modules]
    subprocess.run(command, check=True, cwd=ROOT)
    for module in modules:
        shown = (tmp_path / f"{module.replace('.', '/')}.html").read_text()
        assert all(f'id="{name}"' in shown for name in MODULES[module])
