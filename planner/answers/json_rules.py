"""Answers that are JSON: one field of an object, several fields, or the whole value.

The last object of a text that has what is asked for counts, as a model corrects itself at the end. Tool
calls, which are JSON of another kind, are left to `planner.answers.tool_calls`.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import final

from difficulty.errors import InvalidInputError
from planner.answers.json_objects import decoded, objects_from_last
from planner.answers.json_values import as_answer, canonical_json, field_of
from planner.answers.rule import AnswerRule


@final
@dataclass(frozen=True, kw_only=True, slots=True)
class JsonField(AnswerRule):
    """One field of the last JSON object in the text.

    Parameters
    ----------
    field : str
        Name of the field; dots go into nested objects.

    Examples
    --------
    >>> JsonField(field="answer").extract('Sure: {"answer": 42.0, "why": "6*7"}', "stop")
    '42'
    """

    field: str

    def find(self, text: str) -> str | None:
        """Return the field of the last JSON object that has it, as text."""
        for value in objects_from_last(text):
            found = field_of(value, self.field)
            if found is not None:
                return found if isinstance(found, str) else json.dumps(found, sort_keys=True)
        return None


@final
@dataclass(frozen=True, kw_only=True, slots=True)
class JsonFields(AnswerRule):
    """Several fields of the last JSON object that has one of them, compared together.

    Parameters
    ----------
    fields : tuple of str
        Names; dots go into nested objects. A field that is not there counts as null.

    Raises
    ------
    InvalidInputError
        When there is no field, or one is named twice.

    Examples
    --------
    >>> rule = JsonFields(fields=("city", "n"))
    >>> rule.extract('{"city": "Paris ", "n": 2.0, "why": "x"}', "stop")
    '{"city": "Paris", "n": 2}'
    """

    fields: tuple[str, ...]

    def __post_init__(self) -> None:
        if not self.fields or len(set(self.fields)) < len(self.fields) or not all(self.fields):
            raise InvalidInputError(f"fields must be different names, at least one; got {self.fields!r}")

    def find(self, text: str) -> str | None:
        """Return the fields as one object."""
        for value in objects_from_last(text):
            found = {name: field_of(value, name) for name in self.fields}
            if any(one is not None for one in found.values()):
                return json.dumps(found)
        return None

    def canonicalise(self, answer: str) -> str | None:
        """Return the object written in one way."""
        return _written(answer)


@final
@dataclass(frozen=True, kw_only=True, slots=True)
class JsonValue(AnswerRule):
    """The whole of a text in JSON, or else the last JSON object in it.

    Examples
    --------
    >>> rule = JsonValue()
    >>> rule.extract('{"n": 42.0, "city": "Paris"}', "stop") == rule.extract(
    ...     'Here: {"city": "Paris", "n": 42}', "stop"
    ... )
    True
    """

    def find(self, text: str) -> str | None:
        """Return the value as it stands in the text."""
        stripped = text.strip()
        if stripped.startswith("[") and decoded(stripped) is not None:
            return stripped
        return next((json.dumps(value) for value in objects_from_last(text)), None)

    def canonicalise(self, answer: str) -> str | None:
        """Return the value written in one way."""
        return _written(answer)


def _written(answer: str) -> str | None:
    value = decoded(answer)
    return None if value is None else canonical_json(value, text=as_answer)
