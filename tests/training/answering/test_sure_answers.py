"""Answers that are sure enough, one prompt at a time and in open words."""

import asyncio
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest

from difficulty import SampleLog
from difficulty.errors import InvalidBudgetError, InvalidInputError
from planner import Planner
from planner.answers.clusters import SemanticAnswer, cluster_keys
from planner.backends.replay import ReplayBackend
from planner.ports.outcome import Outcome
from planner.ports.ports import Completion, SampleRequest
from planner.running.run_plans import run_plans
from planner.sure_answers import SureAnswers
from policies.answering.answering import AnswerPrice
from policies.cost.cost_model import CostModel
from training import train
from training.simulated.log import simulated_log

TARGET = 0.25
# Ways to say the same; words decide, since numbers are told apart whatever stands around them.
PHRASES = ("{}", "The answer is {}.", "It is {}!", "I think that the answer is {}")


@pytest.fixture(scope="module")
def bed(tmp_path_factory: pytest.TempPathFactory) -> tuple[Planner, SampleLog]:
    folder = tmp_path_factory.mktemp("sure")
    left, right = simulated_log(600, n_samples=6, n_generators=1, seed=2).split(test_fraction=0.3, seed=0)
    train(left, out=folder / "policy", n_trials=1, unit="samples")
    return Planner.load(folder / "policy"), right


def carry_out(planner: Planner, sure: SureAnswers, log: SampleLog) -> list[Outcome]:
    """Answer prompts one after another, as a server does."""
    settled = []
    for prompt in log.prompts:
        asked = sure.plan(prompt)
        (outcome,) = asyncio.run(
            run_plans(
                [asked.plan],
                [prompt],
                backend=ReplayBackend(log, seed=1),
                generators=planner.bundle.generators,
                cost_model=CostModel(unit="samples", generators=planner.bundle.generators),
                seed=1,
            )
        )
        settled.append(sure.settle(prompt, asked, outcome))
    return settled


# Some of these prompts are a little strange; that is said of each where it comes alone.
@pytest.mark.filterwarnings("ignore::planner.planning.request.UnfamiliarPromptsWarning")
def test_one_at_a_time_is_as_sure_as_in_a_batch(bed: tuple[Planner, SampleLog]) -> None:
    planner, log = bed
    one_by_one = carry_out(planner, SureAnswers(planner, target_risk=TARGET), log)
    price = AnswerPrice(wrong=3.0)
    batch = planner.run(
        log.prompts, price=0.0, answer_price=price, backend=ReplayBackend(log, seed=1), seed=1
    )
    priced = carry_out(planner, SureAnswers(planner, answer_price=price), log)
    assert [one.answer for one in priced] == [one.answer for one in batch]
    assert [one.verdict for one in priced] == [one.verdict for one in batch]
    given = [one for one in one_by_one if one.verdict == "answered"]
    right = {
        (prompt.id, sample.answer)
        for prompt in log.prompts
        for name in log.generators
        for sample in log.samples(prompt.id, name)
        if sample.correct
    }
    wrong = np.mean([(one.prompt_id, one.answer) not in right for one in given])
    assert 0.1 < len(given) / len(log.prompts) < 1
    assert wrong <= TARGET + 2.6 * np.sqrt(TARGET * (1 - TARGET) / len(given))


def test_what_cannot_be_is_said_before_the_first_prompt(bed: tuple[Planner, SampleLog]) -> None:
    planner, _ = bed
    with pytest.raises(InvalidBudgetError, match="can be kept"):
        SureAnswers(planner, target_risk=0.001)
    for both in ({}, {"target_risk": 0.2, "answer_price": AnswerPrice(wrong=1.0)}):
        with pytest.raises(InvalidInputError, match="exactly one"):
            SureAnswers(planner, **both)  # type: ignore[arg-type]
    with pytest.raises(InvalidInputError, match="does not know how sure"):
        SureAnswers(Planner.untrained(), target_risk=0.2)
    with pytest.raises(InvalidBudgetError, match=r"cap of 0\.5"):
        SureAnswers(planner, target_risk=TARGET).plan("6 * 7?", max_per_prompt=0.5)


class Talking:
    """Says recorded answers in other words."""

    def __init__(self, log: SampleLog) -> None:
        self._replay = ReplayBackend(log, seed=1)

    async def sample(self, requests: Sequence[SampleRequest]) -> list[list[Completion]]:
        rows = await self._replay.sample(requests)
        return [
            [
                replace(one, text=PHRASES[(request.seed + place) % len(PHRASES)].format(one.text))
                for place, one in enumerate(row)
            ]
            for request, row in zip(requests, rows, strict=True)
        ]


def in_words(log: SampleLog) -> SampleLog:
    """Return a log whose answers are the first texts of groups, as collecting open answers leaves them."""
    records = []
    for prompt in log.prompts:
        for name in log.generators:
            samples = log.samples(prompt.id, name)
            said = [
                None if one.answer is None else PHRASES[place % len(PHRASES)].format(one.answer)
                for place, one in enumerate(samples)
            ]
            records.append(
                {
                    "prompt_id": prompt.id,
                    "prompt": prompt.text,
                    "generator": name,
                    "samples": [
                        {"answer": key, "correct": one.correct, "output_tokens": one.output_tokens}
                        for key, one in zip(cluster_keys(said), samples, strict=True)
                    ],
                }
            )
    return SampleLog.from_records(records, log.generators)


def test_open_answers_keep_a_risk_by_their_groups(tmp_path: object) -> None:
    left, right = simulated_log(600, n_samples=6, n_generators=1, seed=2).split(test_fraction=0.3, seed=0)
    train(in_words(left), out=f"{tmp_path}/policy", n_trials=1, unit="samples")
    planner = Planner.load(f"{tmp_path}/policy")
    outcomes = planner.run(
        right.prompts, target_risk=TARGET, backend=Talking(right), extractor=SemanticAnswer(), seed=1
    )
    plain = planner.run(right.prompts, target_risk=TARGET, backend=ReplayBackend(right, seed=1), seed=1)
    given = [one for one in outcomes if one.verdict == "answered"]
    # Other words change neither who is answered nor how sure it is.
    assert [one.verdict for one in outcomes] == [one.verdict for one in plain]
    assert 0.1 < len(given) / len(outcomes) < 1
    spoken = [one for one in given if one.answer is not None and not one.answer.lstrip("-").isdigit()]
    assert len(spoken) > 0.3 * len(given)
