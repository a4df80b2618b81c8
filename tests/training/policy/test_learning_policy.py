"""What may be believed: nothing of what is noise, and all that shows itself out of fold."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from difficulty.errors import UnknownUnitError
from difficulty.generator import Generator
from difficulty.log.sample_log import SampleLog
from policies.cost.cost_model import CostModel
from policies.course.course import Course, Step
from policies.course.selection import Selection
from training.policy.bench import Bench, paired, paired_at
from training.policy.columns import measure_columns
from training.policy.gaps import filled
from training.policy.learn import bench_of, learn
from training.policy.masks import two_agree
from training.policy.offers import Believed, believe, choose, offers
from training.policy.population import best_for_all, best_static, stopping_early
from training.policy.told import fit_telling
from training.policy.verdict import BY_TEXT, CHECKED, SHOWN, VOTED, on_offer, shown_for, verdict
from training.simulated.log import simulated_log

N = 300


def bench(*, text: bool, seed: int = 0) -> Bench:
    """Two static courses that suit one half of the prompts each, and a reacting one; text may tell."""
    rng = np.random.default_rng(seed)
    half = np.arange(N) % 2
    seen = half if text else rng.permutation(half)
    noise = rng.uniform(-0.1, 0.1, (N, 3))
    value = np.stack([0.4 + 0.4 * (half == 0), 0.4 + 0.4 * (half == 1), np.full(N, 0.5)], axis=1) + noise
    folds = np.arange(N) // 2 % 5
    weights = ((seen[:, None] == seen) & (folds[:, None] != folds)).astype(np.float32)
    return Bench(
        value=value.astype(np.float32),
        cost=np.tile(np.float32([2, 2, 1]), (N, 1)),
        weights=weights / weights.sum(axis=1, keepdims=True),
        groups=np.arange(N),
        folds=folds,
        static=np.array([True, True, False]),
        known=np.array([True, True, True]),
        owner=np.array([0, 1, 0]),
        prices=np.array([1.0, 0.05, 0.001]),
    )


def test_paired_gains_count_groups_and_not_prompts() -> None:
    gain = np.array([1.0, 1.0, 1.0, 0.0, 0.0, 0.0])
    alone, together = paired(gain, np.arange(6)), paired(gain, np.array([0, 0, 0, 1, 1, 1]))
    assert alone[0] == together[0] == 0.5
    assert together[1] > 2 * alone[1]


def test_a_course_for_all_must_win_beyond_its_error() -> None:
    one = bench(text=False)
    assert set(best_static(one).tolist()) <= {0, 1}
    assert best_for_all(one)[0] == 2  # at a high price the cheap reacting course wins by far


def test_text_that_tells_is_deployed_and_text_that_does_not_is_not() -> None:
    told = verdict(bench(text=True))
    assert any("text" in name for name in told.chosen)
    dealt = [verdict(bench(text=False, seed=seed)).chosen for seed in range(30)]
    assert sum(any("text" in name for name in chosen) for chosen in dealt) <= 1


def early(saving: float, *, seed: int = 0) -> Bench:
    """A static course, the same one stopping early at `saving` of its cost, and one that errs elsewhere."""
    rng = np.random.default_rng(seed)
    right = rng.random((N, 2)) < [0.6, 0.63]
    folds = np.arange(N) % 5
    apart = (folds[:, None] != folds).astype(np.float32)
    cost = np.stack([np.full(N, 4.0), 4 - saving * rng.random(N) * 2, np.full(N, 4.0)], axis=1)
    return Bench(
        value=np.stack([right[:, 0], right[:, 0], right[:, 1]], axis=1).astype(np.float32),
        cost=cost.astype(np.float32),
        weights=apart / apart.sum(axis=1, keepdims=True),
        groups=np.arange(N),
        folds=folds,
        static=np.array([True, False, False]),
        known=np.array([True, True, True]),
        owner=np.array([0, 0, 1]),
        prices=np.array([0.01, 0.005, 0.0001]),
    )


def test_what_stopping_early_saves_is_believed_where_other_generators_are_noise() -> None:
    """Another generator that seems better by .03 has an error of .04; a saving at equal answers has none."""
    one = early(saving=1.0, seed=3)
    assert stopping_early(one).tolist() == [1, 1, 1]
    assert "static mix" not in verdict(one).chosen
    assert set(verdict(early(saving=0.0, seed=3)).chosen) == {"static mix"}


def test_a_sure_saving_is_taken_before_one_that_looks_better_by_luck() -> None:
    """A rule that answers better by .02, with an error of .04, hid the one that surely saves a quarter."""
    sure = early(saving=1.0, seed=3)
    lucky = replace(sure, owner=np.zeros(3, dtype=np.intp), prices=np.array([0.006, 0.005, 0.004]))
    worth = lucky.value.mean(axis=0) - lucky.prices[:, None] * lucky.cost.mean(axis=0)
    assert worth.argmax(axis=1).tolist() == [2, 2, 2]
    assert stopping_early(lucky).tolist() == [1, 1, 1]
    assert "static mix" not in verdict(lucky).chosen


def test_gains_at_each_price_have_the_errors_of_pairs() -> None:
    one = replace(bench(text=True), groups=np.arange(N) // 2)
    columns = np.array([0, 2])
    gain, error = paired_at(one, 1, columns, one.prices)
    for level, price in enumerate(one.prices):
        for place, column in enumerate(columns):
            worth = one.value[:, [column, 1]] - price * one.cost[:, [column, 1]]
            expected = paired(worth[:, 0] - worth[:, 1], one.groups)
            assert (gain[level, place], error[level, place]) == pytest.approx(expected, rel=1e-4, abs=1e-7)


def test_one_dear_mistake_at_a_price_that_nobody_pays_does_not_decide() -> None:
    """At 1,000 per unit a course costs more than a sure answer is worth; there a dear prompt would decide."""
    one = bench(text=True)
    cost = np.tile(np.float32([2, 2, 4]), (N, 1))
    cost[0, 0] = 1000.0  # its text asks for just this course, and prompts like it are cheap
    dear = replace(one, cost=cost, prices=np.array([1000.0, 0.0001, 0.00005]))
    assert set(verdict(dear).chosen) <= BY_TEXT
    assert not set(verdict(replace(dear, prices=np.array([1000.0, 900.0, 800.0]))).chosen) & BY_TEXT


def test_stop_rules_of_other_generators_compete_on_equal_terms_and_cascades_do_not() -> None:
    """A tie that is broken in favour of the static mix's own generator loses as often as it wins."""
    one = early(saving=1.0, seed=3)
    assert one.value[:, 2].mean() > one.value[:, 0].mean()
    assert best_for_all(one)[-1] == 2
    several = replace(one, known=np.array([True, True, False]))
    assert best_for_all(several)[-1] == 1


