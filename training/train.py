"""From a sample log to a policy bundle: belief, table of courses, verdict, what is told.

Everything that chooses is cross-fitted by group; the bundle plans the best static mix where nothing was shown
to beat it. What the policy is worth on prompts that it never saw is told by `training.evaluate`, not here.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Final, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from difficulty.arithmetic.threads import on_one_thread
from difficulty.belief.belief_options import BeliefOptions
from difficulty.belief.reference_prompts import ReferencePrompts
from difficulty.belief.text_belief import FittedBelief, fit_text_belief
from difficulty.errors import InvalidInputError
from difficulty.features.hidden_states import HiddenStates
from difficulty.features.prompt_features import PromptFeatures
from difficulty.log.known_texts import KnownTexts
from difficulty.log.redaction import refuse_redacted
from difficulty.log.sample_log import SampleLog
from difficulty.logger import logger_of
from difficulty.predictor.group_folds import group_folds
from difficulty.prompt import Prompt
from planner.bundle.folder import open_folder
from planner.bundle.policy_bundle import PolicyBundle, prompt_hash
from policies.cost.budget import check_unit
from policies.cost.cost_model import CostModel
from policies.menu.curves import row_mean
from policies.plan.objective import Objective, check_objective, valued
from policies.table.measure import prompt_lengths
from policies.table.table import CourseTable
from training.menu.learned_verifiers import LearnedVerifiers, fit_learned_verifiers
from training.menu.study_name import study_name
from training.policy.belief_search import search_belief
from training.policy.bench import Bench
from training.policy.gaps import filled_table
from training.policy.learn import Learned, Weighed, learn
from training.policy.overoptimised import overoptimised

__all__ = ["default_unit", "train"]

_LOG: Final = logger_of(__name__)

FloatArray: TypeAlias = NDArray[np.float64]
Progress: TypeAlias = Callable[[str, int, int], None]

_N_FOLDS: Final = 5
_MIN_PROMPTS: Final = 20
# A few samples without a token count do not make a log one without token counts.
_RECORDED: Final = 0.95
# Reference prompts that a bundle keeps: planning time and memory grow with them, precision hardly does.
_MAX_REFERENCES: Final = 3000
# Dimensions of wording: enough to tell kinds of prompt apart on mixed traffic.
_WORDING: Final = 48


@on_one_thread
def train(
    log: SampleLog,
    out: str | os.PathLike[str],
    *,
    n_trials: int = 200,
    seed: int = 0,
    objective: Objective = "accuracy",
    unit: str | None = None,
    storage: str | os.PathLike[str] | None = None,
    hidden_states: HiddenStates | None = None,
    cost_model: CostModel | None = None,
    learned_verifier: bool = True,
    reward: str = "reward",
    progress: Progress | None = None,
) -> PolicyBundle:
    """Learn the policy from a log and write the bundle.

    Parameters
    ----------
    log : SampleLog
        Training prompts; keep test prompts out of it (`SampleLog.split`).
    out : str or path
        Folder of the bundle.
    n_trials : int
        Optuna trials that look for a better belief than the default one, at least 1.
    seed : int
        Seed of folds, forests, sampler and orders; equal logs and seeds give equal bundles.
    objective : {"accuracy", "coverage", "reward", "contrast", "variance"}
        What the deployed selector delivers; at least one correct sample where a checker is available; the
        expected reward of what is selected, in the scale of the recorded rewards (docs/reward.md); or, of a
        group of rollouts for reinforcement learning, the chance of a success beside a failure, or the
        variance of the rewards (docs/groups.md).
    reward : str
        Where the rewards of ``"reward"`` stand (`SampleLog.with_rewards`): the field itself, ``"score"`` for
        logs whose scores are the truth, or ``"meta.KEY"``.
    unit : str, optional
        Unit of cost that the policy is learned in: by default ``output_tokens`` where (almost) every sample
        of every generator records them, else ``samples``.
    storage : str or path, optional
        Journal file or Optuna RDB URL: resumable, and shared by several workers.
    hidden_states : HiddenStates, optional
        Adds hidden states of a causal language model to the features of training. Planning then needs them
        too.
    cost_model : CostModel, optional
        Prices beyond those in the log's header (energy, verifier sizes); its unit is replaced by `unit`.
    learned_verifier : bool
        Also fit a learned verifier per generator, and let the policy pick by it where it was shown to beat
        the vote (`training.menu.learned_verifiers`); never under ``"coverage"``, which needs a checker.
    progress : callable, optional
        Called with (stage, done, total).

    Returns
    -------
    PolicyBundle
        What was written.

    Raises
    ------
    InvalidInputError
        When the log has too few labelled prompts, `n_trials` is below 1, or another training writes to `out`.
    UnknownUnitError
        When the unit cannot be priced from this log.
    """
    check_objective(objective)
    if reward != "reward" and objective != "reward":
        raise InvalidInputError(
            f"reward={reward!r} belongs to objective='reward' (--objective reward), got {objective!r}"
        )
    if n_trials < 1:
        raise InvalidInputError(f"n_trials must be at least 1, got {n_trials}")
    graded = valued(log, objective, reward=reward)
    _check_labels(graded, objective)
    unit = check_unit(unit or default_unit(graded))
    with open_folder(out) as folder:
        return _train(
            graded,
            folder,
            record={"log_digest": log.digest, **({"reward": reward} if objective == "reward" else {})},
            n_trials=n_trials,
            seed=seed,
            objective=objective,
            model=replace(
                cost_model or CostModel(unit=check_unit(unit), generators=log.generators),
                unit=check_unit(unit),
            ),
            storage=storage,
            hidden_states=hidden_states,
            learned_verifier=learned_verifier,
            tell=progress or (lambda stage, done, total: None),
        )


def _check_labels(log: SampleLog, objective: Objective) -> None:
    """Refuse a log that nothing can be learned from."""
    refuse_redacted(log)
    n_labelled = int((log.values().n.sum(axis=1) > 0).sum())
    if not n_labelled:
        raise InvalidInputError(
            "no sample is known to be right or wrong, and a policy learns from nothing else: grade them when "
            "they are imported (planner import --grade), or let planner serve mark those that agree "
            '(log_labels = "agreement")'
        )
    if n_labelled < _MIN_PROMPTS:
        known = "with a reward" if objective == "reward" else "that are known to be right or wrong"
        raise InvalidInputError(
            f"only {n_labelled} prompts have samples {known}; at least {_MIN_PROMPTS} are needed to train a "
            "policy: record more prompts, or label their samples"
        )


def _train(
    log: SampleLog,
    folder: Path,
    *,
    record: Mapping[str, object],
    n_trials: int,
    seed: int,
    objective: Objective,
    model: CostModel,
    storage: str | os.PathLike[str] | None,
    hidden_states: HiddenStates | None,
    learned_verifier: bool,
    tell: Progress,
) -> PolicyBundle:
    labelled = log.values().n.sum(axis=1) > 0
    _check_overlap(log)
    log = log.select([prompt.id for prompt, known in zip(log.prompts, labelled, strict=True) if known])
    verifiers = LearnedVerifiers({}, {}, {}, {})
    if learned_verifier and objective == "accuracy":
        tell("verifier", 0, 1)
        verifiers = fit_learned_verifiers(log, seed=seed)
        tell("verifier", 1, 1)
    groups = np.array(log.near_duplicates().groups)
    folds = group_folds(groups, n_folds=_N_FOLDS, seed=seed)
    read = _read_text(log, folds, hidden_states, seed, tell)

    def search(bench: Bench) -> Weighed | None:
        """Mix the belief anew where that is shown to be better."""
        nonlocal read
        if read is None or read.fitted.parts is None:
            return None
        default = read.fitted.belief.options
        best = search_belief(
            read.fitted.parts,
            bench,
            default,
            n_trials=n_trials,
            seed=seed,
            storage=storage,
            name="belief-"
            + study_name(
                log,
                objective=objective,
                unit=model.unit,
                seed=seed,
                verifiers=verifiers,
                cost_model=model,
                hidden_states=hidden_states,
            ),
            progress=lambda done, total: tell("search", done, total),
        )
        if best == default:
            return None
        read = read._replace(fitted=read.fitted.mixed(best))
        return read.weighed

    learned = learn(
        log,
        model,
        objective=objective,
        weights=None if read is None else read.weighed,
        folds=folds,
        groups=groups,
        learned=verifiers.cross_fitted,
        offered=verifiers.offered,
        seed=seed,
        search=search,
        progress=tell,
    )
    bundle = _bundle(
        log,
        learned,
        read,
        verifiers,
        model,
        record=record,
        objective=objective,
        seed=seed,
        n_trials=n_trials,
    )
    bundle.save_into(folder)
    _LOG.info("trained on %d prompts: %s", len(log), "; ".join(learned.verdict.chosen))
    return bundle


class _Read(NamedTuple):
    """What text says: features, and a belief with weights out of fold."""

    features: PromptFeatures
    fitted: FittedBelief

    def skill(self, generators: Iterable[str]) -> dict[str, float | None]:
        """Return what the belief explains by generator; None where nobody can tell."""
        shares = zip(generators, self.fitted.skill, strict=True)
        return {name: round(float(share), 4) if np.isfinite(share) else None for name, share in shares}

    @property
    def weighed(self) -> Weighed:
        """Weights of the training prompts out of fold."""
        return Weighed(self.fitted.out_of_fold, self.fitted.sharp)


def _check_overlap(log: SampleLog) -> None:
    """Refuse generators that were recorded on other prompts than the rest: nothing compares them."""
    known = log.values().n > 0
    usual = int(known.sum(axis=0).argmax())
    shared = (known & known[:, [usual]]).sum(axis=0)
    for name, own, both in zip(log.generators, known.sum(axis=0).tolist(), shared.tolist(), strict=True):
        if both < min(own, _MIN_PROMPTS):
            raise InvalidInputError(
                f"generators {name!r} and {list(log.generators)[usual]!r} have labelled samples of {both} "
                f"prompts in common, and {_MIN_PROMPTS} are needed to compare them: record both on the same "
                "prompts, or train on one of them"
            )


def _read_text(
    log: SampleLog,
    folds: NDArray[np.intp],
    hidden_states: HiddenStates | None,
    seed: int,
    tell: Progress,
) -> _Read | None:
    """Fit features and belief; None where there is no text, or text tells nothing out of fold."""
    if not PromptFeatures.available(log.prompts):
        return None
    tell("belief", 0, 1)
    hidden = None if hidden_states is None else hidden_states.transform(log.prompts)
    features = PromptFeatures(embedding_dims=_WORDING, seed=seed).fit(log.prompts, hidden)
    n, n_good = _successes(log)
    fitted = fit_text_belief(
        features.transform(log.prompts, hidden), n, n_good, folds, seed=seed, spread=_spread(log)
    )
    tell("belief", 1, 1)
    if not fitted.tells:
        return None
    return _Read(features, fitted)


def _bundle(
    log: SampleLog,
    learned: Learned,
    read: _Read | None,
    verifiers: LearnedVerifiers,
    model: CostModel,
    *,
    record: Mapping[str, object],
    objective: Objective,
    seed: int,
    n_trials: int,
) -> PolicyBundle:
    """Put the bundle together, with at most `_MAX_REFERENCES` reference prompts."""
    n, n_good = _successes(log)
    rows = np.arange(len(log.prompts))
    if len(rows) > _MAX_REFERENCES:
        rows = np.sort(np.random.default_rng(seed).permutation(rows)[:_MAX_REFERENCES])
    lengths = prompt_lengths(log)
    table: CourseTable = filled_table(learned.table, learned.value).take(rows)
    verdict = learned.verdict
    return PolicyBundle(
        objective=objective,
        unit=model.unit,
        generators=dict(log.generators),
        policy=learned.policy,
        table=table,
        deployed=learned.deployed,
        references=ReferencePrompts(
            generators=tuple(log.generators),
            n=n[rows],
            n_correct=n_good[rows],
            output_tokens=np.stack(
                [row_mean(log.pool(name).output_tokens)[rows] for name in log.generators], axis=1
            ),
        ),
        prompt_tokens=np.stack([lengths[name][rows] for name in log.generators], axis=1),
        features=None if read is None else read.features,
        belief=None if read is None else read.fitted.belief.take(rows),
        prompt_token_fit=_token_fit(log),
        training={
            **record,
            "n_prompts": len(log.prompts),
            "n_samples": log.n_samples,
            "n_near_duplicates": log.near_duplicates().n_prompts,
            "seed": seed,
            "n_trials": n_trials,
            "about": {k: v for k, v in log.about.items() if k in ("source", "licence", "split")},
            "verdict": [
                {
                    "deployed": name,
                    "gain": round(verdict.gain[name][at], 6),
                    "error": round(verdict.error[name][at], 6),
                }
                for at, name in enumerate(verdict.chosen)
            ],
            "skill": {} if read is None else read.skill(log.generators),
            "mixture": {} if read is None else _parts(read.fitted.belief.options),
            "learned_verifier": verifiers.record,
            "overoptimised": overoptimised(learned.columns, learned.bench.groups),
        },
        trained=_trained_hashes(log.prompts),
        texts=KnownTexts.of([prompt.content for prompt in log.prompts] if log.has_text else []),
        verifiers={name: made for name, made in verifiers.models.items() if name in log.generators},
    )


def _successes(log: SampleLog) -> tuple[NDArray[np.int64], NDArray[np.int64] | FloatArray]:
    """Return samples of known value and how many succeeded, (P, G) each: of rewards, the sum of their shares
    of the scale.
    """
    values, scale = log.values(), log.scale
    total = ((values.total - values.n * scale.lower) / scale.span).clip(0, values.n)
    whole = total.astype(np.int64)
    return values.n, whole if (whole == total).all() else total


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


def _parts(options: BeliefOptions) -> dict[str, float]:
    """Return how much each part of a belief's mixture counts; shares of 1."""
    parts = {"forest": options.forest, "nearest": options.nearest, "kernel": options.kernel}
    total = sum(parts.values())
    return {name: round(part / total, 4) for name, part in parts.items()}


