"""Which program a completion gives: fences of all kinds, drafts, helpers, prose, and in what time."""

from __future__ import annotations

import random
import time

import pytest

from planner.answers.fences import pieces_of
from planner.answers.programs import names_called_by, program_of

F = "```"
CODE = "def area(w, h):\n    return w * h\n"
OLD = "def area(w, h):\n    return w + h\n"


@pytest.mark.parametrize(
    "text",
    [
        f"{F}python3\n{CODE}{F}\nIt multiplies.",
        f"{F}Python\n{CODE}{F}",
        f"{F}python3.11\n{CODE}{F}\nok",
        f'{F}python linenums="1"\n{CODE}{F}\nok',
        f"{F}python:area.py\n{CODE}{F}\nok",
        f"{F}{{.python .numberLines}}\n{CODE}{F}\nok",
        f"{F}   py  \n{CODE}{F}\nok",
        f"{F}solution\n{CODE}{F}\nok",
        f"{F}tool_code\n{CODE}{F}\nok",
        f"{F}text\n{CODE}{F}\nok",
        f"{F}\n{CODE}{F}\nok",
        f"~~~\n{CODE}~~~\nok",
        f"~~~~ python\n{CODE}~~~~\nok",
        f"'''python\n{CODE}'''\nok",
        f"{F}`python\n{CODE}{F}`\nok",
        f"{F}`markdown\nIntro\n{F}python\n{CODE}{F}\n{F}`\nok",
        f"Here it is: {F}python\n{CODE}{F}",
        f"{F}python\n{CODE.rstrip()}{F}\nok",
        f"{F}python\n{CODE}{F} That is all.\nok",
        f"{F}python\n{CODE}{F}python\nprint(area(1, 2))\n{F}",
        f"{F}python\r\n{CODE.replace(chr(10), chr(13) + chr(10))}{F}\r\nok",
        f"\ufeff{F}python\n{CODE}{F}",
    ],
)
def test_a_fence_of_any_kind_is_a_fence(text: str) -> None:
    assert program_of(text, names={"area"}) == CODE


@pytest.mark.parametrize(
    "text",
    [
        f"* So:\n\n    {F}python\n    def area(w, h):\n        return w * h\n    {F}\n",
        f"2. So:\n\t{F}py\n\tdef area(w, h):\n\t    return w * h\n\t{F}\n",
        f"> {F}python\n> def area(w, h):\n>     return w * h\n> {F}\n> ok",
        f"{F}python\n    def area(w, h):\n        return w * h\n{F}\n",
        f"{F}python\n{CODE}  {F}\nok",
    ],
    ids=["list", "tab", "quote", "code only", "closer only"],
)
def test_indentation_of_a_fence_is_not_the_programs(text: str) -> None:
    assert program_of(text).split() == CODE.split()
    compile(program_of(text), "program", "exec")


@pytest.mark.parametrize(
    "text",
    [
        f"{F}sh\npip install shapes\n{F}\n{F}python\n{CODE}{F}",
        f"{F}python\n{CODE}{F}\nRun\n{F}console\n$ python area.py\n{F}\n",
        f"{F}python\n{CODE}{F}\nPrints\n{F}\n6\n{F}\n",
        f"{F}python\n{CODE}{F}\nTry\n{F}python\nprint(area(2, 3))\n{F}\n",
        f"{F}python\n{CODE}{F}\nTry\n{F}pycon\n>>> area(2, 3)\n6\n{F}\n",
        f"{F}python\n{CODE}{F}\nTry\n{F}\n>>> area(2, 3)\n6\n{F}\n",
        f"{F}python\n{CODE}{F}\nTest\n{F}python\ndef test_area():\n    assert area(2, 3) == 6\n{F}\n",
        f"{F}python\n{CODE}{F}\nTest\n{F}py\nfrom a import area\ndef test_area():\n    area(2, 3)\n{F}\n",
        f"{F}python\n{CODE}{F}\nIn Ruby\n{F}ruby\ndef area(w, h)\n  w * h\nend\n{F}\n",
        f'{F}json\n{{"w": 1}}\n{F}\n{F}\n{CODE}{F}\n',
        f"First try\n{F}python\n{OLD}{F}\nNo, that adds.\n{F}python\n{CODE}{F}\n",
    ],
)
def test_the_program_is_told_from_other_blocks(text: str) -> None:
    assert program_of(text, names={"area", "assert"}) == CODE


def test_without_names_the_last_block_that_defines_something_wins() -> None:
    assert program_of(f"{F}\na = 1\n{F}\n{F}py\nb = 2\n{F}") == "b = 2\n"
    assert program_of(f"{F}py\n{OLD}{F}\n{F}py\n{CODE}{F}\n{F}py\nprint(area(1, 2))\n{F}") == CODE


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        (f"{CODE}{F}", [CODE]),
        (f"{CODE}{F}\nThat multiplies both.", [CODE]),
        (f"Of course!\n\n{CODE}\nIt multiplies both numbers.\n", [CODE]),
        (f"[PYTHON]\n{CODE}[/PYTHON]", [CODE]),
        (f"<code>\n{CODE}</code>\n", [CODE]),
        (f"{CODE}<|im_end|>", [CODE]),
        (f"{F}python\n{CODE}", [CODE]),
        (CODE, [CODE]),
        (f"{F}python x = 1{F}", ["x = 1"]),
        ("x = [\n1,\n2,\n]\n", ["x = [\n1,\n2,\n]\n"]),
        ('"""Compute the area of it."""\n' + CODE, [CODE]),
    ],
)
def test_fences_without_a_partner_and_no_fences(text: str, parts: list[str]) -> None:
    program = program_of(text)
    assert all(part in program for part in parts)
    compile(program, "program", "exec")


