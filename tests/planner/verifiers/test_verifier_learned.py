"""The learned verifier: features, fit, text form, what picking by it delivers, and live scoring."""

from __future__ import annotations

import asyncio
import json
from dataclasses import replace
from functools import cache

import lightgbm
import msgspec
import numpy as np
import pytest
from numpy.testing import assert_array_equal

from difficulty import SampleLog
from difficulty.errors import InvalidBundleError, InvalidInputError, VerifierError
from difficulty.generator import Generator
from difficulty.prompt import Prompt
from difficulty.trees.grown_boosters import trees_of_boosters
from difficulty.trees.plain import PlainTrees
from planner.answers.rules import RecordedAnswer
from planner.ports.ports import ScoreRequest
from planner.verifiers.learned import LearnedVerifier
from policies.verifier.answer_features import answer_features, feature_names
from policies.verifier.fit import fit_correctness
from policies.verifier.learned_verifier import CorrectnessModel
from policies.verifier.selection import learned_selection

TINY = {"tiny": Generator(name="tiny")}


@cache
def planted(*, informative: bool = True, n_prompts: int = 120, seed: int = 0) -> SampleLog:
    """Wrong answers scatter over three; log-probability is higher by 1 where right, if informative."""
    rng = np.random.default_rng(seed)
    records = []
    for index in range(n_prompts):
        p = rng.beta(1.0, 1.5)
        right = rng.random(12) < p
        shift = np.where(right, 1.0, 0.0) if informative else np.zeros(12)
        logprobs = -2 + shift + 0.4 * rng.standard_normal(12)
        samples = [
            {
                "answer": "right" if ok else None if rng.random() < 0.1 else f"wrong-{rng.integers(3)}",
                "correct": bool(ok),
                "mean_logprob": min(0.0, float(value)),
                "output_tokens": int(rng.integers(20, 60)),
            }
            for ok, value in zip(right, logprobs, strict=True)
        ]
        records.append({"prompt_id": f"p{index}", "generator": "tiny", "samples": samples})
    return SampleLog.from_records(records, TINY)


@cache
def fitted() -> CorrectnessModel:
    return fit_correctness(planted(), "tiny", n_folds=3).model


def by_hand(answers: list[int], logprobs: list[float], at: int) -> dict[str, float]:
    valid = [index for index, answer in enumerate(answers) if answer >= 0]
    group = [index for index in valid if answers[index] == answers[at]]
    counts = {answer: sum(answers[i] == answer for i in valid) for answer in {answers[i] for i in valid}}
    rivals = [count for answer, count in counts.items() if answer != answers[at]]
    mean = float(np.mean([logprobs[index] for index in valid]))
    return {
        "share": len(group) / len(valid),
        "others_share": (len(group) - 1) / max(len(valid) - 1, 1),
        "log_count": float(np.log(len(group))),
        "margin": (len(group) - max(rivals, default=0)) / len(valid),
        "distinct": len(counts) / len(valid),
        "log_n": float(np.log(len(valid))),
        "logprob": logprobs[at],
        "logprob_above": logprobs[at] - mean,
        "group_logprob": float(np.mean([logprobs[index] for index in group])),
        "group_above": float(np.mean([logprobs[index] for index in group])) - mean,
        "group_best": max(logprobs[index] for index in group) - mean,
        "set_logprob": mean,
        "set_spread": float(np.std([logprobs[index] for index in valid])),
    }


@pytest.mark.parametrize(
    "answers", [[0, 0, 1, -1, 2], [0, 1, 0, 1, -1], [3, -1, -1, -1, -1], [0, 0, 0, 0, 0], [0, 1, 2, 2, 1]]
)
def test_features_are_what_counting_by_hand_gives(answers: list[int]) -> None:
    logprobs = [-0.5, -1.5, -0.25, -9.0, -3.0]
    features = answer_features(np.array([answers], dtype=np.int32), mean_logprob=np.array([logprobs]))
    names = feature_names(("mean_logprob",))
    for at, answer in enumerate(answers):
        if answer >= 0:
            expected = by_hand(answers, logprobs, at)
            assert list(names) == list(expected)
            assert features[0, at] == pytest.approx(list(expected.values()))