def test_two_that_agree_compete_on_equal_terms_and_are_no_stop_rule_of_the_first() -> None:
    one = weak_models(0, tells=True)
    model = CostModel(unit="samples", generators=one.generators)
    columns = measure_columns(one, model, objective="accuracy")
    bench = bench_of(columns, None, groups=np.arange(80), folds=np.arange(80) % 5)
    agreeing = np.array([two_agree(course) for course in columns.table.courses])
    assert agreeing.any()
    assert bench.known[agreeing].all()
    assert not set(bench.owner[agreeing]) & set(bench.owner[bench.static])
    several = np.array([len(course.generators) > 1 for course in columns.table.courses])
    assert not bench.known[several & ~agreeing].any()


def test_savings_that_nobody_would_notice_show_nothing() -> None:
    """At a price of a millionth a saving of two tokens in four is beyond any error, and worth nothing."""
    one = replace(early(saving=1.0, seed=3), prices=np.array([1e-6, 5e-7, 1e-8]))
    assert set(verdict(one).chosen) == {"static mix"}


def test_a_share_of_a_bill_that_buys_something_is_noticed() -> None:
    """An eighth of what four samples cost is no .001 of value, and yet worth having where they are."""
    four = early(saving=1.0, seed=3)
    once = (np.random.default_rng(4).random(N) < 0.3).astype(np.float32)
    prices = np.array([1.0, 5e-4, 4e-4, 3e-4])

    def beside(value: np.ndarray) -> Bench:
        return replace(
            four,
            value=np.column_stack([value, four.value[:, :2]]),
            cost=np.column_stack([np.ones(N, dtype=np.float32), four.cost[:, :2]]),
            static=np.array([True, True, False]),
            owner=np.zeros(3, dtype=np.intp),
            prices=prices,
        )

    assert verdict(beside(once)).chosen == ["static mix", "early stopping for all"]
    # That four answer three more prompts of 300 and one less may be luck: then an eighth less is no more.
    near = four.value[:, 0].copy()
    near[np.flatnonzero(near)[:3]], near[np.flatnonzero(near == 0)[0]] = 0.0, 1.0
    alike = beside(near)
    assert best_static(alike).tolist() == [0, 1, 1, 1]
    assert set(verdict(alike).chosen) == {"static mix"}


