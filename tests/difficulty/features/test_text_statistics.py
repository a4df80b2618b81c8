"""Text statistics: each column against a plain computation, and rows independent of their batch."""

from __future__ import annotations

import math
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from difficulty.features.text.statistics import TEXT_STATISTICS, text_statistics

_TEXT = st.text(alphabet="aB é1205.,'\"()[]{}=+-*/\\\n ?!:$_", max_size=60)
_CODE = """Predict the output.
def f(text):
    out = []
    for c in text:
        if c.isalpha():
            out.append(c[0])
    return out
assert f('Ab, b', -12) == ??
"""


def _row(text: str) -> dict[str, float]:
    return dict(zip(TEXT_STATISTICS, text_statistics([text])[0].tolist(), strict=True))


def test_names_are_unique_and_fit_the_columns() -> None:
    assert len(set(TEXT_STATISTICS)) == len(TEXT_STATISTICS)
    assert text_statistics(["a", "b"]).shape == (2, len(TEXT_STATISTICS))
    assert text_statistics([]).shape == (0, len(TEXT_STATISTICS))
    assert text_statistics(["a"]).dtype == np.float32


def test_code_prompt() -> None:
    row = _row(_CODE)
    expected = {
        "lines": 9,
        "sentences": 2,
        "max_indent": 12,
        "calls": 4,
        "methods": 2,
        "subscripts": 1,
        "max_nesting": 2,
        "loop_words": 1,
        "branch_words": 1,
        "definition_words": 2,
        "string_method_words": 1,
        "list_method_words": 1,
        "literals": 1,
        "literal_characters": 5,
        "literal_marks": 2,
        "literal_repeats": 1,
        "last_line_literal_characters": 5,
        "last_line_numbers": 1,
        "last_line_minus_marks": 1,
        "last_line_max_nesting": 1,
        "upper_case_ratio": 2 / len(_CODE),
    }
    assert {name: row[name] for name in expected} == pytest.approx(expected)


def test_word_problem() -> None:
    row = _row("Ann has 12 cups. She buys twice as many. How many are left?")
    expected = {
        "sentences": 3,
        "words": 12,
        "unique_words": 11,
        "question_words": 1,
        "adding_words": 1,
        "multiplying_words": 1,
        "subtracting_words": 1,
        "question_mark_marks": 1,
        "longest_word": 5,
        "numbers": 1,
    }
    assert {name: row[name] for name in expected} == pytest.approx(expected)
    assert row["last_line_log_characters"] == 0, "one line has no last line of its own"


def test_numbers() -> None:
    row = _row("7 * 0070 + 1.25 - 7 and x9, 2300")
    expected = {
        "numbers": 5,  # 7, 0070, 1, 7, 2300; .25 is a decimal and x9 a name
        "unique_numbers": 4,
        "decimals": 1,
        "log_largest": math.log10(2301),
        "log_smallest": math.log10(2),
        "log_sum": math.log10(1 + 7 + 70 + 1 + 7 + 2300),
        "log_product": sum(math.log10(1 + value) for value in (7, 70, 1, 7, 2300)),
        "most_digits": 4,
        "mean_digits": 11 / 5,
        "number_digits": 11,
        "significant_digits": 1 + 3 + 1 + 1 + 2,
        "digit_sum": 7 + 7 + 1 + 7 + 5,
    }
    assert {name: row[name] for name in expected} == pytest.approx(expected, rel=1e-6)


def test_huge_number_stays_finite() -> None:
    row = _row("9" * 5000)
    assert row["most_digits"] == 5000
    assert all(math.isfinite(value) for value in row.values())


def test_mathematics_and_choices() -> None:
    row = _row("Let $\\alpha > 0$ and $x^2 = \\frac{1}{2}$.\n(A) one\n(B) two\nC. three")
    expected = {"latex_commands": 2, "dollar_marks": 4, "caret_marks": 1, "backslash_marks": 2, "choices": 3}
    assert {name: row[name] for name in expected} == expected
    assert _row("def g(a): return f(b)")["choices"] == 0


@given(_TEXT)
def test_simple_columns_agree_with_python(text: str) -> None:
    row = _row(text)
    counts = {char: text.lower().count(char) for char in set(text.lower())}
    entropy = -sum(n / len(text) * math.log(n / len(text)) for n in counts.values()) if text else 0.0
    expected = {
        "log_characters": math.log1p(len(text)),
        "lines": text.count("\n") + 1,
        "longest_line": max(len(line) for line in text.split("\n")),
        "entropy": entropy,
        "distinct_characters": len(counts),
        "digit_ratio": sum(char in "0125" for char in text) / max(len(text), 1),
        "upper_case_ratio": text.count("B") / max(len(text), 1),
        "beyond_ascii_ratio": text.count("é") / max(len(text), 1),
        "comma_marks": text.count(","),
        "quote_marks": text.count("'") + text.count('"'),
    }
    assert {name: row[name] for name in expected} == pytest.approx(expected, abs=1e-5)


@given(st.lists(_TEXT, min_size=1, max_size=6))
def test_rows_do_not_depend_on_the_batch(texts: list[str]) -> None:
    together = text_statistics(texts)
    assert np.isfinite(together).all()
    for text, row in zip(texts, together, strict=True):
        np.testing.assert_array_equal(text_statistics([text])[0], row)


def test_broken_unicode_and_marks_beyond_ascii() -> None:
    rows = text_statistics(["\ud800 lone", "3 × 4 ÷ 2 ≤ 数学？", "\x00\x85"])
    assert np.isfinite(rows).all()
    assert rows[1, TEXT_STATISTICS.index("numbers")] == 3


def test_other_process_gives_equal_bytes() -> None:
    code = (
        "import sys; from difficulty.features.text.statistics import text_statistics;"
        f"sys.stdout.write(text_statistics([{_CODE!r}]).tobytes().hex())"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout == text_statistics([_CODE]).tobytes().hex()
