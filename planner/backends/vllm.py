"""Draw samples from vLLM in this process: one call of ``LLM.generate`` for all waiting requests.

vLLM does the batching, the prefix caching and the use of several GPUs; this adapter turns requests into its
call and its outputs into completions. It assumes an offline ``vllm.LLM``; a vLLM server is reached through
`planner.backends.openai`.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Mapping, Sequence
from typing import Any, Final, Self, final

from difficulty.arguments import check_whole
from difficulty.errors import BackendError, InvalidInputError, InvalidResponseError, require
from planner.backends.prompt_text import check_request, tokens_of
from planner.backends.results import Drawn, Spent, assemble
from planner.ports.ports import Completion, FinishReason, SampleRequest

__all__ = ["VLLMBackend", "completions_of"]

_FINISH: Final[dict[str | None, FinishReason]] = {"stop": "stop", "length": "length", "abort": "cancelled"}


@final
class VLLMBackend:
    """Draws samples from a ``vllm.LLM``.

    Parameters
    ----------
    llm : vllm.LLM
        Or an object with its ``get_tokenizer`` and ``generate``.
    sampling_params : callable, optional
        ``vllm.SamplingParams`` by default.
    max_output_tokens : int
        For requests and generators that set no limit.
    chat_options : mapping, optional
        Variables of the chat template, e.g. ``{"enable_thinking": False}``.

    Notes
    -----
    One call runs at a time and cannot be cancelled half-way; calls that arrive meanwhile wait. Completion
    ``i`` has the seed
    ``seed + i``, which vLLM derives itself for ``n`` > 1. A thinking budget goes to ``SamplingParams`` as
    ``thinking_token_budget``, which older releases refuse.

    Examples
    --------
    ``backend = VLLMBackend.load("Qwen/Qwen2.5-1.5B-Instruct")``, then ``await backend.sample(requests)``.
    """

    def __init__(
        self,
        *,
        llm: Any,
        sampling_params: Any = None,
        max_output_tokens: int = 1024,
        chat_options: Mapping[str, object] | None = None,
    ) -> None:
        check_whole("max_output_tokens", max_output_tokens, least=1)
        self._llm, self._sampling_params = llm, sampling_params
        self._max_output_tokens, self._chat_options = max_output_tokens, dict(chat_options or {})
        self._engine = threading.Lock()
        self.spent = Spent()

    @classmethod
    def load(
        cls,
        model: str,
        *,
        engine_options: Mapping[str, object] | None = None,
        max_output_tokens: int = 1024,
        chat_options: Mapping[str, object] | None = None,
    ) -> Self:
        """Start an engine with prefix caching on.

        Parameters
        ----------
        model : str
            Folder or hub name.
        engine_options : mapping, optional
            Further arguments of ``vllm.LLM``.
        max_output_tokens, chat_options
            See `VLLMBackend`.

        Raises
        ------
        MissingDependencyError
            When vLLM is not installed.
        """
        vllm = require("vllm", extra="vllm")
        return cls(
            llm=vllm.LLM(**({"model": model, "enable_prefix_caching": True} | dict(engine_options or {}))),
            max_output_tokens=max_output_tokens,
            chat_options=chat_options,
        )

    def prompt_tokens(self, request: SampleRequest) -> int:
        """Return the prompt tokens that a request will be charged."""
        return len(tokens_of(self._llm.get_tokenizer(), request, options=self._chat_options))

    async def sample(self, requests: Sequence[SampleRequest]) -> list[list[Completion]]:
        """Return `n` completions per request.

        Raises
        ------
        InvalidInputError
            Before anything is drawn, when a request cannot be meant.
        BackendError
            When vLLM refuses a request or fails.
        """
        for request in requests:
            check_request(request)
        if not requests:
            return []
        return assemble(await asyncio.to_thread(self._generate, requests))

    def _generate(self, requests: Sequence[SampleRequest]) -> list[list[Drawn]]:
        with self._engine:
            tokenizer = self._llm.get_tokenizer()
            told = [tokens_of(tokenizer, request, options=self._chat_options) for request in requests]
            prompts = [{"prompt_token_ids": tokens} for tokens in told]
            parameters = [self._parameters(request) for request in requests]
            try:
                outputs = self._llm.generate(prompts, parameters, use_tqdm=False)
            except (ValueError, RuntimeError) as error:
                raise BackendError(f"vLLM failed: {error}") from error
        if len(outputs) != len(requests):
            raise InvalidResponseError(f"vLLM returned {len(outputs)} outputs for {len(requests)} requests")
        return [self._read(request, output) for request, output in zip(requests, outputs, strict=True)]

    def _parameters(self, request: SampleRequest) -> Any:
        generator, most = request.generator, request.most_output_tokens
        options: dict[str, object] = {
            "n": request.n,
            "seed": request.seed,
            "max_tokens": self._max_output_tokens if most is None else most,
            "temperature": 1.0 if generator.temperature is None else generator.temperature,
            "top_p": 1.0 if generator.top_p is None else generator.top_p,
            "stop": list(request.stop),
            "logprobs": 0,
        }
        if generator.thinking_tokens is not None:
            options["thinking_token_budget"] = generator.thinking_tokens
        make = self._sampling_params or require("vllm", extra="vllm").SamplingParams
        try:
            return make(**options)
        except (TypeError, ValueError) as error:
            raise InvalidInputError(f"vLLM refuses the parameters of {generator.name!r}: {error}") from error

    def _read(self, request: SampleRequest, output: Any) -> list[Drawn]:
        drawn: list[Drawn] = []
        for index, completion in enumerate(completions_of(output, n=request.n)):
            self.spent = self.spent.drawn(completion, requests=0 if index else 1)
            drawn.append(completion)
        return drawn


def completions_of(output: Any, *, n: int) -> list[Completion]:
    """Return what a ``vllm.RequestOutput`` holds, in the order of its choices.

    Raises
    ------
    InvalidResponseError
        When it does not have `n` choices.
    """
    choices = sorted(output.outputs, key=lambda choice: choice.index)
    if len(choices) != n:
        raise InvalidResponseError(f"vLLM returned {len(choices)} completions where {n} were asked for")
    prompt_tokens = len(output.prompt_token_ids or ())
    cached = min(prompt_tokens, output.num_cached_tokens or 0)
    return [
        _completion_of(choice, prompt_tokens=0 if index else prompt_tokens, cached=0 if index else cached)
        for index, choice in enumerate(choices)
    ]


def _completion_of(choice: Any, *, prompt_tokens: int, cached: int) -> Completion:
    finish = _FINISH.get(choice.finish_reason, "error")
    tokens = len(choice.token_ids)
    mean_logprob = None
    if tokens and choice.cumulative_logprob is not None:
        mean_logprob = choice.cumulative_logprob / tokens
    ended_by = choice.stop_reason if isinstance(choice.stop_reason, str) else ""
    return Completion(
        text=choice.text,
        prompt_tokens=prompt_tokens,
        cached_prompt_tokens=cached,
        output_tokens=tokens,
        finish_reason=finish,
        mean_logprob=mean_logprob,
        stop_string=ended_by if finish == "stop" else None,
        error=f"InvalidResponseError: vLLM ended with {choice.finish_reason!r}"
        if finish == "error"
        else None,
    )
