"""The learned verifier in training: measured out of fold, offered where it pays, saved, applied the same."""

from __future__ import annotations

import asyncio
import json
from functools import cache
from pathlib import Path

import numpy as np
import pytest

from difficulty import SampleLog
from difficulty.errors import InvalidBundleError, InvalidInputError
from difficulty.generator import Generator
from planner import Budget, Planner, PolicyBundle
from planner.backends.replay import ReplayBackend
from planner.running.run_plans import run_plans
from policies.cost.cost_model import CostModel
from policies.course.allocation import Allocation
from policies.course.strategies import StrategyName
from policies.menu.build import build_menu
from policies.menu.curves import measure_curves
from policies.plan.plan import AllocationPlan
from policies.table.recorded import Recorded
from policies.verifier.learned_verifier import LearnedScorer, read_models, write_models
from policies.verifier.selection import selection_accuracy
from training import train
from training.menu.learned_verifiers import LearnedVerifiers, fit_learned_verifiers

N_PROMPTS = 90


@cache
def planted(*, informative: bool = True, seed: int = 0) -> SampleLog:
    """Wrong answers mostly agree, so the vote fails; if informative, log-probability tells them apart."""
    rng = np.random.default_rng(seed)
    records = []
    for index in range(N_PROMPTS):
        p = rng.uniform(0.1, 0.6)
        right = rng.random(8) < p
        logprobs = -3 + (1.0 * right if informative else 0.0) + 0.5 * rng.standard_normal(8)
        samples = [
            {
                "answer": "right" if ok else f"wrong-{int(rng.random() < 0.2)}",
                "correct": bool(ok),
                "mean_logprob": min(0.0, float(value)),
                "output_tokens": 10,
            }
            for ok, value in zip(right, logprobs, strict=True)
        ]
        records.append(
            {"prompt_id": f"p{index}", "prompt": f"What is {index}?", "generator": "tiny", "samples": samples}
        )
    return SampleLog.from_records(records, {"tiny": Generator(name="tiny")})


@cache
def fitted() -> LearnedVerifiers:
    return fit_learned_verifiers(planted())


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("bundle")
    train(planted(), folder, n_trials=2)
    return folder


def plan_of(prompt_id: str, allocation: Allocation) -> AllocationPlan:
    return AllocationPlan(
        prompt_id=prompt_id,
        allocation=allocation,
        expected_accuracy=0.5,
        accuracy_interval=(0.0, 1.0),
        expected_cost=1.0,
        unit="samples",
        objective="accuracy",
        price=0.0,
        reason="for the test",
    )


def test_it_is_offered_where_picking_by_it_beats_the_vote_and_the_record_says_by_how_much() -> None:
    found = fitted()
    record = found.record["tiny"]
    assert found.offered == {"tiny": record["offered"]}
    assert record["reads"] == ["agreement", "mean_logprob", "output_tokens"]
    assert record["brier"] < record["brier_constant"] and record["auc_within_prompt"] > 0.8
    assert [row["n"] for row in record["selection"]] == [2, 4, 8]
    for row in record["selection"]:
        gain, (low, high) = row["gain_best_of_n"]
        assert gain == pytest.approx(row["best_of_n"] - row["vote"], abs=2e-4)
        assert 0.05 < low < gain < high


def test_it_is_kept_but_not_offered_where_nothing_tells_right_from_wrong() -> None:
    found = fit_learned_verifiers(planted(informative=False))
    assert found.offered == {} and found.record["tiny"]["offered"] is None
    assert list(found.models) == ["tiny"] and found.record["tiny"]["selection"]


def test_copies_of_a_question_show_no_more_than_one() -> None:
    """Each question four times under one group: the interval of the gain is as wide as for one of each."""
    once, four = planted(), []
    for copy in range(4):
        for prompt in once.prompts:
            samples = [
                {
                    "answer": sample.answer,
                    "correct": sample.correct,
                    "mean_logprob": sample.mean_logprob,
                    "output_tokens": sample.output_tokens,
                }
                for sample in once.samples(prompt.id, "tiny")
            ]
            four.append(
                {
                    "prompt_id": f"{prompt.id}-{copy}",
                    "group": prompt.id,
                    "prompt": prompt.text,
                    "generator": "tiny",
                    "samples": samples,
                }
            )
    copies = fit_learned_verifiers(SampleLog.from_records(four, once.generators)).record["tiny"]
    for row, whole in zip(copies["selection"], fitted().record["tiny"]["selection"], strict=True):
        (_, (low, high)), (_, (lower, upper)) = row["gain_best_of_n"], whole["gain_best_of_n"]
        assert high - low > 0.8 * (upper - lower)


