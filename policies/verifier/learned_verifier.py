"""A verifier for everybody who has a pass@k log: P(correct) from agreement, log-probability and length.

A logistic regression, corrected by a few small trees where they help; both are numbers, nothing is executed.
It assumes the generator, prompt template and temperature of its log. Fitting is left to
`policies.verifier.fit`, what picking by it delivers to `policies.verifier.selection`, scoring live
completions to `planner.verifiers.learned`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import msgspec
import numpy as np
from numpy.typing import NDArray

from difficulty.errors import InvalidBundleError, InvalidInputError
from difficulty.log.sample_pool import SamplePool
from difficulty.trees.plain import PlainTrees
from policies.verifier.answer_features import COLUMNS, answer_features, feature_names

LEARNED: Final = "learned"
"""Name of the learned verifier in allocations, requests and on the command line."""

_SCHEMA: Final = 2
# Sums of weights beyond this are not log-odds of anything; they would only overflow.
_MAX_LOGIT: Final = 1e6
_MIN_SCALE: Final = 1e-12


class CorrectnessModel(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """P(correct) of each sample in a set of samples of one prompt.

    Parameters
    ----------
    generator : str
        The generator whose samples it was fitted on.
    columns : tuple of str
        Recorded quantities it needs, a subset of ``("mean_logprob", "output_tokens")``.
    centre, scale, weights : tuple of float, length F
        Standardisation and logistic weights of the features.
    intercept : float
        Logistic intercept.
    trees : PlainTrees or None
        What is added to the log-odds; None where trees did not help.
    log_loss, brier, base_brier, calibration_error : float
        Cross-fitted on prompts that were left out; `base_brier` is that of the constant guess,
        `calibration_error` the mean absolute gap between predicted and observed share over ten bins.
    schema : int
        Version of this form.

    Examples
    --------
    >>> model = CorrectnessModel(generator="tiny", columns=(), centre=(0.0,) * 6, scale=(1.0,) * 6,
    ...     weights=(4.0, 0, 0, 0, 0, 0), intercept=-2.0, trees=None, log_loss=0.5, brier=0.2,
    ...     base_brier=0.25, calibration_error=0.01)
    >>> model.predict(np.array([[0, 0, 0, 1]], dtype=np.int32)).round(2).tolist()
    [[0.73, 0.73, 0.73, 0.27]]
    >>> CorrectnessModel.from_json(model.to_json()) == model
    True
    """

    generator: str
    columns: tuple[str, ...]
    centre: tuple[float, ...]
    scale: tuple[float, ...]
    weights: tuple[float, ...]
    intercept: float
    trees: PlainTrees | None
    log_loss: float
    brier: float
    base_brier: float
    calibration_error: float
    schema: int = _SCHEMA

    def predict(
        self,
        answer: NDArray[np.int32],
        *,
        mean_logprob: NDArray[np.float64] | None = None,
        output_tokens: NDArray[np.float64] | None = None,
    ) -> NDArray[np.float64]:
        """Return P(correct) of each of N samples in each of B sets.

        Parameters
        ----------
        answer : ndarray of int32, shape (B, N)
            Codes; below 0 abstains.
        mean_logprob, output_tokens : ndarray, shape (B, N)
            Needed where `columns` names them.

        Returns
        -------
        ndarray, shape (B, N)
            In [0, 1]; 0 where a sample abstains.

        Raises
        ------
        InvalidInputError
            When a needed column is missing or not finite.
        """
        given = {"mean_logprob": mean_logprob, "output_tokens": output_tokens}
        valid = answer >= 0
        used: dict[str, NDArray[np.float64]] = {}
        for name in self.columns:
            values = given[name]
            if values is None or not np.isfinite(values[valid]).all():
                raise InvalidInputError(f"this verifier needs {name} of every sample that answers")
            used[name] = values
        features = answer_features(answer, **used)
        chance = np.zeros(answer.shape)
        if valid.any():
            chance[valid] = 0.5 * (1 + np.tanh(0.5 * self._logit(features[valid])))
        return chance

    def readable(self, pool: SamplePool) -> NDArray[np.bool_]:
        """Return which prompts have what the model reads of every sample that answers, shape (P,)."""
        answered = pool.answer >= 0
        whole = np.ones(len(answered), dtype=bool)
        for name in self.columns:
            whole &= ~(answered & ~np.isfinite(getattr(pool, name))).any(axis=1)
        return whole

    def to_json(self) -> str:
        """Return the model as JSON text."""
        return msgspec.json.encode(self).decode()

    @classmethod
    def from_json(cls, text: str | bytes) -> CorrectnessModel:
        """Read a model; executes nothing.

        Raises
        ------
        InvalidBundleError
            When the text is not a model of this schema.
        """
        try:
            model = msgspec.json.decode(text, type=cls)
        except (msgspec.DecodeError, RecursionError) as error:
            raise InvalidBundleError(f"not a learned verifier: {error}") from error
        model.check()
        return model

    def check(self) -> None:
        """Refuse what does not fit together.

        Raises
        ------
        InvalidBundleError
            When the model is of another schema, its parts disagree in size, its numbers give no log-odds, or
            its trees are none or look at other features.
        """
        sizes = {len(self.centre), len(self.scale), len(self.weights), len(feature_names(self.columns))}
        if self.schema != _SCHEMA or len(sizes) != 1 or not set(self.columns) <= set(COLUMNS):
            raise InvalidBundleError("a learned verifier of another schema; fit it again")
        if not (all(_MIN_SCALE <= scale <= _MAX_LOGIT for scale in self.scale) and self._bounded()):
            raise InvalidBundleError(
                f"a learned verifier has scales outside {_MIN_SCALE} to {_MAX_LOGIT:g}, or other numbers "
                f"beyond ±{_MAX_LOGIT:g}; fit it again"
            )
        if self.trees is None:
            return
        try:
            trees = self.trees.trees
        except (InvalidInputError, OverflowError) as error:
            raise InvalidBundleError(f"the trees of a learned verifier cannot be read: {error}") from error
        if trees.n_features != len(self.weights):
            raise InvalidBundleError(
                f"the trees of a learned verifier look at {trees.n_features} features, its weights at "
                f"{len(self.weights)}; fit it again"
            )

    def _bounded(self) -> bool:
        """Return whether all numbers but the scales are finite and of a size that log-odds can have."""
        leaves = () if self.trees is None else self.trees.value
        numbers = (*self.centre, *self.weights, self.intercept, *leaves)
        measures = (self.log_loss, self.brier, self.base_brier, self.calibration_error)
        return all(abs(number) <= _MAX_LOGIT for number in (*numbers, *measures))

    def _logit(self, features: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the log-odds of rows of features, shape (R, F) to (R,)."""
        standard = (features - np.array(self.centre)) / np.array(self.scale)
        # Row by row, not as a product of matrices: equal samples get equal scores wherever they stand.
        logit: NDArray[np.float64] = (standard * np.array(self.weights)).sum(axis=1) + self.intercept
        if self.trees is not None:
            logit += self.trees.trees.predict(features)[:, 0]
        return logit


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class LearnedScorer:
    """Scores recorded samples of one generator, each prompt by the model that did not learn from it.

    Parameters
    ----------
    models : tuple of CorrectnessModel
        One per fold, fitted on the other folds; or one for prompts that were not trained on.
    folds : ndarray of intp, shape (P,), optional
        The model of each prompt of the log; None where there is one model for all.
    """

    models: tuple[CorrectnessModel, ...]
    folds: NDArray[np.intp] | None = None

    @property
    def columns(self) -> tuple[str, ...]:
        """Recorded quantities that the models need."""
        return self.models[0].columns

    def score(
        self, prompts: NDArray[np.intp], answer: NDArray[np.int32], **columns: NDArray[np.float64]
    ) -> NDArray[np.float64]:
        """Return P(correct) of N samples in each of B sets, shape (B, N).

        Parameters
        ----------
        prompts : ndarray of intp, shape (B,)
            Row of each set's prompt in the log.
        answer, columns
            As in `CorrectnessModel.predict`.
        """
        if self.folds is None:
            return self.models[0].predict(answer, **columns)
        chance = np.zeros(answer.shape)
        fold = self.folds[prompts]
        for which in np.unique(fold):
            rows = np.flatnonzero(fold == which)
            given = {name: values[rows] for name, values in columns.items()}
            chance[rows] = self.models[which].predict(answer[rows], **given)
        return chance


def write_models(models: Mapping[str, CorrectnessModel]) -> bytes:
    """Return learned verifiers by generator as one JSON object."""
    return msgspec.json.encode(dict(models), order="sorted")


def read_models(content: bytes) -> dict[str, CorrectnessModel]:
    """Read what `write_models` wrote; executes nothing.

    Raises
    ------
    InvalidBundleError
        When it is something else, or a model is of another schema or of another generator than it says.
    """
    try:
        raw = msgspec.json.decode(content, type=dict[str, msgspec.Raw])
    except (msgspec.DecodeError, RecursionError) as error:
        raise InvalidBundleError(f"not a set of learned verifiers: {error}") from error
    models = {name: CorrectnessModel.from_json(bytes(text)) for name, text in raw.items()}
    strangers = [name for name, model in models.items() if model.generator != name]
    if strangers:
        raise InvalidBundleError(f"learned verifiers under another generator's name: {', '.join(strangers)}")
    return models
