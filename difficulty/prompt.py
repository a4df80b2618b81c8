"""The question that a language model is asked.

A prompt is an identity, a text (or chat messages) and, where known, the group of near-duplicates that it
belongs to. It assumes nothing about the generator: how the text is turned into tokens is the generator's
affair.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256

from difficulty.arguments import check_whole
from difficulty.errors import InvalidPromptError


@dataclass(frozen=True, kw_only=True, slots=True)
class Prompt:
    """A prompt: identity, text or messages, group.

    Parameters
    ----------
    id : str
        Identity within one log or batch; by default a hash of the content.
    text : str, optional
        The question as plain text; None where a log does not record it.
    messages : tuple of mapping
        Chat messages ``{"role": ..., "content": ...}``; empty where `text` is the whole prompt.
    group : str, optional
        Near-duplicates share a group and stay on one side of every split; by default `id`.
    gold : str, optional
        The reference answer, where known: for grading, never a feature.
    prompt_tokens : int, optional
        Length in tokens, where known.

    Raises
    ------
    InvalidPromptError
        When a field is of another type, when `text` is empty or blank, when neither an id nor content is
        given, when a text is not Unicode, or when `prompt_tokens` is no whole number of at least 0.

    Examples
    --------
    >>> Prompt(id="gsm8k-17", text="What is 6 times 7?").group
    'gsm8k-17'
    """

    id: str = ""
    text: str | None = None
    messages: tuple[Mapping[str, object], ...] = ()
    group: str = ""
    gold: str | None = None
    prompt_tokens: int | None = None

    def __post_init__(self) -> None:
        for name in ("id", "group", "text", "gold"):
            value = getattr(self, name)
            if not isinstance(value, str) and (value is not None or name in ("id", "group")):
                raise InvalidPromptError(f"the {name} of a prompt must be a string, got {value!r}")
        if not all(isinstance(one, Mapping) for one in self.messages):
            raise InvalidPromptError(
                'messages of a prompt must be a sequence such as [{"role": "user", "content": "6 * 7?"}], '
                f"got {self.messages!r}"
            )
        if self.text is not None and not self.text.strip():
            raise InvalidPromptError(f"prompt {self.id!r} is empty; give it a text or leave it out")
        if self.prompt_tokens is not None:
            check_whole("prompt_tokens of a prompt", self.prompt_tokens, error=InvalidPromptError)
        content = self.content
        if not _is_unicode(f"{self.id}{self.group}{content or ''}"):
            raise InvalidPromptError(
                f"prompt {self.id!a} holds half a character (a lone surrogate), which no server takes; "
                "mend its text"
            )
        if not self.id:
            if content is None:
                raise InvalidPromptError("a prompt needs an id, a text or messages; it has none of them")
            object.__setattr__(self, "id", sha256(content.encode()).hexdigest()[:16])
        if not self.group:
            object.__setattr__(self, "group", self.id)

    @property
    def content(self) -> str | None:
        """All text of the prompt in one string, or None when none is recorded."""
        if self.text is not None:
            return self.text
        parts = [part for message in self.messages for part in _texts(message.get("content"))]
        return "\n".join(parts) if parts else None


def _is_unicode(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def as_prompts(prompts: Iterable[Prompt | str]) -> tuple[Prompt, ...]:
    """Turn strings into prompts and check that ids are unique.

    A string's id is a hash of its content; a repeated string gets ``#2``, ``#3`` … appended.

    Raises
    ------
    InvalidPromptError
        When `prompts` is a single one or a table, an element is neither string nor `Prompt`, is empty, or
        two `Prompt` share an id.

    Examples
    --------
    >>> [prompt.text for prompt in as_prompts(["What is 6 times 7?"])]
    ['What is 6 times 7?']
    """
    if isinstance(prompts, (str, Prompt)):
        one = "string" if isinstance(prompts, str) else "prompt"
        raise InvalidPromptError(f"prompts must be a sequence of prompts, not one {one}; write [prompt]")
    if not isinstance(prompts, Iterable) or isinstance(prompts, Mapping) or hasattr(prompts, "columns"):
        raise InvalidPromptError(
            f"prompts must be a sequence of prompts, got {type(prompts).__name__}; of a table, give the "
            "column of prompts"
        )
    result: list[Prompt] = []
    seen: dict[str, int] = {}
    for index, item in enumerate(prompts):
        if isinstance(item, Prompt):
            if item.id in seen:
                raise InvalidPromptError(
                    f"prompt {index}: the id {item.id!r} is given twice; ids must be unique"
                )
            prompt = item
        elif isinstance(item, str):
            if not item.strip():
                raise InvalidPromptError(f"prompt {index} is empty; give it a text or leave it out")
            prompt = Prompt(text=item)
            if prompt.id in seen:
                copy = seen[prompt.id] + 1
                while f"{prompt.id}#{copy}" in seen:
                    copy += 1
                seen[prompt.id] = copy
                prompt = Prompt(id=f"{prompt.id}#{copy}", text=item, group=prompt.id)
        else:
            raise InvalidPromptError(
                f"prompt {index} must be a Prompt or a string, got {type(item).__name__}"
            )
        seen.setdefault(prompt.id, 1)
        result.append(prompt)
    return tuple(result)


def _texts(content: object) -> Sequence[str]:
    """Return the text parts of one chat message's content."""
    if isinstance(content, str):
        return [content]
    if isinstance(content, Sequence):
        texts = [part.get("text") for part in content if isinstance(part, Mapping)]
        return [text for text in texts if isinstance(text, str)]
    return []
