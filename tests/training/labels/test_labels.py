"""Labels in place of verdicts: chances of being right, corrected by a few verdicts, and what they cost."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from difficulty import Generator, SampleLog
from difficulty.errors import InvalidInputError
from difficulty.log.label_signals import LabelSignals
from planner.bundle.policy_bundle import PolicyBundle
from planner.cli import main
from training import evaluate, train
from training.frontier import bootstrap_weights
from training.labels.correction import Correction
from training.labels.labelled import labelled
from training.labels.rectify import rectified
from training.simulated.log import simulated_log


def signals(signal: np.ndarray[Any, Any], correct: np.ndarray[Any, Any]) -> LabelSignals:
    n = len(signal)
    none = np.zeros(n, dtype=np.intp)
    return LabelSignals(
        signal=signal,
        correct=correct.astype(np.int8),
        prompt=np.arange(n),
        generator=none,
        generators=("g",),
        answer=none - 1,
        support=np.zeros((0, 1)),
        silent=none.astype(bool),
    )


def chances(found: Correction, *signal: float) -> np.ndarray[Any, Any]:
    return found.chance(signals(np.array(signal), np.full(len(signal), -1)))


def test_without_verdicts_a_signal_is_taken_at_its_word() -> None:
    found = Correction.fit(signals(np.array([0.0, 0.4, 1.0]), np.array([-1, -1, -1])))
    assert found.n_prompts == 0
    assert chances(found, 0.4, np.nan).tolist() == pytest.approx([0.4, np.nan], nan_ok=True)


def test_a_few_verdicts_correct_a_verifier_that_says_yes_or_no() -> None:
    rng = np.random.default_rng(0)
    right = rng.random(4000) < 0.4
    says = np.where(right, rng.random(4000) < 0.9, rng.random(4000) < 0.3).astype(float)
    correct = np.where(np.arange(4000) < 3000, right, -1)
    found = Correction.fit(signals(says, correct))
    chance = chances(found, *says)
    assert chance[3000:].mean() == pytest.approx(right[3000:].mean(), abs=0.03)
    assert says[3000:].mean() > right[3000:].mean() + 0.1
    # Rogan and Gladen's estimate from the same rates of error is the same mean.
    known = np.arange(4000) < 3000
    hits, alarms = says[known & right].mean(), says[known & ~right].mean()
    assert chance.mean() == pytest.approx((says.mean() - alarms) / (hits - alarms), abs=0.01)


def test_a_signal_that_tells_nothing_becomes_the_mean() -> None:
    rng = np.random.default_rng(1)
    found = Correction.fit(signals(rng.random(3000), (rng.random(3000) < 0.25).astype(int)))
    chance = chances(found, 0.0, 0.5, 1.0)
    assert np.ptp(chance) < 0.08 and chance.mean() == pytest.approx(0.25, abs=0.03)


def test_a_generator_that_shares_its_errors_is_seen_through() -> None:
    rng = np.random.default_rng(2)
    lines = []
    for at in range(120):
        shared = f"wrong {rng.integers(3)}"  # what the two direct models mistake it for
        for name, rate in (("direct-1", 0.4), ("direct-2", 0.4), ("steps", 0.6)):
            right = rng.random(6) < rate
            answers = [
                "right" if ok else shared if name != "steps" else f"{rng.integers(99)}" for ok in right
            ]
            samples = [{"answer": a, "correct": bool(ok)} for a, ok in zip(answers, right, strict=True)]
            lines.append({"prompt_id": f"p{at}", "generator": name, "samples": samples})
    names = ("direct-1", "direct-2", "steps")
    log = SampleLog.from_records(lines, {name: Generator(name=name) for name in names})
    few = [prompt.id for prompt in log.prompts[:50]]
    blind, seeing = (labelled(log.without_verdicts(keep), "agreement") for keep in ([], few))
    means = [[found.log.pool(name).value.mean() for name in names] for found in (blind, seeing)]
    assert np.argmax(means[0]) != 2  # agreement alone takes shared errors for truth
    assert np.argmax(means[1]) == 2 and means[1] == pytest.approx([0.4, 0.4, 0.6], abs=0.1)
    # Whoever gave an answer, it is as likely to be right: courses pick answers, not samples.
    for prompt in log.prompts[:20]:
        told = {
            (sample.answer, round(float(sample.reward or 0.0), 9))
            for name in names[:2]  # the third one's answers hardly ever meet theirs, and are told apart
            for sample in seeing.log.samples(prompt.id, name)
        }
        assert len(told) == len({answer for answer, _ in told})


def test_each_generator_is_moved_to_where_its_graded_samples_are() -> None:
    """A judge that takes one generator's style for right: told by its signal alone, both look alike."""
    rng = np.random.default_rng(6)
    lines = [
        {
            "prompt_id": f"p{at}",
            "generator": name,
            "samples": [
                {
                    "answer": f"{name} {k}",
                    "score": float(np.clip(rng.normal(0.6, 0.1), 0, 1)),
                    "correct": bool(ok),
                }
                for k, ok in enumerate(rng.random(4) < rate)
            ],
        }
        for at in range(200)
        for name, rate in (("plain", 0.7), ("glib", 0.3))
    ]
    log = SampleLog.from_records(lines, {name: Generator(name=name) for name in ("plain", "glib")})
    found = {}
    for n in (0, 25, 100):
        few = [prompt.id for prompt in log.prompts[:n]]
        told = labelled(log.without_verdicts(few), "verifier").log
        found[n] = told.pool("plain").value.mean() - told.pool("glib").value.mean()
    assert abs(found[0]) < 0.03 < found[25] < found[100]  # few verdicts are believed less
    assert found[100] == pytest.approx(0.4 * 100 / 150, abs=0.06)


