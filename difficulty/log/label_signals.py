"""What a label may rest on where nobody recorded which answers are right, sample by sample.

Agreement is the share of the other samples of a prompt with the same answer; a verifier says its score, a
judge its reward. None of them is the truth: how far they err is left to whoever has some verdicts to compare
them with.
"""

from __future__ import annotations

from typing import Final, Literal, NamedTuple, TypeAlias, get_args

import numpy as np
from numpy.typing import NDArray

from difficulty.arithmetic.arrays import FloatArray
from difficulty.errors import InvalidInputError
from difficulty.log.columns import LogColumns

Labels: TypeAlias = Literal["agreement", "verifier", "judge"]

LABELS: Final[tuple[str, ...]] = get_args(Labels)
_FIELD: Final = {"verifier": "score", "judge": "reward"}
# A generator whose answers meet those of the others hardly more often than by chance, measured against how
# often its own meet, names its answers in another way (choices in another order) and is pooled with nobody.
_MEETS: Final = 0.1


class LabelSignals(NamedTuple):
    """One entry for each of the S samples of a log.

    Attributes
    ----------
    signal : ndarray of float64, shape (S,)
        In [0, 1], or on the scale of what was recorded; NaN where nothing tells.
    correct : ndarray of int8, shape (S,)
        Recorded verdicts: 1, 0, or -1 where nobody knows.
    prompt : ndarray of intp, shape (S,)
        Number of the prompt.
    generator : ndarray of intp, shape (S,)
        Number of the generator among `generators`.
    generators : tuple of str
        Names.
    answer : ndarray of intp, shape (S,)
        Number of the answer, one for all samples of a prompt that gave it, of one generator alone where
        answers of several do not compare; -1 where none was given.
    support : ndarray of float64, shape (A, G)
        Share of each generator's samples of the prompt that gave each of A answers.
    silent : ndarray of bool, shape (S,)
        Samples that gave no answer where others of their generator did: they cannot be right.
    """

    signal: FloatArray
    correct: NDArray[np.int8]
    prompt: NDArray[np.intp]
    generator: NDArray[np.intp]
    generators: tuple[str, ...]
    answer: NDArray[np.intp]
    support: FloatArray
    silent: NDArray[np.bool_]


def label_signals(columns: LogColumns, independent: NDArray[np.bool_], by: str) -> LabelSignals:
    """Return what labels rest on.

    Parameters
    ----------
    columns : LogColumns
    independent : ndarray of bool, shape (S,)
        Which samples are independent of one another; only these have a say in agreement, steps of chains and
        runs of searches are told how many of them agree.
    by : {"agreement", "verifier", "judge"}

    Raises
    ------
    InvalidInputError
        When it is another word, or the log does not record what it needs.
    """
    if by not in LABELS:
        raise InvalidInputError(f"labels must be by one of {', '.join(LABELS)}; got {by!r}")
    samples = columns.samples
    sizes = np.diff(columns.lines.offsets)
    owner = np.repeat(columns.lines.prompt, sizes).astype(np.intp)
    generator = np.repeat(columns.lines.generator, sizes).astype(np.intp)
    answers = np.bincount(generator, weights=samples.answer >= 0, minlength=len(columns.generators)) > 0
    votes = _Votes(columns, owner, generator, independent)
    if by == "agreement":
        signal = votes.shares()
        signal[~answers[generator]] = np.nan
    else:
        field = getattr(samples, _FIELD[by])
        signal = np.full(len(samples), np.nan) if field is None else field
    if np.isnan(signal).all():
        needs = "two answers to a prompt" if by == "agreement" else f"a {_FIELD[by]} of each sample"
        raise InvalidInputError(f"labels by {by} need {needs}, and this log has none")
    silent = (samples.answer < 0) & answers[generator]
    return LabelSignals(
        signal, samples.correct, owner, generator, columns.generators, *votes.answers(), silent
    )


