"""What a plan becomes where it is served: what can be scored here, what may be drawn, who draws."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Any, cast

import pytest
from conftest import Trained
from scripted_upstream import ScriptedUpstream
from serving_bed import chat, serving

from difficulty.generator import Generator
from difficulty.prompt import Prompt
from planner.answers.rules import LastNumber
from planner.planner import Planner
from planner.serving.options import Options
from planner.serving.origin import Origin, Source
from planner.serving.planning import Planning
from planner.serving.selecting import JudgeWay, Selecting
from planner.verifiers.mean_logprob import MeanLogprob
from policies.course.allocate import summary_of
from policies.course.course import Course, Step, waves
from policies.course.selection import Selection
from policies.course.stop import Agreement, BestScore, Never, Success
from policies.plan.plan import AllocationPlan

PLANNER = Planner.untrained(output_tokens_per_sample=10.0)
WAVES = waves("default", (2, 2, 2))


def plan_of(course: Course) -> AllocationPlan:
    (plan,) = PLANNER.plan([Prompt(text="?")], price=1.0)
    return replace(plan, course=course, allocation=summary_of(course))


def within(course: Course, *, options: Options | None = None, **more: Any) -> AllocationPlan:
    settings: dict[str, Any] = {"extractor": LastNumber(), **more}
    planning = Planning(planner=PLANNER, sources={}, price=1.0, selecting=Selecting(**settings))
    return planning.within(plan_of(course), Prompt(text="?"), options or Options())


@pytest.mark.parametrize(
    "course",
    [
        Course(steps=WAVES, selection=Selection(by="best", signal="score")),
        Course(steps=WAVES, selection=Selection(by="first_success", signal="score"), stop=Success()),
        Course(steps=WAVES, selection=Selection(by="best", signal="learned")),
        Course(steps=(Step(generator="default", n=4, kind="search", strategy="beam_search"),)),
    ],
)
def test_a_plan_that_nothing_here_can_score_is_one_sample_and_says_so(course: Course) -> None:
    plan = within(course)
    assert plan.course is not None
    assert plan.course.n == 1
    assert not plan.course.selection.verifiers
    assert "nothing here scores" in plan.reason


def test_a_plan_whose_scores_are_here_stays() -> None:
    course = Course(steps=WAVES, selection=Selection(by="best", signal="score"))
    assert within(course, verifiers={"score": MeanLogprob()}).course == course
    likely = Course(steps=WAVES, selection=Selection(by="best", signal="mean_logprob"))
    assert within(likely).course == likely


@pytest.mark.parametrize(("most", "n"), [(1, 1), (2, 2), (3, 2), (5, 4), (6, 6), (9, 6)])
def test_caps_on_samples_keep_whole_steps(most: int, n: int) -> None:
    plan = within(Course(steps=WAVES), options=Options(max_samples=most))
    assert plan.course is not None
    assert plan.course.n == n
    assert plan.allocation == summary_of(plan.course)


def test_a_chosen_selection_keeps_what_it_can_of_the_plan() -> None:
    course = Course(steps=WAVES, stop=Agreement(count=2))
    judge = JudgeWay(source=Source(None, "big"), generator=Generator(name="judge"))  # type: ignore[arg-type]
    # Samples that vote may stop early, and their votes weigh by the judge's marks.
    weighed = within(course, select="judge", judge=judge).course
    assert weighed == replace(course, selection=Selection(by="vote", signal="judge"))
    # Texts that cannot vote are all drawn at once.
    alone = within(course, select="judge", judge=judge, extractor=None).course
    assert alone == Course(steps=WAVES, selection=Selection(by="best", signal="judge"))
    scores = {"score": MeanLogprob()}
    best = within(course, select="verifier", verifiers=scores).course
    assert best == replace(course, selection=Selection(by="best", signal="score"))
    threshold = Course(
        steps=WAVES, selection=Selection(by="best", signal="score"), stop=BestScore(threshold=0.5)
    )
    assert within(threshold, select="judge", judge=judge).course == replace(weighed, stop=Never())
    chains = Course(
        steps=(Step(generator="default", n=2, kind="revise"),) * 2,
        selection=Selection(by="best", signal="score", of_chain="last"),
    )
    revised = within(chains, select="verifier", verifiers=scores).course
    assert revised is not None
    assert revised.selection.of_chain == "last"
    likely = within(course, select="logprob", extractor=None).course
    assert likely == Course(
        steps=waves("default", (6,)), selection=Selection(by="best", signal="mean_logprob")
    )
    assert "nothing here scores" in within(course, select="learned").reason


@pytest.mark.filterwarnings("ignore::planner.planning.request.UnfamiliarPromptsWarning")
async def test_a_long_prompt_does_not_hold_up_the_others(trained: Trained) -> None:
    ticks, finished = 0, False

    async def tick() -> None:
        nonlocal ticks
        while not finished:
            await asyncio.sleep(0)
            ticks += 1

    async with ScriptedUpstream() as up, serving(up, bundle=str(trained.folder)) as bed:
        ticking = asyncio.create_task(tick())
        await asyncio.sleep(0)
        before = ticks
        got = await bed.ask(chat("What is 17 times 23?" * 20_000), path="/v1/plan")
        during, finished = ticks - before, True
        await ticking
    assert got.json["mode"] == "plan"
    assert during > 10
    assert not up.asked


def judging(*, said: int, **more: Any) -> Planning:
    """A route with a judge whose replies are thought to have about half of `said` tokens."""
    source = Source(cast(Origin, None), "judge-8b")
    way = JudgeWay(source, Generator(name="judge/judge-8b", max_output_tokens=said))
    selecting = Selecting(extractor=LastNumber(), select="judge", judge=way)
    return Planning(planner=PLANNER, sources={}, selecting=selecting, **{"price": 1e-4, **more})


def n_of(plan: AllocationPlan) -> int:
    assert plan.course is not None
    return plan.course.n


def test_a_price_buys_fewer_samples_where_a_judge_reads_each() -> None:
    prompt = Prompt(text="6 x 7?")
    bare = Planning(planner=PLANNER, sources={}, price=1e-4, selecting=Selecting(extractor=LastNumber()))
    plans = [one.plan(prompt, Options(), price=None) for one in (bare, *map_judges())]
    counts = [n_of(plan) for plan in plans]
    assert counts == sorted(counts, reverse=True)
    assert counts[0] > counts[-1] == 1
    # Each says the price that was asked for; one sample alone is not judged.
    assert {plan.price for plan in plans} == {1e-4}
    least = bare.least(prompt).expected_cost
    assert plans[-1].expected_cost == pytest.approx(least)


def map_judges() -> list[Planning]:
    judges = [judging(said=said) for said in (4, 40, 400, 400)]
    assert judges[-1].judging is not None
    judges[-1].judging.learn(n=100, samples=1000.0, judgements=1e6)
    return judges


def test_what_a_plan_is_expected_to_cost_holds_its_judge() -> None:
    planning = judging(said=40, price=1e-6)
    assert planning.judging is not None
    plan = planning.plan(Prompt(text="6 x 7?"), Options(), price=None)
    (alone,) = PLANNER.plan([Prompt(text="6 x 7?")], price=1e-6 * planning.dearer)
    assert n_of(plan) > 1
    # 20 tokens of a judge for each sample of 10.
    assert plan.expected_cost == pytest.approx(3 * alone.expected_cost)
    for _ in range(30):
        planning.judging.learn(n=10, samples=100.0, judgements=500.0)
    assert planning.dearer == pytest.approx(6.0, abs=0.1)


def test_a_budget_buys_samples_and_their_judge_or_one_sample() -> None:
    planning = judging(said=40)
    for budget in (12.0, 40.0, 90.0, 300.0):
        plan = planning.plan(Prompt(text="6 x 7?"), Options(budget=budget), price=None)
        assert plan.expected_cost <= budget
    assert n_of(planning.plan(Prompt(text="6 x 7?"), Options(budget=12.0), price=None)) == 1
    assert n_of(plan) > 1