def test_corrections_are_written_and_read() -> None:
    found = Correction(
        lower=-2.0,
        upper=3.0,
        intercept=0.5,
        slope=2.0,
        weights={"g": 0.5},
        shifts={"g": -0.5},
        n_prompts=7,
        n_samples=20,
    )
    assert Correction.from_json(found.to_json()) == found
    with pytest.raises(InvalidInputError, match="a correction of labels has the numbers"):
        Correction.from_json({"slope": 1.0})


def test_numbers_that_are_no_chances_need_verdicts() -> None:
    lines = [
        {
            "prompt_id": f"p{at}",
            "generator": "g",
            "samples": [{"answer": "x", "score": 5.0 * at, "correct": at > 5} for _ in range(2)],
        }
        for at in range(12)
    ]
    log = SampleLog.from_records(lines, {"g": Generator(name="g")})
    with pytest.raises(InvalidInputError, match="between 0 and 55 are no chances of being right"):
        labelled(log.without_verdicts(), "verifier")
    found = labelled(log, "verifier")
    assert found.record["graded_error"] < 0.2 and found.log.counts().n.sum() == 0


def test_mended_means_hold_the_truth() -> None:
    """95 % intervals of means of labels that err by .1, mended by 60 graded prompts of 400: at least 90 % of
    200 hold; at a true rate of 95 % fewer do less than once in 300 runs, and the seed is fixed.
    """
    rng = np.random.default_rng(3)
    held, alone, wide = 0, 0, []
    for _ in range(200):
        rate = rng.beta(1.2, 1.0, size=400)
        right = (rng.random((400, 4)) < rate[:, None]).mean(axis=1)
        label = np.clip(0.2 + 0.8 * right + rng.normal(0, 0.1, size=400), 0, 1)  # says more than is so
        truth = np.where(np.arange(400) < 60, right, np.nan)
        weights = bootstrap_weights(400, n_replicates=400, seed=int(rng.integers(1 << 30)))
        found = rectified(label, truth, weights)
        low, high = found.interval
        mean = 1.2 / 2.2
        held += low <= mean <= high
        alone += abs(found.labelled - mean) < 0.03
        wide.append(high - low)
    assert held >= 180
    assert alone < 20  # labels alone are off by .1
    assert np.mean(wide) < 0.16  # graded prompts alone: ±1.96 * .32 / sqrt(60) = .16


