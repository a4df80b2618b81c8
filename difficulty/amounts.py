"""Write numbers for people: four significant digits, with their unit; prices with two.

Words around them are left to whoever says something.
"""

from __future__ import annotations


def number(value: float) -> str:
    """Four significant digits, thousands separated, exponents only beyond a billion or below 1e-6.

    Examples
    --------
    >>> number(5.394e-05), number(0.01), number(12345.6), number(float("nan"))
    ('0.00005394', '0.01', '12,346', '–')
    """
    if value != value:
        return "–"
    if abs(value) >= 1e9 or 0 < abs(value) < 1e-6:
        return f"{value:.3e}"
    if 0 < abs(value) < 1e-4:
        return f"{float(f'{value:.4g}'):.9f}".rstrip("0")
    if abs(value) >= 1000:
        return f"{value:,.0f}"
    return f"{value:.4g}"


def amount(value: float, unit: str) -> str:
    """Write a number with its unit, of one in the singular.

    Examples
    --------
    >>> amount(1.0, "samples"), amount(1230.2, "output_tokens")
    ('1 sample', '1,230 output tokens')
    """
    told, words = number(value), unit.replace("_", " ")
    return f"{told} {words.removesuffix('s') if told == '1' else words}"


def price_tag(price: float) -> str:
    """Write a price in two digits, as people read it and options take it.

    Examples
    --------
    >>> price_tag(718_204.0), price_tag(9.61), price_tag(1.66e-4)
    ('720000', '9.6', '0.00017')
    """
    return f"{float(f'{price:.2g}'):g}"
