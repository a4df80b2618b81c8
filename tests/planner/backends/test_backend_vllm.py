"""The vLLM backend on a fake with the call shape of ``vllm.LLM``, and on a real engine where there is one."""

from __future__ import annotations

import importlib.util
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import pytest
from backend_contract import BackendContract, MakeBackend, request

from difficulty.errors import BackendError, InvalidInputError, InvalidResponseError
from difficulty.generator import Generator
from planner.backends.vllm import VLLMBackend


@dataclass
class Parameters:
    n: int
    seed: int
    max_tokens: int
    temperature: float
    top_p: float
    stop: list[str]
    logprobs: int

    def __post_init__(self) -> None:
        if self.temperature < 0:
            raise ValueError("temperature must be non-negative")


@dataclass
class Choice:
    index: int
    text: str
    token_ids: list[int]
    cumulative_logprob: float | None
    finish_reason: str | None
    stop_reason: str | int | None = None


@dataclass
class Output:
    prompt_token_ids: list[int]
    outputs: list[Choice]
    num_cached_tokens: int | None = None


class LetterTokenizer:
    chat_template = None

    def __call__(self, text: str, add_special_tokens: bool) -> dict[str, list[int]]:
        return {"input_ids": [1] * add_special_tokens + [ord(letter) for letter in text]}


@dataclass
class FakeLLM:
    """Says ``sample SEED``, one token per letter; `spoil` changes an output on its way out."""

    calls: list[tuple[list[dict[str, list[int]]], list[Parameters]]] = field(default_factory=list)
    finish: str = "stop"
    drop: int = 0

    def get_tokenizer(self) -> LetterTokenizer:
        return LetterTokenizer()

    def generate(
        self,
        prompts: Sequence[dict[str, list[int]]],
        sampling_params: Sequence[Parameters],
        *,
        use_tqdm: bool,
    ) -> list[Output]:
        assert not use_tqdm
        self.calls.append((list(prompts), list(sampling_params)))
        outputs = []
        for prompt, parameters in zip(prompts, sampling_params, strict=True):
            if len(prompt["prompt_token_ids"]) > 500:
                raise ValueError("The decoder prompt is longer than the maximum model length")
            texts = [
                f"sample {parameters.seed + index}"[: parameters.max_tokens] for index in range(parameters.n)
            ]
            choices = [
                Choice(index, text, [ord(x) for x in text], -0.5 * len(text), self.finish)
                for index, text in enumerate(texts)
            ]
            outputs.append(
                Output(prompt["prompt_token_ids"], choices[::-1][self.drop :], num_cached_tokens=4)
            )
        return outputs


def backend(llm: FakeLLM | None = None) -> VLLMBackend:
    return VLLMBackend(llm=llm or FakeLLM(), sampling_params=Parameters)


class TestContract(BackendContract):
    @pytest.fixture
    def make(self) -> MakeBackend:
        return backend


async def test_all_requests_go_in_one_call_and_come_back_in_order() -> None:
    llm = FakeLLM()
    one = backend(llm)
    first, second = await one.sample([request(n=2, seed=5, stop=("\n",)), request("q", id="p2", seed=9)])
    assert [c.text for c in (*first, *second)] == ["sample 5", "sample 6", "sample 9"]
    [(prompts, parameters)] = llm.calls
    assert prompts[1] == {"prompt_token_ids": [1, ord("q")]}
    assert (parameters[0].stop, parameters[0].logprobs, parameters[0].max_tokens) == (["\n"], 0, 16)
    assert first[0].mean_logprob == -0.5
    assert (first[0].prompt_tokens, first[1].prompt_tokens, first[0].cached_prompt_tokens) == (12, 0, 4)
    assert one.spent.completed.output_tokens == 24


async def test_a_prefix_is_part_of_the_prompt() -> None:
    llm = FakeLLM()
    await backend(llm).sample([request("q", prefix=("a", "b"))])
    assert llm.calls[0][0][0]["prompt_token_ids"][1:] == [ord(x) for x in "qab"]


async def test_what_vllm_refuses_is_typed() -> None:
    with pytest.raises(BackendError, match="longer than"):
        await backend().sample([request("x" * 600)])
    with pytest.raises(InvalidInputError, match="thinking_token_budget"):
        await backend().sample([request(generator=Generator(name="g", thinking_tokens=4))])


async def test_missing_completions_are_an_error() -> None:
    with pytest.raises(InvalidResponseError, match="1 completions where 2"):
        await backend(FakeLLM(drop=1)).sample([request(n=2)])


async def test_an_aborted_sample_is_listed_apart() -> None:
    one = backend(FakeLLM(finish="abort"))
    [[sample]] = await one.sample([request()])
    assert sample.finish_reason == "cancelled"
    assert one.spent.cancelled.output_tokens == sample.output_tokens and one.spent.completed.samples == 0


@pytest.mark.slow
@pytest.mark.gpu
@pytest.mark.skipif(importlib.util.find_spec("vllm") is None, reason="vLLM is not installed")
async def test_a_real_engine(tmp_path: Any) -> None:
    pytest.importorskip("tiny_model", reason="needs transformers to build a model")
    from tiny_model import tiny_model, tiny_tokenizer

    tiny_model().save_pretrained(tmp_path)
    tiny_tokenizer().save_pretrained(tmp_path)
    one = VLLMBackend.load(str(tmp_path), engine_options={"max_model_len": 96, "enforce_eager": True})
    [first] = await one.sample([request(n=3)])
    [again] = await one.sample([request(n=3)])
    assert [c.text for c in first] == [c.text for c in again]
    assert all(c.mean_logprob is not None for c in first)
