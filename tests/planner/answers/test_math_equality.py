"""When mathematical answers are equal: where it can be shown, and nowhere else."""

from __future__ import annotations

import pytest

from planner.answers.mathematics import MathAnswer

pytest.importorskip("sympy", reason="extra 'math' is not installed")

RULE = MathAnswer()

EQUAL = [
    # numbers and their notation
    (r"\frac{1}{2}", "0.5"),
    ("3 1/2", "3.5"),
    (r"3\frac{1}{2}", "7/2"),
    ("12\u00b2", "144"),
    ("\u00be", "0.75"),
    ("7{,}500", "7500"),
    (r"22,\! 333,\! 444", "22333444"),
    (r"4\times 10^3", "4000"),
    (r"\$1{,}000", "1000"),
    (r"30^\circ", "30"),
    ("25\\%", "25"),
    ("2^{100}-1", "1267650600228229401496703205375"),
    (r"\binom{6}{2}", "15"),
    ("4!", "24"),
    # expressions
    (r"\frac{\sqrt{2}}{2}", r"1/\sqrt{2}"),
    ("sqrt(3)/3", r"\frac{1}{\sqrt3}"),
    (r"\sqrt{72}", r"6\sqrt2"),
    (r"\sqrt[3]{24}", r"2\sqrt[3]{3}"),
    (r"2\sqrt{3}\text{ cm}", r"2\sqrt{3}"),
    (r"\dfrac{3\pi}{4}", "3pi/4"),
    (r"\ln 9", r"2\ln 3"),
    (r"\log_2 8", "3"),
    (r"e^{i\pi}", "-1"),
    (r"\sin 2t", r"2\sin t\cos t"),
    (r"\tan^{-1} 1", r"\frac{\pi}{4}"),
    ("x+1", "1+x"),
    ("y\u00b3", "y^3"),
    ("(x-1)^2", "x^2-2x+1"),
    ("x**2", "x^2"),
    ("n(n+1)/2", r"\frac{n(n+1)}{2}"),
    (r"\frac{1}{1-x}", r"-\frac{1}{x-1}"),
    ("|x-1|", "|1-x|"),
    ("a_1+a_2", "a_2+a_1"),
    ("0.25x", r"\frac{x}{4}"),
    # equations
    ("x=7", "7"),
    ("7=x", "7"),
    ("y=3x-1", "3x-1"),
    ("f(x)=3x-1", "3x-1"),
    ("3x+6y-4=0", "y=-x/2+2/3"),
    ("x^2+y^2=9", "y^2=9-x^2"),
    ("a=1, b=2", "b=2, a=1"),
    (r"x = 3 \text{ and } y=4", "x=3, y=4"),
    # several answers
    (r"\{2,1\}", r"\{1,2\}"),
    ("2, 3", "3,2"),
    ("x=2 or x=3", "2,3"),
    (r"x = 2, 3", r"\{2, 3\}"),
    (r"\pm 3", "3, -3"),
    (r"2\pm\sqrt{3}", r"2+\sqrt3, 2-\sqrt3"),
    ("8 and 27", "27, 8"),
    ("a = 2, b = 3", "(a, b) = (2, 3)"),
    (r"\{1, 1, 2\}", r"\{2, 1\}"),
    (r"\emptyset", r"\varnothing"),
    (r"\emptyset", r"\{\}"),
    # tuples, intervals, matrices
    (r"\left(3, \frac12\right)", "(3,0.5)"),
    ("(x,y)=(1,2)", "(1, 2)"),
    (r"(-\infty, 3)", "x<3"),
    (r"[3,\infty)", r"x \ge 3"),
    (r"0 < x \le 1", "(0,1]"),
    (r"x \in [0,1]", "[0, 1]"),
    (r"(-\infty,2)\cup(3,\infty)", r"(3,\infty) \cup (-\infty,2)"),
    (r"\begin{pmatrix}1\\2\end{pmatrix}", r"\begin{bmatrix} 1 \\ \frac42 \end{bmatrix}"),
    # words
    (r"\text{no}", "No"),
    ("July 4", "4 July"),
    ("Dec 25, 1999", "25 December 1999"),
    (r"\text{(B)}", "(B)"),
    (r"1, 2, \dots, n", r"1, 2, \dots, n"),
]

