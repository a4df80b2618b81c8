"""What the texts of a training log say of success: features and belief, fitted out of fold.

It assumes folds that keep near-duplicates together. Whether prompts choose by it is decided by
`training.policy.learn`; here it is left out only where it tells nothing at all.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from difficulty.arithmetic.arrays import FloatArray
from difficulty.belief.text_belief_fit import FittedBelief, fit_text_belief
from difficulty.features.own_features import PromptReader
from difficulty.features.prompt_features import PromptFeatures
from difficulty.features.text.embedding import TextEmbedding
from difficulty.log.families import Families
from difficulty.log.sample_log import SampleLog
from planner.progress import Progress
from training.policy.learn import Weighed
from training.policy.unseen_families import skill_on_unseen_families

# Dimensions of wording: enough to tell kinds of prompt apart on mixed traffic.
_WORDING: Final = 48
# Up to so many prompts each fold is held out to learn how long wording usually is; of more, one tells enough.
_ALL_FOLDS: Final = 1000
_SHORT: Final = 0.01
# Wording of texts that share little has such a length. The more they share, the heavier weighs a word that
# none of them has: a template with a few words added keeps .3 to .6 of its 1.4, foreign texts .0 to .25.
_LITTLE_SHARED: Final = 0.6
_MUCH_SHARED: Final = 0.4


class TextRead(NamedTuple):
    """What text says.

    Attributes
    ----------
    features : PromptFeatures
        Fitted on the training prompts.
    fitted : FittedBelief
        Belief, with weights out of fold.
    unseen : dict
        What text says of families that were left out (`training.policy.unseen_families`); empty where the log
        names none.
    """

    features: PromptFeatures
    fitted: FittedBelief
    unseen: dict[str, Any]

    def skill(self, generators: Iterable[str]) -> dict[str, float | None]:
        """Return what the belief explains by generator; None where nobody can tell."""
        shares = zip(generators, self.fitted.skill, strict=True)
        return {name: round(float(share), 4) if np.isfinite(share) else None for name, share in shares}

    @property
    def weighed(self) -> Weighed:
        """Weights of the training prompts out of fold."""
        return Weighed(self.fitted.out_of_fold, self.fitted.sharp)


def read_text(
    log: SampleLog,
    folds: NDArray[np.intp],
    hidden_states: PromptReader | None,
    families: Families | None,
    *,
    graded: bool,
    seed: int,
    tell: Progress,
) -> TextRead | None:
    """Fit features and belief; None where there is no text, or text tells nothing out of fold.

    Parameters
    ----------
    log : SampleLog
        The P training prompts.
    folds : ndarray of intp, shape (P,)
        Near-duplicates share one.
    hidden_states : PromptReader, optional
        Adds to the features.
    families : Families, optional
        Of the prompts, where the log names them.
    graded : bool
        Samples are worth rewards, so that their mean does not say how far they lie apart; of right and wrong
        answers, and of chances of these, it tells all.
    seed : int
    tell : callable
        Called with (stage, done, total).
    """
    if not PromptFeatures.available(log.prompts):
        return None
    tell("belief", 0, 1)
    hidden = None if hidden_states is None else hidden_states.transform(log.prompts)
    features = PromptFeatures(embedding_dims=_WORDING, seed=seed).fit(log.prompts, hidden)
    n, n_good = successes(log)
    table, spread = features.transform(log.prompts, hidden), _spread(log) if graded else None
    fitted = fit_text_belief(table, n, n_good, folds, seed=seed, blocks=features.blocks_, spread=spread)
    if fitted.tells and fitted.belief.known is not None:
        known = replace(
            fitted.belief.known,
            usual=_usual_wording([prompt.content for prompt in log.prompts], folds, seed),
            wording=int(features.blocks_[features.names_.index("wording_0")]),
        )
        fitted = fitted._replace(belief=replace(fitted.belief, known=known))
    tell("belief", 1, 1)
    if not fitted.tells:
        return None
    unseen: dict[str, Any] = {}
    if families is not None:
        tell("families", 0, 1)
        unseen = skill_on_unseen_families(
            table, n, n_good, families, tuple(log.generators), seed=seed, spread=spread
        )
        tell("families", 1, 1)
    return TextRead(features, fitted, unseen)


def successes(log: SampleLog) -> tuple[NDArray[np.int64], NDArray[np.int64] | FloatArray]:
    """Return samples of known value and how many succeeded, (P, G) each: of rewards, the sum of their shares
    of the scale.
    """
    values, scale = log.values(), log.scale
    total = ((values.total - values.n * scale.lower) / scale.span).clip(0, values.n)
    whole = total.astype(np.int64)
    return values.n, whole if (whole == total).all() else total


def _usual_wording(texts: Sequence[str | None], folds: NDArray[np.intp], seed: int) -> float:
    """Return the length of wording below which a prompt is strange; 0 where nobody can tell.

    One in a hundred prompts falls short of it when its fold is held out: of .5 to .6 in natural language,
    where texts in words that training never saw have .0 to .35. It is lower where all share a template.
    """
    known = np.flatnonzero([text is not None for text in texts])
    fold = folds[known]
    lengths = []
    for held in np.unique(fold)[: None if len(known) <= _ALL_FOLDS else 1]:
        rest, ours = ([texts[row] or "" for row in known[part]] for part in (fold != held, fold == held))
        if rest:
            wording = TextEmbedding(dims=_WORDING, seed=seed).fit(rest).transform(ours).astype(np.float64)
            lengths.append(np.sqrt(np.square(wording).sum(axis=1)))
    if not lengths:
        return 0.0
    short = float(np.quantile(np.concatenate(lengths), _SHORT))
    return min(short, max(2 * _LITTLE_SHARED - short, _MUCH_SHARED))


def _spread(log: SampleLog) -> FloatArray | None:
    """Return how far rewards of a prompt lie apart, (P, G) in [0, 1]; None where samples are right or wrong,
    so that the mean tells it.
    """
    found, graded = [], False
    for name in log.generators:
        share = log.scale.share(log.pool(name).value)
        known = ~np.isnan(share)
        graded |= bool((known & (share > 0) & (share < 1)).any())
        several = known.sum(axis=1) > 1
        spread = np.full(len(share), np.nan)
        # A share varies by at most a half.
        spread[several] = np.minimum(2 * np.nanstd(share[several], axis=1), 1.0)
        found.append(spread)
    return np.stack(found, axis=1) if graded else None
