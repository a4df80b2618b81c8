"""Where errors have a price, nothing is drawn for prompts of which no answer is expected to be worth it."""

from pathlib import Path

import numpy as np
import pytest

from difficulty import SampleLog
from planner import Budget, Planner, plans_frame
from planner.backends.replay import ReplayBackend
from planner.cli import main
from planner.ports.outcome import Outcome
from planner.ports.outcome_wire import outcome_from_json, outcome_to_json
from planner.sure_answers import SureAnswers
from policies.answering.answering import AnswerPrice
from policies.plan.wire import plan_from_json, plan_to_json, read_plans
from training import train
from training.simulated.log import simulated_log

ERRORS = AnswerPrice(wrong=4.0)


@pytest.fixture(scope="module")
def bed(tmp_path_factory: pytest.TempPathFactory) -> tuple[Planner, SampleLog, Path]:
    folder = tmp_path_factory.mktemp("priced")
    left, right = simulated_log(600, n_samples=8, seed=4).split(test_fraction=0.4, seed=0)
    train(left, out=folder / "policy", n_trials=1, unit="samples")
    right.write(folder / "test.jsonl.gz")
    return Planner.load(folder / "policy"), right, folder


def net(log: SampleLog, outcomes: list[Outcome], errors: AnswerPrice, price: float) -> np.ndarray:  # type: ignore[type-arg]
    """What each outcome was worth, less what it cost."""
    right = {
        (prompt.id, sample.answer)
        for prompt in log.prompts
        for name in log.generators
        for sample in log.samples(prompt.id, name)
        if sample.correct
    }
    worth = [
        -errors.none if one.answer is None else 1.0 if (one.prompt_id, one.answer) in right else -errors.wrong
        for one in outcomes
    ]
    return np.array(worth) - price * np.array([one.cost for one in outcomes])


def test_what_is_not_worth_it_is_not_drawn(bed: tuple[Planner, SampleLog, Path]) -> None:
    planner, log, _ = bed
    price = 0.03
    plans = planner.plan(log.prompts, price=price, answer_price=ERRORS)
    outcomes = planner.run(
        log.prompts, price=price, answer_price=ERRORS, backend=ReplayBackend(log, seed=1), seed=1
    )
    none = [plan for plan in plans if not plan.draws]
    assert 0.1 < len(none) / len(plans) < 0.9
    for plan, outcome in zip(plans, outcomes, strict=True):
        if plan.draws:
            assert outcome.candidates and outcome.cost
            continue
        assert (plan.expected_cost, plan.expected_accuracy) == (0.0, 0.0) and "worth" in plan.reason
        assert (outcome.verdict, outcome.cost, outcome.answer) == ("unsolvable", 0.0, None)
        assert not outcome.candidates and outcome.usage.samples == 0
        assert plan_from_json(plan_to_json(plan)) == plan
        assert outcome_from_json(outcome_to_json(outcome)) == outcome
    # Drawing for everybody, as without a price of errors, comes to less.
    drawn = planner.run(log.prompts, price=price, backend=ReplayBackend(log, seed=1), seed=1)
    better = net(log, outcomes, ERRORS, price) - net(log, drawn, ERRORS, price)
    assert better.mean() > 2 * better.std() / np.sqrt(len(better))


def test_what_was_left_alone_would_not_have_paid(bed: tuple[Planner, SampleLog, Path]) -> None:
    planner, log, _ = bed
    plans = planner.plan(log.prompts, price=0.03, answer_price=ERRORS)
    alone = [prompt for prompt, plan in zip(log.prompts, plans, strict=True) if not plan.draws]
    known = planner.plan(log.prompts, price=0.03)
    left, drawn = (
        np.mean([one.expected_accuracy for one, plan in zip(known, plans, strict=True) if plan.draws is flag])
        for flag in (False, True)
    )
    assert left < drawn - 0.3
    # Drawn all the same, where silence is so dear that any try is worth it, most of them come to nothing.
    outcomes = planner.run(
        alone, price=0.03, answer_price=AnswerPrice(wrong=0.0), backend=ReplayBackend(log, seed=1), seed=1
    )
    right = net(log, outcomes, AnswerPrice(wrong=0.0), 0.0)
    assert right.mean() < 0.45  # .39 of 70 prompts with the oldest scikit-learn


