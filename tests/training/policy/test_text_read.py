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


FOREIGN = (
    "\u8bc1\u660e\u9ece\u66fc\u731c\u60f3\u3002",
    "Schreibe ein Gedicht \u00fcber den Herbst im Harz.",
    "SELECT * FROM users WHERE id = 4;",
    "lorem ipsum dolor sit amet",
    "zq!!~~kk##",
)


def diverse() -> SampleLog:
    """Five kinds of prompts, longer ones harder: what length tells holds for kinds that were left out."""
    rng, records = np.random.default_rng(0), []
    lines = ("x = x * 2 + i", "if x % 3: x //= 2", "s = s[::-1] + str(x)", "for j in range(i): x += j")
    tasks = (
        lambda k: "Which river is near " + " and ".join(rng.choice(["Lima", "Oslo", "Bonn"], k)) + "?",
        lambda k: "What does this print?\n" + "\n".join(rng.choice(lines, k)) + f"\nprint(x, {k})",
        lambda k: "Today is 3/4/1987. " + " ".join(f"Go back {n} days." for n in rng.integers(2, 400, k)),
        lambda k: "| item | price |\n" + "\n".join(f"| box | {n}.50 |" for n in rng.integers(2, 99, k)),
        lambda k: "Ann has 9 jars. " + " ".join(f"Ben brings {n} more." for n in rng.integers(2, 50, k)),
    )
    for row in range(200):
        k = int(rng.integers(1, 7))
        right = int(rng.binomial(8, 1 - k / 7))
        samples = [{"answer": str(at < right), "correct": at < right} for at in range(8)]
        line = {"prompt_id": f"p{row}", "prompt": tasks[row % 5](k), "generator": "g", "samples": samples}
        records.append(line)
    return SampleLog.from_records(records, {"g": Generator(name="g")})


def test_words_that_training_never_saw_are_strange_among_kinds_that_differ_much() -> None:
    """Kinds lay so far apart that Chinese and Latin were found among them, and told what short ones are."""
    known, new = diverse().split(test_fraction=0.25, seed=0)
    folds = np.arange(len(known.prompts)) % 5
    read = read_text(known, folds, None, None, graded=False, seed=0, tell=lambda *told: None)
    assert read is not None
    foreign = tuple(Prompt(text=text) for text in FOREIGN)
    familiar, strange = (
        read.fitted.belief.familiarity(read.features.transform(prompts)) for prompts in (new.prompts, foreign)
    )
    assert familiar.mean() > 0.95
    assert strange.max() < 0.2
