"""Clones of public repositories become sample logs, and a report says what was saved on them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from benchmarks.public_logs import main, measure
from difficulty.errors import InvalidInputError
from difficulty.log.sample_log import SampleLog
from training.simulated.log import simulated_log


def gym_clone(folder: Path) -> Path:
    for model in ("google_gemma-3-27b-it_20250315_181541", "acme_unpriced_20250315_181541"):
        run = folder / "reasoninggym-paper-experiments" / "zero-shot" / "easy" / model / "algebra"
        run.mkdir(parents=True)
        results = [
            {
                "question": f"What is {n} + {n}?",
                "expected_answer": str(2 * n),
                "completions": [
                    {"model_answer": str(2 * n), "full_model_response": "x" * 40, "score": 1.0},
                    {"model_answer": "0" * 200, "full_model_response": "x", "score": 0.5},
                    {"model_answer": None, "full_model_response": "", "score": 0.0},
                ],
            }
            for n in (1, 2)
        ]
        task = {"name": "sums", "category": "algebra", "system_prompt": "Think.", "results": results}
        (run / "sums.json").write_text(json.dumps(task))
    return folder


def crux_clone(folder: Path) -> Path:
    problems = [{"id": "sample_0", "code": "def f(x):\n    return x", "input": "1", "output": "1"}]
    (folder / "cruxeval.js").write_text(f"var DATA = {json.dumps(problems)};\nfunction show() {{}}\n")
    runs = folder / "evaluation_results"
    runs.mkdir()
    run = {
        "raw_generations": {"sample_0": ["1", " ", "2"]},
        "raw_scored_generations": {"sample_0": [True, False, False]},
    }
    for name in ("tiny-7b+cot_temp0.8_output", "tiny-7b_temp0.8_output", "tiny-7b_temp0.2_output"):
        (runs / f"{name}.json").write_text(json.dumps(run))
    return folder


def test_reasoning_gym_becomes_a_log_with_prices_where_they_are_known(tmp_path: Path) -> None:
    out = tmp_path / "gym.jsonl.gz"
    main(["reasoning-gym", str(gym_clone(tmp_path / "clone")), str(out)])
    log = SampleLog.read(out)
    assert set(log.generators) == {"gemma-3-27b-it", "unpriced"} and len(log.prompts) == 2
    assert log.generators["gemma-3-27b-it"].usd_per_mtok_out == 0.2
    assert log.generators["unpriced"].usd_per_mtok_out is None
    right, part, none = log.samples(log.prompts[0].id, "unpriced")
    assert (right.answer, right.correct, right.output_tokens) == ("2", True, 10)
    assert part.correct is False and part.answer is not None and len(part.answer) == 80
    assert none.answer is None and none.correct is False


def test_cruxeval_becomes_a_log_of_one_temperature(tmp_path: Path) -> None:
    clone = tmp_path / "clone"
    clone.mkdir()
    out = tmp_path / "crux.jsonl.gz"
    main(["cruxeval", str(crux_clone(clone)), str(out)])
    log = SampleLog.read(out)
    assert set(log.generators) == {"tiny-7b/cot", "tiny-7b/direct"}
    samples = log.samples("cruxeval-O/sample_0", "tiny-7b/cot")
    assert [(sample.answer, sample.correct) for sample in samples] == [
        ("1", True),
        (None, False),
        ("2", False),
    ]


@pytest.mark.parametrize("command", ["reasoning-gym", "cruxeval"])
def test_a_folder_that_is_no_clone_is_refused(command: str, tmp_path: Path) -> None:
    with pytest.raises(InvalidInputError, match="clone"):
        main([command, str(tmp_path), str(tmp_path / "out.jsonl.gz")])


def test_a_log_is_reported_on_in_its_units(tmp_path: Path) -> None:
    row = measure(
        simulated_log(120, n_samples=6, n_generators=2, seed=0),
        "simulated",
        unit="samples",
        split=0,
        n_trials=2,
        n_bootstrap=100,
    )
    assert len(row.static) == len(row.rule) == 3 and row.least <= 0.2
    assert all(low <= multiple <= high for multiple, low, high in row.static if multiple > 0)


def test_without_a_command_it_says_how_it_is_used(capsys: pytest.CaptureFixture[str]) -> None:
    main(["--quick"])
    assert "report" in capsys.readouterr().out
