"""The one table: replayed courses are worth what all orders say, exact ones what their estimators say."""

from __future__ import annotations

import tracemalloc
from collections import Counter
from itertools import permutations

import numpy as np
import pytest

from difficulty.errors import InvalidInputError
from difficulty.generator import Generator
from difficulty.log.sample_log import SampleLog
from policies.cost.cost_model import CostModel
from policies.course.course import Course, Step, waves
from policies.course.selection import Selection
from policies.course.stop import Agreement, BestScore, Success
from policies.menu.build import build_menu
from policies.table.grid import cascades, early_stopping, pair
from policies.table.measure import measure, prompt_lengths
from policies.table.recorded import Recorded
from policies.table.replay import replay
from policies.table.table import CourseTable


def log_of(*rows: dict[str, str], prompt_tokens: int = 10) -> SampleLog:
    """Prompts by generator, one letter a sample: x is right, - abstains."""
    records = [
        {
            "prompt_id": f"p{at}",
            "generator": name,
            "prompt_tokens": prompt_tokens,
            "samples": [
                {"answer": None if sign == "-" else sign, "correct": sign == "x", "output_tokens": 1 + place}
                for place, sign in enumerate(signs)
            ],
        }
        for at, row in enumerate(rows)
        for name, signs in row.items()
    ]
    names = {name for row in rows for name in row}
    return SampleLog.from_records(records, {name: Generator(name=name) for name in sorted(names)})


def stop_by_hand(signs: str, sizes: tuple[int, ...], count: int) -> tuple[float, int, int]:
    """Value, samples and waves of `count` agreeing votes, over all orders of the recorded samples."""
    value, drawn, asked = [], [], []
    for order in permutations(signs, sum(sizes)):
        n = 0
        for wave, size in enumerate(sizes, start=1):  # noqa: B007  # read after the loop
            n += size
            votes = Counter(sign for sign in order[:n] if sign != "-")
            if max(votes.values(), default=0) >= count:
                break
        top = [sign for sign, k in votes.items() if k == max(votes.values())]
        value.append(("x" in top) / len(top) if top else 0.0)
        drawn.append(n)
        asked.append(wave)
    return float(np.mean(value)), float(np.mean(drawn)), float(np.mean(asked))  # type: ignore[return-value]


@pytest.mark.parametrize("signs", ["xxy", "xy-", "xyz", "---", "yyx"])
@pytest.mark.parametrize("sizes", [(1, 1, 1), (2, 1), (1, 2)])
@pytest.mark.parametrize("count", [1, 2])
def test_early_stopping_is_worth_what_all_orders_say(signs: str, sizes: tuple[int, ...], count: int) -> None:
    course = Course(steps=waves("a", sizes), stop=Agreement(count=count))
    recorded = Recorded.of(log_of({"a": signs}), n_orders=600, seed=3)
    table = replay(recorded, [course])
    value, samples, asked = stop_by_hand(signs, sizes, count)
    # 600 orders of at most six: each is drawn 100 times, give or take 40 (five standard deviations).
    assert table.value[0, 0] == pytest.approx(value, abs=0.11)
    assert table.samples[0, 0] == pytest.approx(samples, abs=0.21)
    assert table.requests[0, 0] == pytest.approx(asked, abs=0.21)
    assert table.rounds[0, 0] == pytest.approx(asked, abs=0.21)


def test_what_is_the_same_in_every_order_is_its_own_mean() -> None:
    """To the last bit: sums in float32 would add rounding errors, others on every processor."""
    log = log_of(*[{"m": "xyz"}] * 20)
    course = Course(steps=waves("m", (1, 1, 1)), stop=Agreement(count=2))
    for n_orders in (7, 13, 48):
        table = replay(Recorded.of(log, n_orders=n_orders, seed=0), [course])
        assert set(table.value[:, 0].tolist()) == {float(np.float32(1 / 3))}


