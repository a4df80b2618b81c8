import math

import numpy as np
import pytest

from difficulty.errors import InvalidInputError
from policies.answering.answering import Answering, AnswerPrice
from policies.answering.confidence import ConfidenceModel
from policies.answering.evidence import FEATURES, Given, Usual, evidence_of

USUAL = {"a": Usual(-0.5, math.log1p(100.0)), "b": Usual(-1.0, math.log1p(50.0))}


def named(*given: Given, selected: object | None = "x") -> dict[str, float]:
    row = evidence_of(given, selected, rates={"a": 0.5, "b": 0.8}, usual=USUAL)
    return dict(zip(FEATURES, row.tolist(), strict=True))


def model(**weights: float) -> ConfidenceModel:
    size = len(FEATURES)
    chosen = np.zeros(size)
    for name, weight in weights.items():
        chosen[FEATURES.index(name)] = weight
    return ConfidenceModel(centre=np.zeros(size), scale=np.ones(size), weights=chosen, intercept=0.0)


def answering(**fields: object) -> Answering:
    parts: dict[str, object] = {
        "right": model(share=2.0),
        "solvable": model(share=9.0, answered=-4.0),
        "usual": USUAL,
        "levels": np.array([0, 5, -1]),
        "columns": np.array([-1, -1, 3]),
        "confidence": np.tile(np.linspace(0, 1, 200)[:, None], (1, 3)),
        "correct": np.tile((np.linspace(0, 1, 200) > 0.4)[:, None], (1, 3)),
        "told": np.column_stack([np.linspace(0, 1, 200), np.linspace(0, 1, 200), np.full(200, np.nan)]),
    }
    return Answering(**{**parts, **fields})  # type: ignore[arg-type]


def test_who_agrees_and_how_good_they_are() -> None:
    found = named(Given("a", "x"), Given("b", "x"), Given("a", "y"), Given("a", None))
    assert found["share"] == pytest.approx(2 / 3)
    assert found["margin"] == pytest.approx(1 / 3)
    assert found["abstained"] == 0.25
    assert (found["supporters"], found["generators"]) == (2, 2)
    assert found["strongest_agrees"] == 1
    assert found["rate"] == pytest.approx(math.log(4) / 2)


def test_signals_are_measured_from_what_is_usual() -> None:
    found = named(
        Given("a", "x", mean_logprob=-0.2, output_tokens=100.0, score=0.9),
        Given("b", "y", mean_logprob=-1.0, output_tokens=50.0, score=0.1),
    )
    assert found["logprob"] == pytest.approx(0.3)
    assert found["logprob_above"] == pytest.approx(0.15)
    assert found["score_above"] == pytest.approx(0.4)
    assert found["length"] == pytest.approx(0.0)


def test_what_is_not_known_is_nan_and_counts_as_usual() -> None:
    row = evidence_of([Given("z", "x")], "x", rates={"z": math.nan}, usual={})
    assert np.isnan(row[[FEATURES.index(name) for name in ("rate", "logprob", "score", "length")]]).all()
    assert model(logprob=5.0).chance(row[None])[0] == 0.5


def test_without_an_answer_there_is_no_confidence() -> None:
    row = evidence_of([Given("a", None)], None, rates={}, usual={})
    assert model(share=3.0).chance(row[None])[0] == 0.0


def test_a_price_of_errors_asks_for_a_confidence() -> None:
    # At p: p - (1 - p) w against -a.
    for wrong, none in ((1.0, 0.0), (3.0, 0.5), (0.2, 0.9)):
        least = AnswerPrice(wrong=wrong, none=none).threshold
        if least > 0:
            assert least - (1 - least) * wrong == pytest.approx(-none)
        else:
            assert -wrong >= -none
    for bad in ({"wrong": -1.0}, {"wrong": float("inf")}, {"wrong": 1.0, "none": -0.1}):
        with pytest.raises(InvalidInputError, match="cost"):
            AnswerPrice(**bad)


def test_verdicts_tell_hard_from_unsolvable() -> None:
    rows = np.stack(
        [
            evidence_of([Given("a", "x")] * 4, "x", rates={}, usual={}),
            evidence_of([Given("a", "x")] + [Given("a", str(i)) for i in range(2)], "x", rates={}, usual={}),
            evidence_of([Given("a", str(i)) for i in range(9)], "0", rates={}, usual={}),
            evidence_of([Given("a", None)], None, rates={}, usual={}),
        ]
    )
    assert answering().verdict(rows, 0.7) == ["answered", "hard", "unsolvable", "unsolvable"]


def test_arrays_restore_it() -> None:
    known = answering()
    again = Answering.from_arrays(known.to_arrays(), ("a", "b"))
    assert again.threshold(1, 0.2) == known.threshold(1, 0.2)
    assert again.usual == USUAL
    assert len(known.take(np.array([0, 1])).levels) == 2


@pytest.mark.parametrize(
    ("fields", "match"),
    [
        ({"levels": np.array([0, 5, 6])}, "a level or a panel"),
        ({"columns": np.array([-1, -1])}, "ways to answer"),
        ({"confidence": np.full((200, 3), 2.0)}, "confidence must lie"),
        ({"told": np.full((200, 3), -1.0)}, "what was told must lie"),
        ({"told": np.zeros((200, 2))}, "what was told must be"),
        ({"correct": np.zeros((200, 2), dtype=bool)}, "confidence and correct"),
    ],
)
def test_what_does_not_fit_is_refused(fields: dict[str, object], match: str) -> None:
    with pytest.raises(InvalidInputError, match=match):
        answering(**fields)


def test_foreign_arrays_are_refused() -> None:
    arrays = answering().to_arrays()
    for change in (
        {**arrays, "more": np.zeros(1)},
        {name: array for name, array in arrays.items() if name != "levels"},
        {**arrays, "usual": np.zeros((1, 2))},
        {**arrays, "right.weights": np.full(len(FEATURES), np.nan)},
        {**arrays, "right.more": np.zeros(1)},
    ):
        with pytest.raises(InvalidInputError):
            Answering.from_arrays(change, ("a", "b"))
