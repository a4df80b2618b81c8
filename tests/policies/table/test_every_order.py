"""The table against every order of drawing, by a simulator that is written from the definitions alone."""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from itertools import permutations, product
from typing import NamedTuple

import numpy as np
import pytest
from scipy.stats import beta

from difficulty.generator import Generator
from difficulty.log.sample_log import SampleLog
from policies.cost.budget import Unit
from policies.cost.cost_model import CostModel
from policies.course.course import Course, waves
from policies.course.selection import Selection
from policies.course.stop import Agreement, BestScore, Beta, Share, StopRule, Success, Unanimous
from policies.table.measure import measure, prompt_lengths
from policies.table.recorded import Recorded

GENERATORS = {
    "a": Generator(name="a", usd_per_mtok_in=1.0, usd_per_mtok_out=7.0),
    "b": Generator(name="b", usd_per_mtok_in=3.0, usd_per_mtok_out=11.0),
}
UNITS: tuple[Unit, ...] = ("total_tokens", "usd")
SINGLY, PAIR = waves("a", (1,) * 4), waves("a", (1, 2)) + waves("b", (1, 1))
LOGPROB, SCORE = Selection(signal="mean_logprob", power=3.0), Selection(signal="score")
COURSES = [
    *(
        Course(steps=SINGLY, stop=rule)
        for rule in (
            Agreement(count=2), Beta(threshold=0.85), Share(share=0.75), Unanimous(window=2),
            Beta(threshold=0.9, futile_from=2, futile_below=0.6),
        )
    ),
    *(Course(steps=waves("a", (1, 3)), stop=Agreement(count=1), selection=by) for by in (LOGPROB, SCORE)),
    *(
        Course(steps=SINGLY, selection=Selection(by="best", signal=signal), stop=BestScore(threshold=level))
        for signal, level in (("score", 0.5), ("mean_logprob", -0.5))
    ),
    *(
        Course(steps=PAIR, selection=by, stop=Agreement(count=2))
        for by in (Selection(), Selection(pooled=False), Selection(weights={"b": 2.0}), LOGPROB)
    ),
    Course(steps=PAIR, selection=Selection(pooled=False), stop=Share(share=0.75)),
    Course(steps=PAIR, selection=Selection(by="first_success"), stop=Success()),
    Course(steps=waves("a", (2,)) + waves("b", (1,))),
]  # fmt: skip


class Sample(NamedTuple):
    generator: str
    answer: str | None
    correct: bool
    tokens: int
    logprob: float
    score: float
    sent: int | None


def votes(selection: Selection, drawn: Sequence[Sample], *, answered: bool) -> Sequence[Sample]:
    """Whose votes count: all, or the latest stretch of one generator; where it answers, for a selection."""
    if selection.pooled:
        return drawn
    end = len(drawn)
    while answered and end and drawn[end - 1].answer is None:
        end -= 1
    start = end
    while start and drawn[start - 1].generator == drawn[end - 1].generator:
        start -= 1
    return drawn[start:end]


def worth(selection: Selection, drawn: Sequence[Sample], right: Mapping[str, float]) -> float:
    if selection.by == "first_success":
        return float(any(one.correct for one in drawn))
    if selection.by == "best":
        some = [one for one in drawn if one.answer is not None]
        return float(max(some, key=lambda one: signal_of(selection, one)).correct) if some else 0.0
    weight: dict[str, float] = defaultdict(float)
    for one in votes(selection, drawn, answered=True):
        if one.answer is not None:
            each = dict(selection.weights).get(one.generator, 1.0)
            if selection.signal == "mean_logprob":
                each *= math.exp(selection.power * one.logprob)
            elif selection.signal == "score":
                each *= max(one.score, 0.0)
            weight[one.answer] += each
    top = max(weight.values(), default=0.0)
    tied = [answer for answer, total in weight.items() if total >= top - 1e-9]
    return float(np.mean([right[answer] for answer in tied])) if tied else 0.0


def signal_of(selection: Selection, one: Sample) -> float:
    return one.score if selection.signal == "score" else one.logprob


