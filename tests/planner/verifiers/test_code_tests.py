"""What programs score: right ones written in many ways, wrong ones that claim to be right."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from difficulty.errors import InvalidInputError, VerifierError
from difficulty.prompt import Prompt
from planner.ports.ports import ScoreRequest
from planner.verifiers.code_tests import CodeTests
from planner.verifiers.sandbox import Limits

PROMPT = Prompt(id="p1", text="multiply", gold=None)
RIGHT = "def area(w, h):\n    return w * h\n"
WRONG = "def area(w, h):\n    return None\n"
TESTS = "assert area(6, 7) == 42\nassert area(2, 3) == 6\n"
UNITTEST = """
import unittest
class Cases(unittest.TestCase):
    def test(self):
        self.assertEqual(area(6, 7), 42)
"""
ISCLOSE = "from math import isclose\nassert isclose(area(6, 7) or 0, 42)\n"
EMPTY = "unittest.main(module=None, argv=['x'])"
DOCTESTED = "def area(w, h):\n    '''\n    >>> area(6, 7)\n    42\n    '''\n    return {}\n"


def programs(name: str) -> list[object]:
    """Read programs that stand behind lines of the form ``=== name``."""
    text = Path(__file__).with_name("programs").joinpath(name).read_text()
    parts = [part.partition("\n") for part in text.split("=== ")[1:]]
    return [pytest.param(program, id=title) for title, _, program in parts]


async def score(*texts: str, tests: str = TESTS, seconds: float = 10.0) -> list[float]:
    checker = CodeTests(tests=lambda _prompt: tests, allow_execution=True, limits=Limits(seconds=seconds))
    request = ScoreRequest(prompt=PROMPT, completions=tuple((text,) for text in texts))
    return (await checker.score([request]))[0]


def test_running_programs_needs_a_yes() -> None:
    with pytest.raises(InvalidInputError, match="allow_execution"):
        CodeTests(tests=lambda _prompt: "")
    with pytest.raises(InvalidInputError, match="parts of a command"):
        CodeTests(tests=lambda _prompt: "", allow_execution=True, wrapper="bwrap --unshare-all")


async def test_programs_are_scored_by_their_tests() -> None:
    good = f"Here:\n```python\n{RIGHT}```\nThat is it."
    assert await score(good, "def area(w, h): return w", "not python (") == [1.0, 0.0, 0.0]


@pytest.mark.parametrize("program", programs("right.txt"))
async def test_right_programs_pass(program: str) -> None:
    assert await score(program) == [1.0]


async def test_right_programs_pass_with_any_line_ends_and_a_byte_order_mark() -> None:
    assert await score("\ufeff" + RIGHT, RIGHT.replace("\n", "\r\n")) == [1.0, 1.0]


@pytest.mark.parametrize("trick", programs("tricks.txt"))
async def test_a_wrong_program_that_claims_success_scores_nothing(trick: str) -> None:
    assert await score(f"{WRONG}{trick}", seconds=2.0) == [0.0]


@pytest.mark.parametrize(
    ("trick", "tests"),
    [
        ("import builtins\nbuiltins.all = lambda _: True", "assert all([area(6, 7) == 42])"),
        ("import builtins\nbuiltins.isinstance = lambda *_: True", "assert isinstance(area(6, 7), int)"),
        ("import math\nmath.isclose = lambda *_, **__: True", ISCLOSE),
        ("import sys, types\nsys.modules['math'] = types.SimpleNamespace(isclose=lambda *_: True)", ISCLOSE),
        ("import unittest\nunittest.TestCase.assertEqual = lambda *_: None", UNITTEST + "unittest.main()"),
        ("import unittest\nunittest.main = lambda *_: exit(0)", UNITTEST + "unittest.main()"),
        (f"def area(w, h):\n    import unittest\n    {EMPTY}", TESTS),
        (f"def area(w, h):\n    import unittest\n    {EMPTY}", UNITTEST + "unittest.main()"),
    ],
)  # fmt: skip
async def test_what_tests_stand_on_is_put_back(trick: str, tests: str) -> None:
    assert await score(f"{WRONG}{trick}\n", RIGHT, tests=tests, seconds=5.0) == [0.0, 1.0]


@pytest.mark.parametrize(
    "end", ["unittest.main()", "assert unittest.main(exit=False, argv=['x']).result.wasSuccessful()"]
)
async def test_tests_of_unittest_are_found_and_judged(end: str) -> None:
    assert await score(RIGHT, WRONG, tests=f"{UNITTEST}{end}\n") == [1.0, 0.0]


async def test_tests_may_feed_input_read_output_and_take_a_candidate() -> None:
    program = "def main():\n    print(int(input()) * 7)\nif __name__ == '__main__':\n    main()\n"
    tests = """
import contextlib, io, sys
from unittest.mock import patch
out = io.StringIO()
sys.stdin = io.StringIO("6")
with contextlib.redirect_stdout(out):
    main()
with patch("builtins.input", return_value="1"), contextlib.redirect_stdout(out):
    main()
assert out.getvalue() == "42\\n7\\n"
"""
    assert await score(program, program.replace("7", "8"), tests=tests) == [1.0, 0.0]
    candidate = "def check(candidate):\n    assert candidate(6, 7) == 42\ncheck(area)\n"
    assert await score(RIGHT, WRONG, tests=candidate) == [1.0, 0.0]


async def test_doctests_of_the_program_are_found_and_judged() -> None:
    tests = "import doctest\nassert doctest.testmod().failed == 0\n"
    assert await score(DOCTESTED.format("w * h"), DOCTESTED.format("0"), tests=tests) == [1.0, 0.0]


async def test_a_block_that_the_tests_do_not_use_is_not_the_program() -> None:
    text = f"```python\n{RIGHT}```\nA check:\n```python\ndef check():\n    assert area(1, 2) == 3\n```\n"
    assert await score(text) == [1.0]


async def test_the_loop_goes_on_while_programs_run() -> None:
    task = asyncio.create_task(score("while True: pass", seconds=0.5))
    ticks = 0
    while not task.done():
        await asyncio.sleep(0.01)
        ticks += 1
    assert await task == [0.0]
    assert ticks > 5


async def test_a_command_that_cannot_be_started_is_an_error() -> None:
    checker = CodeTests(tests=lambda _prompt: TESTS, allow_execution=True, wrapper=("/no/such/command",))
    with pytest.raises(VerifierError, match="cannot be started"):
        await checker.score([ScoreRequest(prompt=PROMPT, completions=((RIGHT,),))])
