import numpy as np
import pytest
from numpy.testing import assert_allclose

from difficulty.errors import InvalidInputError
from policies.groups.rate_belief import RATES, Drift, RateBelief
from policies.groups.values import expected_values, values_at


def counts(rates: np.ndarray, n: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    return np.full(len(rates), n), np.random.default_rng(seed).binomial(n, rates)


def test_learns_the_population_and_shrinks_to_it() -> None:
    rates = np.random.default_rng(0).beta(4, 4, 3000)
    n, right = counts(rates, 6, 1)
    belief = RateBelief.flat(len(rates)).seen(n, right)
    ours, plain = ((each - rates) ** 2 for each in (belief.mean, right / n))
    assert ours.mean() < 0.6 * plain.mean()


def test_expected_contrast_is_right_on_average_where_the_rate_of_the_counts_is_not() -> None:
    rates = np.random.default_rng(2).beta(0.3, 0.3, 4000)
    n, right = counts(rates, 4, 3)
    belief = RateBelief.flat(len(rates)).seen(n, right)
    truth = 1 - rates**8 - (1 - rates) ** 8
    sizes = np.array([8])
    told = expected_values(belief.shares, RATES, sizes, "contrast")[:, 0]
    assert told.mean() == pytest.approx(truth.mean(), abs=0.02)
    plug_in = values_at(right / n, sizes)[:, 0]
    assert abs(plug_in.mean() - truth.mean()) > 0.05


def test_old_evidence_fades_as_fast_as_rates_move() -> None:
    rng = np.random.default_rng(4)
    rates = rng.beta(1, 1, 3000)
    still = walking = RateBelief.flat(len(rates))
    moved = rates
    for epoch in range(6):
        still = still.next_epoch(*counts(rates, 8, 10 + epoch))
        walking = walking.next_epoch(*counts(moved, 8, 20 + epoch))
        moved = (moved + 0.15 * rng.standard_normal(len(moved))).clip(0, 1)
    assert still.drift_.spread == 0
    assert 0.1 <= walking.drift_.spread <= 0.25

    def spread(belief: RateBelief) -> float:
        return float((belief.foreseen().shares @ RATES**2 - belief.foreseen().mean ** 2).mean())

    assert spread(walking) > 3 * spread(still)


def test_finds_that_a_policy_learns() -> None:
    rates = np.random.default_rng(5).beta(1, 2, 3000)
    belief = RateBelief.flat(len(rates))
    for epoch in range(6):
        belief = belief.next_epoch(*counts(rates, 8, 30 + epoch))
        rates = (rates + 0.1 * (1 - rates) + 0.03 * np.random.default_rng(epoch).standard_normal(3000)).clip(
            0, 1
        )
    assert belief.drift_.learning > 0
    assert belief.foreseen().mean.mean() == pytest.approx(rates.mean(), abs=0.03)


def test_prompts_left_out_are_believed_less_sure_each_epoch() -> None:
    belief = RateBelief.flat(2, drift=Drift(spread=0.1)).seen(np.array([8, 8]), np.array([8, 8]))
    later = belief.next_epoch(np.array([8, 0]), np.array([8, 0]))
    assert later.mean[1] < belief.mean[1]
    assert later.mean[1] < later.mean[0]


def test_rows_are_updated_alone() -> None:
    belief = RateBelief.flat(3, drift=Drift()).seen(np.array([4, 4, 4]), np.array([2, 2, 2]))
    after = belief.seen(np.array([9]), np.array([9]), np.array([1]))
    assert_allclose(after.shares[[0, 2]], belief.shares[[0, 2]])
    assert after.mean[1] > belief.mean[1]


@pytest.mark.parametrize(
    ("n", "right", "rows"),
    [([2], [3], None), ([2, 2], [1, -1], None), ([2.0, 2.0], [1, 1], None), ([2, 2], [1, 1], [0, 0])],
)
def test_counts_that_cannot_be_are_refused(n: list[int], right: list[int], rows: list[int] | None) -> None:
    belief = RateBelief.flat(2)
    with pytest.raises(InvalidInputError):
        belief.seen(np.array(n), np.array(right), None if rows is None else np.array(rows))


def test_drifts_that_cannot_be_are_refused() -> None:
    with pytest.raises(InvalidInputError, match="spread"):
        Drift(spread=-0.1)
    with pytest.raises(InvalidInputError, match="at least 1"):
        RateBelief.flat(0)
