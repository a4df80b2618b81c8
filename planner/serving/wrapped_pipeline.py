"""Wrap a text-generation pipeline of transformers: a call plans its batch, and returns what it always did.

Each input comes back as its list of one record, the selected one, with a key ``planner`` beside the text. The
pipeline itself draws, with its own template and settings. Calls that ask for more than one plain text per
input pass through.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from difficulty.errors import InvalidPromptError
from difficulty.prompt import Prompt
from planner.ports.ports import Completion, FinishReason, SampleRequest
from planner.serving.engines import Engine, Planned, conversation_of, distinct
from planner.serving.reply import chosen_of

# What makes a call ask for something else than one plain text; absent or empty means nothing.
_PASSING: Final = (
    "return_tensors", "return_dict_in_generate", "output_scores", "output_logits", "streamer", "tools",
    "documents", "continue_final_message", "penalty_alpha", "assistant_model", "prefix",
)  # fmt: skip
_TOKENS: Final = "_planner_tokens"
_READ: Final = "_planner_prompt_tokens"


def is_pipeline(client: object) -> bool:
    """Return whether an object is a text-generation pipeline of transformers."""
    return any(
        base.__name__ == "TextGenerationPipeline" and base.__module__.partition(".")[0] == "transformers"
        for base in type(client).__mro__
    )


def wrap_pipeline(pipe: Any, engine: Engine) -> Any:
    """Return a pipeline of the same type and state whose calls are planned; `pipe` is left as it is."""
    drawing = _like(pipe, postprocess=_with_tokens(type(pipe)))

    def call(self: Any, text_inputs: Any, **options: Any) -> Any:
        single = _is_one(text_inputs)
        given = [text_inputs] if single else text_inputs
        prompts = _prompts_of(given) if isinstance(given, list) and _is_plain(pipe, options) else None
        if prompts is None:
            return pipe(text_inputs, **options)
        by_id = {prompt.id: one for prompt, one in zip(prompts, given, strict=True)}
        backend = _Drawing(pipe=drawing, inputs=by_id, options=options)
        records = [[backend.record_of(one)] for one in engine.carry(prompts, backend)]
        return records[0] if single else records

    return _like(pipe, __call__=call)


def _like(pipe: Any, **methods: Callable[..., Any]) -> Any:
    """Return a pipeline of the same state, of a class of the same name with other methods."""
    base = type(pipe)
    other = copy.copy(pipe)
    named = {"__module__": base.__module__, "__qualname__": base.__qualname__, "__doc__": base.__doc__}
    other.__class__ = type(base.__name__, (base,), {**named, **methods})
    return other


def _with_tokens(base: type) -> Callable[..., Any]:
    """Return a step that leaves in each record the tokens that were generated, and how many were read."""

    def postprocess(self: Any, model_outputs: Any, **options: Any) -> Any:
        read = model_outputs["input_ids"]
        width = 0 if read is None else read.shape[-1]
        sequences = model_outputs["generated_sequence"][0].tolist()
        pad = self.tokenizer.pad_token_id
        n_read = 0 if read is None else int((read[0] != pad).sum()) if pad is not None else width
        records = base.postprocess(self, model_outputs, **options)  # type: ignore[attr-defined]  # of a pipeline
        for record, sequence in zip(records, sequences, strict=True):
            record[_TOKENS], record[_READ] = sequence[width:], n_read
        return records

    return postprocess


@dataclass(kw_only=True, slots=True)
class _Drawing:
    """Draws samples by calls of the pipeline; implements the port `Backend`."""

    pipe: Any
    inputs: Mapping[str, Any]
    options: Mapping[str, Any]
    _said: dict[tuple[str, str], dict[str, Any]] = field(default_factory=dict)

    async def sample(self, requests: Sequence[SampleRequest]) -> list[list[Completion]]:
        """Return the completions of each request; those that are alike are one call."""
        alike: dict[tuple[int, int | None], list[int]] = {}
        for place, request in enumerate(requests):
            alike.setdefault((request.n, request.max_output_tokens), []).append(place)
        rows: dict[int, list[Completion]] = {}
        for (n, cap), places in alike.items():
            own = {**self.options, "num_return_sequences": n}
            if cap is not None:
                own["max_new_tokens"] = min(cap, self.options.get("max_new_tokens") or cap)
            found = self.pipe([self.inputs[requests[at].prompt.id] for at in places], **own)
            for at, records in zip(places, found, strict=True):
                rows[at] = [
                    self._read(requests[at].prompt.id, record, first=not index)
                    for index, record in enumerate(records)
                ]
        return [rows[place] for place in range(len(requests))]

    def record_of(self, planned: Planned) -> dict[str, Any]:
        """Return the record that the user of an input gets; without a text where nothing was drawn."""
        chosen = chosen_of(planned.outcome)
        record = {} if chosen is None else self._said.get((planned.outcome.prompt_id, chosen.text), {})
        return {**record, "planner": planned.told}

    def _read(self, prompt_id: str, record: dict[str, Any], *, first: bool) -> Completion:
        tokens, n_read = record.pop(_TOKENS), record.pop(_READ)
        ends = _ends(self.pipe)
        length = next((at + 1 for at, token in enumerate(tokens) if token in ends), len(tokens))
        text = self.pipe.tokenizer.decode(tokens[:length], skip_special_tokens=True)
        stops = self.options.get("stop_sequence") or self.options.get("stop_strings") or ()
        stops = [stops] if isinstance(stops, str) else list(stops)
        ended = length < len(tokens) or (length > 0 and tokens[length - 1] in ends)
        finish: FinishReason = "stop" if ended or any(one in text for one in stops) else "length"
        self._said.setdefault((prompt_id, text), record)
        return Completion(
            text=text,
            prompt_tokens=n_read if first else 0,
            output_tokens=length,
            finish_reason=finish,
        )


def _ends(pipe: Any) -> set[int]:
    """Return the tokens that end a text."""
    named = getattr(pipe, "generation_config", None) or pipe.model.generation_config
    given = named.eos_token_id if named.eos_token_id is not None else pipe.tokenizer.eos_token_id
    return set(given) if isinstance(given, list | tuple) else {given} - {None}


def _is_plain(pipe: Any, options: Mapping[str, Any]) -> bool:
    """Return whether a call asks for one plain text per input that may be drawn several times."""
    usual = getattr(pipe, "_forward_params", {})
    named = getattr(pipe, "generation_config", None) or pipe.model.generation_config
    if any(options.get(name) for name in _PASSING) or (options.get("num_beams") or 1) > 1:
        return False
    if options.get("num_return_sequences", usual.get("num_return_sequences", 1)) != 1:
        return False
    samples = options.get("do_sample", usual.get("do_sample", named.do_sample))
    temperature = options.get("temperature", usual.get("temperature", named.temperature))
    return bool(samples) and temperature != 0


def _is_one(given: Any) -> bool:
    """Return whether an input is one prompt: a text or a conversation."""
    return isinstance(given, str) or (
        isinstance(given, list) and bool(given) and isinstance(given[0], Mapping)
    )


def _prompts_of(given: Sequence[Any]) -> list[Prompt] | None:
    """Return the inputs as plans read them, None where one of them is more than texts."""
    found = []
    for one in given:
        try:
            prompt = Prompt(text=one) if isinstance(one, str) else conversation_of(one)
        except (InvalidPromptError, TypeError):
            return None
        if prompt is None:
            return None
        found.append(prompt)
    return distinct(found) if found else None