def test_scores_do_not_depend_on_the_order_of_the_samples_or_on_codes() -> None:
    pool = planted().pool("tiny")
    order = np.random.default_rng(1).permutation(12)
    direct = fitted().predict(pool.answer, mean_logprob=pool.mean_logprob, output_tokens=pool.output_tokens)
    recoded = np.where(pool.answer >= 0, 7 - pool.answer, -1).astype(np.int32)[:, order]
    permuted = fitted().predict(
        recoded, mean_logprob=pool.mean_logprob[:, order], output_tokens=pool.output_tokens[:, order]
    )
    assert permuted == pytest.approx(direct[:, order])
    assert ((direct >= 0) & (direct <= 1)).all() and (direct[pool.answer < 0] == 0).all()


def test_it_is_better_than_the_constant_guess_and_calibrated_on_prompts_it_never_saw() -> None:
    model = fitted()
    assert model.brier < 0.6 * model.base_brier
    assert model.calibration_error < 0.05
    assert model.columns == ("mean_logprob", "output_tokens")


def test_fitting_repeats_and_the_text_form_keeps_every_bit() -> None:
    again = fit_correctness(planted(), "tiny", n_folds=3).model
    assert again.to_json() == fitted().to_json()
    pool = planted().pool("tiny")
    read = CorrectnessModel.from_json(fitted().to_json())
    given = {"mean_logprob": pool.mean_logprob, "output_tokens": pool.output_tokens}
    assert (read.predict(pool.answer, **given) == fitted().predict(pool.answer, **given)).all()


@pytest.mark.parametrize("text", ["{}", "not json", '{"unknown": 1}'])
def test_another_text_is_refused(text: str) -> None:
    with pytest.raises(InvalidBundleError):
        CorrectnessModel.from_json(text)


def test_a_model_with_missing_weights_or_another_schema_is_refused() -> None:
    for field, value in (('"schema":2', '"schema":3'), ('"columns":["mean_logprob",', '"columns":[')):
        text = fitted().to_json()
        assert field in text
        with pytest.raises(InvalidBundleError, match="another schema"):
            CorrectnessModel.from_json(text.replace(field, value))


def test_picking_by_it_beats_the_vote_where_log_probability_tells() -> None:
    # Planted gain about 0.12 with a standard error below 0.02: the chance of a false alarm is below 1e-6.
    result = learned_selection(planted(), "tiny", widths=(2, 4), n_folds=2)
    assert (result.best_of_n.mean(0) > result.vote.mean(0) + 0.02).all()
    assert (result.weighted_best_of_n.mean(0) > result.vote.mean(0) + 0.01).all()


def test_picking_by_it_costs_nothing_where_nothing_tells() -> None:
    result = learned_selection(planted(informative=False), "tiny", widths=(4,), n_folds=2)
    assert abs(result.best_of_n.mean() - result.vote.mean()) < 0.03


def test_one_sample_is_one_sample_however_it_is_picked() -> None:
    result = learned_selection(planted(), "tiny", widths=(1, 13), n_folds=2)
    assert (result.best_of_n[:, 0] == result.vote[:, 0]).all()
    assert np.isnan(result.vote[:, 1]).all()


def test_logs_that_teach_nothing_are_refused() -> None:
    alike = [
        {"prompt_id": f"p{i}", "generator": "tiny", "samples": [{"answer": "1", "correct": True}]}
        for i in range(8)
    ]
    with pytest.raises(InvalidInputError, match="right and wrong"):
        fit_correctness(SampleLog.from_records(alike, TINY), "tiny")
    with pytest.raises(InvalidInputError, match="n_folds"):
        fit_correctness(planted(), "tiny", n_folds=1)


async def test_live_scores_equal_those_of_the_fit() -> None:
    pool = planted().pool("tiny")
    row = int(np.flatnonzero((pool.answer >= 0).all(1))[0])
    texts = tuple((f"answer-{code}",) for code in pool.answer[row])
    request = ScoreRequest(
        prompt=Prompt(id="p", text="?"),
        completions=texts,
        mean_logprobs=tuple(pool.mean_logprob[row].tolist()),
        output_tokens=tuple(int(value) for value in pool.output_tokens[row]),
        generator="tiny",
    )
    verifier = LearnedVerifier(models={"tiny": fitted()}, extractor=RecordedAnswer())
    [scores] = await verifier.score([request])
    expected = fitted().predict(
        pool.answer[[row]], mean_logprob=pool.mean_logprob[[row]], output_tokens=pool.output_tokens[[row]]
    )
    assert scores == pytest.approx(expected[0].tolist())