def test_without_scores_to_pick_by_less_luck_is_asked_for() -> None:
    """A course that answers better by three errors is believed where votes are all there is to try."""
    rng = np.random.default_rng(0)
    better = rng.permutation(np.repeat([1.0, -1.0, 0.0], [14, 2, N - 16]))
    value = np.full((N, 3), 0.5, dtype=np.float32)
    value[:, 1] += 0.5 * better
    one = replace(early(saving=0.0), value=value, owner=np.zeros(3, dtype=np.intp))
    mean, error = paired(value[:, 1] - value[:, 0], one.groups)
    assert 2.75 < mean / error < 3.5
    steps = (Step(generator="g", n=3),)
    votes = [Course(steps=steps), Course(steps=steps * 2)]
    by_score = Course(steps=steps, selection=Selection(by="best", signal="score"))
    assert "static mix" not in verdict(one, by_text=False, shown=shown_for(votes, "accuracy")).chosen
    asked = shown_for([*votes, by_score], "accuracy")
    assert set(verdict(one, by_text=False, shown=asked).chosen) == {"static mix"}
    assert shown_for(votes, "accuracy") == VOTED
    assert shown_for(votes, "reward") == SHOWN
    assert shown_for(votes, "coverage") == CHECKED


def test_less_is_asked_where_answers_or_scores_tell_right_from_wrong() -> None:
    """A course that answers better by 2.3 errors may be luck where nothing tells, and votes or scores do."""
    rng = np.random.default_rng(0)
    better = rng.permutation(np.repeat([1.0, -1.0, 0.0], [9, 2, N - 11]))
    four = rng.uniform(0.5, 0.7, N)
    one = replace(
        early(saving=0.0),
        value=np.column_stack([four - 0.2, four, four + 0.3 * better]).astype(np.float32),
        cost=np.tile(np.float32([1, 4, 4]), (N, 1)),
        static=np.array([True, True, False]),
        owner=np.zeros(3, dtype=np.intp),
    )
    mean, error = paired(one.value[:, 2] - one.value[:, 1], one.groups)
    assert 2.0 < mean / error < VOTED[0]
    assert "static mix" not in verdict(one, by_text=False, apart=4.0).chosen
    assert set(verdict(one, by_text=False, apart=2.0).chosen) == {"static mix"}


