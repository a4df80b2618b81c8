"""Ladders: what would be drawn, in waves that start small and grow."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from difficulty.errors import InvalidInputError
from policies.ladder.ladder import Ladder, SampleScale, Wave, wave_sizes


@given(n=st.integers(1, 300), singles=st.integers(0, 8), growth=st.floats(1.01, 4.0, allow_nan=False))
def test_wave_sizes_add_up_and_never_shrink_before_the_last(n: int, singles: int, growth: float) -> None:
    sizes = wave_sizes(n, singles=singles, growth=growth)
    assert sum(sizes) == n
    assert min(sizes) >= 1
    assert list(sizes[:-1]) == sorted(sizes[:-1])


def test_doubling_needs_few_rounds() -> None:
    assert wave_sizes(64, singles=1, growth=2) == (1, 1, 2, 4, 8, 16, 32)


def test_ladder_counts_what_it_needs_of_each_generator() -> None:
    ladder = Ladder(
        waves=(Wave(generator="a"), Wave(generator="b", n=2), Wave(generator="a", n=3)), weights={"a": 0.3}
    )
    assert (ladder.n, ladder.needs("a"), ladder.needs("b"), ladder.needs("c")) == (6, 4, 2, 0)
    assert (ladder.weight("a"), ladder.weight("b")) == (0.3, 1.0)
    assert ladder.generators == ("a", "b")


def test_ladders_with_equal_weights_in_any_form_are_equal_and_hash_alike() -> None:
    waves = (Wave(generator="a"),)
    first = Ladder(waves=waves, weights={"b": 2.0, "a": 1.0})
    second = Ladder(waves=waves, weights=(("a", 1.0), ("b", 2.0)))
    assert first == second
    assert hash(first) == hash(second)


@given(
    sizes=st.lists(st.tuples(st.sampled_from(["a", "b"]), st.integers(1, 9)), min_size=1, max_size=8),
    cap=st.floats(0, 60),
)
def test_a_capped_ladder_is_a_beginning_that_cannot_cost_more(
    sizes: list[tuple[str, int]], cap: float
) -> None:
    worst = {"a": 1.0, "b": 4.0}
    ladder = Ladder(waves=tuple(Wave(generator=name, n=n) for name, n in sizes), weights={"a": 0.5})
    drawn = [name for name, n in sizes for _ in range(n)]
    short = ladder.within(cap, worst)
    kept = [] if short is None else [wave.generator for wave in short.waves for _ in range(wave.n)]
    assert kept == drawn[: len(kept)]
    assert sum(worst[name] for name in kept) <= cap
    if len(kept) < len(drawn):
        assert sum(worst[name] for name in drawn[: len(kept) + 1]) > cap - 1e-9
    if short is not None:
        assert (short.weights, short.pooled) == (ladder.weights, ladder.pooled)


@pytest.mark.parametrize(
    "make",
    [
        lambda: Wave(generator="a", n=0),
        lambda: Ladder(waves=()),
        lambda: Ladder(waves=(Wave(generator="a"),), weights={"a": 0.0}),
        lambda: Ladder(waves=(Wave(generator="a"),), weights={"a": float("nan")}),
        lambda: Ladder(waves=(Wave(generator="a"),), logprob_weight=-1.0),
        lambda: SampleScale(logprob_sd=-1.0),
        lambda: SampleScale(log_cost_mean=float("inf")),
        lambda: wave_sizes(0),
        lambda: wave_sizes(3, growth=1.0),
    ],
)
def test_impossible_ladders_are_refused(make: object) -> None:
    with pytest.raises(InvalidInputError):
        make()  # type: ignore[operator]
