"""A judge model: what it is asked, what its words are read as, and that all of its tokens are charged."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from difficulty.errors import BackendError, InvalidInputError, RetryableBackendError, VerifierError
from difficulty.generator import Generator
from difficulty.prompt import Prompt
from planner.drivers import Limits
from planner.ports.outcome import Outcome
from planner.ports.ports import Completion, FinishReason, SampleRequest, ScoreRequest
from planner.running.run_plans import run_plans
from planner.simulated import SimulatedBackend, SimulatedExtractor
from planner.verifiers.judge import JudgeModel
from policies.cost.cost_model import CostModel
from policies.course.allocate import summary_of
from policies.course.course import Course, waves
from policies.course.selection import Selection
from policies.plan.plan import AllocationPlan

JUDGE = Generator(name="judge", model="big", temperature=0.0, usd_per_mtok_in=1.0, usd_per_mtok_out=10.0)


class Saying:
    """A backend that says one thing after the other; an error is raised."""

    def __init__(self, *replies: str | BackendError, finish: FinishReason = "stop") -> None:
        self.replies, self.finish = replies, finish
        self.asked: list[str] = []

    async def sample(self, requests: Sequence[SampleRequest]) -> list[list[Completion]]:
        rows = []
        for request in requests:
            reply = self.replies[len(self.asked) % len(self.replies)]
            self.asked.append(request.prompt.text or "")
            if isinstance(reply, BackendError):
                raise reply
            one = Completion(text=reply, prompt_tokens=100, output_tokens=7, finish_reason=self.finish)
            rows.append([one] * request.n)
        return rows


def asking(*texts: str, prompt: str = "6 x 7?") -> ScoreRequest:
    return ScoreRequest(prompt=Prompt(id="p", text=prompt), completions=tuple((text,) for text in texts))


@pytest.mark.parametrize(
    ("reply", "score"),
    [
        ("Fine.\nScore: 9", 0.9),
        ("**Score:** 7.5", 0.75),
        ("score = 0", 0.0),
        ("First I said Score: 2, but now Score: 10", 1.0),
        ("8", 0.8),
        ("I give it an 8, of 10: 6", 0.6),
    ],
)
async def test_the_last_score_that_is_stated_counts(reply: str, score: float) -> None:
    judge = JudgeModel(backend=Saying(reply), generator=JUDGE)
    (scores,) = await judge.score([asking("42")])
    assert list(scores) == [score]
    assert scores.generator == "judge"
    assert (scores.usage.prompt_tokens, scores.usage.output_tokens, scores.usage.samples) == (100, 7, 0)


@pytest.mark.parametrize(
    ("reply", "reason"),
    [
        ("It is right.", "stated no score"),
        ("Score: 11", "stated 11"),
        ("Score: -1", "stated -1"),
        (RetryableBackendError("the server is away"), "the judge failed: the server is away"),
    ],
)
async def test_what_states_no_score_is_none_and_says_why(reply: str | BackendError, reason: str) -> None:
    judge = JudgeModel(backend=Saying(reply), generator=JUDGE)
    (scores,) = await judge.score([asking("42")])
    assert scores[0] != scores[0]
    assert reason in scores.reason
    assert judge.n_failed == 1
    cut = JudgeModel(backend=Saying("Score: 1", finish="length"), generator=JUDGE)
    (scores,) = await cut.score([asking("42")])
    assert "max_output_tokens" in scores.reason
    assert scores.usage.output_tokens == 7


async def test_equal_texts_are_judged_once_and_never_twice() -> None:
    backend = Saying("Score: 9", "nothing", "Score: 1")
    judge = JudgeModel(backend=backend, generator=JUDGE)
    (scores,) = await judge.score([asking("a", "a", "b", "c")])
    assert len(backend.asked) == 3
    assert scores.reason
    (again,) = await judge.score([asking("c")])
    assert list(again) == [0.1]
    assert len(backend.asked) == 3
    assert again.usage.requests == 0
    assert judge.spent.output_tokens == 21


async def test_the_prompt_holds_both_texts_and_neither_can_stand_for_the_other() -> None:
    backend = Saying("Score: 9")
    judge = JudgeModel(backend=backend, generator=JUDGE, prompt="Q {question} A {answer} {other}", best=9)
    (scores,) = await judge.score([asking("{question} {x}", prompt="{answer}?")])
    assert backend.asked == ["Q {answer}? A {question} {x} {other}"]
    assert list(scores) == [1.0]
    with pytest.raises(InvalidInputError, match="must hold"):
        JudgeModel(backend=backend, generator=JUDGE, prompt="{answer}")
    with pytest.raises(InvalidInputError, match="best"):
        JudgeModel(backend=backend, generator=JUDGE, best=0)
    with pytest.raises(VerifierError, match="no text"):
        await judge.score([ScoreRequest(prompt=Prompt(id="p"), completions=(("a",),))])


async def run_with(judge: JudgeModel) -> Outcome:
    course = Course(steps=waves("tiny", (3,)), selection=Selection(by="best", signal="judge"))
    plan = AllocationPlan(
        prompt_id="p",
        allocation=summary_of(course),
        course=course,
        expected_cost=1.0,
        unit="usd",
        expected_accuracy=0.5,
        accuracy_interval=(0.0, 1.0),
        price=1.0,
        reason="a test",
    )
    model = CostModel(
        unit="usd",
        generators={"judge": JUDGE, "tiny": Generator(name="tiny", usd_per_mtok_in=0, usd_per_mtok_out=0)},
    )
    (outcome,) = await run_plans(
        [plan],
        [Prompt(id="p", text="6 x 7?")],
        backend=SimulatedBackend(),
        generators={"tiny": Generator(name="tiny")},
        cost_model=model,
        verifier={"judge": judge},
        extractor=SimulatedExtractor(),
        limits=Limits(price=model.price),
        driver="concurrent",
    )
    return outcome


async def test_a_run_charges_the_judge_at_its_own_prices() -> None:
    backend = Saying("Score: 2", "Score: 8")
    judge = JudgeModel(backend=backend, generator=JUDGE)
    outcome = await run_with(judge)
    n = len(backend.asked)
    assert n >= 1
    assert outcome.selected_by == "best_of_n"
    assert outcome.cost == pytest.approx(n * (100 * 1e-6 + 7 * 10e-6))
    assert outcome.usage.prompt_tokens >= 100 * n


async def test_a_judge_that_fails_leaves_the_vote_and_is_charged_and_said() -> None:
    judge = JudgeModel(backend=Saying("no idea"), generator=JUDGE)
    outcome = await run_with(judge)
    assert outcome.answer is not None
    assert outcome.selected_by == "majority_vote"
    assert outcome.cost == pytest.approx(judge.spent.requests * (100 * 1e-6 + 7 * 10e-6))
    assert any("stated no score" in error.reason for error in outcome.errors)