def weak_models(seed: int, *, tells: bool) -> SampleLog:
    """Eighty prompts, three models near each other, four samples each; answers tell what is right or not."""
    rng, records = np.random.default_rng(seed), []
    for row in range(80):
        level, wrong = 2.2 * rng.normal(), rng.dirichlet(np.full(5, 0.4))
        for number in range(3):
            right = rng.random(4) < 1 / (1 + np.exp(0.6 - 0.2 * number - level - rng.normal()))
            answers = np.where(right, 5, rng.choice(5, 4, p=wrong)) if tells else rng.choice(3, 4)
            samples = [{"answer": str(a), "correct": bool(r)} for a, r in zip(answers, right, strict=True)]
            records.append({"prompt_id": f"p{row}", "generator": f"g{number}", "samples": samples})
    return SampleLog.from_records(records, {f"g{at}": Generator(name=f"g{at}") for at in range(3)})


def test_few_prompts_deploy_where_answers_tell_and_never_where_they_do_not() -> None:
    """The static mix itself is not shown to gain over single samples here; that answers tell is."""
    for seed in (3, 6):
        for tells in (True, False):
            log = weak_models(seed, tells=tells)
            model = CostModel(unit="samples", generators=log.generators)
            learned = learn(log, model, objective="accuracy", weights=None, folds=np.arange(80) % 5)
            assert (set(learned.verdict.chosen) != {"static mix"}) is tells


def test_less_is_asked_of_choices_by_text_where_text_is_shown_to_tell() -> None:
    """A choice by text that gains some two errors may be luck, unless text knows who is answered rightly."""
    half, rng = np.arange(N) % 2, np.random.default_rng(0)
    gains = np.stack([half == 0, half == 1], axis=1) * 0.022 + rng.normal(0, 0.1, (N, 2))
    mute = replace(
        bench(text=True).columns(np.array([0, 1])),
        value=(0.4 + gains).astype(np.float32),
        prices=np.array([0.01]),
    )
    found = verdict(mute)
    assert 2.0 < found.gain["all courses by text"][0] / found.error["all courses by text"][0] < 2.5
    assert found.chosen == ["static mix"]
    told = replace(mute, value=(mute.value + 0.3 * half[:, None]).astype(np.float32))
    assert set(verdict(told).chosen) <= BY_TEXT


def test_without_text_no_choice_by_text_is_considered() -> None:
    plain = verdict(bench(text=True), by_text=False)
    assert not BY_TEXT & (set(plain.chosen) | set(plain.gain))


def test_a_band_may_follow_where_another_has_shown_what_is_to_be_believed() -> None:
    one = bench(text=True)
    sure = verdict(one)
    assert any("text" in name for name in sure.chosen)
    assert set(verdict(early(saving=1.0, seed=3), shown=(50.0, 50.0)).chosen) == {"static mix"}


def test_one_dear_price_does_not_outweigh_a_band() -> None:
    """Gains are shares of what is spent, so a price a million times higher says no more than the others."""
    one = bench(text=True)
    dear = replace(one, prices=np.array([1e6, *one.prices]))
    told = verdict(dear)
    assert max(abs(gain) for gains in told.gain.values() for gain in gains) < 2


def test_choices_by_text_take_the_course_of_their_half() -> None:
    one = bench(text=True)
    offered = on_offer(one, verdict(one))
    taken = choose(believe(one, one.weights), offered, one.prices)[:, -1]
    assert (taken == np.arange(N) % 2).mean() > 0.95


def test_an_offer_that_lost_is_withdrawn() -> None:
    one = bench(text=True)
    wrong = believe(one, one.weights[:, np.arange(N) ^ 1])  # believes in the other half
    offered = offers(one, np.array([2, 2, 2]), wrong, admitted=1.0)
    assert offered.tolist() == [[False, False, True]] * 3


def test_promises_are_what_choices_brought() -> None:
    one = bench(text=False)
    # A belief that is far too sure: expected values are spread, realised ones are not.
    rng = np.random.default_rng(1)
    sure = Believed(rng.uniform(0, 1, one.value.shape).astype(np.float32), one.cost)
    telling = fit_telling(one, sure, np.ones((3, 3), dtype=bool))
    assert telling.slope[-1] < 0.2
    taken = choose(sure, np.ones((3, 3), dtype=bool), one.prices)
    rows = np.arange(N)[:, None]
    usual = one.value.mean(axis=0, dtype=float)[taken]
    told = telling.tell(usual, sure.value[rows, taken].astype(float))
    assert sure.value[rows, taken][:, -1].mean() > 0.7
    assert told[:, -1].mean() == pytest.approx(0.55, abs=0.05)


