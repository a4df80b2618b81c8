"""Generators that are always or never right: prompts do not differ, and no text explains what is not."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from difficulty.generator import Generator
from difficulty.log.sample_log import SampleLog
from training.evaluate import evaluate
from training.train import train


def _log(rates: dict[str, float], *, first: int, n_prompts: int) -> SampleLog:
    rng = np.random.default_rng(first)
    records = []
    for row in range(first, first + n_prompts):
        text = f"Prompt number {row} asks for {rng.integers(9999)} and {'more ' * int(rng.integers(1, 5))}."
        for name, rate in rates.items():
            samples = [
                {"answer": "1" if good else f"{row}-{at}", "correct": good, "output_tokens": 30 + row % 7}
                for at, good in enumerate((rng.random(6) < rate).tolist())
            ]
            records.append({"prompt_id": f"p{row}", "prompt": text, "generator": name, "samples": samples})
    return SampleLog.from_records(records, {name: Generator(name=name) for name in rates})


@pytest.mark.parametrize("rates", [{"same": 1.0, "other": 0.5}, {"same": 1.0}, {"same": 0.0, "other": 0.5}])
def test_a_generator_without_differences_is_judged_and_no_text_explains_it(
    rates: dict[str, float], tmp_path: Path
) -> None:
    bundle = train(_log(rates, first=0, n_prompts=120), tmp_path / "policy", n_trials=1)
    assert bundle.training["skill"].get("same", 0.0) <= 0.0
    report = evaluate(bundle, _log(rates, first=1000, n_prompts=40), n_bootstrap=100)
    assert report.calibration.get("same", {"explained_share": None})["explained_share"] is None
    assert "nan" not in report.to_markdown()
