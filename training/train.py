"""From a sample log to a policy bundle: belief, table of courses, verdict, what is told.

Everything that chooses is cross-fitted by group; the bundle plans the best static mix where nothing was shown
to beat it. What the policy is worth on prompts that it never saw is told by `training.evaluate`, not here.
"""

from __future__ import annotations

import os
from dataclasses import replace
from typing import Any, Final

import numpy as np

from difficulty.arguments import check_whole
from difficulty.arithmetic.threads import on_one_thread
from difficulty.errors import InvalidInputError
from difficulty.features.own_features import PromptReader
from difficulty.log.arguments import check_log
from difficulty.log.label_signals import Labels
from difficulty.log.sample_log import SampleLog
from difficulty.logger import logger_of
from difficulty.predictor.group_folds import group_folds
from planner.bundle.folder import open_folder
from planner.bundle.policy_bundle import PolicyBundle
from planner.progress import Progress, silent
from policies.cost.budget import check_unit
from policies.cost.cost_model import CostModel
from policies.plan.objective import Objective, check_objective, valued
from training.answering.learn import with_answering
from training.labels.labelled import labelled
from training.labels.rivals import rivals
from training.menu.learned_verifiers import LearnedVerifiers, fit_learned_verifiers
from training.menu.storage import study_storage
from training.menu.study_name import study_name
from training.policy.belief_search import search_belief
from training.policy.bench import Bench
from training.policy.columns import check_recorded
from training.policy.drawn import drawn_prompts
from training.policy.learn import Weighed, learn
from training.policy.learnable import check_groups, check_learnable
from training.policy.made_bundle import made_bundle
from training.policy.own_numbers import OwnNumbers
from training.policy.text_read import read_text

_LOG: Final = logger_of(__name__)


_N_FOLDS: Final = 5
# A few samples without a token count do not make a log one without token counts.
_RECORDED: Final = 0.95


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
    hidden_states: PromptReader | None = None,
    cost_model: CostModel | None = None,
    learned_verifier: bool = True,
    reward: str = "reward",
    family: str | None = None,
    labels: Labels | None = None,
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
    hidden_states : PromptReader, optional
        Adds hidden states of a causal language model (`HiddenStates`), or features of your own
        (`OwnFeatures`), to those of training. Planning then needs them too.
    cost_model : CostModel, optional
        Prices beyond those in the log's header (energy, verifier sizes); its unit is replaced by `unit`.
    learned_verifier : bool
        Also fit a learned verifier per generator, and let the policy pick by it where it was shown to beat
        the vote (`training.menu.learned_verifiers`); never under ``"coverage"``, which needs a checker.
    family : str, optional
        Key of `meta` that names families of prompts. Whole families are then left out wherever something is
        judged out of fold, so that what is deployed was shown to pay for kinds of prompts that were not seen.
        Without it prompts of known kinds are, and what text tells of families that were left out is only
        recorded, where the log names them as ``family`` or ``task``.
    labels : {"agreement", "verifier", "judge"}, optional
        What stands for right and wrong where nobody graded the samples (docs/labels.md): agreement with the
        other samples of a prompt, the scores, or the rewards. Verdicts that are recorded only correct them.
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
    check_log(log)
    check_objective(objective)
    check_whole("seed", seed, most=2**32 - 1)  # what scikit-learn takes
    check_whole("n_trials", n_trials, least=1)
    if reward != "reward" and objective != "reward":
        raise InvalidInputError(
            f"reward={reward!r} belongs to objective='reward' (--objective reward), got {objective!r}"
        )
    record: dict[str, object] = {"log_digest": log.digest}
    if objective == "reward":
        record["reward"] = reward
    if labels is None:
        graded = valued(log, objective, reward=reward)
    else:
        graded, record["labels"] = _labelled(log, labels, objective, seed)
        learned_verifier = False  # it needs verdicts
    check_learnable(graded, objective)
    n_labelled = int((graded.values().n > 0).any(axis=1).sum())
    graded = drawn_prompts(graded, seed=seed)
    if len(graded) < n_labelled:
        record["n_drawn_from"] = n_labelled
    unit = check_unit(unit or default_unit(graded))
    study_storage(storage)  # what cannot be used is refused before anything is fitted
    model = cost_model or CostModel(unit=unit, generators=log.generators)
    model, families, tell = replace(model, unit=unit), log.families(family), progress or silent
    check_recorded(graded, model)
    with open_folder(out) as folder:
        own = OwnNumbers.of(graded) if objective == "reward" else OwnNumbers()
        log = own.shares(graded)
        families = None if families is None else log.families(families.key)
        verifiers = LearnedVerifiers({}, {}, {}, {})
        if learned_verifier and objective == "accuracy":
            tell("verifier", 0, 1)
            verifiers = fit_learned_verifiers(log, seed=seed)
            tell("verifier", 1, 1)
        groups = np.array(log.near_duplicates().groups)
        if families is not None and family is not None:
            groups = np.array(families.joined(groups.tolist()))
        check_groups(groups)
        folds = group_folds(groups, n_folds=_N_FOLDS, seed=seed)
        read = read_text(
            log, folds, hidden_states, families, graded=objective == "reward", seed=seed, tell=tell
        )

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
        answering = None
        if objective == "accuracy" and log.has_answers and "labels" not in record:
            tell("answers", 0, 1)
            sharp = None if read is None else read.weighed.sharp
            learned, answering = with_answering(log, learned, sharp=sharp, groups=groups, seed=seed)
            tell("answers", 1, 1)
        bundle = made_bundle(
            log,
            learned,
            read,
            families,
            verifiers,
            model,
            record=record,
            objective=objective,
            seed=seed,
            n_trials=n_trials,
        )
        bundle = own.tell(replace(bundle, answering=answering))
        bundle.save_into(folder)
        _LOG.info("trained on %d prompts: %s", len(log), "; ".join(learned.verdict.chosen))
        return bundle


def _labelled(
    log: SampleLog, labels: Labels, objective: Objective, seed: int
) -> tuple[SampleLog, dict[str, Any]]:
    """Return a log whose samples are worth their labels, and the record of these."""
    if objective != "accuracy":
        raise InvalidInputError(
            f"labels={labels!r} stand for right and wrong answers, and belong to objective='accuracy'; got "
            f"{objective!r}"
        )
    found = labelled(log, labels)
    return found.log, found.record | {"rivals": rivals(log, labels, seed=seed)}


def default_unit(log: SampleLog) -> str:
    """Return ``output_tokens`` where at least 95 % of the samples of each generator record them, else
    ``samples``.
    """
    for name in log.generators:
        pool = log.pool(name)
        tokens = pool.output_tokens[~np.isnan(pool.value)]
        if len(tokens) and (np.isnan(tokens).mean() > 1 - _RECORDED or pool.counts_only.any()):
            return "samples"
    return "output_tokens"
