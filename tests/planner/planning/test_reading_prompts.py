"""A bundle that needs hidden states: what reading the prompts costs is planned, charged and judged."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest

from difficulty.errors import InvalidBudgetError, InvalidInputError, UnknownUnitError
from difficulty.features.hidden_states import HiddenStates
from difficulty.log.sample_log import SampleLog
from planner.backends.replay import ReplayBackend
from planner.planner import Planner
from planner.serving.build import build
from planner.serving.settings import ServeSettings
from planner.sure_answers import SureAnswers
from policies.answering.answering import AnswerPrice
from policies.cost.budget import Budget
from policies.cost.cost_model import CostModel
from training.evaluate import evaluate
from training.evaluation.judged import judge
from training.report.names import OURS, STATIC
from training.simulated.log import simulated_log
from training.train import train

torch = pytest.importorskip("torch", reason="needs the extra [local]")
transformers = pytest.importorskip("transformers", reason="needs the extra [local]")


class Read(NamedTuple):
    folder: Path
    test_log: SampleLog
    reader: HiddenStates


@pytest.fixture(scope="module")
def read(tmp_path_factory: Any) -> Read:
    """Return a bundle that chooses by text and by the states of a tiny Llama over characters."""
    from tokenizers import Regex, Tokenizer, models, pre_tokenizers

    signs = ["<unk>", *(chr(code) for code in range(32, 127))]
    core = Tokenizer(models.WordLevel({sign: at for at, sign in enumerate(signs)}, unk_token="<unk>"))
    core.pre_tokenizer = pre_tokenizers.Split(Regex("."), "isolated")
    tokenizer = transformers.PreTrainedTokenizerFast(tokenizer_object=core, unk_token="<unk>")
    torch.manual_seed(0)
    config = transformers.LlamaConfig(
        vocab_size=len(signs),
        hidden_size=16,
        intermediate_size=32,
        num_hidden_layers=2,
        num_attention_heads=2,
        num_key_value_heads=1,
        max_position_embeddings=256,
    )
    reader = HiddenStates(transformers.LlamaForCausalLM(config).eval(), tokenizer=tokenizer)
    train_log, test_log = simulated_log(200, n_samples=8, seed=3).split(0.4)
    folder = tmp_path_factory.mktemp("read") / "policy"
    bundle = train(train_log, folder, unit="total_tokens", hidden_states=reader, n_trials=1, seed=0)
    assert bundle.policy.by_text.any()
    return Read(folder, test_log, reader)


def test_tokens_that_are_read_are_counted_without_reading(read: Read) -> None:
    prompts = read.test_log.prompts[:3]
    assert read.reader.n_tokens(prompts).tolist() == [len(prompt.content or "") for prompt in prompts]
    assert read.reader.n_tokens(prompts).tolist() == read.reader.read(prompts).n_prompt_tokens.tolist()


def test_who_reads_nothing_is_told_what_the_bundle_needs(read: Read) -> None:
    planner = Planner.load(read.folder)
    with pytest.raises(InvalidInputError, match=r"hidden_states=\.\.\."):
        planner.plan(read.test_log.prompts[:2], price=1e-3)
    route = {"upstream": "up", "bundle": str(read.folder), "price": 1e-3, "extract": "last_number"}
    settings = ServeSettings.from_plain(
        {"upstreams": {"up": {"base_urls": ["http://127.0.0.1:9/v1"]}}, "routes": {"tiny": route}}
    )
    service = build(settings)
    with pytest.raises(InvalidInputError, match=r"route 'tiny': the bundle .* hidden states"):
        asyncio.run(service.opened[0].start())


def test_plans_and_outcomes_hold_the_reading_within_the_budget(read: Read) -> None:
    planner = Planner.load(read.folder, hidden_states=read.reader)
    log = read.test_log
    tokens = read.reader.n_tokens(log.prompts)
    budget = Budget(limit=400.0, unit="total_tokens")
    plans = planner.plan(log.prompts, budget=budget)
    assert np.mean([plan.expected_cost for plan in plans]) <= 400
    at_price = planner.plan(log.prompts, price=1e-3)
    inner = planner._preparer.batch(log.prompts, _asked())
    assert inner is not None
    for plan, bare, n in zip(at_price, inner.plans(_asked()), tokens, strict=True):
        assert plan.expected_cost == pytest.approx(bare.expected_cost + n)
    outcomes = planner.run(log.prompts, budget=budget, backend=ReplayBackend(log))
    assert [outcome.usage.predictor_tokens for outcome in outcomes] == tokens.tolist()
    assert sum(outcome.cost or 0.0 for outcome in outcomes) <= 400 * len(outcomes)
    for outcome in outcomes:
        spent = outcome.usage.prompt_tokens + outcome.usage.output_tokens + outcome.usage.predictor_tokens
        assert outcome.cost == pytest.approx(spent)


def test_one_prompt_at_a_time_is_charged_too(read: Read) -> None:
    prompt = read.test_log.prompts[0]
    priced = AnswerPrice(wrong=1.0, none=0.0)
    reads = Planner.load(read.folder, hidden_states=read.reader)
    told = SureAnswers(reads, answer_price=priced).plan(prompt).plan
    (whole,) = reads.plan([prompt], price=0.0, answer_price=priced)
    assert told.expected_cost == pytest.approx(whole.expected_cost)
    assert told.expected_cost >= read.reader.n_tokens([prompt])[0]


def test_a_frontier_begins_above_what_reading_costs(read: Read) -> None:
    planner = Planner.load(read.folder, hidden_states=read.reader)
    tokens = read.reader.n_tokens(read.test_log.prompts).mean()
    assert planner.frontier(read.test_log.prompts)[0].expected_cost > tokens


def test_a_budget_that_reading_takes_is_refused(read: Read) -> None:
    planner = Planner.load(read.folder, hidden_states=read.reader)
    prompts = read.test_log.prompts
    tokens = float(read.reader.n_tokens(prompts).mean())
    with pytest.raises(InvalidBudgetError, match="reading the prompts with the language model"):
        planner.plan(prompts, budget=Budget(limit=tokens / 2, unit="total_tokens"))
    with pytest.raises(InvalidBudgetError, match=r"after \d+ for reading") as refused:
        planner.plan(prompts, budget=Budget(limit=tokens + 1, unit="total_tokens"))
    least = refused.value.least
    assert least is not None
    plans = planner.plan(prompts, budget=Budget(limit=least * (1 + 1e-9), unit="total_tokens", scope="batch"))
    assert sum(plan.expected_cost for plan in plans) == pytest.approx(least)


def test_a_unit_that_counts_it_asks_for_its_price(read: Read) -> None:
    model = CostModel(unit="flops", generators=read.test_log.generators)
    planner = Planner.load(read.folder, hidden_states=read.reader, cost_model=model)
    with pytest.raises(UnknownUnitError, match="predictor_params"):
        planner.plan(read.test_log.prompts, budget=Budget(limit=1e15, unit="flops"))
    free = Planner.load(read.folder, hidden_states=read.reader).plan(
        read.test_log.prompts, budget=Budget(limit=4, unit="samples")
    )
    assert sum(plan.expected_cost for plan in free) <= 4 * len(free)


def test_the_report_charges_our_policy_alone(read: Read) -> None:
    report = evaluate(read.folder, read.test_log, hidden_states=read.reader, n_bootstrap=100)
    cheapest = {name: points[0]["cost"] for name, points in report.comparison["frontiers"].items()}
    tokens = read.reader.n_tokens(read.test_log.prompts).mean()
    assert cheapest[OURS] >= cheapest[STATIC] + 0.9 * tokens


def test_evaluation_knows_strangers_where_plans_do(read: Read) -> None:
    """Plans that have no use for a text do not have it read for its familiarity alone."""
    planner = Planner.load(read.folder, hidden_states=read.reader)
    policy, prompts = planner.bundle.policy, read.test_log.prompts[:2]
    for_all = policy.offered & (np.cumsum(policy.offered, axis=1) == 1)
    mute = replace(policy, offered=for_all, telling=replace(policy.telling, slope=0 * policy.telling.slope))
    mute = replace(mute, telling=replace(mute.telling, lean=0 * mute.telling.lean))
    model = CostModel(unit="total_tokens", generators=planner.bundle.generators)
    for one in (policy, mute):
        asked = replace(planner, bundle=replace(planner.bundle, policy=one))
        (plan, _) = asked.plan(prompts, price=1e-3)
        bed = judge(asked, read.test_log, model).bed
        assert (plan.familiarity is None) == (bed.familiarity is None) == (one is mute)


def _asked() -> Any:
    from planner.planning.request import Request

    return Request(price=1e-3)