def test_each_prompt_is_scored_by_a_model_that_did_not_learn_from_its_group() -> None:
    log = planted()
    scorer = fitted().cross_fitted["tiny"]
    assert scorer.folds is not None and len(set(scorer.folds.tolist())) == len(scorer.models) == 5
    pool = log.pool("tiny")
    used = {name: getattr(pool, name) for name in scorer.columns}
    rows = np.arange(len(log))
    score = scorer.score(rows, pool.answer, **used)
    for row in (0, 17, 56):
        own = scorer.models[scorer.folds[row]]
        one = own.predict(pool.answer[[row]], **{name: values[[row]] for name, values in used.items()})
        assert score[row].tolist() == one[0].tolist()


def test_the_bundle_holds_it_and_refuses_what_was_changed(bundle: Path, tmp_path: Path) -> None:
    loaded = PolicyBundle.load(bundle)
    assert loaded.training["learned_verifier"]["tiny"]["offered"] == "best_of_n"
    assert read_models(write_models(loaded.verifiers)) == dict(loaded.verifiers)
    again = tmp_path / "again"
    train(planted(), again, n_trials=2)
    assert (again / "verifiers.json").read_bytes() == (bundle / "verifiers.json").read_bytes()
    text = (again / "verifiers.json").read_text().replace('"brier":0', '"brier":1')
    (again / "verifiers.json").write_text(text)
    with pytest.raises(InvalidBundleError, match="hash"):
        PolicyBundle.load(again)
    with pytest.raises(InvalidBundleError, match="another generator"):
        read_models(json.dumps({"big": json.loads(text)["tiny"]}).encode())


def test_a_bundle_without_verifiers_still_loads(tmp_path: Path) -> None:
    train(planted(), tmp_path, n_trials=1, learned_verifier=False)
    assert not (tmp_path / "verifiers.json").exists()
    loaded = PolicyBundle.load(tmp_path)
    assert dict(loaded.verifiers) == {} and loaded.training["learned_verifier"] == {}
    with pytest.raises(InvalidInputError, match="no learned verifier here"):
        Planner.load(tmp_path).run(
            planted().prompts[:2],
            backend=ReplayBackend(planted()),
            budget=Budget(limit=4, unit="samples"),
            verifier="learned",
        )


def test_plans_pick_by_it_and_say_so_and_it_delivers_what_they_expect(bundle: Path) -> None:
    planner, test = Planner.load(bundle), planted(seed=1)
    budget = Budget(limit=4, unit="samples")
    plans = planner.plan(test.prompts, budget=budget)
    assert {plan.allocation.parameters.get("verifier") for plan in plans} >= {"learned"}
    assert any("best by learned" in plan.reason for plan in plans)
    outcomes = planner.run(test.prompts, backend=ReplayBackend(test), budget=budget)
    picked = [o for o in outcomes if o.allocation.parameters.get("verifier") == "learned"]
    assert all(outcome.selected_by == "best_of_n" for outcome in picked)
    share = np.mean([outcome.answer == "right" for outcome in outcomes])
    expected = np.mean([plan.expected_accuracy for plan in plans])
    # 90 prompts: standard error below 0.055, of training's 90 likewise; five of both together is 0.39.
    assert abs(share - expected) < 0.39
    vote = measure_curves(test, [Allocation(generator="tiny", strategy="majority_vote", width=5)])
    assert share > vote.value.mean() + 0.1