def test_static_courses_agree_with_their_exact_estimators() -> None:
    rng = np.random.default_rng(0)
    rows = [{"a": "".join(rng.choice(list("xyz-"), 9))} for _ in range(40)]
    log = log_of(*rows)
    menu = build_menu(log)
    exact = measure(log, Recorded.of(log), menu, [])
    replayed = replay(Recorded.of(log, n_orders=90), exact.courses)
    assert replayed.value.mean(axis=0) == pytest.approx(exact.value.mean(axis=0), abs=0.02)
    assert (replayed.samples == exact.samples).all()


def test_a_replay_is_corrected_by_what_is_known_exactly() -> None:
    rng = np.random.default_rng(1)
    log = log_of(*({"a": "".join(rng.choice(list("xxyz"), 8))} for _ in range(30)))
    # A rule that never fires draws everything: its value is that of the static vote.
    course = Course(steps=waves("a", (3, 4)), stop=Agreement(count=8))
    table = measure(log, Recorded.of(log, n_orders=6), build_menu(log), [course])
    vote = next(at for at, one in enumerate(table.courses) if one.one_shot and one.n == 7)
    assert table.value[:, -1] == pytest.approx(table.value[:, vote], abs=1e-6)


def test_the_correction_shrinks_with_what_a_course_leaves_undrawn() -> None:
    """One that stops at the first answer says nothing of how the vote of all samples is replayed."""
    rng = np.random.default_rng(2)
    log = log_of(*({"a": "".join(rng.choice(list("xxyz"), 8))} for _ in range(60)))
    menu, rates = build_menu(log), log.counts()
    first = Course(steps=waves("a", (1,) * 7), stop=Agreement(count=1))
    apart = [
        measure(log, Recorded.of(log, n_orders=6, seed=seed), menu, [first]).value[:, -1]
        - rates.n_correct[:, 0] / rates.n[:, 0]
        for seed in range(20)
    ]
    raw = [
        replay(Recorded.of(log, n_orders=6, seed=seed), [first]).value[:, 0]
        - rates.n_correct[:, 0] / rates.n[:, 0]
        for seed in range(20)
    ]
    # A correction in full is 1.11 times as far from the truth as none.
    assert np.sqrt(np.mean(np.square(apart))) < 1.03 * np.sqrt(np.mean(np.square(raw)))


def test_a_cascade_asks_the_second_generator_where_the_first_disagrees() -> None:
    log = log_of({"a": "xx", "b": "y"}, {"a": "yz", "b": "x"})
    course = Course(
        steps=waves("a", (2,)) + waves("b", (1,)),
        selection=Selection(pooled=False),
        stop=Agreement(count=2),
    )
    table = replay(Recorded.of(log), [course])
    assert table.value[:, 0].tolist() == [1.0, 1.0]
    assert table.samples.tolist() == [[2.0, 0.0], [2.0, 1.0]]
    assert table.slots.generator == ("a", "b")


def test_an_abstaining_last_generator_leaves_what_stood_before() -> None:
    log = log_of({"a": "xy", "b": "-"})
    course = Course(steps=waves("a", (1,)) + waves("b", (1,)), selection=Selection(pooled=False))
    assert replay(Recorded.of(log, n_orders=40), [course]).value[0, 0] == pytest.approx(0.5, abs=0.2)


def test_coverage_stops_at_the_first_success() -> None:
    log = log_of({"a": "yyx"})
    course = Course(steps=waves("a", (1, 1, 1)), selection=Selection(by="first_success"), stop=Success())
    table = replay(Recorded.of(log, n_orders=60), [course])
    assert table.value[0, 0] == 1.0 and table.samples[0, 0] == pytest.approx(2.0, abs=0.4)


def test_what_a_log_cannot_tell_is_a_gap_and_shorter_courses_are_known() -> None:
    log = log_of({"a": "xxxx"}, {"a": "xy"})
    courses = [Course(steps=waves("a", (1, 1)), stop=Agreement(count=2)), Course(steps=waves("a", (4,)))]
    table = replay(Recorded.of(log), courses)
    assert np.isnan(table.value).tolist() == [[False, False], [False, True]]


def test_resent_prompts_are_charged_for_each_wave() -> None:
    log = log_of({"a": "xyz"}, prompt_tokens=100)
    one, three = (Course(steps=waves("a", cut), stop=Agreement(count=3)) for cut in ((3,), (1, 1, 1)))
    table = replay(Recorded.of(log), [one, three])
    cost = table.cost(CostModel(unit="total_tokens", generators=log.generators), prompt_lengths(log))
    assert cost[0].tolist() == pytest.approx([106.0, 306.0])