@pytest.mark.parametrize("indent", ["", "  ", "    "])
def test_a_fence_in_a_docstring_belongs_to_it(indent: str) -> None:
    lines = ['"""Multiply.', F, "area(1, 2)", F, '"""']
    inside = "\n".join(indent + line for line in lines)
    program = f"{inside}\n{CODE}" if not indent else f"def area(w, h):\n{inside}\n{indent}return w * h\n"
    assert program_of(f"So:\n{F}python\n{program}{F}\nThat is it.") == program


def test_thought_is_passed_over_but_not_its_marks_in_a_string() -> None:
    draft = f"Maybe\n{F}python\n{OLD}{F}\n"
    for text in (f"<think>{draft}</think>\n{CODE}", f"{draft}</think>\n{F}python\n{CODE}{F}"):
        assert program_of(text).strip() == CODE.strip()
    program = 'import re\ndef strip(text):\n    return re.sub(r"<think>.*?</think>", "", text)\n'
    assert program_of(f"{F}python\n{program}{F}") == program


def test_helpers_in_other_blocks_come_along() -> None:
    helper = "import math\ndef root(x):\n    return math.sqrt(x)\n"
    main = "def side(area):\n    return root(area)\n"
    text = f"First\n{F}python\n{helper}{F}\nthen\n{F}python\n{main}{F}\nand\n{F}python\nprint(side(4))\n{F}"
    assert program_of(text, names={"side"}) == f"{helper}\n{main}"
    after = f"{F}python\n{main}{F}\nwith\n{F}python\n{helper}{F}"
    assert program_of(after, names={"side"}) == f"{helper}\n{main}"


def test_helpers_do_not_come_before_imports_from_the_future() -> None:
    helper = "def root(x):\n    return x ** 0.5\n"
    main = "from __future__ import annotations\ndef side(area: Area):\n    return root(area)\n"
    program = program_of(f"{F}py\n{helper}{F}\nthen\n{F}py\n{main}{F}", names={"side"})
    compile(program, "program", "exec")
    assert helper in program


def test_a_draft_is_no_helper() -> None:
    wrong = "def root(x):\n    return x\ndef side(area):\n    return root(area)\n"
    right = "def side(area):\n    return area ** 0.5\n"
    assert program_of(f"{F}py\n{wrong}{F}\nBetter:\n{F}py\n{right}{F}", names={"side"}) == right


def test_names_that_tests_bind_are_not_called() -> None:
    tests = (
        "import math\nfor case in [1]:\n    got = solve(case)\n    assert math.isclose(got, Box(1).side)\n"
    )
    assert {"solve", "Box"} <= names_called_by(tests)
    assert not {"math", "case", "got", "side", "isclose"} & names_called_by(tests)


@pytest.mark.parametrize(
    "text",
    [
        f"{F}\n" * 60_000,
        f"{F}python\n" + f"'''\n{F}\n" * 30_000,
        " " * 300_000 + f"x{F}",
        "> " * 100_000 + F,
        f"x {F} " + " " * 300_000 + "y z",
        '"' * 300_000,
        "'''" * 100_000,
        "a" * 300_000,
        "a " * 150_000,
        "<think>" * 50_000,
        "def f(\n" * 40_000,
        "import " + "a," * 100_000,
        f"{F}python\n" + "".join(f"def f{i}(): return f{i + 1}()\n{F}\n{F}python\n" for i in range(5_000)),
    ],
    ids=lambda text: repr(text[:12]),
)
def test_long_loops_of_a_model_take_linear_time(text: str) -> None:
    # Some 0.3 s each; quadratic time would take minutes. Not a timing test: a bound that only a hang breaks.
    start = time.process_time()
    program_of(text, names={"f0"})
    names_called_by(text)
    assert time.process_time() - start < 10


def test_any_text_gives_a_program_and_no_error() -> None:
    rng = random.Random(7)
    atoms = (
        F, "~~~", "````", "python", "py", "json", "\n", "\n", "\r\n", " ", "    ", "\t", ">", "'''", '"""',
        "'", '"', "\\", "def f(", "):", "class A:", "import os", "x = 1", "#", "<think>", "</think>",
        "\ufeff", "\ud800", "\x00", "\x85", "That is it.", ">>> ", "{.python}", "markdown",
        "@", "f", "é", "(" * 30, "…",
    )  # fmt: skip
    for _ in range(2_000):
        text = "".join(rng.choices(atoms, k=rng.randrange(40)))
        program = program_of(text, names={"f"})
        assert isinstance(program, str)
        assert all(piece.text.strip() for piece in pieces_of(text))