def test_labels_that_know_nothing_are_not_used() -> None:
    rng = np.random.default_rng(4)
    truth = np.where(np.arange(300) < 80, rng.random(300), np.nan)
    found = rectified(rng.random(300), truth, bootstrap_weights(300, n_replicates=200, seed=0))
    assert found.trust < 0.2 and found.mean == pytest.approx(np.nanmean(truth), abs=0.03)


def test_few_graded_prompts_that_are_all_right_do_not_show_that_all_are() -> None:
    """Errors of 3 in 100 are rarely among twenty graded prompts; the interval holds them all the same."""
    rng, held = np.random.default_rng(6), 0
    weights = bootstrap_weights(200, n_replicates=200, seed=0)
    for _ in range(100):
        truth = (rng.random(200) < 0.97).astype(float)
        truth[20:] = np.nan
        found = rectified(rng.uniform(0.9, 1.0, 200), truth, weights)
        assert found.interval[0] <= found.mean <= found.interval[1]
        held += found.interval[0] <= 0.97 <= found.interval[1]
    assert held >= 95
    # The more are graded, the less is added.
    all_right = rectified(np.ones(200), np.ones(200), weights)
    assert all_right.mean == pytest.approx(1.0) and 0.97 < all_right.interval[0] < 1.0


def scattered(n_prompts: int, seed: int) -> SampleLog:
    """Draw a log whose wrong answers hardly ever agree."""
    rng = np.random.default_rng(seed)
    log = simulated_log(n_prompts, n_samples=8, seed=seed)
    return SampleLog.from_records(
        [
            {
                "prompt_id": prompt.id,
                "prompt": prompt.text,
                "generator": name,
                "prompt_tokens": prompt.prompt_tokens,
                "samples": [
                    {
                        "answer": sample.answer if sample.correct else str(rng.integers(10_000)),
                        "correct": sample.correct,
                        "output_tokens": sample.output_tokens,
                    }
                    for sample in log.samples(prompt.id, name)
                ],
            }
            for prompt in log.prompts
            for name in log.generators
        ],
        log.generators,
    )


@pytest.fixture(scope="module")
def unlabelled(tmp_path_factory: pytest.TempPathFactory) -> tuple[PolicyBundle, SampleLog]:
    """What is learned from a log that nobody graded, and a test log."""
    folder = tmp_path_factory.mktemp("agreement")
    bundle = train(scattered(200, 11).without_verdicts(), folder, n_trials=1, labels="agreement")
    return bundle, scattered(160, 12)


def test_agreement_is_nearly_as_good_as_verdicts(
    unlabelled: tuple[PolicyBundle, SampleLog], tmp_path: Path
) -> None:
    bundle, test = unlabelled
    graded = train(scattered(200, 11), tmp_path, n_trials=1, learned_verifier=False)
    mine, theirs = (evaluate(each, test, n_bootstrap=200) for each in (bundle, graded))
    assert bundle.objective == "accuracy" and bundle.training["labels"]["correction"]["n_prompts"] == 0
    lost = mine.labels["lost"]
    assert lost["lost"] < 0.03 and lost["interval"][0] < 0.02
    gains = [report.comparison["at_equal_cost"]["learned policy"][-1]["value"] for report in (mine, theirs)]
    assert gains[0] > gains[1] - 0.02
    assert mine.labels["judged_by"] == "verdicts" and not theirs.labels
    assert "trained on labels by agreement and is judged by recorded verdicts" in mine.to_markdown()


def test_errors_that_are_shared_are_told(tmp_path: Path) -> None:
    log, test = simulated_log(200, n_samples=8, seed=11), simulated_log(120, n_samples=8, seed=12)
    few = [prompt.id for prompt in log.prompts[:60]]
    lost = {}
    for name, train_log in (("none", log.without_verdicts()), ("60", log.without_verdicts(few))):
        bundle = train(train_log, tmp_path / name, n_trials=1, labels="agreement")
        lost[name] = evaluate(bundle, test, n_bootstrap=200).labels["lost"]["lost"]
    assert lost["none"] > 0.03  # wrong answers agree as much as right ones, and the report says so
    assert lost["60"] < 0.8 * lost["none"]


