"""What number a text says: the default rule of collecting, on what models write."""

from __future__ import annotations

import pytest

from planner.answers.characters import plain
from planner.answers.rules import Boxed, FirstOf, JsonField, LastNumber

DEFAULT = FirstOf(rules=(Boxed(), LastNumber()))


def said(text: str) -> str | None:
    return DEFAULT.extract(text, "stop")


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("So the answer is 5/8.", "0.625"),
        ("Hence y = 9/4.", "2.25"),
        ("He drank 2 / 5.", "0.4"),
        ("The slope is -5/2.", "-2.5"),
        ("That makes 7/36. Done.", "7/36"),
        ("(1/4).", "0.25"),
        ("on 1/2/2024", "2024"),
        ("it takes 7 2/3 hours", "23/3"),
        ("use 3 1/4 cups", "3.25"),
        ("-2 1/2", "-2.5"),
        ("from step 2 3/2 follows", "1.5"),
        (r"\boxed{3\frac{3}{4}}", "3.75"),
        (r"\boxed{-1\tfrac{1}{3}}", "-4/3"),
        (r"thus $\frac{5}{8}$", "0.625"),
        (r"thus $-\dfrac{7}{3}$.", "-7/3"),
        (r"\frac12 of it", "0.5"),
        (r"\frac{1,000}{3}", "1000/3"),
    ],
)
def test_fractions_and_mixed_numbers(text: str, number: str) -> None:
    assert said(text) == number


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("so $2{,}500$ in all", "2500"),
        (r"\boxed{1{,}234{,}567}", "1234567"),
        (r"\boxed{22,\! 333,\! 444}", "22333444"),
        (r"\boxed{75\,000}", "75000"),
        (r"\boxed{75\ 000}", "75000"),
        ("about 12\u202f500", "12500"),
        ("about 1\u00a0000\u00a0000", "1000000"),
        ("rund 1'500", "1500"),
        (r"The total is \$1{,}234.50.", "1234.5"),
        (r"\boxed{\$1{,}234.50}", "1234.5"),
        ("a total of $18.00.", "18"),
        ("36 pens, in all.", "36"),
        ("x = 2.75.", "2.75"),
    ],
)
def test_thousands_and_money(text: str, number: str) -> None:
    assert said(text) == number


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("It weighs 3 \u00d7 10^4 kg", "30000"),
        (r"$1.5 \times 10^{2}$", "150"),
        (r"$4 \cdot 10^{-2}$", "0.04"),
        ("3 x 10^2", "300"),
        ("There are 10^5", "100000"),
        ("6.5e-2", "0.065"),
        ("2^{12}", "4096"),
        ("2**8 = 256", "256"),
        ("10\u207b\u00b2", "0.01"),
        ("6\u00d710\u2074", "60000"),
        ("12 cm^2", "12"),
        ("an area of 12 m\u00b2", "12"),
        ("12 m2", "12"),
        (r"\boxed{30\text{ cm}^3}", "30"),
        (r"\boxed{9.8\,\text{m/s}^2}", "9.8"),
        (r"\boxed{7\mathrm{~km}}", "7"),
        (r"\boxed{15 \text{ apples}}", "15"),
        (r"\boxed{60 \text{ miles per hour}}", "60"),
        (r"\boxed{50\%}", "50"),
        (r"\boxed{45^{\circ}}", "45"),
        ("it is 20\u00b0C", "20"),
        (r"\boxed{x = 5}", "5"),
        (r"\boxed{\approx 2.5}", "2.5"),
        (r"\boxed{20\text{ million}}", "20 million"),
    ],
)
def test_powers_and_units(text: str, number: str) -> None:
    assert said(text) == number


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("\u221217", "-17"),
        ("\u201317", "-17"),
        ("\uff11\uff17", "17"),
        ("\u0661\u0667", "17"),
        ("\U0001d7cf\U0001d7d5", "17"),
        ("2\u00bd cups", "2.5"),
        ("\u00be", "0.75"),
        ("9 - 4", "4"),
        ("Answer - 6", "6"),
        ("n = - 6", "-6"),
        ("pages 3-7", "7"),
        ("it is 3:45", "3:45"),
        ("**17**", "17"),
        ("Final Answer: **-1/2**", "-0.5"),
        ("#### -8", "-8"),
        ("#### $1,200\n", "1200"),
        ("#### 2. Solve it\nwhich gives 9", "9"),
        ("Answer: 6,", "6"),
    ],
)
def test_signs_digits_and_marks(text: str, number: str) -> None:
    assert said(text) == number


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("The answer is 72 clips in 2 months.", "72"),
        ("The answer is $40. I checked it 3 times.", "40"),
        ("The answer is 5 + 7 = 12.", "12"),
        ("The answer is x = -3, as 2 shows.", "-3"),
        ("The answer is 5. Wait, that is wrong: 7.", "7"),
        ("\u7b54\u6848\u662f 36\u3002", "36"),
        ("\u7b54\u6848\uff1a3/4\uff0c\u517110\u5206", "0.75"),
        ("The answer is 72. Then each of 3 gets 24.", "24"),
        ("The result is 12. Then we divide by 3 to get 4.", "4"),
    ],
)
def test_a_stated_number_goes_before_a_later_one(text: str, number: str) -> None:
    assert said(text) == number


