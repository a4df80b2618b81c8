"""Policy families: static is uniform, shrinkage interpolates, a mixture averages."""

from __future__ import annotations

import msgspec
import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from difficulty.belief.weight_spec import STATIC, PolicyMixture, PolicySpec
from difficulty.belief.weights import BinWeights, KernelWeights
from difficulty.errors import InvalidInputError

REFERENCES = np.random.default_rng(0).normal(size=(30, 2))
QUERIES = np.random.default_rng(1).normal(size=(6, 2))


def weights(policy: PolicySpec | PolicyMixture) -> np.ndarray:
    return policy.weigher(REFERENCES)(QUERIES)


def test_static_knows_no_prompt_from_another() -> None:
    assert_allclose(weights(PolicySpec()), 1 / 30)
    assert_array_equal(weights(STATIC), weights(PolicySpec()))
    assert STATIC.family == "static"


def test_families_are_the_kernels_of_difficulty() -> None:
    kernel = PolicySpec(family="kernel", level_bandwidth=0.4, deviation_bandwidth=2.0, floor=0.05)
    expected = KernelWeights(REFERENCES, level_bandwidth=0.4, deviation_bandwidth=2.0, floor=0.05)(QUERIES)
    assert_array_equal(weights(kernel), expected)
    assert_array_equal(
        weights(PolicySpec(family="bins", n_bins=3)), BinWeights(REFERENCES, n_bins=3)(QUERIES)
    )


@pytest.mark.parametrize("family", ["kernel", "bins"])
def test_shrinkage_goes_all_the_way_to_static(family: str) -> None:
    def shrunk(share: float) -> np.ndarray:
        return weights(PolicySpec(family=family, shrinkage=share))  # type: ignore[arg-type]

    assert_allclose(shrunk(0.25), 0.75 * shrunk(0.0) + 0.25 / 30, rtol=1e-5)
    assert_allclose(shrunk(1.0), 1 / 30, rtol=1e-6)


def test_a_mixture_is_the_mean_of_its_members() -> None:
    members = (
        PolicySpec(family="bins", n_bins=4),
        PolicySpec(family="kernel", shrinkage=0.5),
        PolicySpec(),
    )
    mixture = PolicyMixture(members=members)
    assert_allclose(weights(mixture), np.mean([weights(member) for member in members], axis=0), rtol=1e-6)
    assert_allclose(weights(mixture).sum(axis=1), 1, rtol=1e-5)
    assert mixture.family == "mixture"
    assert PolicyMixture(members=members[:1] * 2).family == "bins"


def test_calling_a_mixture_twice_gives_the_same(
    members: tuple[PolicySpec, ...] = (PolicySpec(family="bins"), PolicySpec(family="kernel")),
) -> None:
    # Bins keep a table of weights; summing in place must not write into it.
    weigh = PolicyMixture(members=members).weigher(REFERENCES)
    first = weigh(QUERIES).copy()
    assert_array_equal(weigh(QUERIES), first)


def test_specifications_survive_json() -> None:
    mixture = PolicyMixture(members=(PolicySpec(family="kernel", level_bandwidth=0.3), PolicySpec()))
    assert msgspec.convert(msgspec.to_builtins(mixture), PolicyMixture) == mixture


def test_what_cannot_be_meant_is_refused() -> None:
    with pytest.raises(InvalidInputError, match="family must be one of static, bins, kernel; got 'oracle'"):
        PolicySpec(family="oracle")  # type: ignore[arg-type]
    for wrong in ({"n_bins": 0}, {"level_bandwidth": 0.0}, {"deviation_bandwidth": -1.0}, {"floor": 1.5}):
        with pytest.raises(InvalidInputError, match=next(iter(wrong))):
            PolicySpec(**wrong)  # type: ignore[arg-type]
    for shrinkage in (-0.1, 1.1, float("nan")):
        with pytest.raises(InvalidInputError, match="shrinkage must lie in"):
            PolicySpec(shrinkage=shrinkage)
    with pytest.raises(InvalidInputError, match="at least one member"):
        PolicyMixture(members=())
