"""Choose which column of a table means what: by the names given, else by common ones.

A guess is always told, never silent: the choice says which columns were taken, and which nothing reads. It
looks at names only; what the cells say against a guess is left to `difficulty.log.tables.choice_by_cells`.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Mapping
from typing import Final, NamedTuple

from difficulty.errors import InvalidInputError
from difficulty.log.wire import SampleWire

SAMPLE_FIELDS: Final = SampleWire.__struct_fields__
LINE_FIELDS: Final = (
    "prompt_id",
    "prompt",
    "messages",
    "group",
    "gold",
    "generator",
    "strategy",
    "params",
    "meta",
    "n",
    "n_correct",
)
FAMILY: Final = "family"
"""What a column of families becomes: a key of `meta`, which is no field of a line."""

# In order of preference; a field without an entry is found under its own name. A column is taken once, by the
# first field here that wants it: `answer` is the model's where no column says so more clearly, else the key.
_COMMON: Final[dict[str, tuple[str, ...]]] = {
    "samples": ("samples", "completions", "responses", "generations", "outputs", "rollouts", "choices"),
    "prompt_id": (
        "prompt_id", "question_id", "problem_id", "task_id", "doc_id", "example_id", "unique_id", "qid",
        "uid", "id", "idx", "index",
    ),
    "prompt": ("prompt", "question", "problem", "query", "instruction", "prompt_text", "input"),
    "messages": ("messages", "conversation"),
    "answer": (
        "predicted_answer", "prediction", "predicted", "pred", "pred_answer", "extracted_answer",
        "parsed_answer", "model_answer", "answer", "final_answer", "extracted",
    ),
    "gold": (
        "gold", "gold_answer", "target", "reference", "reference_answer", "expected_answer", "expected",
        "ground_truth", "correct_answer", "gt", "gts", "gt_answer", "answer", "solution",
    ),
    "correct": (
        "correct", "is_correct", "correctness", "is_right", "right", "passed", "is_passed", "pass",
        "exact_match", "accuracy", "acc", "success", "solved", "is_solved", "verdict",
    ),
    "output_tokens": (
        "output_tokens", "completion_tokens", "n_output_tokens", "num_output_tokens", "generated_tokens",
        "response_tokens", "n_tokens", "num_tokens", "token_count", "tokens", "completion_length",
        "response_length",
    ),
    "prompt_tokens": ("prompt_tokens", "input_tokens", "n_prompt_tokens", "num_prompt_tokens"),
    "generator": ("generator", "model", "model_name", "model_id", "llm"),
    "reward": ("reward", "graded_reward", "partial_credit"),
    "score": ("score", "verifier_score", "reward_score", "rm_score", "prm_score"),
    "mean_logprob": ("mean_logprob", "avg_logprob", "mean_log_prob"),
    "text": (
        "text", "completion", "response", "output", "generation", "generated_text", "generated_response",
        "model_response", "full_model_response", "model_output", "raw_output",
    ),
    "finish": ("finish", "finish_reason", "stop_reason"),
    FAMILY: (
        "family", "task", "task_name", "task_type", "category", "subject", "topic", "domain", "kind", "type",
        "dataset", "benchmark",
    ),
}  # fmt: skip
_INSIDE: Final = {"text": ("content", "message")}  # of one sample; elsewhere these are the prompt's


class ColumnChoice(NamedTuple):
    """Which columns are read.

    Attributes
    ----------
    columns : dict of str to str
        Column of each field, in the order of the fields.
    guessed : frozenset of str
        Fields whose column nobody named.
    unused : tuple of str
        Columns that nothing reads, in the order of the table.
    """

    columns: dict[str, str]
    guessed: frozenset[str]
    unused: tuple[str, ...]

    def without(self, field: str, *, becomes: str | None = None) -> ColumnChoice:
        """Return the choice without a guessed field, whose column may mean another one."""
        columns = dict(self.columns)
        column = columns.pop(field)
        if becomes is not None:
            columns[becomes] = column
            return ColumnChoice(columns, self.guessed - {field} | {becomes}, self.unused)
        return ColumnChoice(columns, self.guessed - {field}, (*self.unused, column))

    def taking(self, field: str, column: str) -> ColumnChoice:
        """Return the choice with an unused column, which is guessed to hold a field."""
        unused = tuple(name for name in self.unused if name != column)
        return ColumnChoice(self.columns | {field: column}, self.guessed | {field}, unused)


def choose_columns(
    names: Iterable[str], given: Mapping[str, str] | None = None, *, nested: bool = False
) -> ColumnChoice:
    """Choose the column of each field.

    Parameters
    ----------
    names : iterable of str
        Columns of the table.
    given : mapping of str to str, optional
        Columns that the caller named, by field; they go before all guesses.
    nested : bool
        Whether the columns are those of one sample inside a row, which is no prompt and has no samples.

    Raises
    ------
    InvalidInputError
        When a given field does not exist, or a given column is not in the table.

    Examples
    --------
    >>> choice = choose_columns(["ID", "question", "pred", "is_correct", "seed"])
    >>> choice.columns
    {'prompt_id': 'ID', 'prompt': 'question', 'answer': 'pred', 'correct': 'is_correct'}
    >>> choice.unused
    ('seed',)
    """
    table = list(dict.fromkeys(names))
    composed = {_composed(name): name for name in table}
    given = {field: composed.get(_composed(column), column) for field, column in (given or {}).items()}
    fields = ["samples", *LINE_FIELDS, FAMILY, *SAMPLE_FIELDS]
    for field, column in given.items():
        if field not in fields:
            raise InvalidInputError(f"{field!r} is no field of a log; there are: {', '.join(fields)}")
        if column not in table and not nested:
            raise InvalidInputError(
                f"there is no column {column!r} for {field}; the table has: {', '.join(table) or 'none'}"
            )
    found = {field: column for field, column in given.items() if column in table}
    taken = set(found.values())
    open_fields = [
        field
        for field in [*_COMMON, *(field for field in fields if field not in _COMMON)]
        if field not in found and (not nested or field in SAMPLE_FIELDS)
    ]
    for written in (_usual, _singular, _last_part):  # exact names go before what only resembles them
        by_name: dict[str, str] = {}
        for name in table:
            by_name.setdefault(written(name), name)
        if written is _last_part:  # of one object only, or nobody knows whose it is
            ends = list(map(_last_part, table))
            by_name = {end: name for end, name in by_name.items() if ends.count(end) == 1}
        for field in open_fields:
            common = _COMMON.get(field, (field,)) + (_INSIDE.get(field, ()) if nested else ())
            free = (by_name[name] for name in common if name in by_name and by_name[name] not in taken)
            first = next(free, None) if field not in found else None
            if first is not None:
                found[field] = first
                taken.add(first)
    for pair in (("n", "n_correct"), ("chain", "step")):
        both = all(field in found for field in pair)
        for field in pair:  # either alone means something else, such as a trainer's step
            if field in found and field not in given and not both:
                taken.discard(found.pop(field))
    ordered = {field: found[field] for field in fields if field in found}
    return ColumnChoice(
        ordered, frozenset(ordered) - given.keys(), tuple(name for name in table if name not in taken)
    )


def _usual(name: str) -> str:
    """Write a column's name as the common ones are written.

    Examples
    --------
    >>> _usual("Is Correct"), _usual("isCorrect"), _usual("model-name")
    ('is_correct', 'is_correct', 'model_name')
    """
    split = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name.strip())
    return re.sub(r"[\s\-.]+", "_", split).lower()


def _singular(name: str) -> str:
    """Write the name of a column of lists as that of one of their values.

    Examples
    --------
    >>> _singular("Predictions"), _singular("is_corrects"), _singular("correctness")
    ('prediction', 'is_correct', 'correctness')
    """
    usual = _usual(name)
    return usual if usual.endswith("ss") else usual.removesuffix("s")


def _last_part(name: str) -> str:
    """Write the last part of a name that was put together from those of nested objects.

    Examples
    --------
    >>> _last_part("usage.completion_tokens"), _last_part("result/is correct"), _last_part("answer")
    ('completion_tokens', 'is_correct', '')
    """
    parts = re.split(r"[./:]|__", name.strip())
    return _usual(parts[-1]) if len(parts) > 1 else ""


def _composed(name: str) -> str:
    """Write a name with its accents in one way."""
    return unicodedata.normalize("NFC", name.strip())
