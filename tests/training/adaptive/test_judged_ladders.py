"""Ladders that learned verifiers judge: replayed, fitted, saved and run alike."""

from __future__ import annotations

import asyncio
import json
import sys
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import optuna
import pytest

from difficulty import SampleLog
from difficulty.errors import InvalidBundleError, InvalidInputError
from difficulty.generator import Generator
from planner import Budget, Planner, PolicyBundle
from planner.backends.replay import ReplayBackend
from planner.drivers.lockstep import run_lockstep
from planner.strategies.climb import Climb
from planner.strategies.task import Task
from planner.verifiers.learned import LearnedVerifier
from policies.adaptive.policy import Move
from policies.cost.cost_model import CostModel
from policies.course.allocation import Allocation
from policies.ladder.ladder import Ladder, Wave
from policies.ladder.stop_rules import Agreement
from policies.replay.pools import ReplayPool, half_of, replay_pools
from policies.replay.trajectories import replay
from policies.verifier.learned_verifier import LearnedScorer
from training import evaluate, train
from training.adaptive.stage import Stopping, fit_stopping
from training.menu.learned_verifiers import LearnedVerifiers, fit_learned_verifiers
from training.menu.storage import study_storage

N_PROMPTS = 80
NOTHING = np.zeros((N_PROMPTS, 0))


@cache
def planted(
    *,
    seed: int = 0,
    short: frozenset[int] = frozenset(),
    flipped: frozenset[int] = frozenset(),
    silent: frozenset[int] = frozenset(),
) -> SampleLog:
    """Two generators whose wrong answers mostly agree: the vote fails, log-probability tells them apart.

    Prompts come in pairs of one group. `short` ones have a single sample of the big generator, marks of
    `flipped` ones are turned round, and `silent` ones have no log-probabilities.
    """
    rng = np.random.default_rng(seed)
    records = []
    for index in range(N_PROMPTS):
        p = rng.uniform(0.1, 0.6)
        for name, tokens in (("small", 4), ("big", 20)):
            right = rng.random(8) < p
            logprobs = np.minimum(-3 + 1.0 * right + 0.5 * rng.standard_normal(8), 0.0)
            samples = [
                {
                    "answer": "right" if ok else f"wrong-{int(rng.random() < 0.2)}",
                    "correct": bool(ok) != (index in flipped),
                    **({} if index in silent else {"mean_logprob": float(value)}),
                    "output_tokens": tokens,
                }
                for ok, value in zip(right, logprobs, strict=True)
            ]
            if name == "big" and index in short:
                samples = samples[:1]
            records.append(
                {
                    "prompt_id": f"p{seed}-{index}",
                    "prompt": f"{index}, asked {seed} times?",
                    "group": f"g{seed}-{index // 2}",
                    "generator": name,
                    "samples": samples,
                }
            )
    return SampleLog.from_records(records, {name: Generator(name=name) for name in ("small", "big")})


@cache
def fitted() -> LearnedVerifiers:
    return fit_learned_verifiers(planted())


def judged_pools(*, judges: bool = True) -> dict[str, ReplayPool]:
    models = fitted().models
    return replay_pools(
        planted(),
        CostModel(unit="output_tokens"),
        judges={name: LearnedScorer(models=(models[name],)) for name in models} if judges else None,
    )


def ladder(*waves: tuple[str, int], pooled: bool = True, power: float = 4.0) -> Ladder:
    steps = tuple(Wave(generator=name, n=n) for name, n in waves)
    return Ladder(waves=steps, pooled=pooled, chance_weight=power, weights={"small": 0.5})


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("judged") / "policy"
    train(planted(), folder, n_trials=8, storage=folder.parent / "trials.log")
    return folder


def by_hand(row: int, steps: Ladder) -> float:
    """Return the chance of a correct pick from everything recorded for a prompt."""
    votes: dict[int, float] = {}
    right: dict[int, bool] = {}
    for name in steps.generators:
        pool, model = planted().pool(name), fitted().models[name]
        given = {column: getattr(pool, column)[[row]] for column in model.columns}
        for code, chance, correct in zip(
            pool.answer[row], model.predict(pool.answer[[row]], **given)[0], pool.correct[row], strict=True
        ):
            votes[code] = votes.get(code, 0.0) + steps.weight(name) * chance**steps.chance_weight
            right[code] = bool(correct)
    return float(right[max(votes, key=lambda code: votes[code])])


