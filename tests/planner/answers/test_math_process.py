"""The process that does mathematics: within its time, in any thread, without our environment."""

from __future__ import annotations

import sys
import threading

import pytest

from difficulty.errors import VerifierError
from planner.answers.mathematics import MathAnswer
from planner.answers.rules import Boxed, FirstOf
from planner.answers.symbolic import process

pytest.importorskip("sympy", reason="extra 'math' is not installed")

# Each takes sympy far longer than a test may last.
SLOW = [
    (r"\sin^{50} x + \cos^{50} x", r"\sin^{50} x + \cos^{50} 2x"),
    ("(x+1)^{99999}", "(1+x)^{99998}(x+1)+y-y+1"),
]
# Each is refused before anything is worked out.
REFUSED = [
    ("9^{9^{9^{9}}}", "9^{9^{9^{8}}}"),
    (r"10^{(5^{5^{5^{5^{5}}} \cdot \log_{10}(5)} - 4)}", "5"),
    ("(" * 5000 + "x", "x"),
    (r"\sqrt{" * 2000 + "2" + "}" * 2000, "2"),
    ("9999999999!", "9999999998!"),
    ("x" * 3000, "x" * 1000),
    ("1," * 3000 + "1", "1," * 3000 + "2"),
    ("9" * 5000, "x"),
]


@pytest.mark.parametrize(("first", "second"), SLOW)
def test_a_pair_that_takes_too_long_is_asked_about_once_and_counts_as_different(
    first: str, second: str
) -> None:
    rule, before = MathAnswer(seconds=0.3), process.ask.cache_info().misses
    assert not rule.equal(first, second)
    assert process.ask.cache_info().misses == before + 1
    assert not rule.equal(second, first)
    assert process.ask.cache_info().misses == before + 1
    assert MathAnswer().equal("z+2", "2+z")


@pytest.mark.parametrize(("first", "second"), REFUSED)
def test_what_is_too_large_is_refused_at_once(first: str, second: str) -> None:
    rule = MathAnswer(seconds=30.0)
    assert not rule.equal(first, second)
    assert rule.canonicalise(first) == first and rule.equal(first, first)


def test_runaway_mathematics_is_stopped_in_any_thread_and_the_next_answer_works() -> None:
    results: list[bool] = []

    def work() -> None:
        results.append(
            MathAnswer(seconds=0.2).equal(r"\cos^{60} x", r"\cos^{60} x + \sin^{61}(3x) \cos^{30} 5x")
        )
        results.append(MathAnswer().equal("x+2", "2+x"))

    thread = threading.Thread(target=work)
    thread.start()
    thread.join(timeout=100)
    assert results == [False, True]


def test_the_process_sees_no_key_of_ours(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "secret")
    fresh = process._Process()
    try:
        assert fresh.call(("equal", "x+y", "y+x"), 30.0) is True
        assert fresh._worker is not None
        with open(f"/proc/{fresh._worker.pid}/environ", "rb") as environment:
            assert b"secret" not in environment.read()
    finally:
        fresh.close()


def test_a_process_that_cannot_start_is_an_error_and_no_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "executable", "/bin/false")
    with pytest.raises(VerifierError, match="does not start"):
        process._Process().call(("equal", "x", "y"), 1.0)


def test_rules_say_whether_they_may_take_seconds() -> None:
    assert MathAnswer().blocks and FirstOf(rules=(Boxed(), MathAnswer())).blocks
    assert not FirstOf(rules=(Boxed(),)).blocks
