"""What texts of a training log say: a prompt may be a stranger by its wording or its numbers alone."""

from __future__ import annotations

import numpy as np

from difficulty.generator import Generator
from difficulty.log.sample_log import SampleLog
from difficulty.prompt import Prompt
from training.policy.text_read import read_text

# Each is like training prompts in all but one respect: the wording, the numbers, both missing.
STRANGERS = (
    "Natalia sold clips to 48 of her friends in April, and then she sold half as many clips in May. How many "
    "clips did Natalia sell altogether in April and May?",
    "Tom has 12345678 apples. He buys 99999999 more. How many apples does Tom have?",
    "Wie viele Äpfel hat Anna, wenn sie 3 kauft und 2 isst?",
)


def mixed() -> SampleLog:
    """Word problems, code and lists of words, 160 prompts in all."""
    rng, records = np.random.default_rng(0), []
    for row in range(160):
        name, thing = ("Tom", "Ann", "Ben")[row % 3], ("apples", "pens", "coins")[row % 3]
        a, b, c = rng.integers(2, 60, 3).tolist()
        texts = (
            f"{name} has {a} {thing}. He buys {b} more. How many {thing} does {name} have?",
            f"{name} has {a} {thing}. He buys {b} more and loses {c}. How many {thing} does {name} have?",
            f"def f(x):\n    return x * {a} + {b}\nassert f({c}) == ??",
            "Sort these words: "
            + ", ".join("".join(rng.choice([*"aeinrst"], 5)) for _ in range(4 + row % 20)),
        )
        right = int(rng.binomial(8, (0.9, 0.2, 0.5, 0.7)[row % 4]))
        samples = [{"answer": str(at < right), "correct": at < right} for at in range(8)]
        records.append(
            {"prompt_id": f"p{row}", "prompt": texts[row % 4], "generator": "g", "samples": samples}
        )
    return SampleLog.from_records(records, {"g": Generator(name="g")})


def test_who_differs_by_wording_or_by_numbers_alone_is_a_stranger() -> None:
    known, new = mixed().split(test_fraction=0.25, seed=0)
    folds = np.arange(len(known.prompts)) % 5
    read = read_text(known, folds, None, None, graded=False, seed=0, tell=lambda *told: None)
    assert read is not None
    strangers = tuple(Prompt(text=text) for text in STRANGERS)
    familiar, strange = (
        read.fitted.belief.familiarity(read.features.transform(prompts))
        for prompts in (new.prompts, strangers)
    )
    assert familiar.mean() > 0.9
    assert strange.max() < 0.5