def default_unit(log: SampleLog) -> str:
    """Return ``output_tokens`` where at least 95 % of the samples of each generator record them, else
    ``samples``.
    """
    for name in log.generators:
        pool = log.pool(name)
        if np.isnan(pool.output_tokens[~np.isnan(pool.value)]).mean() > 1 - _RECORDED or bool(
            pool.counts_only.any()
        ):
            return "samples"
    return "output_tokens"


def _trained_hashes(prompts: Sequence[Prompt]) -> NDArray[np.uint64]:
    """Return what tells a prompt that was trained on: ids and groups."""
    hashes = [prompt_hash(name) for prompt in prompts for name in (prompt.id, prompt.group)]
    return np.unique(np.array(hashes, dtype=np.uint64))


def _token_fit(log: SampleLog) -> dict[str, tuple[float, float]]:
    """Fit prompt tokens against characters, per generator, by least squares; absent where not recorded."""
    fits = {}
    characters = np.array([np.nan if p.content is None else len(p.content) for p in log.prompts])
    for name in log.generators:
        tokens = log.pool(name).prompt_tokens
        known = ~np.isnan(tokens) & ~np.isnan(characters)
        if known.sum() >= 2:
            design = np.column_stack([np.ones(known.sum()), characters[known]])
            intercept, slope = np.linalg.lstsq(design, tokens[known], rcond=None)[0]
            fits[name] = (float(intercept), float(slope))
    return fits
