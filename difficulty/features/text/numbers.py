"""Measure the numbers that a text contains: how many, how large, how many digits.

A number is a token of digits only; the part after a decimal point is counted as a decimal and not as a number
of its own. It assumes Arabic digits and takes signs, thousands separators and units as text. Words for
numbers are left to the word groups of `difficulty.features.text.words`.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from difficulty.arithmetic.ragged import places
from difficulty.features.text.tokens import DIGIT, LETTER, TextTokens, distinct_by_text, largest_by_text

# Digits further left than this are ignored; 10**300 still fits in a float.
_MAX_DIGITS = 300
_POWERS = 10.0 ** np.arange(_MAX_DIGITS + 1)
_PERIOD = ord(".")

NUMBER_STATISTICS: tuple[str, ...] = (
    "numbers",
    "unique_numbers",
    "decimals",
    "log_largest",
    "log_smallest",
    "log_sum",
    "log_product",
    "most_digits",
    "mean_digits",
    "number_digits",
    "significant_digits",
    "digit_sum",
)
"""Names of the columns of `number_statistics`, in order."""


def number_statistics(tokens: TextTokens) -> NDArray[np.float64]:
    """Measure the numbers in P texts.

    Parameters
    ----------
    tokens : TextTokens
        P texts, cut into tokens.

    Returns
    -------
    numpy.ndarray, shape (P, 12)
        One column per name in `NUMBER_STATISTICS`. Logarithms are log10(1 + value); ``log_product`` is their
        sum; the largest and the smallest are -1 in a text without numbers. ``significant_digits`` leaves out
        trailing zeros, ``digit_sum`` is the sum of all digits.

    Examples
    --------
    >>> from difficulty.features.text.tokens import tokenize
    >>> row = number_statistics(tokenize(["Compute 12 * 510 + 0.5"]))[0]
    >>> [round(float(value), 2) for value in row]
    [3.0, 3.0, 1.0, 2.71, 0.0, 2.72, 3.82, 3.0, 2.0, 6.0, 4.0, 9.0]
    """
    n_texts = len(tokens)
    result = np.zeros((n_texts, len(NUMBER_STATISTICS)))
    result[:, 3:5] = -1.0
    whole = (tokens.classes[tokens.start] == DIGIT).nonzero()[0]
    if not whole.size:
        return result
    letters = np.add.reduceat(tokens.classes == LETTER, tokens.start, dtype=np.int64)
    whole = whole[letters[whole] == 0]
    start = tokens.start[whole]
    fraction = (
        (start >= 2)
        & (tokens.codes[start - 1] == _PERIOD)
        & (tokens.classes[np.maximum(start - 2, 0)] == DIGIT)
    )
    result[:, 2] = np.bincount(tokens.owner[whole[fraction]], minlength=n_texts)
    whole = whole[~fraction]
    if not whole.size:
        return result
    owner, start, end = tokens.owner[whole], tokens.start[whole], tokens.end[whole]
    lengths = end - start
    first = np.cumsum(lengths) - lengths
    place = places(start, lengths)
    digits = tokens.codes[place].astype(np.float64) - ord("0")
    exponent = np.minimum(np.repeat(end, lengths) - place - 1, _MAX_DIGITS)
    terms = digits * _POWERS[exponent]
    value = np.add.reduceat(terms, first)
    log_value = np.log10(1.0 + value)
    # A digit is significant when it or a digit to its right is not zero: the value modulo its power exceeds
    # zero.
    last_nonzero = np.maximum.reduceat(np.where(digits > 0, place, -1), first)
    significant = np.maximum(last_nonzero - start + 1, 0)

    n_numbers = np.bincount(owner, minlength=n_texts)
    result[:, 0] = n_numbers
    result[:, 1] = distinct_by_text(tokens.hashes[whole], owner, n_texts)
    extremes = np.array([log_value, -log_value, lengths])
    result[:, 3], smallest, result[:, 7] = largest_by_text(extremes, owner, n_texts, empty=[[-1], [1], [0]])
    result[:, 4] = -smallest
    result[:, 5] = np.log10(1.0 + np.bincount(owner, value, minlength=n_texts))
    result[:, 6] = np.bincount(owner, log_value, minlength=n_texts)
    result[:, 9] = np.bincount(owner, lengths, minlength=n_texts)
    result[:, 8] = result[:, 9] / np.maximum(n_numbers, 1)
    result[:, 10] = np.bincount(owner, significant, minlength=n_texts)
    result[:, 11] = np.bincount(owner, np.add.reduceat(digits, first), minlength=n_texts)
    return result
