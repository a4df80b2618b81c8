"""A wrapped ``vllm.LLM``: the same type, calls and return types, one price or budget over the batch."""

from __future__ import annotations

from typing import Any

import pytest
from stand_in_llm import LLM, RequestOutput, SamplingParams

from difficulty.errors import InvalidBudgetError, InvalidInputError
from difficulty.generator import Generator
from planner import Budget, Planner, wrap
from planner.backends.callable import CallableBackend
from planner.verifiers.judge import JudgeModel

SURE, SPLIT = "1 + 1?", "6 x 7?"


def say(text: str, number: int) -> str:
    if text == SURE:
        return "it is 2"
    return ("it is 41", "it is 42", "it is 42")[number % 3]


def wrapped(llm: LLM, **more: Any) -> Any:
    return wrap(llm, **{"price": 1e-5, "extractor": "last_number", **more})


def test_a_batch_is_planned_in_rounds_and_comes_back_in_order() -> None:
    llm = LLM(say=say)
    client = wrapped(llm)
    outputs = client.generate([SPLIT, SURE, SPLIT], SamplingParams(temperature=0.8, max_tokens=50))
    assert type(client) is LLM
    assert all(isinstance(output, RequestOutput) for output in outputs)
    assert [output.outputs[0].text for output in outputs] == ["it is 42", "it is 2", "it is 42"]
    assert [len(output.outputs) for output in outputs] == [1, 1, 1]
    assert [output.outputs[0].index for output in outputs] == [0, 0, 0]
    drawn = sum(own.n for call in llm.calls for own in call.parameters)
    told = [output.planner for output in outputs]
    assert sum(one["samples"] for one in told) == drawn > 3
    assert told[1]["samples"] < told[0]["samples"]
    assert told[1]["output_tokens"] == 7 * told[1]["samples"]
    assert told[0]["selected_by"] == "majority_vote"
    assert all(len(call.inputs) <= 3 for call in llm.calls)
    assert len(llm.calls[0].inputs) == 3
    for call in llm.calls:
        assert {own.temperature for own in call.parameters} == {0.8}
        assert {own.max_tokens for own in call.parameters} == {50}
        assert call.options["use_tqdm"] is False
    # The engine that was given is left as it is.
    assert len(llm.generate(SURE)) == 1
    assert not hasattr(llm.generate(SURE)[0], "planner")


def test_chats_are_planned_with_their_options() -> None:
    llm = LLM(say=say)
    talk = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": SPLIT}]
    client = wrapped(llm)
    (one,) = client.chat(talk, chat_template_kwargs={"enable_thinking": False})
    two = client.chat([talk, [{"role": "user", "content": SURE}]], SamplingParams(temperature=0.5))
    assert one.outputs[0].text == "it is 42"
    assert [output.outputs[0].text for output in two] == ["it is 42", "it is 2"]
    assert llm.calls[0].options["chat_template_kwargs"] == {"enable_thinking": False}
    assert llm.calls[0].parameters[0].temperature == 0.7
    assert llm.calls[0].inputs[0] == talk


@pytest.mark.parametrize(
    "prompt", [SPLIT, {"prompt": SPLIT}, {"prompt_token_ids": list(map(ord, SPLIT))}, list(map(ord, SPLIT))]
)
def test_prompts_of_every_kind_of_text_are_planned(prompt: Any) -> None:
    llm = LLM(say=say)
    (one,) = wrapped(llm).generate(prompt)
    assert one.outputs[0].text == "it is 42"
    assert one.planner["samples"] > 1
    assert all(given == prompt for call in llm.calls for given in call.inputs)


@pytest.mark.parametrize(
    "parameters",
    [
        SamplingParams(temperature=0.0),
        SamplingParams(n=3),
        SamplingParams(logprobs=2),
        SamplingParams(prompt_logprobs=1),
        SamplingParams(structured_outputs={"json": {}}),
    ],
)
def test_what_asks_for_more_than_one_text_is_one_call_as_it_is(parameters: SamplingParams) -> None:
    llm = LLM(say=say)
    client = wrapped(llm)
    (one,) = client.generate([SPLIT], parameters)
    assert len(llm.calls) == 1
    assert llm.calls[0].parameters == [parameters]
    assert len(one.outputs) == parameters.n
    client.chat([{"role": "user", "content": SPLIT}], tools=[{}])
    client.chat([{"role": "user", "content": [{"type": "image_url"}]}])
    client.generate({"prompt": SPLIT, "multi_modal_data": {"image": 1}})
    assert len(llm.calls) == 4


