from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from difficulty.errors import InvalidBudgetError, InvalidInputError
from difficulty.log.sample_log import SampleLog
from planner import Budget, Planner
from planner.backends.replay import ReplayBackend
from planner.cli import main
from policies.answering.answering import AnswerPrice
from training import train
from training.demo.recorded import embedded_log
from training.simulated.log import simulated_log

TARGET = 0.2


@pytest.fixture(scope="module")
def bed(tmp_path_factory: pytest.TempPathFactory) -> tuple[Planner, SampleLog]:
    folder = tmp_path_factory.mktemp("answers")
    left, right = simulated_log(700, n_samples=8, seed=0).split(test_fraction=0.5, seed=0)
    train(left, out=folder / "policy", n_trials=1, unit="samples")
    right.write(folder / "test.jsonl.gz")
    return Planner.load(folder / "policy"), right


def right_of(log: SampleLog, outcomes: list, answered: bool) -> np.ndarray:  # type: ignore[type-arg]
    """Whether the selected candidate is right, of prompts that were (not) answered."""
    found = []
    for prompt, outcome in zip(log.prompts, outcomes, strict=True):
        if (outcome.verdict == "answered") is answered and outcome.selected is not None:
            answer = outcome.candidates[outcome.selected].answer
            same = [
                sample.correct
                for name in log.generators
                for sample in log.samples(prompt.id, name)
                if sample.answer == answer
            ]
            found.append(bool(same and same[0]))
    return np.array(found)


def test_errors_among_answers_stay_below_the_target(bed: tuple[Planner, SampleLog]) -> None:
    planner, log = bed
    outcomes = planner.run(log.prompts, target_risk=TARGET, backend=ReplayBackend(log, seed=1), seed=1)
    given = right_of(log, outcomes, True)
    # Kept in 95 of 100 runs is all that is promised; what a run may miss it by is chance.
    assert (~given).mean() <= TARGET + 2.6 * np.sqrt(TARGET * (1 - TARGET) / len(given))
    assert 0.3 < len(given) / len(log.prompts) < 1
    withheld = [outcome for outcome in outcomes if outcome.verdict != "answered"]
    assert all(outcome.answer is None and outcome.text is None for outcome in withheld)
    assert right_of(log, outcomes, False).mean() < given.mean() - 0.2


def test_the_target_is_kept_in_as_many_splits_as_promised(bed: tuple[Planner, SampleLog]) -> None:
    known = bed[0].bundle.answering
    assert known is not None
    rng, kept, answered = np.random.default_rng(0), [], []
    for _ in range(100):
        order = rng.permutation(len(known.confidence))
        here, there = np.split(order, [int(0.6 * len(order))])
        parts = [
            replace(
                known,
                confidence=known.confidence[rows],
                correct=known.correct[rows],
                told=known.told[rows],
            )
            for rows in (here, there)
        ]
        tests = [parts[0].threshold(way, TARGET, batch=len(there)) for way in range(len(known.levels))]
        way = int(np.argmax([test.answered for test in tests]))
        given = parts[1].confidence[:, way] >= tests[way].confidence
        kept.append(not given.any() or (~parts[1].correct[given, way]).mean() <= TARGET)
        answered.append(given.mean())
    # 95 are promised of splits of fresh draws; these share their prompts, so that they miss together.
    assert np.mean(kept) >= 0.9
    assert np.mean(answered) > 0.2


def test_confidence_is_what_comes_true(bed: tuple[Planner, SampleLog]) -> None:
    planner, log = bed
    outcomes = planner.run(
        log.prompts,
        budget=Budget(limit=3, unit="samples"),
        answer_price=AnswerPrice(wrong=0.0),
        backend=ReplayBackend(log, seed=2),
        seed=2,
    )
    assert {outcome.verdict for outcome in outcomes if outcome.selected is not None} == {"answered"}
    sure = np.array([o.confidence for o in outcomes if o.selected is not None])
    right = right_of(log, outcomes, True)
    assert sure.mean() == pytest.approx(right.mean(), abs=0.06)
    assert ((sure - right) ** 2).mean() < 0.7 * right.var()


