"""Wrap a ``vllm.LLM``: ``generate`` and ``chat`` plan their batch, and return what they always did.

Each prompt comes back as its own ``RequestOutput`` with the selected completion; its attribute ``planner``
says what was spent. Prompts whose parameters ask for more than one plain text are drawn in one call, as they
are.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Final, NamedTuple, TypeAlias

from difficulty.errors import InvalidPromptError
from difficulty.prompt import Prompt
from planner.backends.vllm import completions_of
from planner.ports.ports import Completion, SampleRequest
from planner.serving.engines import Engine, Planned, conversation_of, distinct
from planner.serving.reply import chosen_of
from planner.serving.selecting import Votes, votes_of

_Draw: TypeAlias = Callable[[list[Any], list[Any]], Sequence[Any]]
_SEEDS: Final = 2**31
# Sampling parameters that a plan cannot do without losing what they ask for.
_PASSING: Final = ("logprobs", "prompt_logprobs", "extra_args")
_GUIDED: Final = ("structured_outputs", "guided_decoding")


class _Input(NamedTuple):
    """One prompt of a call: as it was given, its parameters, and as a plan reads it; None where it passes."""

    given: Any
    parameters: Any
    prompt: Prompt | None


def is_llm(client: object) -> bool:
    """Return whether an object is a ``vllm.LLM``, or has its two calls.

    Examples
    --------
    >>> is_llm(object())
    False
    """
    return all(callable(getattr(client, name, None)) for name in ("generate", "chat"))


def wrap_llm(llm: Any, engine: Engine) -> Any:
    """Return an engine of the same type and state whose batches are planned; `llm` is left as it is."""
    wrapped = copy.copy(llm)
    wrapped.generate = partial(_generate, llm, engine)
    wrapped.chat = partial(_chat, llm, engine)
    return wrapped


def _generate(
    llm: Any, engine: Engine, prompts: Any, sampling_params: Any = None, **options: Any
) -> list[Any]:
    """Stand for ``LLM.generate``."""
    given = _listed(prompts)
    parameters = _parameters(llm, sampling_params, len(given))
    if given is None or parameters is None:
        return list(llm.generate(prompts, sampling_params, **options))
    inputs = [
        _Input(one, own, _prompt_of(llm, one) if _is_plain(own, engine) else None)
        for one, own in zip(given, parameters, strict=True)
    ]
    return _answered(engine, inputs, lambda some, own: llm.generate(some, own, **_quiet(options)))


def _chat(
    llm: Any, engine: Engine, messages: Any, sampling_params: Any = None, *more: Any, **options: Any
) -> list[Any]:
    """Stand for ``LLM.chat``."""
    single = isinstance(messages, list) and bool(messages) and isinstance(messages[0], Mapping)
    given = [messages] if single else list(messages)
    parameters = _parameters(llm, sampling_params, len(given))
    continues = options.get("continue_final_message") or not options.get("add_generation_prompt", True)
    if more or parameters is None or options.get("tools") or continues:
        return list(llm.chat(messages, sampling_params, *more, **options))
    inputs = [
        _Input(one, own, conversation_of(one) if _is_plain(own, engine) else None)
        for one, own in zip(given, parameters, strict=True)
    ]
    return _answered(engine, inputs, lambda some, own: llm.chat(some, own, **_quiet(options)))


def _answered(engine: Engine, inputs: Sequence[_Input], draw: _Draw) -> list[Any]:
    """Return one output per input: planned ones, and in one call those that pass."""
    found: dict[int, Any] = {}
    passing = [place for place, one in enumerate(inputs) if one.prompt is None]
    if passing:
        outputs = draw([inputs[at].given for at in passing], [inputs[at].parameters for at in passing])
        found |= dict(zip(passing, outputs, strict=True))
    planned = [place for place in range(len(inputs)) if place not in found]
    prompts = distinct([prompt for at in planned if (prompt := inputs[at].prompt) is not None])
    if prompts:
        by_id = {prompt.id: inputs[at] for prompt, at in zip(prompts, planned, strict=True)}
        drawing = _Drawing(inputs=by_id, draw=draw, logprobs=engine.planning.reads_logprobs)
        for at, one in zip(planned, engine.carry(prompts, drawing), strict=True):
            found[at] = drawing.output_of(one)
    return [found[place] for place in range(len(inputs))]


@dataclass(kw_only=True, slots=True)
class _Drawing:
    """Draws samples by calls of the engine; implements the port `Backend`."""

    inputs: Mapping[str, _Input]
    draw: _Draw
    logprobs: bool
    _said: dict[tuple[str, str], tuple[Any, Any]] = field(default_factory=dict)
    _latest: dict[str, Any] = field(default_factory=dict)

    async def sample(self, requests: Sequence[SampleRequest]) -> list[list[Completion]]:
        """Return the completions of each request; what the engine raises comes out as it is."""
        given = [self.inputs[request.prompt.id].given for request in requests]
        outputs = self.draw(given, [self._own(request) for request in requests])
        rows = []
        for request, output in zip(requests, outputs, strict=True):
            row = completions_of(output, n=request.n)
            self._latest[request.prompt.id] = output
            choices = sorted(output.outputs, key=lambda choice: choice.index)
            for completion, choice in zip(row, choices, strict=True):
                self._said.setdefault((request.prompt.id, completion.text), (output, choice))
            rows.append(row)
        return rows

    def output_of(self, planned: Planned) -> Any:
        """Return the output that a prompt's user gets."""
        outcome = planned.outcome
        chosen = chosen_of(outcome)
        at = None if chosen is None else self._said.get((outcome.prompt_id, chosen.text))
        output, choice = at or (self._latest.get(outcome.prompt_id), None)
        output = copy.copy(output) if output is not None else _NothingDrawn()
        output.outputs = []
        if choice is not None:
            choice = copy.copy(choice)
            choice.index = 0
            if self.logprobs:
                choice.logprobs = choice.cumulative_logprob = None
            output.outputs = [choice]
        output.planner = planned.told
        return output

    def _own(self, request: SampleRequest) -> Any:
        """Return the parameters of a request: the user's, with its number, seed and cap."""
        given = self.inputs[request.prompt.id].parameters
        own = given.clone() if hasattr(given, "clone") else copy.copy(given)
        own.n = request.n
        if getattr(given, "seed", None) is not None:
            own.seed = (given.seed + request.seed) % _SEEDS
        most = getattr(given, "max_tokens", None)
        limits = [one for one in (request.max_output_tokens, most) if one is not None]
        own.max_tokens = min(limits, default=None)
        if self.logprobs:
            own.logprobs = 0
        return own


