"""The reward objective: one path from graded truths to plans, whatever their scale."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from difficulty import Generator, SampleLog
from difficulty.errors import InvalidBudgetError, InvalidBundleError, InvalidInputError
from difficulty.scale import Scale
from planner import Budget, Planner
from planner.bundle.policy_bundle import PolicyBundle
from planner.cli import main
from policies.plan.objective import valued
from policies.plan.wire import plan_from_json, plan_to_json
from training import evaluate, train
from training.savings.savings import savings
from training.simulated.log import simulated_log
from training.simulated.rewards import Judge, simulated_rewards


@pytest.fixture(scope="module")
def learned(tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[PolicyBundle, Any]]:
    """Bundles and reports under each judge."""
    found: dict[str, tuple[PolicyBundle, Any]] = {}
    judges: tuple[Judge, ...] = ("faithful", "fooled", "blind")
    for judge in judges:
        folder = tmp_path_factory.mktemp(judge)
        bundle = train(
            simulated_rewards(240, n_samples=8, judge=judge, seed=1),
            folder,
            n_trials=1,
            objective="reward",
        )
        test = simulated_rewards(200, n_samples=8, judge=judge, seed=2)
        found[judge] = bundle, evaluate(bundle, test, n_bootstrap=300)
    return found


def regraded(log: SampleLog, lower: float, span: float) -> SampleLog:
    """Give verdicts as rewards on another scale."""
    records = []
    for prompt in log.prompts:
        for name in log.generators:
            samples = [
                {
                    "answer": sample.answer,
                    "output_tokens": sample.output_tokens,
                    "reward": lower + span * bool(sample.correct),
                }
                for sample in log.samples(prompt.id, name)
            ]
            line = {"prompt_id": prompt.id, "prompt": prompt.text, "generator": name}
            records.append({**line, "prompt_tokens": prompt.prompt_tokens, "samples": samples})
    return SampleLog.from_records(records, log.generators)


@pytest.fixture(scope="module")
def verdicts(tmp_path_factory: pytest.TempPathFactory) -> tuple[SampleLog, PolicyBundle]:
    """A log with verdicts, and what is learned from them."""
    log = simulated_log(120, n_samples=6, seed=4)
    folder = tmp_path_factory.mktemp("accuracy")
    return log, train(log, folder, n_trials=1, learned_verifier=False)


@pytest.fixture(scope="module")
def usual(verdicts: tuple[SampleLog, PolicyBundle], tmp_path_factory: pytest.TempPathFactory) -> PolicyBundle:
    """What is learned from the same verdicts as rewards of 0 and 1."""
    folder = tmp_path_factory.mktemp("usual")
    return train(verdicts[0], folder, n_trials=1, objective="reward", reward="correct")


def test_verdicts_as_rewards_give_the_same_policy(
    verdicts: tuple[SampleLog, PolicyBundle], usual: PolicyBundle
) -> None:
    accuracy, reward = verdicts[1], usual
    n = len(reward.table.courses)  # accuracy has panels behind them, which no plan takes by itself
    assert reward.table.courses == accuracy.table.courses[:n]
    assert_array_equal(reward.table.value, accuracy.table.value[:, :n])
    assert_array_equal(reward.policy.offered, accuracy.policy.offered[:, :n])
    assert_array_equal(reward.references.n_correct, accuracy.references.n_correct)
    assert reward.policy.telling.scale == Scale()


@pytest.mark.parametrize(("lower", "span"), [(-30.0, 40.0), (1e6, 0.5), (10000.1, 3e-5)])
def test_another_scale_gives_the_same_policy_in_its_own_numbers(
    verdicts: tuple[SampleLog, PolicyBundle],
    usual: PolicyBundle,
    tmp_path: Path,
    lower: float,
    span: float,
) -> None:
    log, _ = verdicts
    other = train(regraded(log, lower, span), tmp_path / "other", n_trials=1, objective="reward")
    other = PolicyBundle.load(tmp_path / "other")
    span = lower + span - lower  # as numbers of 64 bits have it
    scale = other.policy.telling.own_scale
    assert_allclose([scale.lower, scale.upper], [lower, lower + span], rtol=1e-15)
    # No rounding decides anything: what was learned is equal to the bit.
    assert other.table.courses == usual.table.courses
    assert_array_equal(other.policy.offered, usual.policy.offered)
    assert_array_equal(other.policy.prices, usual.policy.prices * span)
    assert_array_equal(other.references.n_correct, usual.references.n_correct)
    assert other.training["verdict"] == usual.training["verdict"]
    value = other.table.value.astype(float) + other.policy.telling.origin
    assert_allclose((value - lower) / span, usual.table.value, atol=1e-5)
    prompts, budget = log.prompts[:20], Budget(limit=150, unit="output_tokens")
    plans, known = (Planner(bundle=bundle).plan(prompts, budget=budget) for bundle in (other, usual))
    for mine, theirs in zip(plans, known, strict=True):
        assert mine.course == theirs.course
        shares = [(x - lower) / span for x in (mine.expected_accuracy, *mine.accuracy_interval)]
        assert_allclose(shares, [theirs.expected_accuracy, *theirs.accuracy_interval], atol=1e-5)
    reached = lower + 0.6 * span
    plans = Planner(bundle=other).plan(prompts, target_accuracy=reached)
    assert np.mean([plan.expected_accuracy for plan in plans]) >= reached - 1e-5 * span
    points = Planner(bundle=other).frontier(prompts)
    assert all(lower <= point.expected_accuracy <= lower + span for point in points)


def test_rewards_far_from_nothing_are_judged_as_precisely(
    verdicts: tuple[SampleLog, PolicyBundle], tmp_path: Path
) -> None:
    log, test = verdicts[0], simulated_log(100, n_samples=6, seed=5)
    reports = []
    for lower in (0.0, 1e7):
        bundle = train(regraded(log, lower, 1.0), tmp_path / f"{lower}", n_trials=1, objective="reward")
        reports.append(evaluate(bundle, regraded(test, lower, 1.0), n_bootstrap=100))
    near, far = reports
    assert far.data["counted_from"] == 1e7 and "counted from 10000000" in far.to_markdown()
    assert far.comparison["at_equal_cost"] == near.comparison["at_equal_cost"]
    assert far.promises == near.promises


def test_many_samples_go_where_they_pay(learned: dict[str, tuple[PolicyBundle, Any]]) -> None:
    bundle, report = learned["faithful"]
    middle = report.comparison["at_equal_cost"]["learned policy"][1]
    assert middle["difference_interval"][0] > 0.05  # rewards reach over some 14 points
    against = report.uniform["rows"][1]
    assert against["saved_share_interval"][0] > 0.2
    placebo = report.comparison["at_equal_cost"]["shuffled text"][1]
    assert placebo["difference"] < 0.5 * middle["difference"]
    assert all(fifth["held"] for row in report.promises for fifth in row["fifths"][1:4])
    assert not bundle.training["overoptimised"]
    prompts = simulated_rewards(90, seed=7).prompts
    plans = Planner(bundle=bundle).plan(prompts, budget=Budget(limit=400, unit="output_tokens"))
    cost = {word: [] for word in ("Write", "List")}  # type: dict[str, list[float]]
    for prompt, plan in zip(prompts, plans, strict=True):
        cost.get(str(prompt.text).split()[0], []).append(plan.expected_cost)
    assert np.mean(cost["Write"]) > 2 * np.mean(cost["List"])


def test_a_judge_that_can_be_fooled_gets_few_samples(learned: dict[str, tuple[PolicyBundle, Any]]) -> None:
    bundle, report = learned["fooled"]
    falls = {row["generator"]: row for row in bundle.training["overoptimised"]}
    assert falls["writer-0"]["best_n"] <= 2 and falls["writer-0"]["fall"] > 0.2
    once = [course for course, used in zip(bundle.table.courses, bundle.deployed, strict=True) if used]
    assert max(course.n for course in once if course.one_shot) <= 2
    for row in report.comparison["at_equal_cost"]["learned policy"]:
        assert row["difference_interval"][1] >= 0  # never worse than one sample of the better writer


def test_a_judge_that_knows_nothing_brings_nothing(learned: dict[str, tuple[PolicyBundle, Any]]) -> None:
    report = learned["blind"][1]
    for row in report.comparison["at_equal_cost"]["learned policy"]:
        assert row["difference_interval"][0] <= 0.0 <= row["difference_interval"][1] + 1e-9


def test_promises_are_told_in_the_scale_of_rewards(learned: dict[str, tuple[PolicyBundle, Any]]) -> None:
    planner = Planner(bundle=learned["faithful"][0])
    prompts = ["Write a poem about snow number 9.", "Explain how to repair a clock number 3."]
    plan = planner.plan(prompts, budget=Budget(limit=400, unit="output_tokens"))[0]
    lower, upper = plan.accuracy_interval
    assert plan.objective == "reward" and lower <= plan.expected_accuracy <= upper
    assert 4 < plan.expected_accuracy < 9
    assert plan_from_json(plan_to_json(plan)) == plan
    reached = planner.plan(prompts, target_accuracy=4.5)
    assert np.mean([plan.expected_accuracy for plan in reached]) >= 4.5
    with pytest.raises(InvalidBudgetError, match=r"target_accuracy must lie in \(-.*, 1.*\], got 40"):
        planner.plan(prompts, target_accuracy=40.0)


def test_a_bundle_keeps_its_scale_and_refuses_values_off_it(
    learned: dict[str, tuple[PolicyBundle, Any]], tmp_path: Path
) -> None:
    bundle = learned["faithful"][0]
    bundle.save(tmp_path / "b")
    again = PolicyBundle.load(tmp_path / "b")
    assert again.policy.telling.scale == bundle.policy.telling.scale
    assert_array_equal(again.references.n_correct, bundle.references.n_correct)
    bundle.table.value[0, 0], kept = 1e6, bundle.table.value[0, 0]
    try:
        with pytest.raises(InvalidBundleError, match="value must lie between -"):
            bundle.save(tmp_path / "c")
    finally:
        bundle.table.value[0, 0] = kept


def test_scores_are_rewards_only_where_the_user_says_so(tmp_path: Path) -> None:
    log = simulated_log(60, n_samples=4, scores=True, seed=3)
    with pytest.raises(InvalidInputError, match=r"no sample of this log has a reward.*--reward"):
        train(log, tmp_path, n_trials=1, objective="reward")
    with pytest.raises(InvalidInputError, match="belongs to objective='reward'"):
        train(log, tmp_path, n_trials=1, reward="score")
    bundle = train(log, tmp_path, n_trials=1, objective="reward", reward="score")
    assert bundle.training["reward"] == "score" and bundle.training["log_digest"] == log.digest
    report = evaluate(bundle, simulated_log(60, n_samples=4, scores=True, seed=5), n_bootstrap=100)
    best = report.uniform["most"]["name"]
    assert report.data["objective"] == "reward" and "by score" in best


def test_a_log_without_text_or_tokens_is_planned_too(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    records = [
        {
            "prompt_id": f"p{at}",
            "generator": "g",
            "samples": [
                {"reward": round(float(x), 3), "score": round(float(x), 2)} for x in rng.normal(size=6)
            ],
        }
        for at in range(40)
    ]
    log = SampleLog.from_records(records, {"g": Generator(name="g")})
    bundle = train(log, tmp_path, n_trials=1, objective="reward")
    assert bundle.unit == "samples" and bundle.belief is None
    assert any(course.n == 6 for course in bundle.table.courses)


def test_rewards_are_saved_on_too() -> None:
    found = savings(simulated_rewards(150, n_samples=8, seed=1), objective="reward", n_bootstrap=200)
    assert found.data["objective"] == "reward" and found.today["picking"] == "the best by score"
    assert found.ways[-1]["saved_share"] > 0


def test_a_judge_is_charged_for_what_it_reads(learned: dict[str, tuple[PolicyBundle, Any]]) -> None:
    table = learned["faithful"][0].table
    for at, course in enumerate(table.courses):
        slots = table.slots.of(at)
        read = table.verifier_tokens[:, slots].sum(axis=1)
        if course.one_shot and course.n > 1:
            assert_allclose(read, table.output_tokens[:, slots].sum(axis=1), rtol=1e-4)
        elif course.n == 1:
            assert not read.any()


def test_without_a_log_nobody_knows_rewards() -> None:
    with pytest.raises(InvalidInputError, match="not known without a log"):
        Planner.untrained(objective="reward")


def test_valued_says_where_rewards_stand() -> None:
    log = simulated_rewards(3, n_samples=2)
    assert valued(log, "reward", reward="score").pool("writer-0").value[0, 0] != pytest.approx(
        valued(log, "reward").pool("writer-0").value[0, 0]
    )
    with pytest.raises(InvalidInputError, match="'correct' or 'reward'"):
        log.valued_by("score")  # type: ignore[arg-type]


def test_the_commands_train_inspect_and_evaluate(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    log, bundle, report = tmp_path / "log.jsonl.gz", tmp_path / "policy", tmp_path / "report"
    simulated_rewards(80, n_samples=5, judge="fooled", seed=6).write(log)
    asked = ["train", str(log), "--objective", "reward", "--trials", "1", "--out", str(bundle)]
    assert main(asked) == 0
    assert main(["evaluate", str(bundle), str(log), "--bootstrap", "100", "--out", str(report)]) == 0
    assert "Reward at equal cost" in (report / "report.md").read_text()
    capsys.readouterr()
    assert main(["inspect", str(bundle)]) == 0
    assert "reward from reward, between -" in " ".join(capsys.readouterr().out.split())
    assert (
        main(["train", str(log), "--objective", "reward", "--reward", "meta.none", "--out", str(bundle)]) == 2
    )


def test_rewards_that_a_judge_left_out_cost_no_prompts(tmp_path: Path) -> None:
    """A third of the samples was not judged, and one writer was never judged at all."""
    whole, rng = simulated_rewards(80, n_samples=8, n_generators=3, seed=4), np.random.default_rng(0)
    records = []
    for prompt in whole.prompts:
        for name in whole.generators:
            samples = [
                {
                    "output_tokens": sample.output_tokens,
                    "score": sample.score,
                    "reward": None if name == "writer-2" or rng.random() < 1 / 3 else sample.reward,
                }
                for sample in whole.samples(prompt.id, name)
            ]
            records.append(
                {"prompt_id": prompt.id, "prompt": prompt.text, "generator": name, "samples": samples}
            )
    log = SampleLog.from_records(records, whole.generators)
    bundle = train(log, tmp_path / "policy", n_trials=1, objective="reward")
    assert bundle.training["n_prompts"] == 80 and bundle.unit == "output_tokens"
    used = {name for course in bundle.table.courses for name in course.generators}
    assert used == {"writer-0", "writer-1"}
    plans = Planner(bundle=bundle).plan(log.prompts, budget=Budget(limit=300, unit="output_tokens"))
    assert any(plan.course is not None and plan.course.n > 2 for plan in plans)


def test_rewards_beyond_all_reckoning_are_refused(tmp_path: Path) -> None:
    for factor in (1e38, 1e300, 1e-320):
        log = regraded(simulated_log(40, n_samples=3, seed=1), -factor, 2 * factor)
        with pytest.raises(InvalidInputError, match="record them in another unit"):
            train(log, tmp_path / "policy", n_trials=1, objective="reward")
        with pytest.raises(InvalidInputError, match="record them in another unit"):
            savings(log, objective="reward")