@pytest.mark.parametrize("strategy", ["best_of_n", "weighted_best_of_n"])
def test_a_run_scores_and_picks_as_training_valued_it(strategy: StrategyName) -> None:
    """The whole pool is the only set of its size: what was valued offline must be what a run answers."""
    log = planted()
    found = fitted()
    scorer = LearnedScorer(models=(found.models["tiny"],))
    allocation = Allocation(
        generator="tiny",
        strategy=strategy,
        width=8,
        params={"verifier": "learned"},
    )
    plans = [plan_of(prompt.id, allocation) for prompt in log.prompts]
    outcomes = asyncio.run(
        run_plans(
            plans,
            log.prompts,
            backend=ReplayBackend(log),
            generators=log.generators,
            cost_model=CostModel(unit="samples"),
            learned=found.models,
        )
    )
    pool = log.pool("tiny")
    used = {name: getattr(pool, name) for name in scorer.columns}
    offline = scorer.score(np.arange(len(log)), pool.answer, **used)
    value = getattr(selection_accuracy(pool, scorer, (8,)), strategy)[:, 0]
    for row, outcome in enumerate(outcomes):
        scores = [candidate.score for candidate in outcome.candidates if candidate.score is not None]
        assert sorted(scores) == pytest.approx(sorted(offline[row]), abs=1e-12)
        assert value[row] in (0.0, 1.0), "a tie would be broken by chance"
        assert (outcome.answer == "right") == (value[row] == 1.0)
    assert 0.1 < value.mean() < 0.96


def test_the_judge_is_asked_once_for_all_ways_to_pick_and_says_what_it_says_of_each_prompt() -> None:
    log, scorer = planted(), fitted().cross_fitted["tiny"]
    recorded = Recorded.of(log, learned={"tiny": scorer}, n_orders=3)
    found, samples = recorded.judged("tiny", 4), recorded.samples["tiny"]
    read = {"output_tokens": samples.output_tokens, **samples.signals}
    assert found.shape == (N_PROMPTS, 3, 4) and recorded.judged("tiny", 4) is found
    for row in (0, 41, 89):
        signals = {name: read[name][row, :, :4].astype(float) for name in scorer.columns}
        alone = scorer.score(np.full(3, row), samples.answer[row, :, :4], **signals)
        assert found[row] == pytest.approx(alone, abs=1e-6)


def test_the_curve_is_the_mean_over_all_sets_that_can_be_drawn() -> None:
    log = planted()
    scorer = fitted().cross_fitted["tiny"]
    allocation = Allocation(generator="tiny", strategy="best_of_n", width=2, params={"verifier": "learned"})
    table = measure_curves(log, [allocation], learned={"tiny": scorer})
    pool = log.pool("tiny")
    for row in (0, 5):
        total = 0.0
        for a in range(8):
            for b in range(a):
                pair = np.array([[a, b]])
                used = {name: getattr(pool, name)[row][pair] for name in scorer.columns}
                score = scorer.score(np.array([row]), pool.answer[row][pair], **used)[0]
                total += pool.correct[row, pair[0, int(np.argmax(score))]]
        assert table.value[row, 0] == pytest.approx(total / 28)
    assert np.isnan(measure_curves(log, [allocation]).value).all()
    assert table.samples[0, 0] == 2 and table.output_tokens[0, 0] == 20


def test_the_menu_has_it_only_where_it_is_offered() -> None:
    plain = build_menu(planted())
    more = build_menu(planted(), learned={"tiny": "weighted_best_of_n"})
    added = [allocation for allocation in more if allocation not in plain]
    assert [a.width for a in added] == [2, 3, 4, 6, 8]
    assert {(a.strategy, a.parameters["verifier"]) for a in added} == {("weighted_best_of_n", "learned")}
    assert build_menu(planted(), objective="coverage", learned={"tiny": "best_of_n"}) == build_menu(
        planted(), objective="coverage"
    )


def test_it_stands_in_for_a_reward_model_and_refuses_what_it_cannot_do() -> None:
    log = planted()
    models = fitted().models
    asks = Allocation(generator="tiny", strategy="best_of_n", width=4)

    def run(allocation: Allocation, **more: object) -> str:
        outcomes = asyncio.run(
            run_plans(
                [plan_of("p0", allocation)],
                log.prompts[:1],
                backend=ReplayBackend(log),
                generators=log.generators,
                cost_model=CostModel(unit="samples"),
                **more,  # type: ignore[arg-type]
            )
        )
        return str(outcomes[0].allocation)

    assert run(asks, learned=models, verifier="learned") == "tiny best_of_n N=4 verifier=learned"
    with pytest.raises(InvalidInputError, match="needs the verifier 'score'"):
        run(asks, learned=models)
    with pytest.raises(InvalidInputError, match="needs a checker"):
        run(Allocation(generator="tiny", strategy="first_success"), learned=models, verifier="learned")
    by_learned = Allocation(generator="tiny", strategy="best_of_n", width=4, params={"verifier": "learned"})
    with pytest.raises(InvalidInputError, match="no learned verifier of generator 'tiny'"):
        run(by_learned, learned={"big": models["tiny"]})
