"""Programs that vote by what they do."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Sequence
from pathlib import Path

import pytest

from difficulty import Generator, Prompt
from difficulty.errors import InvalidInputError
from planner.answers.rules import FirstOf, LastNumber
from planner.answers.signatures import AskedFunction, asked_function
from planner.collection.run import collect
from planner.commands.terminal.draw_options import extractor_of
from planner.ports.ports import Completion, SampleRequest
from planner.running.run_plans import run_plans
from planner.verifiers.output_probe import said_of
from planner.verifiers.program_outputs import ProgramOutputs
from planner.verifiers.sandbox import Limits, hear_python
from policies.cost.cost_model import CostModel
from policies.course.allocation import Allocation
from policies.plan.plan import AllocationPlan

RULE = ProgramOutputs(allow_execution=True, n_inputs=8, limits=Limits(seconds=30.0))
SECRET = "sk-outputs-secret"
HUMANEVAL = '''from typing import List

def helper(x): return x

def above(numbers: List[int], least: int = 0) -> List[int]:
    """ Return the numbers above the least.
    >>> above([3, -1, 4])
    [3, 4]
    >>> above([], 2)
    []
    """
'''


def keys(prompt: str, *programs: str) -> list[str | None]:
    rule = RULE.fresh(Prompt(text=prompt))
    return [rule.extract(f"Here:\n```python\n{program}\n```", "stop") for program in programs]


def test_what_a_prompt_shows_of_its_function() -> None:
    assert asked_function(HUMANEVAL) == AskedFunction("above", ("List[int]",), (([3, -1, 4],), ([], 2)))
    mbpp = "Write a larger function.\nassert set(larger((1, 'a)'), 2)) == {2}\nassert larger(3, x) == 3"
    assert asked_function(mbpp) == AskedFunction("larger", (), (((1, "a)"), 2),))
    assert asked_function("What is 6 * 7?") is None
    assert asked_function("def broken(((((") == AskedFunction("broken")
    deep = "assert f(" + "[" * 400 + "]" * 400 + ") == 1"
    assert asked_function(deep) == AskedFunction("f")
    assert asked_function("def f(a, b: 'int', *, c=1): ...") == AskedFunction("f", (None, "'int'"))


@pytest.mark.parametrize(
    ("prompt", "same", "other"),
    [
        (
            "def double(n: int) -> int:",
            ("def double(n): return n + n", "def double(x): return x * 2"),
            "def double(n): return n ** 2",
        ),
        (
            HUMANEVAL,
            (
                "def above(numbers, least=0): return [n for n in numbers if n > least]",
                "def above(a, b=0):\n    out = []\n    for x in a: out += [x] * (b < x)\n    return out",
            ),
            "def above(numbers, least=0): return sorted(n for n in numbers if n > least)",
        ),
        (
            "Write a function that sorts in place.\nassert order([2, 1]) is None",
            ("def order(a): a.sort()", "def order(a):\n    a[:] = sorted(a)"),
            "def order(a): a.reverse()",
        ),
        (
            "def ratio(a: float, b: float) -> float:",
            ("def ratio(a, b): return a / b", "def ratio(a, b):\n    return (2 * a) / (2 * b)"),
            "def ratio(a, b): return b / a",
        ),
        (
            "assert seen('a b a') == {'a': 2, 'b': 1}",
            (
                "from collections import Counter\ndef seen(s): return Counter(s.split())",
                "def seen(s):\n  d = {}\n  for w in s.split()[::-1]: d[w] = 1 + d.get(w, 0)\n  return d",
            ),
            "def seen(s): return {w: 1 for w in s.split()}",
        ),
        (
            "Write add of two numbers.",
            ("def add(a, b): return a + b", "def add(x, y): return y + x"),
            "def add(a, b): return a - b",
        ),
        (
            "def pairs(d: dict[str, list[int]], k: tuple[int, ...] | None) -> set[int]:",
            (
                "def pairs(d, k): return {*sum(d.values(), []), *(k or ())}",
                "def pairs(d, k):\n    return set(k or ()) | {x for v in d.values() for x in v}",
            ),
            "def pairs(d, k): return set()",
        ),
        (
            "def up(n: int):",
            ("def up(n):\n    yield from range(min(n, 5))", "def up(n): return iter(range(min(n, 5)))"),
            "def up(n): return iter([])",
        ),
    ],
)
def test_equal_behaviour_is_one_answer(prompt: str, same: tuple[str, str], other: str) -> None:
    first, second, third = keys(prompt, *same, other)
    assert first is not None and first == second
    assert third is not None and third != first


def test_errors_of_all_kinds_are_one_and_nothing_but_errors_is_no_answer() -> None:
    first, second, third, none = keys(
        "def half(n: int) -> float:",
        "def half(n):\n    if n < 0: raise ValueError\n    return n / 2",
        "def half(n):\n    assert n >= 0\n    return n / 2",
        "def half(n): return n / 2",
        "def half(n): raise OSError",
    )
    assert first == second != third and None not in (first, third)
    assert none is None


def test_a_call_that_takes_too_long_is_one_of_its_outputs() -> None:
    program = "def f(n):\n    while n == 7: pass\n    return n"
    first, second = keys("def f(n: int) -> int:", program, "def f(n): return n")
    assert first is not None and second is not None
    started = time.process_time()
    assert keys("def f(n: int) -> int:", "def f(n):\n    while True: pass") == [None]
    assert time.process_time() - started < 20


@pytest.mark.parametrize(
    "program",
    [
        "import os\nos._exit(0)\ndef f(n): return n",
        "raise SystemExit\ndef f(n): return n",
        "def f(n): import os; os._exit(0)",
        "def f(n): import os, signal; os.kill(os.getpid(), signal.SIGKILL)",
        "def f(n): return [0] * 10**12",
        "def f(n): return f(n)",
        "import sys\nsys.stdout = sys.stderr = None\ndef f(n): 1 / 0",
        "from signal import *\ndef f(n):\n    signal(SIGPROF, SIG_IGN)\n    raise KeyboardInterrupt",
        "class f:\n    def __call__(self, n): return n",
        "def f(n, *, must): return n",
        "def f(n",
        "def f(n): return 1\nf = None",
        "import hashlib\nhashlib.sha256 = None\ndef f(n): 1 / 0",
    ],
)
def test_hostile_programs_say_nothing(program: str) -> None:
    honest = keys("def f(n: int) -> int:", "def f(n): return n")
    assert keys("def f(n: int) -> int:", program) in ([None], honest)


def test_programs_speak_for_themselves_alone_and_know_no_secrets(tmp_path: Path) -> None:
    os.environ["PLANNER_TEST_KEY"] = SECRET
    try:
        outside = tmp_path / "outside"
        outside.write_text(SECRET)
        stolen = keys(
            "def f(n: int) -> str:",
            "import os\ndef f(n): return os.environ.get('PLANNER_TEST_KEY', '')",
            "def f(n): return ''",
        )
        assert stolen[0] == stolen[1]
    finally:
        del os.environ["PLANNER_TEST_KEY"]
    # What a program says beyond the form of a key is not taken for one.
    limits = Limits(seconds=20.0)
    assert hear_python("x = 1", probe="SAID = 'y' * 10_000", limits=limits) == "y" * 400
    assert hear_python("x = 1", probe="import os; os._exit(0)", limits=limits) is None
    assert hear_python("x = 1", probe="SAID = None.x", limits=limits) is None
    assert RULE.extract("```python\ndef said_of(*a): return 'lie'\nSAID = 'lie'\n```", "stop") != "lie"


def test_names_of_the_probe_are_none_of_the_program() -> None:
    first, second = keys(
        "def f(n: int) -> int:",
        "_words = _said = random = None\ndef ast(n): return n\ndef f(n): return ast(n) + 1",
        "def f(n): return n + 1",
    )
    assert first == second is not None


def test_inputs_are_the_same_wherever_the_prompt_is_the_same() -> None:
    program, prompt = "def double(n): return n + n", "def double(n: int) -> int:"
    assert keys(prompt, program) == keys(prompt, program)
    assert keys(prompt, program) != keys("def double(n: int | str) -> int:", program)
    asked = {"name": "f", "hints": ["list[int]"], "examples": [], "n": 64}
    drawn: list[list[int]] = []

    def f(values: list[int]) -> int:
        drawn.append(values)
        return 0

    said = said_of({"f": f}, asked)
    assert said.split()[1:] == ["64", "64"]
    assert any(not one for one in drawn) and any(len(one) > 3 for one in drawn)
    assert len({repr(one) for one in drawn}) == 64


def test_it_runs_only_where_that_is_meant() -> None:
    with pytest.raises(InvalidInputError, match="allow_execution=True"):
        ProgramOutputs()
    with pytest.raises(InvalidInputError, match="n_inputs"):
        ProgramOutputs(allow_execution=True, n_inputs=0)
    assert isinstance(extractor_of("program_outputs"), ProgramOutputs)
    assert RULE.extract("I do not know.", "stop") is None
    assert RULE.extract("```python\ndef f(n): return n\n```", "length") is None
    assert RULE.blocks


class Coders:
    """Hands out programs in turn."""

    def __init__(self, programs: Sequence[str]) -> None:
        self._programs = programs

    async def sample(self, requests: Sequence[SampleRequest]) -> list[list[Completion]]:
        return [
            [
                Completion(
                    text=f"```python\n{self._programs[place]}\n```",
                    prompt_tokens=9,
                    output_tokens=9,
                    finish_reason="stop",
                )
                for place in range(request.n)
            ]
            for request in requests
        ]


def test_a_run_takes_the_program_that_most_agree_with() -> None:
    programs = (
        "def double(n): return n ** 2",
        "def double(n): return n + n",
        "def double(n): return 3 * n",
        "def double(k): return 2 * k",
        "def double(n): return 42",
    )
    prompt = Prompt(text="Complete:\ndef double(n: int) -> int:", id="p")
    generator = Generator(name="coder")
    plan = AllocationPlan(
        prompt_id="p",
        allocation=Allocation(generator="coder", strategy="majority_vote", width=5),
        expected_accuracy=0.5,
        accuracy_interval=(0.0, 1.0),
        expected_cost=5.0,
        unit="samples",
    )
    (outcome,) = asyncio.run(
        run_plans(
            [plan],
            [prompt],
            backend=Coders(programs),
            generators={"coder": generator},
            cost_model=CostModel(unit="samples", generators={"coder": generator}),
            extractor=FirstOf(rules=(RULE, LastNumber())),
        )
    )
    assert outcome.selected in (1, 3) and outcome.text is not None and "double" in outcome.text
    answers = [one.answer for one in outcome.candidates]
    assert answers[1] == answers[3] == outcome.answer
    assert len(set(answers)) == 4


def test_collecting_reads_the_prompt_too(tmp_path: Path) -> None:
    programs = ("def double(n): return n + n", "def double(k): return 2 * k", "def double(n): return n")
    done = collect(
        [Prompt(text="Complete:\ndef double(n: int) -> int:", id="p")],
        tmp_path / "log.jsonl",
        generators={"coder": Generator(name="coder")},
        backend=Coders(programs),
        extractor=RULE,
        samples=3,
        tokens_per_sample=9.0,
    )
    one, same, other = (sample.answer for sample in done.log.samples("p", "coder"))
    assert one == same != other and one == keys("def double(n: int) -> int:", programs[0])[0]