@pytest.mark.parametrize(
    ("first", "second", "same"),
    [
        ("10\u00b3", "103", False),
        ("10\u00b3", "1000", True),
        ("\u00bc", "0.25", True),
        ("1\u00bc", "11/4", False),
        ("1\u00bc", "1.25", True),
        ("5 cm", "5", True),
        ("5 cm", "5 centimeters", True),
        ("5 cm", "5 m", False),
        (r"5\text{ am}", r"5\text{ pm}", False),
        ("x = 5", "5", True),
        ("x = 5", "y = 5", False),
        ("(1,2)", "(1, 2)", True),
        ("9" * 5000, "9" * 5000, True),
        ("9" * 5000, "9" * 4999 + "8", False),
        ("Yes", "No", False),
    ],
)
def test_equal_numbers(first: str, second: str, same: bool) -> None:
    assert Boxed().equal(first, second) is same and Boxed().equal(second, first) is same
    assert DEFAULT.equal(first, second) is same


@pytest.mark.parametrize(
    "text",
    [
        "9" * 5000,
        "-" + "9" * 5000 + ".",
        r"\boxed{" + "7" * 5000 + "}",
        "1/" + "3" * 5000,
        "1e99999",
        "2^99999",
    ],
)
def test_a_runaway_number_is_an_answer_like_others(text: str) -> None:
    answer = said(text)
    assert answer is not None and DEFAULT.equal(answer, answer)
    assert not DEFAULT.equal(answer, "3")


def test_superscripts_and_fractions_keep_their_meaning() -> None:
    assert plain("x\u2081\u00b2 + \u00bd \u2044 2\u2153") == "x_{1}^{2} + 1/2 / 2 1/3"


FIELD = JsonField(field="answer")
LONG = "8" * 5000


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        ('{"answer": ' + LONG + "}", LONG),
        ('{"id": ' + LONG + '} {"answer": 7}', "7"),
        ('{"answer": [1, ' + LONG + "]}", f'[1, "{LONG}"]'),
        ('{"answer": 1e999}', "1e999"),
        ('{"answer": 1.50}', "1.5"),
        ('{"so: {"answer": 3}', "3"),
        ('{"a": {"answer": 4}', "4"),
        ('{"answer": 5} and {oops {"answer": "6"', "5"),
        ('{"text": "a } b { c", "answer": 7}', "7"),
        ('{"text": "two\nlines", "answer": 8}', "8"),
        ('{"a": [{"answer": 1}], "answer": 2}', "2"),
        ('{"answer": 01} {"answer": 3}', "3"),
        ('{"a":' * 400 + "1" + "}" * 400 + '{"answer": 9}', "9"),
        ('{"answer": 1,}', None),
        ("{'answer': 1}", None),
    ],
)
def test_json_objects_in_text(text: str, answer: str | None) -> None:
    assert FIELD.extract(text, "stop") == answer