@pytest.mark.parametrize("power", [1.0, 8.0])
def test_the_vote_of_all_samples_is_the_one_made_by_hand(power: float) -> None:
    steps = ladder(("small", 3), ("big", 4), ("small", 5), ("big", 4), power=power)
    runs = replay(judged_pools(), steps, scales={}, difficulty=NOTHING, n_orders=3)
    hand = [by_hand(row, steps) for row in range(N_PROMPTS)]
    np.testing.assert_array_equal(runs.per_prompt(runs.value[-1]), hand)
    assert 0.2 < np.mean(hand) < 1.0


def test_judged_votes_are_worth_more_where_votes_alone_fail() -> None:
    waves = ("small", 8), ("big", 8)
    judged, plain = (
        replay(judged_pools(), ladder(*waves, power=power), scales={}, difficulty=NOTHING, n_orders=2)
        for power in (4.0, 0.0)
    )
    gain = judged.per_prompt(judged.value[-1]) - plain.per_prompt(plain.value[-1])
    assert gain.mean() > 3 * gain.std() / np.sqrt(N_PROMPTS)


def test_the_leader_is_as_likely_right_as_its_judge_says() -> None:
    """Scores of the prompts that the model was fitted on: close to calibrated in the large."""
    runs = replay(judged_pools(), ladder(("big", 8)), scales={}, difficulty=NOTHING, n_orders=1)
    chance = runs.evidence[-1].leader_chance
    assert np.all((chance > 0) & (chance < 1))
    assert abs(chance.mean() - runs.value[-1].mean()) < 0.12


def test_what_was_judged_before_is_judged_alike_and_halves_are_judged_apart() -> None:
    pools = judged_pools()
    steps = ladder(("big", 2), ("big", 2))
    first, again = (replay(pools, steps, scales={}, difficulty=NOTHING, n_orders=4) for _ in range(2))
    np.testing.assert_array_equal(first.value, again.value)
    half = replay({"big": half_of(pools["big"], "even")}, steps, scales={}, difficulty=NOTHING, n_orders=4)
    alone = replay(
        {"big": half_of(judged_pools()["big"], "even")}, steps, scales={}, difficulty=NOTHING, n_orders=4
    )
    np.testing.assert_array_equal(half.evidence[-1].leader_chance, alone.evidence[-1].leader_chance)
    assert not np.array_equal(half.evidence[-1].leader_chance, first.evidence[-1].leader_chance)


def test_a_ladder_without_its_judges_is_refused() -> None:
    with pytest.raises(InvalidInputError, match=r"learned verifiers of .*there is none of .*big"):
        replay(judged_pools(judges=False), ladder(("big", 2)), scales={}, difficulty=NOTHING)


@pytest.mark.parametrize("pooled", [True, False])
def test_a_climb_answers_as_the_replay_valued_it(pooled: bool) -> None:
    """All samples are drawn, so that neither order nor rule matters: replay and run must pick alike."""
    steps = ladder(("small", 3), ("small", 5), ("big", 8), pooled=pooled)
    log, models = planted(), fitted().models
    backend = ReplayBackend(log)
    climb = Climb(move=Move(ladder=steps, rule=Agreement(count=99)), price=0.0, generators=log.generators)
    tasks = [
        Task(
            prompt=prompt,
            allocation=Allocation(generator="small", strategy="weighted_best_of_n", width=16),
            generator=log.generators["small"],
            extractor=backend.extractor,
            strategy=climb,
        )
        for prompt in log.prompts
    ]
    outcomes = asyncio.run(
        run_lockstep(
            tasks,
            backend=backend,
            verifiers={"learned": LearnedVerifier(models=models, extractor=backend.extractor)},
        )
    )
    runs = replay(judged_pools(), steps, scales={}, difficulty=NOTHING, n_orders=1)
    valued = runs.per_prompt(runs.value[-1])
    assert {outcome.selected_by for outcome in outcomes} == {"learned_vote"}
    assert [float(outcome.answer == "right") for outcome in outcomes] == valued.tolist()


def test_training_takes_judged_ladders_and_plans_run_by_them(bundle: Path) -> None:
    loaded = PolicyBundle.load(bundle)
    assert loaded.adaptive is not None
    judged = [move.ladder for move in loaded.adaptive.policy.moves if move.ladder.judged]
    assert judged, "votes fail on these prompts, and the verifier tells right from wrong"
    planner, test = Planner.load(bundle), planted(seed=1)
    budget = Budget(limit=60, unit="output_tokens")
    plans = planner.plan(test.prompts, budget=budget, adaptive=True)
    assert any("picking by the learned verifier" in plan.reason for plan in plans)
    by_judge = [plan.prompt_id for plan in plans if plan.allocation.parameters.get("verifier") == "learned"]
    outcomes = planner.run(test.prompts, backend=ReplayBackend(test), budget=budget, adaptive=True)
    picked = [outcome for outcome in outcomes if outcome.prompt_id in by_judge]
    assert {outcome.selected_by for outcome in picked} == {"learned_vote"}
    share = np.mean([outcome.answer == "right" for outcome in outcomes])
    expected = np.mean([plan.expected_accuracy for plan in plans])
    # Two sets of 80 prompts: the standard error of the difference is at most 0.08.
    assert abs(share - expected) < 0.4