def test_without_verdicts_policies_are_judged_by_labels(
    unlabelled: tuple[PolicyBundle, SampleLog],
) -> None:
    bundle, test = unlabelled
    blind = evaluate(bundle, test.without_verdicts(), n_bootstrap=200)
    assert blind.labels["judged_by"] == "agreement" and not blind.labels["lost"]
    assert all(row["mended"] is None and row["n_graded"] == 0 for row in blind.labels["rows"])
    few = evaluate(
        bundle, test.without_verdicts([prompt.id for prompt in test.prompts[:60]]), n_bootstrap=200
    )
    truth = evaluate(bundle, test, n_bootstrap=200)
    for row, real in zip(few.labels["rows"], truth.labels["rows"], strict=True):
        low, high = row["interval"]
        assert row["n_graded"] == 60 and low < high
        if abs(row["budget"] - real["budget"]) < 1e-6:
            assert low - 0.02 <= real["mended"] <= high + 0.02


def test_verdicts_are_not_seen_but_for_the_correction(tmp_path: Path) -> None:
    log = simulated_log(60, n_samples=5, seed=13)
    one = train(log.without_verdicts(), tmp_path / "a", n_trials=1, labels="agreement")
    wrong = [
        {
            "prompt_id": prompt.id,
            "prompt": prompt.text,
            "generator": name,
            "prompt_tokens": prompt.prompt_tokens,
            "gold": "another",
            "samples": [
                {"answer": sample.answer, "output_tokens": sample.output_tokens, "finish": sample.finish}
                for sample in log.samples(prompt.id, name)
            ],
        }
        for prompt in log.prompts
        for name in log.generators
    ]
    other = train(
        SampleLog.from_records(wrong, log.generators), tmp_path / "b", n_trials=1, labels="agreement"
    )
    assert (one.table.value == other.table.value).all() and not one.verifiers


def test_a_verifier_that_knows_nothing_sends_nobody_anywhere(tmp_path: Path) -> None:
    rng = np.random.default_rng(5)
    log = simulated_log(150, n_samples=6, seed=14)
    records = [
        {
            "prompt_id": prompt.id,
            "prompt": prompt.text,
            "generator": name,
            "prompt_tokens": prompt.prompt_tokens,
            "samples": [
                {
                    "answer": sample.answer,
                    "output_tokens": sample.output_tokens,
                    "score": float(rng.random()),
                    **({"correct": sample.correct} if at < 50 else {}),
                }
                for sample in log.samples(prompt.id, name)
            ],
        }
        for at, prompt in enumerate(log.prompts)
        for name in log.generators
    ]
    blind = SampleLog.from_records(records, log.generators)
    bundle = train(blind, tmp_path, n_trials=1, labels="verifier")
    assert bundle.training["labels"]["correction"]["n_prompts"] == 50
    small = [at for at, course in enumerate(bundle.table.courses) if course.generators == ("model-0",)]
    assert len(small) > 5 and float(np.ptp(bundle.table.value[:, small].mean(axis=0))) < 0.05
    cheapest = bundle.table.courses[int(bundle.policy.offered[0].argmax())]
    assert cheapest.n == 1


def test_labels_are_for_accuracy() -> None:
    with pytest.raises(InvalidInputError, match="belong to objective='accuracy'"):
        train(simulated_log(30), "unused", labels="agreement", objective="coverage")


def test_the_commands_say_which_labels_were_used(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    log, bundle = tmp_path / "log.jsonl.gz", tmp_path / "policy"
    simulated_log(80, n_samples=5, seed=15).without_verdicts().write(log)
    assert main(["train", str(log), "--trials", "1", "--out", str(bundle)]) == 2
    assert "--labels agreement" in " ".join(capsys.readouterr().err.split())
    asked = ["train", str(log), "--labels", "agreement", "--trials", "1", "--out", str(bundle)]
    assert main(asked) == 0
    capsys.readouterr()
    assert main(["inspect", str(bundle)]) == 0
    assert "by agreement, taken at their word" in " ".join(capsys.readouterr().out.split())
    report = tmp_path / "report"
    assert main(["evaluate", str(bundle), str(log), "--bootstrap", "100", "--out", str(report)]) == 0
    assert "judged by labels by agreement" in " ".join(capsys.readouterr().out.split())