class _NothingDrawn:
    """What a prompt gets that no sample was drawn for: the budget did not reach for one."""

    finished = True
    outputs: Sequence[Any] = ()
    planner: Mapping[str, Any] = {}


def _parameters(llm: Any, given: Any, n: int) -> list[Any] | None:
    """Return the parameters of each prompt, None where they do not fit: the engine then says so."""
    if given is None:
        given = llm.get_default_sampling_params()
    if isinstance(given, Sequence):
        return list(given) if len(given) == n else None
    return [given] * n


def _is_plain(parameters: Any, engine: Engine) -> bool:
    """Return whether parameters ask for one plain text that may be drawn several times."""
    if getattr(parameters, "n", 1) != 1 or not getattr(parameters, "temperature", 0) > 0:
        return False
    votes: Votes = votes_of(engine.planning.selecting.extractor)
    asks = (*_PASSING, *(() if votes.json else _GUIDED))
    return all(getattr(parameters, name, None) is None for name in asks)


def _listed(prompts: Any) -> list[Any]:
    if isinstance(prompts, str | Mapping):
        return [prompts]
    listed = list(prompts)
    return [listed] if listed and all(isinstance(one, int) for one in listed) else listed


def _prompt_of(llm: Any, given: Any) -> Prompt | None:
    """Return a prompt as plans read it, None where it is more than a text."""
    if isinstance(given, Mapping):
        if given.get("multi_modal_data") or given.get("prompt_embeds") is not None:
            return None
        text = given.get("prompt")
        given = text if isinstance(text, str) else given.get("prompt_token_ids")
    if isinstance(given, Sequence) and not isinstance(given, str):
        given = llm.get_tokenizer().decode(list(given))
    try:
        return Prompt(text=given) if isinstance(given, str) else None
    except InvalidPromptError:
        return None


def _quiet(options: Mapping[str, Any]) -> dict[str, Any]:
    """Return the options of a call without a bar per round, unless the user wants one."""
    return {"use_tqdm": False, **options}
