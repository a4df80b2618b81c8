"""A stand-in with the call shapes and types of ``vllm.LLM``, for machines without vLLM."""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any


@dataclass
class SamplingParams:
    n: int = 1
    temperature: float = 1.0
    top_p: float = 1.0
    seed: int | None = None
    max_tokens: int | None = 16
    logprobs: int | None = None
    prompt_logprobs: int | None = None
    structured_outputs: object = None

    def clone(self) -> SamplingParams:
        return copy.deepcopy(self)


@dataclass
class CompletionOutput:
    index: int
    text: str
    token_ids: list[int]
    cumulative_logprob: float | None
    logprobs: list[Any] | None
    finish_reason: str | None = "stop"
    stop_reason: int | str | None = None


class RequestOutput:
    def __init__(
        self,
        request_id: str,
        prompt: str | None,
        prompt_token_ids: list[int],
        outputs: list[CompletionOutput],
    ) -> None:
        self.request_id, self.prompt, self.prompt_token_ids = request_id, prompt, prompt_token_ids
        self.outputs, self.finished, self.num_cached_tokens = outputs, True, 0


@dataclass
class Call:
    inputs: list[Any]
    parameters: list[SamplingParams]
    options: dict[str, Any]


@dataclass
class LLM:
    """Says what `say` makes of a prompt's text and the number of its sample; a token per letter."""

    say: Callable[[str, int], str]
    calls: list[Call] = field(default_factory=list)
    counts: dict[str, int] = field(default_factory=dict)
    label: str = "engine"

    def get_tokenizer(self) -> Any:
        class Tokenizer:
            def decode(self, ids: list[int]) -> str:
                return "".join(map(chr, ids))

        return Tokenizer()

    def get_default_sampling_params(self) -> SamplingParams:
        return SamplingParams(temperature=0.7)

    def generate(
        self, prompts: Any, sampling_params: Any = None, *, use_tqdm: bool = True, lora_request: Any = None
    ) -> list[RequestOutput]:
        one = isinstance(prompts, str | dict) or (bool(prompts) and isinstance(prompts[0], int))
        listed = [prompts] if one else list(prompts)
        texts = [self._text(prompt) for prompt in listed]
        return self._run(listed, texts, sampling_params, {"use_tqdm": use_tqdm, "lora_request": lora_request})

    def chat(
        self,
        messages: Any,
        sampling_params: Any = None,
        use_tqdm: bool = True,
        *,
        add_generation_prompt: bool = True,
        continue_final_message: bool = False,
        tools: Any = None,
        chat_template_kwargs: Any = None,
    ) -> list[RequestOutput]:
        listed = [messages] if isinstance(messages[0], dict) else list(messages)
        texts = [str(one[-1]["content"]) for one in listed]
        options = {"use_tqdm": use_tqdm, "tools": tools, "chat_template_kwargs": chat_template_kwargs}
        return self._run(listed, texts, sampling_params, options)

    def _text(self, prompt: Any) -> str:
        if isinstance(prompt, str):
            return prompt
        ids = prompt.get("prompt_token_ids") if isinstance(prompt, dict) else prompt
        return prompt["prompt"] if ids is None else "".join(map(chr, ids))

    def _run(
        self, listed: list[Any], texts: Sequence[str], given: Any, options: dict[str, Any]
    ) -> list[RequestOutput]:
        if given is None:
            given = self.get_default_sampling_params()
        parameters = list(given) if isinstance(given, Sequence) else [given] * len(listed)
        if len(parameters) != len(listed):
            raise ValueError("The lengths of prompts and params must be the same.")
        self.calls.append(Call(listed, parameters, options))
        outputs = []
        for place, (text, own) in enumerate(zip(texts, parameters, strict=True)):
            choices = []
            for index in range(own.n):
                number = self.counts[text] = self.counts.get(text, -1) + 1
                said = self.say(text, number)
                logprob = None if own.logprobs is None else -0.1 * len(said)
                whole = said[: own.max_tokens]
                choices.append(
                    CompletionOutput(
                        index=index,
                        text=whole,
                        token_ids=list(map(ord, whole)),
                        cumulative_logprob=logprob,
                        logprobs=None if own.logprobs is None else [{}] * len(whole),
                        finish_reason="stop" if whole == said else "length",
                    )
                )
            outputs.append(RequestOutput(f"{len(self.calls)}-{place}", text, list(map(ord, text)), choices))
        return outputs


LLM.__module__ = "vllm.entrypoints.llm"