def test_pricing_takes_little_beside_the_table_itself() -> None:
    log = log_of(*[{"a": "xyz", "b": "xy"}] * 2)
    recorded = Recorded.of(log)
    few = replay(recorded, early_stopping(recorded) + cascades(recorded, ["a", "b"], {"a": 1.0, "b": 2.0}))
    many = few.take(np.arange(1_500_000 // few.samples.shape[1]) % 2)
    model = CostModel(unit="total_tokens", generators=log.generators)
    lengths = prompt_lengths(log)
    tracemalloc.start()
    cost = many.cost(model, {name: np.resize(each, len(many.value)) for name, each in lengths.items()})
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak - cost.nbytes < 50e6  # 12 MB a field if all were priced at once
    np.testing.assert_array_equal(cost[-2:], few.cost(model, lengths)[[len(cost) % 2, 1 - len(cost) % 2]])


def test_prompts_that_samples_send_themselves_are_charged_to_every_course() -> None:
    """As agents do: what one sample sent says nothing of another, and nothing is shared."""
    samples = [
        {"answer": sign, "correct": sign == "x", "output_tokens": 10, "prompt_tokens": 100 * (1 + at)}
        for at, sign in enumerate("xxxxx")
    ]
    attempts = [
        {"answer": "x", "correct": True, "output_tokens": 10, "prompt_tokens": 50, "chain": 0, "step": step}
        for step in range(2)
    ]
    line = {"prompt_id": "p", "generator": "a"}
    chains = line | {"strategy": "sequential_revision", "samples": attempts}
    log = SampleLog.from_records([line | {"samples": samples}, chains], {"a": Generator(name="a")})
    courses = [
        Course(steps=waves("a", (2, 2)), stop=Agreement(count=2)),
        Course(steps=waves("a", (2, 2)), stop=Agreement(count=4)),
    ]
    table = measure(log, Recorded.of(log, n_orders=5), build_menu(log), courses)
    cost = table.cost(CostModel(unit="total_tokens"), prompt_lengths(log))
    # A sample sends 300 tokens on average, both attempts together 100.
    by_course = {str(course): cost[0, at] for at, course in enumerate(table.courses)}
    assert by_course["a x1; vote"] == pytest.approx(310)
    assert by_course["a x3; vote"] == pytest.approx(3 * 310)
    assert by_course["a revised x1 2 times; vote"] == pytest.approx(120)
    assert by_course["a x2 2 times; vote; until 2 agree"] == pytest.approx(2 * 310)
    assert by_course["a x2 2 times; vote; until 4 agree"] == pytest.approx(4 * 310)


def test_what_nothing_is_asked_about_is_drawn_in_one_round() -> None:
    table = replay(
        Recorded.of(log_of({"a": "xy", "b": "x"})), [Course(steps=waves("a", (2,)) + waves("b", (1,)))]
    )
    assert table.rounds.tolist() == [[1.0]] and table.requests.tolist() == [[1.0, 1.0]]


def test_only_samples_of_recorded_generators_are_replayed() -> None:
    recorded = Recorded.of(log_of({"a": "xy"}))
    with pytest.raises(InvalidInputError, match="draws from b"):
        replay(recorded, [Course(steps=waves("b", (1,)))])
    chains = Course(steps=(Step(generator="a", kind="revise"),) * 2)
    with pytest.raises(InvalidInputError, match="no chains are recorded"):
        replay(recorded, [chains])


def test_tables_are_joined_cut_and_put_in_order() -> None:
    recorded = Recorded.of(log_of({"a": "xyz", "b": "xxx"}))
    cascade = Course(steps=waves("a", (1,)) + waves("b", (1,)))
    courses = [Course(steps=waves("a", (1,))), cascade, Course(steps=waves("b", (2,)))]
    whole = replay(recorded, courses)
    parts = CourseTable.joined([replay(recorded, courses[:1]), replay(recorded, courses[1:])])
    assert parts.courses == whole.courses and (parts.samples == whole.samples).all()
    turned = whole.columns(np.array([2, 1]))
    assert turned.courses == (courses[2], cascade)
    assert turned.samples.tolist() == [[2.0, 1.0, 1.0]]


def test_a_coarse_grid_is_a_small_part_of_the_fine_one() -> None:
    recorded = Recorded.of(log_of(*({"a": "xyxzxyxzxy", "b": "xxyxyzxxyx"} for _ in range(4))))
    fine, coarse = early_stopping(recorded), early_stopping(recorded, coarse=True)
    assert set(coarse) < set(fine) and len(coarse) < len(fine) / 5
    assert {type(course.stop) for course in coarse} == {type(course.stop) for course in fine}
    both, cost = ["a", "b"], {"a": 1.0, "b": 5.0}
    pairs, few = cascades(recorded, both, cost), cascades(recorded, both, cost, coarse=True)
    assert set(few) < set(pairs) and len(few) < len(pairs) / 8
    assert {course.selection for course in few} == {course.selection for course in pairs}
    assert pair(recorded, "a", "b") == pairs


def test_the_grid_holds_known_rules_and_only_what_is_recorded() -> None:
    recorded = Recorded.of(log_of(*({"a": "xyxz", "b": "xxy"} for _ in range(4))))
    early = early_stopping(recorded)
    assert {type(course.stop).__name__ for course in early} >= {"Agreement", "Beta", "Share", "Unanimous"}
    assert max(course.n for course in early if course.generators == ("a",)) == 4
    pairs = cascades(recorded, ["a", "b"], {"a": 1.0, "b": 5.0})
    assert all(course.generators[0] == "a" for course in pairs)


def test_votes_by_scores_below_zero_are_worth_what_a_replay_says() -> None:
    """Rewards are often below zero; such a vote weighs nothing, however it is measured."""
    rng = np.random.default_rng(4)
    records = [
        {"prompt_id": f"p{at}", "generator": "a", "samples": [
            {"answer": sign, "correct": sign == "x", "score": float(rng.integers(-3, 3))}
            for sign in rng.choice(list("xyz"), 4)
        ]}
        for at in range(40)
    ]  # fmt: skip
    log = SampleLog.from_records(records, {"a": Generator(name="a")})
    exact = measure(log, Recorded.of(log), build_menu(log), [])
    weighted = [at for at, course in enumerate(exact.courses) if str(course) == "a x4; vote by score"]
    replayed = replay(Recorded.of(log), [exact.courses[weighted[0]]])
    np.testing.assert_allclose(exact.value[:, weighted], replayed.value, atol=1e-6)


def test_scores_beyond_single_precision_give_no_levels_to_stop_at() -> None:
    records = [
        {"prompt_id": f"p{at}", "generator": "a", "samples": [
            {"answer": "x", "correct": True, "score": score} for score in (1e80, 1e60, 1e50, 2.0)
        ]}
        for at in range(4)
    ]  # fmt: skip
    with np.errstate(over="ignore"):
        recorded = Recorded.of(SampleLog.from_records(records, {"a": Generator(name="a")}))
    levels = {
        course.stop.threshold for course in early_stopping(recorded) if isinstance(course.stop, BestScore)
    }
    assert levels == {2.0}


def test_letters_that_each_generator_saw_in_its_own_order_are_worth_what_they_are_there() -> None:
    """An A of one model is a B of the other: the weak one is not worth what both are on average."""
    right = {"weak": "ABBB", "strong": "BBBA"}
    records = [
        {
            "prompt_id": f"p{at}",
            "generator": name,
            "prompt_tokens": 10,
            "samples": [{"answer": sign, "correct": sign == signs[0], "output_tokens": 5} for sign in signs],
        }
        for at in range(6)
        for name, signs in right.items()
    ]
    log = SampleLog.from_records(records, {name: Generator(name=name) for name in right})
    recorded = Recorded.of(log)
    assert not recorded.pooled
    once = [Course(steps=waves(name, (1, 1)), stop=Agreement(count=1)) for name in right]
    assert replay(recorded, once).value == pytest.approx(np.tile([0.25, 0.75], (6, 1)))