def test_narrow_weights_are_told_by_where_they_predict_and_not_where_they_do_not() -> None:
    """Weights that choose are equal, so they tell nothing; narrow ones see which half a prompt is of."""
    one, seeing = bench(text=False), bench(text=True).weights
    everybody = best_static(one)[:, None] == np.arange(3)
    flat = replace(one, weights=np.full((N, N), 1 / N, dtype=np.float32))
    believed = believe(flat, flat.weights)
    telling = fit_telling(flat, believed, everybody, seeing)
    assert (telling.lean[:2] > 0.8).all()
    blind = fit_telling(flat, believed, everybody, one.weights)
    assert (blind.lean < 0.4).all()
    assert not fit_telling(flat, believed, everybody).lean.any()


def test_intervals_hold_what_came_of_prompts_like_those_that_are_told() -> None:
    one = bench(text=True)
    everybody = best_static(one)[:, None] == np.arange(3)
    believed = believe(one, one.weights)
    telling = fit_telling(one, believed, everybody)
    taken = choose(believed, everybody, one.prices)
    rows = np.arange(N)[:, None]
    usual = one.value.mean(axis=0, dtype=float)[taken]
    told = telling.tell(usual, believed.value[rows, taken].astype(float))[:, 0]
    level = np.zeros(N, dtype=np.intp)
    low, high = telling.interval(told, level)
    came = one.value[np.arange(N), taken[:, 0]]
    assert ((low <= came) & (came <= high)).mean() > 0.94
    assert (high - low).mean() < 0.35  # halves are .4 apart, and .2 wide each
    low, high = telling.interval(told, level, np.zeros(N))
    assert ((low <= came) & (came <= high)).mean() > 0.94
    assert (high - low).mean() > 0.5
    low, high = telling.cost_interval(level)
    assert low == pytest.approx(1) and high == pytest.approx(1)


def test_a_gain_within_its_error_is_not_promised() -> None:
    """A course of .03 more, with an error of .04, is told no better than the static mix."""
    one = early(saving=0.0, seed=3)
    lucky = np.zeros((3, 3), dtype=bool)
    lucky[:, 2] = True
    telling = fit_telling(one, believe(one, one.weights), lucky)
    static, seen = one.value.mean(axis=0)[[0, 2]]
    assert seen > static + 0.01
    assert telling.offset + seen == pytest.approx(np.full(3, static), abs=1e-6)


def test_a_level_between_two_is_not_told_away_by_an_error_that_its_neighbour_lacks() -> None:
    """Of 1, 2 and 3 units .40, .55 and .68 came, where the mix brings .40, .50 and .60: the middle gains .05
    with an error of .04, the last .08 for sure. Shrunk by its own error, the middle would lie below the mix
    of the other two, and no budget would buy what it is worth.
    """
    sign = np.where(np.arange(N) % 2, 1, -1) * 0.04 * np.sqrt(N - 1)
    value = np.stack([np.full(N, 0.4), np.full(N, 0.7), 0.55 + sign, np.full(N, 0.68)], axis=1)
    one = Bench(
        value=value.astype(np.float32),
        cost=np.tile(np.float32([1, 4, 2, 3]), (N, 1)),
        weights=bench(text=False).weights,
        groups=np.arange(N),
        folds=np.arange(N) % 5,
        static=np.array([True, True, False, False]),
        known=np.ones(4, dtype=bool),
        owner=np.zeros(4, dtype=np.intp),
        prices=np.array([1.0, 0.145, 0.135, 0.01]),
    )
    played = np.array([0, 2, 3, 1])
    seen = one.value.mean(axis=0)[played]
    telling = fit_telling(one, believe(one, one.weights), played[:, None] == np.arange(4))
    told = telling.tell(seen[None])[0]
    assert told[1] > (told[0] + told[2]) / 2 + 0.004
    assert seen[1] - told[1] == pytest.approx(0.05 * 0.04**2 / (0.05**2 + 0.08**2), rel=1e-3)