async def test_a_missing_column_or_generator_is_an_error_and_no_made_up_score() -> None:
    verifier = LearnedVerifier(models={"tiny": fitted()}, extractor=RecordedAnswer())
    request = ScoreRequest(prompt=Prompt(id="p", text="?"), completions=(("1",), ("2",)), generator="tiny")
    with pytest.raises(VerifierError, match="mean_logprob"):
        await verifier.score([request])
    with pytest.raises(VerifierError, match="'other'"):
        await verifier.score([replace(request, generator="other")])


def test_requests_scored_together_are_scored_as_alone() -> None:
    verifier = LearnedVerifier(models={"tiny": fitted()}, extractor=RecordedAnswer())
    rng = np.random.default_rng(3)
    requests = [
        ScoreRequest(
            prompt=Prompt(id=f"p{index}", text="?"),
            completions=tuple((f"{code}",) for code in rng.integers(3, size=n)),
            mean_logprobs=tuple(-rng.random(n)),
            output_tokens=tuple(rng.integers(20, 60, size=n).tolist()),
            generator="tiny",
        )
        for index, n in enumerate([3, 1, 3, 8, 1, 2])
    ]
    together = asyncio.run(verifier.score(requests))
    alone = [asyncio.run(verifier.score([request]))[0] for request in requests]
    assert together == alone
    assert [len(row) for row in together] == [3, 1, 3, 8, 1, 2]


def grown() -> tuple[lightgbm.Booster, CorrectnessModel]:
    """Trees that LightGBM grows on the features of the planted samples, and a model that has them."""
    pool = planted().pool("tiny")
    given = {"mean_logprob": pool.mean_logprob, "output_tokens": pool.output_tokens}
    valid = pool.answer >= 0
    rows = answer_features(pool.answer, **given)[valid]
    data = lightgbm.Dataset(rows, label=(pool.correct[valid] == 1).astype(float))
    settings = {"objective": "binary", "num_leaves": 6, "verbose": -1, "num_threads": 1}
    booster = lightgbm.train(settings, data, num_boost_round=20)
    plain = PlainTrees.of(trees_of_boosters(booster))
    return booster, msgspec.structs.replace(fitted(), trees=plain)


def test_trees_add_what_lightgbm_adds_and_survive_json() -> None:
    booster, model = grown()
    pool = planted().pool("tiny")
    given = {"mean_logprob": pool.mean_logprob, "output_tokens": pool.output_tokens}
    valid = pool.answer >= 0
    rows = answer_features(pool.answer, **given)[valid]
    linear = msgspec.structs.replace(model, trees=None)._logit(rows)
    assert_array_equal(model._logit(rows), linear + booster.predict(rows, raw_score=True))
    again = CorrectnessModel.from_json(model.to_json())
    assert again == model
    assert_array_equal(again.predict(pool.answer, **given), model.predict(pool.answer, **given))


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("left", [0]),
        ("feature", [99]),
        ("value", [1e9]),
        ("root", [1]),
        ("n_features", 5),
        ("threshold", ["x"]),
        ("left", [10**30]),
    ],
)
def test_trees_that_cannot_be_are_refused(field: str, value: object) -> None:
    plain = json.loads(grown()[1].to_json())
    kept = plain["trees"][field]
    plain["trees"][field] = value + kept[1:] if isinstance(value, list) else value
    with pytest.raises(InvalidBundleError):
        CorrectnessModel.from_json(json.dumps(plain))


@pytest.mark.parametrize("change", [{"scale": 0.0}, {"centre": 1e300}, {"weights": -1e7}])
def test_numbers_that_give_no_log_odds_are_refused(change: dict[str, float]) -> None:
    plain = json.loads(fitted().to_json())
    for field, number in change.items():
        plain[field][0] = number
    with pytest.raises(InvalidBundleError, match="fit it again"):
        CorrectnessModel.from_json(json.dumps(plain))
