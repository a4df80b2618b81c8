"""Hindsight: what one half of the samples says, scored on the other, at costs that training had."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from numpy.testing import assert_allclose
from tiny_bed import COURSES, PRICES, tiny_bed

from difficulty.belief.reference_prompts import ReferencePrompts
from difficulty.generator import Generator
from difficulty.log.sample_log import SampleLog
from policies.cost.cost_model import CostModel
from training.evaluation.bed import TestBed
from training.evaluation.hindsight import hindsight, posterior

MODEL = CostModel(unit="samples")
ONCE = [COURSES[0], COURSES[3]]


def log_of(right: list[tuple[list[int], list[int]]], *, tokens: tuple[int, int] = (1, 1)) -> SampleLog:
    """Return a log: which samples of the small and of the large generator are right, by prompt."""
    records = [
        {
            "prompt_id": f"p{row}",
            "generator": name,
            "samples": [
                {"answer": str(label), "correct": bool(label), "output_tokens": length} for label in labels
            ],
        }
        for row, pair in enumerate(right)
        for name, labels, length in zip(("small", "large"), pair, tokens, strict=True)
    ]
    return SampleLog.from_records(records, {name: Generator(name=name) for name in ("small", "large")})


def bed_of(log: SampleLog, *, n_correct: list[list[int]], value: list[list[float]]) -> TestBed:
    """Return a bed of single samples, whose training prompts were right so often."""
    bed = tiny_bed(len(log.prompts), n_training=len(value), courses=ONCE)
    references = ReferencePrompts(
        generators=("small", "large"),
        n=np.full((len(value), 2), 4),
        n_correct=np.array(n_correct),
        output_tokens=np.full((len(value), 2), np.nan),
    )
    cost = np.tile([1.0, 1.2], (len(value), 1))
    subject = replace(bed.subject, value=np.array(value), cost=cost, references=references)
    weights = np.full((len(log.prompts), len(value)), 1 / len(value), dtype=np.float32)
    return replace(bed, subject=subject, weights=weights, prompts=log.prompts)


@pytest.mark.parametrize("at_a_time", [1, 4096])
def test_the_even_half_tells_which_training_prompts_are_alike(
    at_a_time: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("training.evaluation.hindsight._CHUNK_ROWS", at_a_time)
    log = log_of([([1, 0, 1, 0], [0, 1, 0, 1]), ([0, 1, 0, 1], [1, 0, 1, 0])])
    bed = bed_of(log, n_correct=[[4, 0], [0, 4]], value=[[1.0, 0.0], [0.0, 1.0]])
    success = bed.subject.references.success()
    likelihood = np.array(
        [
            [np.prod(success[t] ** right * (1 - success[t]) ** (2 - right)) for t in range(2)]
            for right in np.array([[2, 0], [0, 2]])
        ]
    )
    assert_allclose(posterior(bed, log), likelihood / likelihood.sum(axis=1, keepdims=True))


def test_it_chooses_by_one_half_and_is_scored_on_the_other() -> None:
    # Even samples say that the small one is always right, odd ones that it never is.
    log = log_of([([1, 0, 1, 0], [0, 1, 0, 1])] * 3)
    bed = bed_of(log, n_correct=[[4, 0], [0, 4]], value=[[1.0, 0.0], [0.0, 1.0]])
    played = hindsight(bed, log, MODEL)
    assert played is not None
    assert_allclose(played.value, 0.0)
    assert_allclose(played.cost, 1.0)


def test_it_is_not_told_the_cost_of_the_samples_that_it_pays_for() -> None:
    # Both are equally good. In training the small one was cheaper; on these very samples it is a hundred
    # times dearer.
    log = log_of([([1, 1, 1, 1], [1, 1, 1, 1])] * 3, tokens=(100, 1))
    bed = bed_of(log, n_correct=[[4, 4]], value=[[1.0, 1.0]])
    played = hindsight(bed, log, CostModel(unit="output_tokens"))
    assert played is not None
    assert played.cost.shape == (3, len(PRICES))
    assert_allclose(played.cost, 100.0)


def test_halves_of_single_samples_tell_nothing() -> None:
    log = log_of([([1], [1])] * 2)
    bed = bed_of(log, n_correct=[[4, 4]], value=[[1.0, 1.0]])
    assert hindsight(bed, log, MODEL) is None
