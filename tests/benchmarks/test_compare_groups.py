import numpy as np
import pytest

from benchmarks.rollouts.compare import OURS, Planted, compare_groups, recorded_truth
from difficulty import Generator, SampleLog
from difficulty.errors import InvalidInputError

P = 800


def planted(rng: np.random.Generator) -> Planted:
    length = 400 * np.exp(0.5 * rng.standard_normal(P))
    return Planted(rates=rng.beta(0.3, 0.5, P), right=length, wrong=1.5 * length)


def walk(rates: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    return np.asarray((rates + 0.1 * rng.standard_normal(len(rates))).clip(0, 1))


@pytest.mark.parametrize(("moving", "least"), [(False, 1.3), (True, 1.2)])
def test_more_informative_groups_than_uniform_and_no_fewer_than_any_rival(moving: bool, least: float) -> None:
    # Both groups of 8 and as few as 4: what it gains is more than smaller groups for everybody gain.
    found = compare_groups(planted, n_runs=4, n_epochs=6, move=walk if moving else None)
    ours = found[OURS]
    assert ours.interval[0] > least
    best = max(item.interval[0] for name, item in found.items() if name != OURS)
    assert ours.interval[1] >= best
    assert ours.ratio > 1.15 * found["uniform at the floor"].ratio


def test_gains_without_smaller_groups() -> None:
    found = compare_groups(planted, n_runs=3, n_epochs=6, floor=8, rivals=["uniform"])
    assert found[OURS].interval[0] > 1.3


def test_gains_nothing_where_all_prompts_are_alike() -> None:
    def alike(rng: np.random.Generator) -> Planted:
        return Planted(rates=np.full(P, 0.3), right=np.full(P, 100.0), wrong=np.full(P, 100.0))

    found = compare_groups(alike, n_runs=4, n_epochs=4, floor=8, cap=8, rivals=["uniform"])
    assert abs(found[OURS].ratio - 1) < 0.03


def test_recorded_groups_are_drawn_without_replacement() -> None:
    records = [{"prompt_id": str(at), "generator": "g", "n": 8, "n_correct": at % 9} for at in range(90)]
    log = SampleLog.from_records(records, {"g": Generator(name="g")})
    found = compare_groups(recorded_truth(log, "g"), n_runs=3, n_epochs=3, cap=8, rivals=["knapsack"])
    assert found[OURS].ratio > 1
    truth = recorded_truth(log, "g")(np.random.default_rng(0))
    right, _ = truth.draw(truth.rates, np.full(90, 8), np.random.default_rng(0))
    assert right.tolist() == [at % 9 for at in range(90)]


def test_what_cannot_be_is_refused() -> None:
    with pytest.raises(InvalidInputError, match="rivals are"):
        compare_groups(planted, rivals=["luck"])
    with pytest.raises(InvalidInputError, match="share"):
        compare_groups(planted, share=0.0)
    log = SampleLog.from_records(
        [{"prompt_id": "a", "generator": "g", "n": 1, "n_correct": 1}], {"g": Generator(name="g")}
    )
    with pytest.raises(InvalidInputError, match="2 labelled"):
        recorded_truth(log, "g")
