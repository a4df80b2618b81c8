"""Time prompt features against scikit-learn's vectorizers and a plain Python loop, in one run.

The prompts are simulated: word problems and small programs of about 300 characters. Alternatives do the
same work on the same prompts: a loop that counts in Python, and scikit-learn's hashing, weighting and
truncated SVD. Ratios are of wall times on one machine; for stable numbers set OMP_NUM_THREADS=1.
"""

from __future__ import annotations

import argparse
import re
from collections import Counter
from collections.abc import Callable, Sequence
from statistics import median
from time import perf_counter
from typing import NamedTuple

import numpy as np
from rich.console import Console
from rich.table import Table
from sklearn.decomposition import TruncatedSVD
from sklearn.feature_extraction.text import HashingVectorizer, TfidfTransformer
from sklearn.pipeline import Pipeline, make_pipeline, make_union

from difficulty.features.prompt_features import PromptFeatures
from difficulty.features.text.embedding import TextEmbedding
from difficulty.features.text.statistics import text_statistics
from difficulty.prompt import Prompt

_WORD = re.compile(r"\w+|[^\w\s]")
_NUMBER = re.compile(r"\d+")


class Measurement(NamedTuple):
    """One row: what was timed and its seconds, the alternative and its seconds (NaN where there is none)."""

    name: str
    seconds: float
    alternative: str
    alternative_seconds: float


def simulate(n_prompts: int, seed: int = 0) -> list[str]:
    """Simulate prompts of about 300 characters, half prose and half code.

    Parameters
    ----------
    n_prompts : int
        How many, >= 1.
    seed : int
        Seed >= 0.
    """
    rng = np.random.default_rng(seed)
    names, things = ["Ann", "Bo", "Cy", "Di"], ["cups", "pears", "books", "coins"]
    prompts = []
    for index in range(n_prompts):
        numbers = rng.integers(1, 10 ** rng.integers(1, 5), size=12)
        if index % 2:
            who, what = rng.choice(names), rng.choice(things)
            steps = "".join(
                f" Then {who} buys {number} {what} and gives {number // 2} away." for number in numbers[:5]
            )
            prompts.append(f"{who} has {numbers[11]} {what}.{steps} How many {what} are left?")
        else:
            lines = "".join(
                f"        if item > {number}:\n            out.append(item)\n" for number in numbers[:4]
            )
            head = "Predict the output.\ndef f(items):\n    out = []\n    for item in items:\n"
            prompts.append(f"{head}{lines}    return out\nassert f({numbers.tolist()}) == ??")
    return prompts


def run(*, full: bool = True) -> list[Measurement]:
    """Measure statistics, embedding, both together and kernel regression, for many prompts and for one.

    Parameters
    ----------
    full : bool
        10,000 prompts; otherwise a tenth.
    """
    texts = simulate(10_000 if full else 1_000)
    train = texts[:800]
    embedding = TextEmbedding(dims=16).fit(train)
    pipeline = _pipeline().fit(train)
    features = PromptFeatures().fit([Prompt(text=text) for text in train])
    prompts = [Prompt(text=text, id=str(index)) for index, text in enumerate(texts)]
    vectorizers = "HashingVectorizer, TF-IDF, SVD"

    def rows(count: int, repeats: int) -> list[Measurement]:
        """Measure everything on the first `count` prompts."""
        part, some = texts[:count], prompts[:count]
        size = f"{count:,} prompts" if count > 1 else "1 prompt"
        return [
            _measure(
                f"text statistics, {size}",
                lambda: text_statistics(part),
                "counting in a Python loop (7 columns)",
                lambda: _loop(part),
                repeats,
            ),
            _measure(
                f"text embedding, {size}",
                lambda: embedding.transform(part),
                vectorizers,
                lambda: pipeline.transform(part),
                repeats,
            ),
            _measure(f"prompt features, {size}", lambda: features.transform(some), "-", None, repeats),
        ]

    return [
        *rows(len(texts), 3),
        *rows(1, 300),
        _measure(
            "fit embedding, 800 prompts",
            lambda: TextEmbedding(dims=16).fit(train),
            vectorizers,
            lambda: _pipeline().fit(train),
            1,
        ),
    ]


def main(argv: Sequence[str] | None = None) -> None:
    """Print the measurements as a table.

    Parameters
    ----------
    argv : sequence of str, optional
        Command line; ``--quick`` runs a tenth of the prompts.
    """
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="a tenth of the prompts")
    arguments = parser.parse_args(argv)
    table = Table(
        title="Prompt features",
        caption="Many prompts: bound by memory traffic. One prompt: bound by the number of numpy calls.",
    )
    for heading in ("what", "milliseconds", "alternative", "its milliseconds", "ratio"):
        table.add_column(heading, justify="left" if heading in ("what", "alternative") else "right")
    for row in run(full=not arguments.quick):
        known = row.alternative_seconds == row.alternative_seconds
        table.add_row(
            row.name,
            f"{1e3 * row.seconds:.2f}",
            row.alternative,
            f"{1e3 * row.alternative_seconds:.2f}" if known else "",
            f"{row.alternative_seconds / row.seconds:.1f}x" if known else "",
        )
    Console().print(table)


def _pipeline() -> Pipeline:
    """Return scikit-learn's way to the same embedding."""
    hashing = make_union(
        HashingVectorizer(ngram_range=(1, 2), n_features=2048, alternate_sign=False),
        HashingVectorizer(analyzer="char_wb", ngram_range=(2, 4), n_features=2048, alternate_sign=False),
    )
    return make_pipeline(hashing, TfidfTransformer(sublinear_tf=True), TruncatedSVD(16, random_state=0))


def _loop(texts: Sequence[str]) -> list[list[float]]:
    """Return seven of the text statistics for each text, computed as one would in Python."""
    rows = []
    for text in texts:
        words, numbers, characters = _WORD.findall(text), _NUMBER.findall(text), Counter(text)
        depth = deepest = 0
        for character in text:
            depth += (character in "([{") - (character in ")]}")
            deepest = max(deepest, depth)
        entropy = -sum(n / len(text) * np.log(n / len(text)) for n in characters.values())
        largest = max(map(int, numbers), default=-1)
        rows.append(
            [len(text), len(words), len(set(words)) / len(words), len(numbers), largest, deepest, entropy]
        )
    return rows


def _measure(
    name: str,
    ours: Callable[[], object],
    alternative: str,
    other: Callable[[], object] | None,
    repeats: int,
) -> Measurement:
    """Return the median wall times of both, after one call that fills tables."""
    return Measurement(
        name, _time(ours, repeats), alternative, float("nan") if other is None else _time(other, repeats)
    )


def _time(call: Callable[[], object], repeats: int) -> float:
    """Return the median seconds of one call."""
    call()
    seconds = []
    for _ in range(repeats):
        start = perf_counter()
        call()
        seconds.append(perf_counter() - start)
    return median(seconds)


if __name__ == "__main__":
    main()