def test_a_batch_may_hold_both() -> None:
    llm = LLM(say=say)
    greedy = SamplingParams(temperature=0.0)
    first, second = wrapped(llm).generate([SPLIT, SPLIT], [SamplingParams(), greedy])
    assert first.planner["samples"] > 1
    assert not hasattr(second, "planner")
    assert llm.calls[0].parameters == [greedy]


def test_a_budget_holds_over_the_batch() -> None:
    llm = LLM(say=say)
    planner = Planner.untrained(output_tokens_per_sample=8.0)
    budget = Budget(limit=6 * 16.0, unit="output_tokens", scope="batch", max_per_prompt=64.0)
    client = wrapped(llm, price=None, budget=budget, planner=planner)
    outputs = client.generate([SPLIT] * 6, SamplingParams(max_tokens=8))
    assert sum(output.planner["output_tokens"] for output in outputs) <= 96
    assert all(output.outputs for output in outputs)
    assert {output.planner["unit"] for output in outputs} == {"output_tokens"}


def test_seeds_are_the_users_and_differ_between_samples() -> None:
    seeds = []
    for _ in range(2):
        llm = LLM(say=say)
        wrapped(llm).generate([SPLIT, SPLIT], SamplingParams(seed=7))
        seeds.append([own.seed for call in llm.calls for own in call.parameters])
    assert seeds[0] == seeds[1]
    assert len(set(seeds[0])) == len(seeds[0])
    llm = LLM(say=say)
    wrapped(llm).generate([SPLIT], SamplingParams())
    assert {own.seed for call in llm.calls for own in call.parameters} == {None}


def test_log_probabilities_select_and_are_not_shown() -> None:
    llm = LLM(say=lambda text, number: "a long text" if number % 2 else "short")
    (one,) = wrapped(llm, extractor=None, select="logprob").generate(SPLIT, SamplingParams())
    assert one.planner["selected_by"] == "best_of_n"
    assert one.planner["samples"] > 1
    assert one.outputs[0].logprobs is None
    assert one.outputs[0].cumulative_logprob is None
    assert all(own.logprobs == 0 for call in llm.calls for own in call.parameters)


def test_without_a_way_to_select_there_is_one_sample() -> None:
    llm = LLM(say=say)
    (one,) = wrapped(llm, extractor=None).generate(SPLIT)
    assert one.planner["samples"] == 1
    assert len(llm.calls) == 1


def test_a_judge_of_the_users_own_selects() -> None:
    judge = JudgeModel(
        backend=CallableBackend(
            lambda messages: "Score: 9" if "a song" in str(messages[0]["content"]) else "Score: 1"
        ),
        generator=Generator(name="judge"),
    )
    llm = LLM(say=lambda text, number: "a song" if number == 2 else "a poem")
    (one,) = wrapped(llm, extractor=None, select="judge", verifiers={"judge": judge}).generate(SPLIT)
    assert one.outputs[0].text == "a song"
    assert one.planner["cost"] == one.planner["output_tokens"]


async def test_it_works_where_an_event_loop_runs() -> None:
    (one,) = wrapped(LLM(say=say)).generate(SPLIT)
    assert one.outputs[0].text == "it is 42"


def test_what_the_engine_raises_comes_out_as_it_is() -> None:
    def fail(text: str, number: int) -> str:
        raise ValueError("The decoder prompt is too long")

    with pytest.raises(ValueError, match="decoder prompt"):
        wrapped(LLM(say=fail)).generate(SPLIT)
    with pytest.raises(ValueError, match="lengths of prompts"):
        wrapped(LLM(say=say)).generate([SPLIT], [SamplingParams()] * 2)


@pytest.mark.parametrize(
    ("more", "error", "words"),
    [
        ({"budget": Budget(limit=9, unit="samples")}, InvalidBudgetError, "either a price"),
        ({"price": None}, InvalidBudgetError, "either a price"),
        ({"models": {"default": "m"}}, InvalidInputError, "holds one model"),
        ({"select": "judge", "judge": "big"}, InvalidInputError, "holds one model"),
    ],
)
def test_what_an_engine_cannot_be_is_refused(
    more: dict[str, Any], error: type[Exception], words: str
) -> None:
    with pytest.raises(error, match=words):
        wrapped(LLM(say=say), **more)
