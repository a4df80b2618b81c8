"""What text tells of kinds of prompts that training never saw is measured, recorded and said in words."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from difficulty import Generator, SampleLog
from planner.bundle.policy_bundle import PolicyBundle
from planner.cli import main
from training.evaluate import evaluate
from training.report.families import unseen_in_words
from training.train import train

N_FAMILIES, N_MEMBERS = 12, 16


def log_of_kinds() -> SampleLog:
    """Questions whose kind says how hard they are, in words that no other kind has."""
    rng = np.random.default_rng(0)
    lines = []
    for family in range(N_FAMILIES):
        words = ["".join(rng.choice(list("abcdefghijklmnop"), size=6)) for _ in range(6)]
        rate = rng.permutation(np.linspace(0.05, 0.95, N_FAMILIES))[family]
        for member in range(N_MEMBERS):
            text = f"{' '.join(rng.permutation(words))} {' '.join(rng.choice(words, 3))}: {member}?"
            right = rng.random(6) < rate
            lines.append(
                {
                    "prompt_id": f"{family}/{member}",
                    "prompt": text,
                    "generator": "g",
                    "meta": {"task": f"kind {family}"},
                    "samples": [
                        {"answer": "yes" if one else f"no {at}", "correct": bool(one), "output_tokens": 10}
                        for at, one in enumerate(right)
                    ],
                }
            )
    return SampleLog.from_records(lines, {"g": Generator(name="g")})


@pytest.fixture(scope="module")
def log() -> SampleLog:
    return log_of_kinds()


@pytest.fixture(scope="module")
def bundle(log: SampleLog, tmp_path_factory: pytest.TempPathFactory) -> PolicyBundle:
    folder = tmp_path_factory.mktemp("families") / "policy"
    return train(log.split()[0], folder, n_trials=1, learned_verifier=False)


def test_training_records_what_is_told_of_families_left_out(bundle: PolicyBundle) -> None:
    record = bundle.training["families"]
    assert (record["key"], record["n"]) == ("task", N_FAMILIES)
    assert bundle.training["skill"]["g"] > 0.4
    assert record["skill"]["g"] < 0.1
    assert bundle.knows_family("kind 3") and not bundle.knows_family("kind 99")


def test_what_is_asked_to_serve_unseen_families_is_judged_on_them(
    bundle: PolicyBundle, log: SampleLog, tmp_path: Path
) -> None:
    other = train(log.split()[0], tmp_path / "policy", n_trials=1, family="task", learned_verifier=False)
    assert bundle.policy.by_text.any() and not other.policy.by_text.any()
    assert other.belief is None


def test_the_report_shows_both_splits_and_says_what_it_means(bundle: PolicyBundle, log: SampleLog) -> None:
    report = evaluate(bundle, log.split()[1], n_bootstrap=100)
    families = report.families
    assert families["n_known"] == report.data["n_prompts"] and families["n_unseen"] == 0
    assert families["known"]["g"] > 0.4 > families["left_out"]["g"]
    text = report.to_markdown()
    assert "## Known and unseen families" in text
    assert "12 families left out in training" in text
    assert (
        "Of families that training did not see, text tells next to nothing; all other tables are of" in text
    )


def test_a_log_that_names_no_families_has_no_such_section(bundle: PolicyBundle, log: SampleLog) -> None:
    lines = [
        {"prompt_id": f"n{place}", "prompt": prompt.text, "generator": "g", "samples": []}
        for place, prompt in enumerate(log.prompts)
    ]
    for line, prompt in zip(lines, log.prompts, strict=True):
        line["samples"] = log.samples(prompt.id, "g")
    test = log.split()[1]
    kept = {prompt.id for prompt in test.prompts}
    bare = [line for line, prompt in zip(lines, log.prompts, strict=True) if prompt.id in kept]
    for line in bare:
        line["samples"] = [
            {"answer": one.answer, "correct": one.correct, "output_tokens": 10} for one in line["samples"]
        ]
    report = evaluate(bundle, SampleLog.from_records(bare, {"g": Generator(name="g")}), n_bootstrap=100)
    assert report.families == {}
    assert "unseen families" not in report.to_markdown()


def test_the_commands_split_train_and_evaluate_by_family(
    log: SampleLog, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = str(tmp_path / "log.jsonl")
    log.write(path)
    sides = ["--train", str(tmp_path / "a.jsonl"), "--test", str(tmp_path / "b.jsonl")]
    assert main(["split", path, *sides, "--by-family", "task", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["by_family"] == "task"
    policy = str(tmp_path / "policy")
    arguments = ["--out", policy, "--trials", "1", "--by-family", "task", "--no-learned-verifier"]
    assert main(["train", path, *arguments]) == 0
    assert "tells nothing about success on prompts that were left out" in " ".join(
        capsys.readouterr().out.split()
    )
    report = ["--out", str(tmp_path / "report"), "--bootstrap", "100", "--json"]
    assert main(["evaluate", policy, path, *report]) == 0
    families = json.loads(capsys.readouterr().out)["families"]
    assert families["n_known"] == 0 and families["n_unseen"] == len(SampleLog.read(tmp_path / "b.jsonl"))
    assert main(["split", path, *sides, "--by-family", "subject"]) == 2
    assert "no line of the log has 'subject' in its meta" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("known", "unseen", "left_out", "n_unseen", "words"),
    [
        (
            {"g": 0.5},
            {},
            {"g": -0.1},
            0,
            "text tells next to nothing; all other tables are of known families",
        ),
        ({"g": 0.5}, {}, {"g": 0.45}, 0, "about as much as of known ones (45% of the differences, 50%)"),
        ({"g": 0.5}, {"g": 0.2}, {}, 30, "20% of the differences in place of 50%; 30 of the test prompts"),
        ({}, {"g": 0.2}, {}, 30, "text tells 20% of the differences; 30 of the test prompts"),
        ({"g": 0.5}, {}, {"g": None}, 0, "too few or too small to tell"),
    ],
)
def test_words(
    known: dict[str, float], unseen: dict[str, float], left_out: dict[str, float], n_unseen: int, words: str
) -> None:
    said = unseen_in_words({"known": known, "unseen": unseen, "left_out": left_out, "n_unseen": n_unseen})
    assert words in said