class _Votes:
    """Answers of all samples of a prompt, and who may be pooled with whom."""

    def __init__(
        self,
        columns: LogColumns,
        owner: NDArray[np.intp],
        generator: NDArray[np.intp],
        independent: NDArray[np.bool_],
    ) -> None:
        codes = columns.samples.answer
        n_answers, n_generators = max(len(columns.samples.answers), 1), max(len(columns.generators), 1)
        self.answered = codes >= 0
        self.owner, self.generator, self.independent = owner, generator, independent
        key = owner.astype(np.int64) * n_answers + np.maximum(codes, 0)
        unique, self.place = np.unique(key, return_inverse=True)
        voting = independent & self.answered
        self.counts = np.zeros((len(unique), n_generators))
        np.add.at(self.counts, (self.place[voting], generator[voting]), 1.0)
        self.drawn = np.zeros((len(columns.prompts), n_generators))
        np.add.at(self.drawn, (owner[independent], generator[independent]), 1.0)
        pooled = _pooled(self.counts, self.drawn, (unique % n_answers).astype(np.intp), n_answers)
        self.groups = [sorted(pooled), *([name] for name in range(n_generators) if name not in pooled)]

    def shares(self) -> FloatArray:
        """Return the share of the other samples that gave the same answer; 0 where a sample gave none."""
        share = np.full(len(self.owner), np.nan)
        for members in self.groups:
            mine = np.isin(self.generator, members)
            own = (self.independent & self.answered)[mine].astype(np.float64)
            same = self.counts[:, members].sum(axis=1)[self.place[mine]] - own
            others = self.drawn[:, members].sum(axis=1)[self.owner[mine]] - self.independent[mine]
            found = np.divide(same, others, out=np.full(len(same), np.nan), where=others > 0)
            share[mine] = np.where(self.answered[mine], found, np.where(others > 0, 0.0, np.nan))
        return share

    def answers(self) -> tuple[NDArray[np.intp], FloatArray]:
        """Return the number of each sample's answer, counted from 0, -1 where it gave none; and the share of
        each generator's samples that gave each, (A, G).
        """
        group = np.zeros(self.counts.shape[1], dtype=np.intp)
        for number, members in enumerate(self.groups):
            group[members] = number
        n_groups = len(self.groups)
        pairs, number = np.unique(self.place * n_groups + group[self.generator], return_inverse=True)
        counts = self.counts[pairs // n_groups] * (group == (pairs % n_groups)[:, None])
        owner = np.zeros(len(pairs), dtype=np.intp)
        owner[number] = self.owner
        return np.where(self.answered, number, -1), counts / np.maximum(self.drawn[owner], 1)


def _pooled(
    counts: FloatArray,
    drawn: FloatArray,
    answer: NDArray[np.intp],
    n_answers: int,
) -> set[int]:
    """Return the generators whose answers compare with those of the others."""
    n_generators = counts.shape[1]
    if n_generators == 1:
        return {0}
    marginal = np.zeros((n_answers, n_generators))
    np.add.at(marginal, answer, counts)
    marginal /= np.maximum(drawn.sum(axis=0), 1)
    found = set()
    for name in range(n_generators):
        rest = [other for other in range(n_generators) if other != name]
        mine, theirs = counts[:, name], counts[:, rest].sum(axis=1)
        pairs = float((drawn[:, name] * drawn[:, rest].sum(axis=1)).sum())
        if not pairs:
            continue
        met = float((mine * theirs).sum()) / pairs
        weight = drawn[:, rest].sum(axis=0)
        chance = float(marginal[:, name] @ (marginal[:, rest] @ weight) / max(weight.sum(), 1))
        own_pairs = float((drawn[:, name] * (drawn[:, name] - 1)).sum())
        own = float((mine * (mine - 1)).sum()) / own_pairs if own_pairs else 1.0
        if met - chance > _MEETS * max(own - chance, 0.0):
            found.add(name)
    return found if len(found) > 1 else set()
