"""What a server keeps comes back: over several files, with labels, and not where too much was taken out."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from difficulty import Generator, Prompt, SampleLog
from difficulty.errors import InvalidInputError, InvalidLogError
from difficulty.log.redaction import refuse_redacted
from planner.answers.rules import LastNumber
from planner.cli import main
from planner.ports.outcome import Outcome
from planner.ports.ports import Completion
from planner.serving.request_log import RequestLog
from policies.course.allocation import Allocation
from training import train

N_REQUESTS = 50


def kept(folder: Path, **options: Any) -> list[Path]:
    """Return the files of a log of sums, four samples each, that began anew several times."""
    folder.mkdir()
    log = RequestLog(folder / "requests.jsonl", {"m": Generator(name="m")}, max_bytes=6000, **options)
    rng = np.random.default_rng(0)
    for number in range(N_REQUESTS):
        first, second = rng.integers(1, 99, 2).tolist()
        slips = rng.integers(1, 4, 4) * (rng.random(4) < rng.random())
        drawn = [
            Completion(
                text=f"it is {first + second + slip}", prompt_tokens=20, output_tokens=5, finish_reason="stop"
            )
            for slip in slips.tolist()
        ]
        answers = [one.text.split()[-1] for one in drawn]
        prompt = Prompt(text=f"My card is card 1234. What is {first} plus {second}?")
        outcome = Outcome(
            prompt_id=prompt.id,
            allocation=Allocation(generator="m", strategy="majority_vote", width=4),
            answer=max(answers, key=answers.count),
            text=None,
            candidates=(),
        )
        log.add(prompt, outcome, {"m": drawn}, extractor=LastNumber(), plan_id=f"plan-{number}")
    log.close()
    return sorted(folder.iterdir())


def test_files_that_began_anew_are_one_log(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    files = kept(tmp_path / "kept", labels="agreement", removed=[r"card \d+"])
    assert len(files) > 2
    log = SampleLog.read(*files)
    assert (len(log), log.n_samples, log.has_answers, log.has_tokens) == (N_REQUESTS, 200, True, True)
    assert all("card is [removed]" in (prompt.text or "") for prompt in log.prompts)
    assert main(["import", "kept", "--out", "log.jsonl.gz"]) == 0
    again = SampleLog.read("log.jsonl.gz")
    assert [prompt.id for prompt in again.prompts] == [prompt.id for prompt in log.prompts]
    assert np.array_equal(again.counts().n_correct, log.counts().n_correct)
    assert main(["train", "log.jsonl.gz", "--out", "policy", "--trials", "2"]) == 0


def test_a_log_without_labels_says_how_to_get_some(tmp_path: Path) -> None:
    log = SampleLog.read(*kept(tmp_path / "kept"))
    with pytest.raises(InvalidInputError, match=r'no sample is known .* \(log_labels = "agreement"\)'):
        train(log, out=tmp_path / "policy", n_trials=1)


@pytest.mark.parametrize(
    ("pattern", "said"),
    [
        (r"\d+", r"50 of 50 prompts have answers that something was taken out of \(log_removes\)"),
        (r"What is .*", r"50 of 50 prompts look like another one, since log_removes took out"),
    ],
)
def test_a_log_with_too_much_taken_out_is_refused(
    pattern: str,
    said: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    files = kept(tmp_path / "kept", labels="agreement", removed=[pattern])
    with pytest.raises(InvalidLogError, match=said):
        refuse_redacted(SampleLog.read(*files))
    assert main(["train", *map(str, files), "--out", "policy"]) == 2
    assert "log_removes" in capsys.readouterr().err and not (tmp_path / "policy").exists()
    assert main(["import", "kept", "--out", "log.jsonl"]) == 2
    assert "log_removes" in capsys.readouterr().err
