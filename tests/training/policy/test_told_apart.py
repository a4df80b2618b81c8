"""Whether answers or scores tell right from wrong: known from few prompts, and never where they do not."""

from __future__ import annotations

import numpy as np
import pytest

from difficulty.generator import Generator
from difficulty.log.sample_log import SampleLog
from training.policy.bench import paired
from training.policy.told_apart import told_apart


def sampled(kind: str, seed: int, *, odd: float | None = None) -> SampleLog:
    """Sixty prompts, three samples of each of two generators, the second a better one; one score is odd."""
    rng, records = np.random.default_rng(seed), []
    for row in range(60):
        level = rng.normal()
        for number in range(2):
            samples = []
            for at in range(3):
                right = bool(rng.random() < 1 / (1 + np.exp(-level - number)))
                answer = {"votes": 0 if right else 1 + rng.integers(4), "distinct": 3 * number + at}
                samples.append({"answer": str(answer.get(kind, rng.integers(3))), "correct": right})
                if kind == "scores":
                    score = float(rng.normal() + right)
                    samples[-1]["score"] = score if odd is None or row + number + at else odd
            records.append({"prompt_id": f"p{row}", "generator": f"g{number}", "samples": samples})
    return SampleLog.from_records(records, {f"g{at}": Generator(name=f"g{at}") for at in range(2)})


def errors(log: SampleLog) -> float:
    return told_apart(log, np.arange(len(log.prompts)))


@pytest.mark.parametrize("kind", ["votes", "scores"])
def test_sixty_prompts_show_what_tells_right_from_wrong(kind: str) -> None:
    assert min(errors(sampled(kind, seed)) for seed in range(10)) > 3.5


@pytest.mark.parametrize("kind", ["distinct", "random"])
def test_a_better_generator_and_easier_prompts_alone_tell_nothing(kind: str) -> None:
    assert max(errors(sampled(kind, seed)) for seed in range(20)) < 3.0


def test_models_with_one_sample_each_tell_by_agreeing_with_each_other() -> None:
    rng, records = np.random.default_rng(0), []
    for row in range(60):
        for number in range(4):
            right = bool(rng.random() < 0.6)
            answer = "right" if right else f"wrong {rng.integers(5)}"
            samples = [{"answer": answer, "correct": right}]
            records.append({"prompt_id": f"p{row}", "generator": f"g{number}", "samples": samples})
    log = SampleLog.from_records(records, {f"g{at}": Generator(name=f"g{at}") for at in range(4)})
    assert errors(log) > 5


def test_it_is_the_mean_product_of_deviations_over_its_error_over_groups() -> None:
    answers = [["a", "a", "b"], ["a", "b", "b"], ["a", "b", "c"], ["c", "c", "c"]]
    right = np.array([[1, 1, 0], [0, 1, 1], [1, 0, 0], [0, 1, 1]])
    records = [
        {
            "prompt_id": f"p{row}",
            "generator": "g",
            "samples": [{"answer": a, "correct": bool(r)} for a, r in zip(of, right[row], strict=True)],
        }
        for row, of in enumerate(answers)
    ]
    log = SampleLog.from_records(records, {"g": Generator(name="g")})
    others = np.array([[sum(a == b for b in of) - 1 for a in of] for of in answers]) / 2
    value, agreeing = ((part - part.mean()) / part.std() for part in (right, others))
    off = [part - part.mean(axis=1, keepdims=True) for part in (value, agreeing)]
    product = (off[0] * off[1]).sum(axis=1) / 2
    groups = np.array([0, 0, 1, 2])
    mean, error = paired(product, groups)
    assert told_apart(log, groups) == pytest.approx(mean / error)


def test_logs_without_answers_and_scores_tell_nothing() -> None:
    counts = [{"prompt_id": f"p{row}", "generator": "g", "n": 4, "n_correct": row % 5} for row in range(30)]
    assert errors(SampleLog.from_records(counts, {"g": Generator(name="g")})) == 0.0


def test_scores_a_million_times_the_others_change_little() -> None:
    usual, odd = errors(sampled("scores", 0)), errors(sampled("scores", 0, odd=1.7e308))
    assert odd == pytest.approx(usual, abs=1.0)
    assert odd != usual