def test_each_prompt_is_judged_by_a_model_that_did_not_learn_from_its_group(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Train as ever on a log that loses some prompts, and look at the judges that ladders are fitted with."""
    handed: list[tuple[SampleLog, dict[str, LearnedScorer]]] = []

    def watched(log: SampleLog, *args: Any, judges: Any = None, **more: Any) -> Stopping | None:
        handed.append((log, dict(judges)))
        return fit_stopping(log, *args, judges=judges, **more)

    monkeypatch.setattr(sys.modules["training.train"], "fit_stopping", watched)
    short = frozenset({0, 5, 6, 31, 40})
    train(planted(short=short), tmp_path, n_trials=2)
    ((kept, judges),) = handed
    rows = [row for row in range(N_PROMPTS) if row not in short]
    assert [prompt.id for prompt in kept.prompts] == [f"p0-{row}" for row in rows]
    assert set(judges) == {"small", "big"}
    whole = fit_learned_verifiers(planted(short=short)).cross_fitted
    for name, judge in judges.items():
        assert judge.folds is not None
        np.testing.assert_array_equal(judge.folds, np.asarray(whole[name].folds)[rows])
    # What a model learned from changes it: marks of a group change all models but that of its own prompts.
    for pair in (frozenset({20, 21}), frozenset({70, 71})):
        turned = fit_learned_verifiers(planted(short=short, flipped=pair)).cross_fitted
        for name, judge in judges.items():
            own = {int(np.asarray(judge.folds)[rows.index(row)]) for row in pair}
            assert len(own) == 1, "a group shares a fold"
            same = {
                fold
                for fold, (before, after) in enumerate(zip(judge.models, turned[name].models, strict=True))
                if before.weights == after.weights and before.intercept == after.intercept
            }
            assert same == own


def test_prompts_that_cannot_be_judged_are_left_out_of_an_evaluation(bundle: Path) -> None:
    loaded = PolicyBundle.load(bundle)
    # Without picks by the learned verifiers on the menu only the ladders ask them.
    plain = np.array([not allocation.params for allocation in loaded.curves.allocations])
    loaded = replace(
        loaded, curves=loaded.curves.columns(np.flatnonzero(plain)), deployed=np.ones(plain.sum(), dtype=bool)
    )
    report = evaluate(loaded, planted(seed=1, silent=frozenset(range(9))), n_bootstrap=100)
    assert report.data["n_prompts"] == N_PROMPTS - 9
    assert report.data["n_left_out"] == 9


def test_a_storage_serves_training_with_and_without_learned_verifiers(bundle: Path, tmp_path: Path) -> None:
    journal = bundle.parent / "trials.log"
    without = train(planted(), tmp_path / "without", n_trials=8, storage=journal, learned_verifier=False)
    assert without.adaptive is not None
    assert not any(move.ladder.judged for move in without.adaptive.policy.moves)
    storage = study_storage(journal)
    assert storage is not None
    names = optuna.get_all_study_names(storage)
    for kind in ("policy", "stopping"):
        told = {name.rsplit("-", 1)[-1] for name in names if name.startswith(kind) and "learned" not in name}
        assert len(told) == 2, "each has a study of its own"


def test_a_bundle_whose_judges_are_missing_is_refused(bundle: Path, tmp_path: Path) -> None:
    missing = r"learned verifiers of big, small, which are missing"
    with pytest.raises(InvalidBundleError, match=missing):
        replace(PolicyBundle.load(bundle), verifiers={}).save(tmp_path / "without")
    # Nor is one believed that somebody else has cut and signed anew.
    cut = tmp_path / "cut"
    PolicyBundle.load(bundle).save(cut)
    manifest = json.loads((cut / "manifest.json").read_text())
    del manifest["files"]["verifiers.json"]
    (cut / "manifest.json").write_text(json.dumps(manifest))
    (cut / "verifiers.json").unlink()
    with pytest.raises(InvalidBundleError, match=missing):
        PolicyBundle.load(cut)
