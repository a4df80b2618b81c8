"""FLOPs-matched comparison: samples that the larger model's compute frees, against sums done by hand."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_allclose

from difficulty.generator import Generator
from difficulty.log.sample_log import SampleLog
from planner.planner import Planner
from policies.cost.budget import check_unit
from policies.cost.cost_model import CostModel
from training.evaluation.flops_matched import flops_matched
from training.evaluation.judged import Judged, judge
from training.frontier import bootstrap_weights
from training.train import train

WEIGHTS = bootstrap_weights(30, n_replicates=100, seed=0)


def judged(
    folder: Any,
    *,
    sizes: tuple[float | None, float | None],
    tokens: bool = True,
    lengths: tuple[int, int] = (50, 100),
) -> Judged:
    """The small model is right on 5 of 9 samples everywhere, the large one on all of the first 20 prompts."""
    rng = np.random.default_rng(0)
    records = []
    for place in range(30):
        small = rng.permutation([True] * 5 + [False] * 4)
        large = [place < 20] * 3
        for name, labels, length in (("small", small, lengths[0]), ("large", large, lengths[1])):
            samples = [
                {"answer": "1" if right else f"{number + 2}", "correct": bool(right)}
                | ({"output_tokens": length} if tokens else {})
                for number, right in enumerate(labels)
            ]
            records.append({"prompt_id": str(place), "generator": name, "samples": samples})
    generators = {
        name: Generator(name=name, params=size) for name, size in zip(("small", "large"), sizes, strict=True)
    }
    log = SampleLog.from_records(records, generators)
    bundle = train(log, folder, n_trials=1)
    return judge(Planner(bundle=bundle), log, CostModel(unit=check_unit(bundle.unit), generators=generators))


def matched(found: Judged) -> dict[str, Any]:
    return flops_matched(found.bed, found.table, found.log.generators, WEIGHTS)


def test_inference_alone_frees_the_ratio_of_sizes_and_lengths(tmp_path: Any) -> None:
    found = matched(judged(tmp_path / "policy", sizes=(1e9, 2.5e9)))
    assert (found["small"], found["large"]) == ("small", "large")
    assert found["size_ratio"] == 2.5
    assert found["tokens_recorded"]
    first = found["rows"][0]
    assert first["inference_per_pretraining_token"] is None
    assert first["samples_freed"] == 2.5 * 2
    assert first["samples_used"] == 5
    assert not first["limited_by_log"]


def test_pre_training_is_charged_to_the_larger_model(tmp_path: Any) -> None:
    found = matched(judged(tmp_path / "policy", sizes=(1e9, 2.5e9)))
    for row in found["rows"][1:]:
        ratio = row["inference_per_pretraining_token"]
        assert_allclose(row["samples_freed"], 5 + 3 / ratio * 1.5, atol=0.005)
    assert found["rows"][-1]["samples_used"] == 9
    assert found["rows"][-1]["limited_by_log"]


def test_differences_are_the_small_models_vote_less_the_large_models_one_sample(tmp_path: Any) -> None:
    found = judged(tmp_path / "policy", sizes=(1e9, 2.5e9))
    bed = found.bed
    place = {
        (course.generators[0], course.n): at
        for at, course in enumerate(bed.subject.courses)
        if course.one_shot and str(course.selection) == "vote" and len(course.generators) == 1
    }
    expected = (bed.measured.value[:, place["small", 5]] - bed.measured.value[:, place["large", 1]]).mean()
    row = matched(found)["rows"][0]
    assert_allclose(row["all"]["difference"], expected, atol=1e-4)
    low, high = row["all"]["interval"]
    assert low < expected < high
    # Easiest band: the large model is always right; hardest: never, and the vote often is.
    assert row["bands"][0]["difference"] < 0 < row["bands"][-1]["difference"]
    assert len(row["bands"]) == 5


def test_without_token_counts_samples_count_as_equally_long(tmp_path: Any) -> None:
    found = matched(judged(tmp_path / "policy", sizes=(1e9, 2.5e9), tokens=False))
    assert not found["tokens_recorded"]
    assert found["rows"][0]["samples_freed"] == 2.5


@pytest.mark.parametrize("sizes", [(None, None), (1e9, None), (1e9, 1e9)])
def test_without_two_sizes_there_is_no_comparison(
    tmp_path: Any, sizes: tuple[float | None, float | None]
) -> None:
    assert matched(judged(tmp_path / "policy", sizes=sizes)) == {}


def test_a_small_model_that_writes_much_more_has_no_row_where_one_sample_costs_more(tmp_path: Any) -> None:
    # Here the one with fewer parameters writes twice as much.
    found = matched(judged(tmp_path / "some", sizes=(1.2e9, 1e9)))
    assert [row["samples_freed"] for row in found["rows"]] == [1.36, 4.35]
    assert matched(judged(tmp_path / "none", sizes=(1.001e9, 1e9))) == {}


@pytest.mark.parametrize("lengths", [(0, 0), (0, 100), (50, 0)])
def test_where_no_token_was_counted_samples_count_as_equally_long(
    tmp_path: Any, lengths: tuple[int, int]
) -> None:
    found = matched(judged(tmp_path / "policy", sizes=(1e9, 2.5e9), lengths=lengths))
    assert not found["tokens_recorded"]
    assert found["rows"][0]["samples_freed"] == 2.5
