"""Measure what can be read off a prompt's surface: sizes, numbers, operators, words, structure.

Everything is counted on the whole batch at once with numpy, so that ten thousand prompts take a fraction of a
second and one prompt a fraction of a millisecond. It assumes nothing about the task: arithmetic, word
problems, code, mathematics and multiple choice each have columns that say something about them, and a
predictor picks. Similarity of wording is left to `difficulty.features.text.embedding`.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache

import numpy as np
from numpy.typing import NDArray

from difficulty.features.text.literals import LITERAL_STATISTICS, literal_statistics
from difficulty.features.text.numbers import NUMBER_STATISTICS, number_statistics
from difficulty.features.text.tokens import (
    LETTER,
    MARK,
    N_CODES,
    SPACE,
    TextTokens,
    chunks,
    distinct_by_text,
    first_of_runs,
    histogram,
    largest_by_text,
    tokenize,
)
from difficulty.features.text.words import WORD_STATISTICS, word_statistics

_NEWLINE = ord("\n")
_ZERO = np.zeros(1, dtype=np.int64)

_MARKS: dict[str, str] = {
    "plus": "+",
    "minus": "-",
    "times": "*",
    "slash": "/",
    "equals": "=",
    "percent": "%",
    "caret": "^",
    "compare": "<>",
    "round_bracket": "(",
    "square_bracket": "[",
    "brace": "{",
    "comma": ",",
    "colon": ":",
    "period": ".",
    "question_mark": "?",
    "quote": "'\"",
    "dollar": "$",
    "backslash": "\\",
    "underscore": "_",
}
_SIZES = (
    "log_characters",
    "log_tokens",
    "lines",
    "sentences",
    "longest_word",
    "mean_word_length",
    "longest_line",
    "unique_token_ratio",
    "unique_tokens",
    "entropy",
    "distinct_characters",
    "words",
    "unique_words",
    "letter_ratio",
    "digit_ratio",
    "space_ratio",
    "upper_case_ratio",
    "beyond_ascii_ratio",
    "max_nesting",
    "mean_nesting",
    "max_indent",
    "mean_indent",
    "calls",
    "methods",
    "subscripts",
    "latex_commands",
    "choices",
)
_WHOLE: tuple[str, ...] = (
    *_SIZES,
    *NUMBER_STATISTICS,
    *(f"{name}_marks" for name in _MARKS),
    *WORD_STATISTICS,
    *LITERAL_STATISTICS,
)
# What is measured again on the last line alone: in a task that gives material first and the question or the
# call last, it is the last line that says how much work there is. On logs of code execution this added .04 to
# an R squared of .31 (output prediction) and of .21 (input prediction).
_LAST_LINE = (
    "log_characters",
    "log_tokens",
    "entropy",
    "distinct_characters",
    "unique_token_ratio",
    "letter_ratio",
    "digit_ratio",
    "upper_case_ratio",
    "max_nesting",
    "numbers",
    "log_largest",
    "log_smallest",
    "log_product",
    "number_digits",
    "mean_digits",
    "plus_marks",
    "minus_marks",
    "round_bracket_marks",
    "square_bracket_marks",
    "brace_marks",
    "comma_marks",
    "colon_marks",
    "question_words",
    *LITERAL_STATISTICS,
)
_LAST_LINE_COLUMNS = np.array([_WHOLE.index(name) for name in _LAST_LINE])
TEXT_STATISTICS: tuple[str, ...] = (*_WHOLE, *(f"last_line_{name}" for name in _LAST_LINE))
"""Names of the columns of `text_statistics`, in order."""


def text_statistics(texts: Sequence[str]) -> NDArray[np.float32]:
    """Measure the surface of P texts.

    Parameters
    ----------
    texts : sequence of str
        P texts.

    Returns
    -------
    numpy.ndarray, shape (P, F), float32
        F statistics per text in the order of `TEXT_STATISTICS`, all finite: counts, ratios in [0, 1], natural
        logarithms of sizes, and what `number_statistics` gives. Columns of the last line are those of an
        empty text where there is only one line. A text's row does not depend on the other texts.

    Examples
    --------
    >>> row = dict(zip(TEXT_STATISTICS, text_statistics(["Compute 12 * 510"])[0].tolist()))
    >>> row["numbers"], row["most_digits"], row["times_marks"], round(row["log_product"], 2)
    (2.0, 3.0, 1.0, 3.82)
    """
    parts = [with_last_lines(texts[part]) for part in chunks(texts)]
    empty = np.empty((0, len(TEXT_STATISTICS)), dtype=np.float32)
    return np.concatenate([empty, *(statistics_of(part, tokenize(part)) for part in parts)])


def with_last_lines(texts: Sequence[str]) -> list[str]:
    """Return P texts and after them their last lines, (2P,): cut in one pass, since for one prompt calls cost
    more than characters.
    """
    return [*texts, *(_last_line(text) for text in texts)]


def statistics_of(both: Sequence[str], tokens: TextTokens) -> NDArray[np.float32]:
    """Return `text_statistics` of P texts, given as `with_last_lines` and cut into tokens."""
    n_texts = len(both) // 2
    table = _measure(both, tokens)
    return np.concatenate([table[:n_texts], table[n_texts:, _LAST_LINE_COLUMNS]], axis=1, dtype=np.float32)


def _last_line(text: str) -> str:
    """Return the last line that is not blank, or "" when it is the only one."""
    before, _, last = text.rstrip().rpartition("\n")
    return last if before and not before.isspace() else ""


def _measure(texts: Sequence[str], tokens: TextTokens) -> NDArray[np.float64]:
    """Measure P texts as they are; shape (P, len(_WHOLE))."""
    n_texts = len(tokens)
    owner = np.arange(n_texts).repeat(tokens.sizes)
    counts = histogram(tokens.codes, owner, n_texts).astype(np.float64)
    counts[:, _NEWLINE] -= 1  # the one that `tokenize` appends
    return np.concatenate(
        [
            _sizes(tokens, counts),
            number_statistics(tokens),
            counts @ _mark_table(),
            word_statistics(tokens),
            literal_statistics(texts, tokens),
        ],
        axis=1,
    )


def _sizes(tokens: TextTokens, counts: NDArray[np.float64]) -> NDArray[np.float64]:
    """Measure lengths, variety, nesting and lines; shape (P, len(_SIZES))."""
    codes, classes, owner, start, end = tokens.codes, tokens.classes, tokens.owner, tokens.start, tokens.end
    n_texts = len(tokens)
    n_characters = tokens.sizes - 1
    per_character = 1.0 / np.maximum(n_characters, 1)
    head, following, preceding = codes[start], codes[end], codes[start - 1]
    kind, next_class = classes[start], classes[end]
    is_word = kind == LETTER

    n_tokens = np.bincount(owner, minlength=n_texts)
    per_token = 1.0 / np.maximum(n_tokens, 1)
    # Words and other tokens of a text have nothing in common.
    distinct = distinct_by_text(tokens.hashes, owner + n_texts * is_word, 2 * n_texts).reshape(2, n_texts)
    n_unique = distinct[0] + distinct[1]
    word_length = np.where(is_word, end - start, 0)
    entropy = np.log(np.maximum(n_characters, 1)) - per_character * np.einsum(
        "pc,pc->p", counts, np.log(np.maximum(counts, 1.0))
    )
    depth = _depth(head, n_tokens)

    longest_word, max_nesting = largest_by_text(np.array([word_length, depth]), owner, n_texts)

    line_end = (codes == _NEWLINE).nonzero()[0]
    line_start = np.concatenate([_ZERO, line_end[:-1] + 1])
    n_lines = counts[:, _NEWLINE].astype(np.int64) + 1
    token_line = line_end.searchsorted(start)
    opens = first_of_runs(token_line)
    indent = start[opens] - line_start[token_line[opens]]

    is_label = is_word & (end - start == 1) & (head <= ord("h"))
    choices = is_label & (following == ord(")")) & (preceding == ord("(")) & (classes[start - 2] == SPACE)
    choices |= is_label & (preceding == _NEWLINE) & (next_class == MARK)

    counted = {
        "words": is_word,
        "sentences": _is_end_of_sentence()[head] & (next_class == SPACE),
        "calls": is_word & (following == ord("(")),
        "subscripts": is_word & (following == ord("[")),
        "methods": (head == ord(".")) & (next_class == LETTER),
        "latex_commands": (head == ord("\\")) & (next_class == LETTER),
        "choices": choices,
    }
    row, token = np.array(list(counted.values())).nonzero()
    n_counted = np.bincount(row * n_texts + owner[token], minlength=len(counted) * n_texts)
    columns = {
        **dict(zip(counted, n_counted.reshape(len(counted), n_texts), strict=True)),
        "log_characters": np.log1p(n_characters),
        "log_tokens": np.log1p(n_tokens),
        "lines": n_lines,
        "longest_word": longest_word,
        "longest_line": np.maximum.reduceat(line_end - line_start, n_lines.cumsum() - n_lines),
        "unique_token_ratio": n_unique * per_token,
        "unique_tokens": n_unique,
        "entropy": entropy,
        "distinct_characters": np.count_nonzero(counts, axis=1),
        "unique_words": distinct[1],
        "letter_ratio": counts[:, ord("a") : ord("z") + 1].sum(axis=1) * per_character,
        "digit_ratio": counts[:, ord("0") : ord("9") + 1].sum(axis=1) * per_character,
        "space_ratio": (counts[:, ord(" ")] + counts[:, _NEWLINE]) * per_character,
        "upper_case_ratio": tokens.upper_case * per_character,
        "beyond_ascii_ratio": counts[:, -1] * per_character,
        "max_nesting": max_nesting,
        "mean_nesting": np.bincount(owner, depth, minlength=n_texts) * per_token,
        "max_indent": largest_by_text(indent, owner[opens], n_texts),
        "mean_indent": np.bincount(owner[opens], indent, minlength=n_texts) / n_lines,
    }
    n_words = np.maximum(columns["words"], 1)
    columns["mean_word_length"] = np.bincount(owner, word_length, minlength=n_texts) / n_words
    return np.array([columns[name] for name in _SIZES], dtype=np.float64).T


def _depth(head: NDArray[np.uint16], n_tokens: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return how many brackets are open at each token, counted from the start of its text."""
    depth: NDArray[np.int64] = _bracket_step()[head].cumsum()
    first = n_tokens.cumsum() - n_tokens
    depth -= np.concatenate([_ZERO, depth])[first].repeat(n_tokens)
    return depth


@cache
def _mark_table() -> NDArray[np.float64]:
    """Tabulate which characters each column of marks counts; shape (129, len(_MARKS))."""
    table = np.zeros((N_CODES, len(_MARKS)))
    for column, marks in enumerate(_MARKS.values()):
        table[[ord(mark) for mark in marks], column] = 1.0
    return table


@cache
def _bracket_step() -> NDArray[np.int64]:
    """Tabulate +1 for an opening and -1 for a closing bracket over all codes."""
    step = np.zeros(65536, dtype=np.int64)
    step[[ord(mark) for mark in "([{"]] = 1
    step[[ord(mark) for mark in ")]}"]] = -1
    return step


@cache
def _is_end_of_sentence() -> NDArray[np.bool_]:
    """Tabulate which codes end a sentence."""
    ends = np.zeros(65536, dtype=np.bool_)
    ends[[ord(mark) for mark in ".!?。？！"]] = True
    return ends