def test_dearer_errors_give_fewer_and_better_answers(bed: tuple[Planner, SampleLog]) -> None:
    planner, log = bed
    shares, errors = [], []
    for wrong in (0.5, 9.0):
        outcomes = planner.run(
            log.prompts,
            price=1e-3,
            answer_price=AnswerPrice(wrong=wrong),
            backend=ReplayBackend(log, seed=3),
            seed=3,
        )
        given = right_of(log, outcomes, True)
        shares.append(len(given))
        errors.append((~given).mean())
    assert shares[1] < shares[0] and errors[1] < errors[0]


def test_unsolvable_is_wrong_at_any_budget(tmp_path: Path) -> None:
    left, log = embedded_log().split(test_fraction=0.5, seed=0)
    train(left, out=tmp_path / "policy", n_trials=1, unit="samples", learned_verifier=False)
    planner = Planner.load(tmp_path / "policy")
    replay = ReplayBackend(log, seed=4)
    votes = planner.run(log.prompts, price=0.0, backend=replay, seed=4)
    outcomes = planner.run(log.prompts, target_risk=0.2, backend=replay, seed=4)
    right = {
        (prompt.id, sample.answer)
        for prompt in log.prompts
        for name in log.generators
        for sample in log.samples(prompt.id, name)
        if sample.correct
    }
    best = {
        verdict: [
            (vote.prompt_id, vote.answer) in right
            for vote, outcome in zip(votes, outcomes, strict=True)
            if outcome.verdict == verdict
        ]
        for verdict in ("hard", "unsolvable")
    }
    assert min(len(best["hard"]), len(best["unsolvable"])) > 5
    assert np.mean(best["unsolvable"]) < 0.12 < 0.3 < np.mean(best["hard"]), {
        verdict: (len(found), np.mean(found)) for verdict, found in best.items()
    }


def test_budgets_bind(bed: tuple[Planner, SampleLog]) -> None:
    planner, log = bed
    plans = planner.plan(log.prompts, target_risk=0.3, budget=Budget(limit=6, unit="samples"))
    assert sum(plan.expected_cost for plan in plans) <= 6 * len(plans) * (1 + 1e-9)
    with pytest.raises(InvalidBudgetError, match="cheapest way"):
        planner.plan(log.prompts, target_risk=0.3, budget=Budget(limit=0.5, unit="samples"))


def test_a_risk_that_cannot_be_kept_is_said(bed: tuple[Planner, SampleLog]) -> None:
    planner, log = bed
    with pytest.raises(InvalidBudgetError, match="can be kept") as caught:
        planner.plan(log.prompts, target_risk=0.001)
    assert caught.value.reachable is not None and caught.value.reachable > 0.001


def test_contradictions_are_refused(bed: tuple[Planner, SampleLog]) -> None:
    planner, log = bed
    with pytest.raises(InvalidBudgetError, match="target_risk goes"):
        planner.plan(log.prompts, target_risk=0.1, price=1.0)
    with pytest.raises(InvalidInputError, match="not both"):
        planner.run(
            log.prompts, target_risk=0.1, answer_price=AnswerPrice(wrong=1.0), backend=ReplayBackend(log)
        )
    with pytest.raises(InvalidInputError, match="does not know how sure"):
        Planner.untrained().plan(["a"], target_risk=0.1)


def test_the_command_line_withholds(tmp_path: object, capsys: pytest.CaptureFixture[str]) -> None:
    left, right = simulated_log(400, n_samples=6, n_generators=1, seed=5).split(test_fraction=0.3, seed=0)
    train(left, out=f"{tmp_path}/policy", n_trials=1, unit="samples")
    right.write(f"{tmp_path}/test.jsonl.gz")
    files = [f"{tmp_path}/policy", f"{tmp_path}/test.jsonl.gz"]
    assert main(["plan", *files, "--target-risk", "0.3", "--out", f"{tmp_path}/plans.jsonl"]) == 0
    assert "target risk 0.3" in capsys.readouterr().out
    drawn = ["--backend", "replay", "--log", files[1], "--out", f"{tmp_path}/out.jsonl"]
    assert main(["run", *files, *drawn, "--target-risk", "0.3"]) == 0
    assert "withheld" in capsys.readouterr().out
    assert main(["plan", *files, "--target-risk", "0.3", "--price", "1"]) == 2
    assert main(["run", *files, *drawn, "--target-risk", "0.3", "--wrong-costs", "1"]) == 2
    assert main(["run", *files, *drawn, "--price", "0.1", "--no-answer-costs", "1"]) == 2
    assert main(["plan", *files]) == 2