DIFFERENT = [
    # letters in another order
    ("CAB", "ABC"),
    ("north", "thorn"),
    ("on", "no"),
    ("B", "b"),
    ("5 apples", "5 papels"),
    (r"\text{cat}", r"\text{act}"),
    (r"\overline{AB}", r"\overline{BA}"),
    # equations
    ("x+2y=5", "x-y=5"),
    ("x+2y=5", "5"),
    ("2x=10", "10"),
    ("x=5", "y=5"),
    ("x-y+1=0", "x+y+1=0"),
    ("x^2+y^2=4", "x^2+y^2=5"),
    ("x^2/9+y^2/4=1", "x^2/9+y^2/5=1"),
    ("x=1, y=2", "x=2, y=1"),
    # close, and not equal
    (r"2 - \frac{1}{\mathrm{e}}", r"2 + \frac{1}{\mathrm{e}}"),
    (r"2 - \frac{1}{e}", "2"),
    (r"\frac{1}{1500!}", r"\frac{1}{1501!}"),
    (r"\frac{1}{3^{90}}", r"\frac{1}{3^{91}}"),
    (r"1+10^{-40}", "1"),
    ("0.333", "1/3"),
    ("3.14159", r"\pi"),
    (r"\sqrt{2}", "1.4142135623730950488016887242096980785696718753769"),
    ("e^{-900}", "0"),
    (r"\sqrt{x^2}", "x"),
    (r"\log x", r"\ln x"),
    ("i", "-i"),
    # no value
    ("1/0", "3/0"),
    (r"\frac{2}{0}", r"\frac{5}{0}"),
    (r"\frac{1}{0}", r"\infty"),
    (r"\infty", r"-\infty"),
    # not numbers at all
    ("10:30", "11:30"),
    ("2:3", "2/3"),
    (r"2, 4, \ldots, 2n", r"2, 4, 8, \ldots, 2^n"),
    (r"2, 4, \ldots, 2n", "4"),
    ("July 4", "July 5"),
    (r"2\text{ million}", "2"),
    ("5 cm", "5 m"),
    # two readings
    ("2 3", "5"),
    ("1/2x", "x/2"),
    ("x'", "x"),
    ("12\u00b2", "122"),
    # several answers
    ("8 and 27", "27"),
    ("n=3, 4, 5", "n=2, 3, 4"),
    ("1,2,3", "1,2"),
    ("(3,4)", "(4,3)"),
    ("(0,1)", "(0,1]"),
    ("D = (0, 2)", "D = (0, 2.5)"),
    (r"\pm 7", "7"),
    (r"x<2", r"x \le 2"),
    ("a = 2, b = 3", "(a, b) = (3, 2)"),
    ("1, 1, 2", "1, 2"),
    (r"\{\}", "(1, 2)"),
    ("x<2", "y<2"),
    ("(1,2)", "1, 2"),
    (r"\begin{pmatrix}1\\2\end{pmatrix}", r"\begin{pmatrix}2\\1\end{pmatrix}"),
]


@pytest.mark.parametrize(("first", "second"), EQUAL)
def test_what_can_be_shown_equal_is(first: str, second: str) -> None:
    assert RULE.equal(first, second) and RULE.equal(second, first)
    written = RULE.canonicalise(first)
    assert RULE.canonicalise(written or "") == written
    assert RULE.equal(written, second)


@pytest.mark.parametrize(("first", "second"), DIFFERENT)
def test_what_cannot_be_shown_equal_is_not(first: str, second: str) -> None:
    assert not RULE.equal(first, second) and not RULE.equal(second, first)
    assert RULE.equal(first, first) and RULE.equal(second, second)


# A value without its variable is what votes count, so that the name is lost there.
@pytest.mark.parametrize(
    ("first", "second"),
    [pair for pair in DIFFERENT if pair not in (("x=5", "y=5"), ("x<2", "y<2"), ("5 cm", "5 m"))],
)
def test_different_answers_get_different_votes(first: str, second: str) -> None:
    assert RULE.canonicalise(first) != RULE.canonicalise(second)


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        ("the answer is 2{,}500", "2500"),
        ("It is 6 \u00d7 10^2.", "600"),
        ("The answer is 7 2/3.", "23/3"),
        ("Final Answer: **91**", "91"),
        ("The answer is 5/8.", "0.625"),
        (r"Therefore the answer is $x^2 + 1$.", "x^{2} + 1"),
        (r"so \(\frac{\sqrt{8}}{2}\) in all", r"\sqrt{2}"),
        (r"Answer: \[ \frac{6}{8} \]", "0.75"),
        ("Area: $A = \\pi r^2 = 9\\pi$", r"9 \pi"),
        ("we get $3 + 4 = 7$", "7"),
        ("$x = 2$ or so, then 9 apples", "9"),
        ("it costs $5 and then $6", "6"),
        ("The answer is $x=5$. Wait, it is $x=6$.", "6"),
        (r"$\boxed{2}$ or $\boxed{3}$", r"\{2, 3\}"),
        ("nothing", None),
    ],
)
def test_where_the_answer_stands(text: str, answer: str | None) -> None:
    assert RULE.extract(text, "stop") == answer
