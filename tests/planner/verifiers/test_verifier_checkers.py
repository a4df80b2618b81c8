"""Checkers: exact match, functions, log-probability, programs run with tests."""

from __future__ import annotations

import math
import os
import socket
import threading

import pytest

from difficulty.errors import InvalidInputError, VerifierError
from difficulty.prompt import Prompt
from planner.answers.rules import LastNumber, MultipleChoice
from planner.ports.ports import ScoreRequest
from planner.verifiers.code_tests import CodeTests, program_of
from planner.verifiers.exact import Checker, ExactMatch
from planner.verifiers.mean_logprob import MeanLogprob
from planner.verifiers.sandbox import Limits, run_python

PROMPT = Prompt(id="p1", text="6*7?", gold="42")
QUICK = Limits(seconds=5.0)


def request(*texts: str, logprobs: tuple[float | None, ...] = (), prompt: Prompt = PROMPT) -> ScoreRequest:
    return ScoreRequest(prompt=prompt, completions=tuple((text,) for text in texts), mean_logprobs=logprobs)


async def test_exact_match_agrees_by_value_and_an_abstention_is_wrong() -> None:
    scores = await ExactMatch(extractor=LastNumber()).score([request("it is 42.0", "41", "no idea")])
    assert scores == [[1.0, 0.0, 0.0]]


@pytest.mark.parametrize("gold", [None, "Tuesday"])
async def test_exact_match_without_a_usable_reference_is_an_error(gold: str | None) -> None:
    prompt = Prompt(id="p1", text="?", gold=gold)
    with pytest.raises(VerifierError, match="p1"):
        await ExactMatch(extractor=MultipleChoice()).score([request("A", prompt=prompt)])


async def test_checker_sees_the_joined_steps() -> None:
    checker = Checker(function=lambda prompt, text: text == prompt.text)
    steps = ScoreRequest(prompt=PROMPT, completions=(("6*", "7?"), ("6",)))
    assert await checker.score([steps]) == [[1.0, 0.0]]


async def test_a_checker_that_gives_no_number_is_an_error() -> None:
    with pytest.raises(VerifierError, match="finite number"):
        await Checker(function=lambda _prompt, _text: float("nan")).score([request("x")])


async def test_mean_logprob_is_never_made_up() -> None:
    [scores] = await MeanLogprob().score([request("a", "b", logprobs=(-1.0, -0.5))])
    assert scores == pytest.approx([math.exp(-1.0), math.exp(-0.5)])
    for logprobs in ((), (-1.0, None)):
        with pytest.raises(VerifierError, match="p1"):
            await MeanLogprob().score([request("a", "b", logprobs=logprobs)])


def test_running_programs_needs_a_yes() -> None:
    with pytest.raises(InvalidInputError, match="allow_execution"):
        CodeTests(tests=lambda _prompt: "")


async def test_programs_are_scored_by_their_tests() -> None:
    checker = CodeTests(tests=lambda _prompt: "assert f(2) == 4", allow_execution=True, limits=QUICK)
    good = "Here:\n```python\ndef f(x):\n    return 2 * x\n```\nThat is it."
    assert await checker.score([request(good, "def f(x): return x", "not python (")]) == [[1.0, 0.0, 0.0]]


@pytest.mark.parametrize(
    ("text", "program"),
    [
        ("x = 1", "x = 1"),
        ("```\na\n```\n```py\nb\n```", "b\n"),
        ("```python\ncut off", "cut off"),
    ],
)
def test_the_program_of_a_completion(text: str, program: str) -> None:
    assert program_of(text) == program


@pytest.mark.parametrize(
    "program",
    [
        "raise SystemExit(0)",
        "import os; os._exit(0)",
        "print('passed')",
        "import os; os.kill(os.getpid(), 9)",
        "open('big', 'w').write('x' * 2**22)",
        "x = bytearray(2**31)",
        "import subprocess, sys; subprocess.run([sys.executable, '-c', ''], check=True)"
        if os.getuid()
        else "raise ValueError",
        "import os; assert 'HOME' in os.environ",
    ],
    ids=["exit 0", "_exit 0", "print", "kill", "file", "memory", "process", "environment"],
)
def test_a_program_that_breaks_a_rule_has_not_passed(program: str) -> None:
    assert run_python(program + "\nassert False", limits=QUICK) == "failed"
    if "print" not in program:
        assert run_python(program, limits=QUICK) == "failed"


def test_a_loop_is_stopped_in_any_thread() -> None:
    verdicts: list[str] = []
    work = threading.Thread(
        target=lambda: verdicts.append(run_python("while True: pass", limits=Limits(seconds=0.3)))
    )
    work.start()
    work.join(timeout=30)
    assert verdicts == ["timeout"]


def test_a_program_leaves_nothing_behind() -> None:
    before = set(os.listdir("."))
    assert run_python("open('left', 'w').write('x')", limits=QUICK) == "passed"
    assert set(os.listdir(".")) == before


def test_a_program_has_no_network_where_the_kernel_allows() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        program = f"import socket; socket.create_connection(('127.0.0.1', {port}), timeout=2)"
        assert run_python(program, limits=Limits(seconds=5.0, network="on")) == "passed"
        try:
            verdict = run_python(program, limits=Limits(seconds=5.0, network="off"))
        except VerifierError:
            pytest.skip("this kernel does not let an unprivileged process leave the network")
        assert verdict == "failed"


def test_limits_are_checked() -> None:
    with pytest.raises(InvalidInputError):
        Limits(seconds=0)