def test_dear_tries_and_cheap_silence_draw_for_fewer(bed: tuple[Planner, SampleLog, Path]) -> None:
    planner, log, _ = bed

    def share(price: float, errors: AnswerPrice) -> float:
        return float(
            np.mean([one.draws for one in planner.plan(log.prompts, price=price, answer_price=errors)])
        )

    assert share(0.2, ERRORS) < share(0.02, ERRORS) <= share(0.0, ERRORS)
    assert share(0.05, ERRORS) <= share(0.05, AnswerPrice(wrong=4.0, none=2.0))
    assert share(0.0, AnswerPrice(wrong=0.0)) == 1.0


def test_a_budget_goes_where_answers_come(bed: tuple[Planner, SampleLog, Path]) -> None:
    planner, log, _ = bed
    budget = Budget(limit=2, unit="samples")
    plans = planner.plan(log.prompts, budget=budget, answer_price=ERRORS)
    assert 0 < sum(plan.draws for plan in plans) < len(plans)
    assert sum(plan.expected_cost for plan in plans) <= 2 * len(plans) * (1 + 1e-9)
    outcomes = planner.run(
        log.prompts, budget=budget, answer_price=ERRORS, backend=ReplayBackend(log, seed=1), seed=1
    )
    assert sum(one.cost or 0.0 for one in outcomes) <= 2 * len(plans) * (1 + 1e-9)
    # Less than one sample each buys answers for some.
    few = planner.plan(log.prompts, budget=Budget(limit=0.4, unit="samples"), answer_price=ERRORS)
    assert 0 < sum(plan.draws for plan in few) < sum(plan.draws for plan in plans)


@pytest.mark.filterwarnings("ignore::planner.planning.request.UnfamiliarPromptsWarning")
def test_one_prompt_at_a_time_is_left_alone_too(bed: tuple[Planner, SampleLog, Path]) -> None:
    planner, log, _ = bed
    plans = planner.plan(log.prompts, price=0.03, answer_price=ERRORS)
    sure = SureAnswers(planner, answer_price=ERRORS)
    prompt, plan = next((p, plan) for p, plan in zip(log.prompts, plans, strict=True) if not plan.draws)
    asked = sure.plan(prompt, price=0.03)
    assert asked.plan == plan
    assert sure.settle(prompt, asked, Outcome.of_nothing(plan)).verdict == "unsolvable"


def test_plans_of_a_file_draw_nothing_either(
    bed: tuple[Planner, SampleLog, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = bed[2]
    files = [f"{folder}/policy", f"{folder}/test.jsonl.gz"]
    priced = ["--price", "0.03", "--wrong-costs", "4"]
    assert main(["plan", *files, *priced, "--out", f"{tmp_path}/plans.jsonl"]) == 0
    assert "no answer is worth it" in " ".join(capsys.readouterr().out.split())
    plans = read_plans(tmp_path / "plans.jsonl")
    (shown,) = plans_frame([plan for plan in plans if not plan.draws][:1], kind="arrow").to_pylist()
    assert (shown["n"], shown["course"], shown["expected_cost"]) == (0, "", 0.0)
    drawn = ["--backend", "replay", "--log", files[1], "--plans", f"{tmp_path}/plans.jsonl"]
    assert main(["run", *files, *drawn, "--out", f"{tmp_path}/out.jsonl"]) == 0
    outcomes = [outcome_from_json(line) for line in (tmp_path / "out.jsonl").read_bytes().splitlines()]
    assert [bool(one.candidates) for one in outcomes] == [plan.draws for plan in plans]
    rollouts = [*priced, "--out", f"{tmp_path}/n.jsonl", "--out-format", "rollouts"]
    assert main(["plan", *files, *rollouts]) == 0
    assert len((tmp_path / "n.jsonl").read_text().splitlines()) < len(plans)
    assert main(["plan", *files, "--price", "0.03", "--no-answer-costs", "1"]) == 2
    capsys.readouterr()