def test_prices_lie_where_courses_change_and_not_where_nothing_does() -> None:
    """Thousands of courses that differ by a billionth in cost ask for no price of a billion."""
    log = simulated_log(60, n_samples=6, n_generators=2, seed=0)
    columns = measure_columns(log, CostModel(unit="samples", generators=log.generators), objective="accuracy")
    worth, paid = columns.value.mean(axis=0), columns.cost.mean(axis=0)
    bought = [int((worth - price * paid).argmax()) for price in columns.prices]
    assert paid[bought[0]] == pytest.approx(1.0) and columns.prices[0] < 1e5
    assert bought.count(bought[0]) < len(bought) / 2 and (np.diff(columns.prices) < 0).all()


def test_a_unit_that_nothing_can_be_priced_in_is_refused() -> None:
    records = [
        {"prompt_id": str(at), "generator": "g", "samples": [{"answer": "1", "correct": True}]}
        for at in range(30)
    ]
    log = SampleLog.from_records(records, {"g": Generator(name="g")})
    for unit, lacking in (
        ("output_tokens", "does not record output_tokens;"),
        ("total_tokens", "does not record output_tokens and prompt_tokens;"),
    ):
        with pytest.raises(UnknownUnitError, match=lacking):
            measure_columns(log, CostModel(unit=unit, generators=log.generators), objective="accuracy")


def test_gaps_are_filled_by_the_most_similar_course() -> None:
    full = np.float32([[0.1, 0.2], [0.5, 0.6], [0.7, np.nan]])
    assert filled(full)[2, 1] == pytest.approx(0.8)
    assert filled(full, upper=0.75)[2, 1] == pytest.approx(0.75)


def test_each_gap_is_filled_by_the_column_whose_difference_varies_least() -> None:
    """Against the definition, column by column, where whole blocks and single cells are unknown."""
    rng = np.random.default_rng(0)
    table = (100 * rng.random((30, 1)) + 10 * rng.normal(size=(30, 40))).astype(np.float32)
    table[np.ix_(rng.random(30) < 0.3, rng.random(40) < 0.4)] = np.nan
    table[rng.random(table.shape) < 0.02] = np.nan
    result = filled(table)
    known = ~np.isnan(table)
    assert np.array_equal(result[known], table[known]) and not np.isnan(result).any()
    for column in np.flatnonzero(~known.all(axis=0)):
        row = np.flatnonzero(~known[:, column])[0]
        apart = table - table[:, [column]]
        donor = np.where(known[row], np.nanvar(apart, axis=0), np.inf).argmin()
        assert result[row, column] == pytest.approx(table[row, donor] - np.nanmean(apart[:, donor]), abs=1e-3)


def test_a_log_is_learned_from_and_nothing_is_lost_on_the_way() -> None:
    log = simulated_log(80, n_samples=6, n_generators=2, seed=0)
    folds = np.arange(80) % 5
    model = CostModel(unit="samples", generators=log.generators)
    told = learn(log, model, objective="accuracy", weights=None, folds=folds)
    n_courses = len(told.table.courses)
    assert (
        told.policy.offered.shape
        == (len(told.policy.prices), n_courses)
        == (len(told.policy.prices), len(told.deployed))
    )
    assert told.value.shape == (80, n_courses) and ((told.value >= 0) & (told.value <= 1)).all()
    assert not (told.policy.offered & ~told.deployed).any()
    again = learn(log, model, objective="accuracy", weights=None, folds=folds)
    assert (again.value == told.value).all() and again.verdict.chosen == told.verdict.chosen
    covered = learn(log, model, objective="coverage", weights=None, folds=folds)
    assert all(course.selection.by == "first_success" for course in covered.table.courses)
