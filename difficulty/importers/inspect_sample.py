"""What one sample of inspect_ai says: its prompt, its answer, its verdict and what it cost.

It assumes one scorer that counts. Texts that the log keeps apart are put back, and answers are looked for in
completions where the scorer recorded all of one; files are left to `difficulty.importers.inspect_wire`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from string import ascii_uppercase
from typing import Any, Final, NamedTuple

from difficulty.importers.inspect_answers import is_number, is_whole_text, short_answer
from difficulty.importers.inspect_wire import Choice, Content, Output, Sample, Score, Usage
from difficulty.importers.shared import Extract, Grade, Wanted
from difficulty.log.tables.cells import as_verdict

_CLOCKS: Final = ("time", "working", "operator")  # what stopped these says nothing of the model
_CUT: Final = ("max_tokens", "model_length", "length")
_ATTACHMENT: Final = "attachment://"


class Reading(NamedTuple):
    """How samples are read: which scorer counts, from which mark on, where the answer is, what judges it."""

    scorer: Wanted
    threshold: float | None
    extract: Extract | None
    grade: Grade | None


def line_of(sample: Sample, task: str, generator: str) -> dict[str, Any]:
    """Return the prompt's fields of a line."""
    attachments = sample.attachments or {}
    targets = _targets(sample)
    line: dict[str, Any] = {
        "prompt_id": f"{task}/{sample.id}",
        "generator": generator,
        "gold": targets[0] if len(targets) == 1 and targets[0] else None,
        "meta": {"targets": targets} if len(targets) > 1 else None,
    }
    listed = "".join(
        f"\n{letter}) {choice}" for letter, choice in zip(ascii_uppercase, sample.choices or (), strict=False)
    )
    if isinstance(sample.input, str):
        text = _resolved(sample.input, attachments)
        return {**line, "prompt": text + listed if text.strip() else None}
    messages = [
        {"role": message.role, "content": _plain_content(message.content, attachments)}
        for message in sample.input
    ]
    if listed:
        messages.append({"role": "user", "content": listed.strip()})
    return {**line, "messages": messages or None}


def _targets(sample: Sample) -> list[str]:
    return [sample.target] if isinstance(sample.target, str) else (sample.target or [])


def sample_of(sample: Sample, model: str, reading: Reading) -> dict[str, Any]:
    output = sample.output or Output()
    choice = output.choices[0] if output.choices else Choice()
    text = output.completion or _text_of(choice.message.content if choice.message else None)
    text = _resolved(text, sample.attachments or {})
    scores = _parts(sample.scores or {})
    score = scores[reading.scorer.among(list(scores))] if scores else Score()
    usage = _usage(sample, model, output)
    known = usage.output_tokens is not None and usage.total_tokens
    answer = _answer(sample, score, text, reading.extract)
    correct = as_verdict(score.value, "the score", threshold=reading.threshold)
    if not scores and reading.grade is not None and _targets(sample):
        grade = reading.grade
        correct = answer is not None and any(grade(answer, target) for target in _targets(sample))
    limit = sample.limit.type if sample.limit is not None else None
    return {
        "answer": answer,
        "correct": None if limit in _CLOCKS else correct,
        "output_tokens": usage.output_tokens,
        "prompt_tokens": (usage.total_tokens or 0) - (usage.output_tokens or 0) if known else None,
        "cached_prompt_tokens": usage.input_tokens_cache_read or None,
        "finish": "length" if limit is not None or choice.stop_reason in _CUT else choice.stop_reason,
        "text": text or None,
    }


def _usage(sample: Sample, model: str, output: Output) -> Usage:
    """Return what all calls of the model came to, less those of scorers that asked the same model."""
    total = (sample.model_usage or {}).get(model)
    if total is None:
        return output.usage or Usage()
    scoring: set[str | None] = set()
    for event in sample.events or ():
        if event.event == "span_begin" and (event.type == "scorers" or event.parent_id in scoring):
            scoring.add(event.id)
        elif event.event == "model" and event.span_id in scoring and event.model == model and event.output:
            total = total.less(event.output.usage or Usage())
    return total


def _answer(sample: Sample, score: Score, text: str, extract: Extract | None) -> str | None:
    if extract is not None:
        return extract(text)
    recorded = None if score.answer in (None, "") else str(score.answer)
    if not sample.scores:
        recorded = text
    if recorded is None or not is_whole_text(recorded, text):
        return recorded or None
    target = "".join(_targets(sample))
    return short_answer(text, target) or (None if is_number(target) else recorded)


def _parts(scores: Mapping[str, Score]) -> dict[str, Score]:
    """Return scores by name, and the parts of those that are objects by ``name.part``."""
    parts: dict[str, Score] = {}
    for name, score in scores.items():
        if isinstance(score.value, dict):
            parts |= {f"{name}.{part}": Score(value, score.answer) for part, value in score.value.items()}
        else:
            parts[name] = score
    return parts


def _plain_content(content: Content, attachments: Mapping[str, str]) -> object:
    if isinstance(content, str):
        return _resolved(content, attachments)
    return [
        {**part, "text": _resolved(part["text"], attachments)} if isinstance(part.get("text"), str) else part
        for part in content or []
    ]


def _text_of(content: Content) -> str:
    return content if isinstance(content, str) else "".join(_texts(content or []))


def _texts(parts: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    for part in parts:
        if isinstance(part.get("text"), str):
            yield part["text"]


def _resolved(text: str, attachments: Mapping[str, str]) -> str:
    """Put back a long text that the log keeps apart."""
    if text.startswith(_ATTACHMENT):
        return attachments.get(text.removeprefix(_ATTACHMENT), text)
    return text
