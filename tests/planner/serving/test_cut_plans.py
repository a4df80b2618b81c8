"""What is told of a plan that is cut is what is expected of what is left of it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from conftest import Trained
from scripted_upstream import ScriptedUpstream
from serving_bed import chat, serving

from difficulty.errors import InvalidInputError, UnknownGeneratorError
from difficulty.prompt import Prompt
from planner.answers.rules import LastNumber
from planner.planner import Planner
from planner.serving.options import Options
from planner.serving.planning import Planning
from planner.serving.selecting import Selecting
from planner.verifiers.mean_logprob import MeanLogprob
from policies.course.course import Course, Step, waves
from policies.plan.objective import Objective
from policies.plan.plan import AllocationPlan

PROMPT = Prompt(text="6 x 7?")
TOKENS = 10.0


def planner_of(objective: Objective = "accuracy") -> Planner:
    return Planner.untrained(["small", "large"], objective=objective, output_tokens_per_sample=TOKENS)


def planned(
    planner: Planner, options: Options | None = None, *, prompt: Prompt = PROMPT, **selecting: Any
) -> AllocationPlan:
    planning = Planning(planner=planner, sources={}, price=1e-6, selecting=Selecting(**selecting))
    return planning.plan(prompt, options or Options(), price=None)


def test_one_sample_is_told_as_one_sample_where_nothing_selects() -> None:
    planner = planner_of("coverage")
    (whole,) = planner.plan([PROMPT], price=1e-6)
    plan = planned(planner)
    assert whole.course is not None
    assert whole.course.n > plan.allocation.n == 1
    rate = float(planner.bundle.table.value[:, 0].mean())
    assert plan.expected_accuracy == pytest.approx(rate)
    assert rate < whole.expected_accuracy
    assert plan.expected_cost == TOKENS < whole.expected_cost
    assert plan.accuracy_interval == (0.0, 1.0)
    assert plan.reason.startswith("one sample")


@pytest.mark.parametrize(
    ("unit", "cost"), [("samples", 1.0), ("output_tokens", 10.0), ("total_tokens", 12.0)]
)
def test_one_sample_is_told_in_the_unit_that_is_asked_for(unit: Any, cost: float) -> None:
    prompt = Prompt(text="12345678")  # two tokens
    plan = planned(planner_of("coverage"), Options(budget=500.0, unit=unit), prompt=prompt)
    assert (plan.unit, plan.expected_cost) == (unit, pytest.approx(cost))


@pytest.mark.filterwarnings("ignore::planner.planning.request.UnfamiliarPromptsWarning")
def test_one_sample_of_a_trained_bundle_is_told_by_what_is_believed_of_the_prompt(trained: Trained) -> None:
    planner = Planner.load(trained.folder)
    for prompt in trained.test_log.prompts[:8]:
        plan, belief = planned(planner, prompt=prompt), planner.belief([prompt])
        name = plan.allocation.generator
        assert plan.allocation.n == 1
        assert plan.expected_accuracy == pytest.approx(belief.mean(name)[0], abs=0.08)
        low, high = planner.bundle.table.output_tokens.min(), belief.expected_output_tokens(name)[0]
        assert low <= plan.expected_cost <= 1.5 * high + (prompt.prompt_tokens or 1000)


def test_a_generator_that_the_bundle_lacks_is_named() -> None:
    planner = planner_of()
    (plan,) = planner.plan([PROMPT], price=1e-6)
    with pytest.raises(UnknownGeneratorError, match="got 'unknown'"):
        planner.cut(plan, PROMPT, Course(steps=waves("unknown", (1,))), reason="")


def test_a_search_that_nothing_scores_is_told_as_one_sample_that_was_recorded() -> None:
    planner = planner_of()
    (plan,) = planner.plan([PROMPT], price=1e-6)
    course = Course(steps=(Step(generator="large", n=16, kind="search", strategy="beam_search"),))
    whole = planner.cut(plan, PROMPT, course, reason="")
    one = Planning(planner=planner, sources={}, price=1e-6).within(whole, PROMPT, Options())
    assert (one.course, one.expected_cost) == (Course(steps=waves("large", (1,))), TOKENS)


@pytest.mark.parametrize("most", [1, 2, 3, 5, 31])
def test_a_plan_of_fewer_samples_costs_no_more_than_they_do(most: int) -> None:
    planner = planner_of()
    whole = planned(planner, extractor=LastNumber())
    plan = planned(planner, Options(max_samples=most), extractor=LastNumber())
    assert plan.course is not None
    assert plan.course.n <= most
    assert TOKENS <= plan.expected_cost <= min(most * TOKENS, whole.expected_cost)
    assert 0 < plan.expected_accuracy <= whole.expected_accuracy
    assert f"at most {most} samples" in plan.reason
    if plan.cost_interval is not None:
        assert plan.cost_interval[0] <= plan.expected_cost <= plan.cost_interval[1]


@pytest.mark.parametrize(
    "selecting", [{"select": "logprob"}, {"select": "verifier", "verifiers": {"score": MeanLogprob()}}]
)
def test_samples_that_no_rule_stops_are_planned_and_told_as_drawn_at_once(selecting: dict[str, Any]) -> None:
    planner = planner_of()
    for budget in (25.0, 60.0, 120.0):
        plan = planned(planner, Options(budget=budget), **selecting)
        assert plan.course is not None
        assert plan.course.one_shot
        assert plan.expected_cost == pytest.approx(plan.course.n * TOKENS)
        assert plan.expected_cost <= budget


async def test_replies_headers_and_metrics_tell_of_the_one_sample_that_is_drawn(tmp_path: Path) -> None:
    planner = Planner.untrained(["tiny"], objective="coverage", output_tokens_per_sample=TOKENS)
    planner.bundle.save(tmp_path / "policy")
    settings = {"bundle": str(tmp_path / "policy"), "extract": None, "price": 1e-6}
    async with ScriptedUpstream() as up, serving(up, **settings) as bed:
        shown = (await bed.ask(chat(), path="/v1/plan")).json
        got = await bed.ask(chat())
        page = (await bed.ask(path="/metrics", method="GET")).body.decode()
    assert len(up.asked) == 1
    told = got.json["planner"]
    assert (shown["expected_cost"], told["expected_cost"]) == (TOKENS, TOKENS)
    assert shown["expected_accuracy"] == told["expected_accuracy"] < 0.6
    assert told["cost"] == got.json["usage"]["completion_tokens"] == float(got.headers["x-planner-cost"])
    sums = {
        line.rsplit(" ", 1)[0]: float(line.rsplit(" ", 1)[1]) for line in page.splitlines() if line[0] != "#"
    }
    expected = 'planner_cost_total{kind="expected",route="*",unit="output_tokens"}'
    assert sums[expected] == TOKENS
    accuracy = 'planner_drift_total{route="*",what="expected_accuracy"}'
    assert sums[accuracy] == pytest.approx(told["expected_accuracy"])


@pytest.mark.parametrize("stream", [False, True])
async def test_a_course_that_a_checker_ends_is_one_sample_where_nothing_checks(
    tmp_path: Path, stream: bool
) -> None:
    """Also where it is of one sample, which a checker would have had to accept."""
    planner = Planner.untrained(["tiny"], objective="coverage", output_tokens_per_sample=TOKENS)
    planner.bundle.save(tmp_path / "policy")
    for price in (1.0, 1e-6):
        async with ScriptedUpstream() as up, serving(up, bundle=str(tmp_path / "policy"), price=price) as bed:
            got = await bed.ask(chat(stream=stream))
        assert (got.status, got.text, len(up.asked)) == (200, "answer: 42", 1)


async def test_what_cannot_be_carried_out_ends_a_stream_with_an_event(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def refused(*_: object, **__: object) -> None:
        raise InvalidInputError("this cannot be meant")

    monkeypatch.setattr("planner.serving.carrying.run_plans", refused)
    async with ScriptedUpstream() as up, serving(up) as bed:
        streamed, whole = await bed.ask(chat(stream=True)), await bed.ask(chat())
    (event,) = streamed.events
    assert whole.status == 400
    assert event == whole.json
    assert event["error"]["message"] == "this cannot be meant"