def enough(rule: StopRule, selection: Selection, drawn: Sequence[Sample]) -> bool:
    counts = Counter(
        one.answer for one in votes(selection, drawn, answered=False) if one.answer is not None
    ).most_common(2)
    first, second = [count for _, count in [*counts, ("", 0), ("", 0)]][:2]
    n_votes = sum(one.answer is not None for one in votes(selection, drawn, answered=False))
    sure = float(beta.sf(0.5, first + 1, second + 1))
    match rule:
        case Success():
            return any(one.correct for one in drawn)
        case BestScore(threshold=level):
            return any(one.answer is not None and signal_of(selection, one) >= level for one in drawn)
        case Agreement(count=count):
            return first >= count
        case Share(share=share, least=least):
            return n_votes >= least and first >= share * n_votes
        case Beta(threshold=threshold, futile_from=after, futile_below=below):
            return sure >= threshold or bool(after and len(drawn) >= after and sure < below)
        case Unanimous(window=window):
            latest = {one.answer for one in drawn[-window:]}
            return len(drawn) >= window and len(latest) == 1 and None not in latest
    return False


def over_all_orders(
    course: Course, pools: Mapping[str, list[Sample]], length: Mapping[str, int]
) -> tuple[float, float, float, float]:
    """Return the value, samples, total tokens and dollars of a course, means over all orders."""
    labels: dict[str, list[bool]] = defaultdict(list)
    for one in (one for pool in pools.values() for one in pool if one.answer is not None):
        labels[str(one.answer)].append(one.correct)
    right = {answer: float(np.mean(marks)) for answer, marks in labels.items()}
    needed = {g: sum(step.n for step in course.steps if step.generator == g) for g in course.generators}
    rows = []
    for orders in product(*(permutations(pools[name], n) for name, n in needed.items())):
        queue = {name: list(order) for name, order in zip(needed, orders, strict=True)}
        drawn: list[Sample] = []
        tokens = dollars = 0.0
        for number, step in enumerate(course.steps, start=1):
            now = [queue[step.generator].pop(0) for _ in range(step.n)]
            drawn += now
            sent = sum(one.sent or 0 for one in now) or length[step.generator]
            written = sum(one.tokens for one in now)
            prices = GENERATORS[step.generator]
            tokens += sent + written
            dollars += (prices.usd_per_mtok_in or 0) * sent + (prices.usd_per_mtok_out or 0) * written
            if number < len(course.steps) and enough(course.stop, course.selection, drawn):
                break
        rows.append((worth(course.selection, drawn, right), len(drawn), tokens, dollars / 1e6))
    value, samples, spent, paid = np.mean(rows, axis=0).tolist()
    return value, samples, spent, paid


@pytest.mark.parametrize("own", [False, True], ids=["one prompt", "prompts of their own"])
def test_every_kind_of_course_is_worth_and_costs_what_all_orders_say(own: bool) -> None:
    rng = np.random.default_rng(8)
    records, prompts = [], []
    for row in range(5):
        pools, length = {}, {}
        for name in GENERATORS:
            length[name] = int(rng.integers(5, 50))
            pools[name] = [
                Sample(
                    name, None if sign == "-" else str(sign), bool(sign == "x"), int(rng.integers(1, 60)),
                    -float(rng.random()), float(rng.integers(-2, 5)) / 4,
                    int(rng.integers(10, 200)) if own else None,
                )
                for sign in rng.choice(list("xxyz-"), 4)
            ]  # fmt: skip
            samples = [
                {
                    "answer": one.answer, "correct": one.correct, "output_tokens": one.tokens,
                    "mean_logprob": one.logprob, "score": one.score,
                }
                | ({"prompt_tokens": one.sent} if own else {})
                for one in pools[name]
            ]  # fmt: skip
            line = {"prompt_id": f"p{row}", "generator": name, "samples": samples}
            records.append(line if own else line | {"prompt_tokens": length[name]})
        prompts.append((pools, length))
    log = SampleLog.from_records(records, GENERATORS)
    table = measure(log, Recorded.of(log, n_orders=720, seed=3), [], COURSES)
    drawn = table.slots.total(table.samples.astype(np.float64))
    costs = [table.cost(CostModel(unit=unit, generators=GENERATORS), prompt_lengths(log)) for unit in UNITS]
    told = np.stack([table.value, drawn, *costs], axis=2)
    known = np.array([[over_all_orders(course, *prompt) for course in COURSES] for prompt in prompts])
    # 720 orders, balanced: five standard errors of a value are at most .1, of means over prompts .04.
    assert np.abs(told[..., 0] - known[..., 0]).max() < 0.1
    assert np.abs(told[..., 1:] / known[..., 1:] - 1).max() < 0.1
    assert np.abs((told[..., 0] - known[..., 0]).mean(axis=0)).max() < 0.04
    assert np.abs((told[..., 1:] / known[..., 1:] - 1).mean(axis=0)).max() < 0.04
