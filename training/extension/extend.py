"""Add a generator to a bundle: a new version, another provider, recorded on few labelled prompts.

Its courses are measured on the labelled prompts and foretold for the bundle's reference prompts by what it
shares with the other generators; plans use them where they are foretold to pay, unless labelled prompts show
that this loses. Nothing of the old policy is taken away; a training on all logs together knows more.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
from numpy.typing import NDArray

from difficulty.arguments import check_choice, check_whole
from difficulty.arithmetic.arrays import FloatArray
from difficulty.arithmetic.rows import row_mean
from difficulty.arithmetic.threads import on_one_thread
from difficulty.errors import InvalidInputError, UnknownGeneratorError
from difficulty.log.sample_log import SampleLog
from difficulty.prompt import Prompt
from planner.bundle.policy_bundle import PolicyBundle
from policies.cost.budget import check_unit
from policies.cost.cost_model import CostModel
from policies.plan.objective import check_objective
from training.extension.agreement import fit_with_agreement, worth_reading
from training.extension.factors import Factors
from training.extension.foretold import foretold, kept, picks_without_scores
from training.extension.joined import joined
from training.extension.known_answers import with_known_answers
from training.extension.next_prompts import Asked
from training.extension.offers import offers
from training.frontier import number
from training.policy.columns import measure_columns

_FEWEST: Final = 20
_FEWEST_TOLD: Final = 100
_KNOWN: Final = ("accuracy", "coverage")


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Extended:
    """What an extension leaves.

    Parameters
    ----------
    bundle : PolicyBundle
        With the new generator.
    generator : str
        Its name.
    n_labelled, n_told, n_drawn : int
        Prompts with verdicts that it was learned from; those of which graded answers of other generators
        tell; and all of which samples told how far they agree.
    skill : float
        Share of the true variance of its success that is foretold, at most 1, for prompts left out with two
        samples or more, all of which have a verdict of their own or of others; below 0 where nothing is, NaN
        without such prompts.
    rate, deviation : float
        Its mean success over the reference prompts, and how far a prompt's may lie from what is foretold.
    offered : float
        Share of the prices at which plans may use it.
    next_prompts : tuple of str
        Which candidates to label next, the most telling first.
    """

    bundle: PolicyBundle
    generator: str
    n_labelled: int
    n_told: int
    n_drawn: int
    skill: float
    rate: float
    deviation: float
    offered: float
    next_prompts: tuple[str, ...]


@on_one_thread
def extend(
    bundle: PolicyBundle,
    log: SampleLog,
    *,
    generator: str | None = None,
    candidates: Sequence[Prompt] = (),
    n_next: int = 0,
    cost_model: CostModel | None = None,
    seed: int = 0,
) -> Extended:
    """Add a generator to a bundle.

    Parameters
    ----------
    bundle : PolicyBundle
        Whose text tells something.
    log : SampleLog
        Labelled samples of the new generator on L prompts, a hundred or so. Samples of other prompts that
        nobody graded tell by how far they agree, of 3,000 prompts at most, those of the old training first;
        where the log also holds graded samples of other generators, by which of their answers they gave.
    generator : str, optional
        Which of the log's; needed where several are new.
    candidates : sequence of Prompt
        Prompts that could be labelled next; by default those that were drawn and that nobody graded. Of more
        than 3,000, some in even steps are weighed.
    n_next : int
        How many of them to name.
    cost_model : CostModel, optional
        Prices beyond those in the headers; its unit is replaced by the bundle's.
    seed : int
        Of orders and of estimates that draw.

    Returns
    -------
    Extended
        The bundle is not written.

    Raises
    ------
    InvalidInputError
        When the bundle's text tells nothing, its objective is none that this knows, too few prompts are
        labelled or most of them are of another kind, or verdicts contradict those of others for the same
        answers.
    UnknownGeneratorError
        When the generator is not in the log, or is in the bundle already.
    """
    check_whole("n_next", n_next)
    name = _new_name(bundle, log, generator)
    objective = check_objective(bundle.objective)
    if objective not in _KNOWN:
        raise InvalidInputError(
            f"a bundle is extended for {' or '.join(_KNOWN)}, not for {objective}: train on all logs together"
        )
    drawn = worth_reading(bundle, log.select_generators([name]), name)
    graded = drawn.pool(name).n_known > 0
    factors, n_told, unknown = Factors.of(bundle), 0, np.zeros(len(drawn.prompts))
    if objective == "accuracy" and len(drawn.prompts):
        same = log.select([prompt.id for prompt in drawn.prompts])
        drawn, n_told, unknown = with_known_answers(factors, same, name)
    n_labelled = int(graded.sum())
    if n_labelled < _FEWEST and n_told < _FEWEST_TOLD:
        raise InvalidInputError(
            f"only {n_labelled} prompts have labelled samples of {name!r}; {_FEWEST} are needed, and a "
            f"hundred are a good start; or graded answers of the other generators to {_FEWEST_TOLD} prompts "
            "of which it has samples"
        )
    known = drawn.pool(name).n_valued > 0
    _check_kind(bundle, [prompt for prompt, some in zip(drawn.prompts, known, strict=True) if some], name)
    own = drawn.select([prompt.id for prompt, some in zip(drawn.prompts, known, strict=True) if some])
    unit = check_unit(bundle.unit)
    described = {**bundle.generators, name: log.generators[name]}
    model = replace(cost_model or CostModel(unit=unit, generators=described), unit=unit)
    columns = measure_columns(own, model, objective=objective, wanted=picks_without_scores, seed=seed)
    columns = columns.keep(kept(columns))
    fit = fit_with_agreement(factors, drawn, name)
    references = fit.factors.references
    rates = row_mean(own.pool(name).value)
    table = foretold(bundle, own, name, columns, fit)
    offered = offers(bundle, columns, table, fit, model)
    grown = joined(bundle, own, name, table, offered, fit, drawn.prompts)
    deviation = fit.deviation(references, rates)
    asked = Asked.of(candidates, drawn.prompts, graded, unknown if n_told else None)
    value = own.pool(name).value
    sure = (np.isnan(value) | (value == 0.0) | (value == 1.0)).all(axis=1)
    skill = _skill(fit.left_out(rates[:, None])[sure, 0], rates[sure], own.pool(name).n_valued[sure])
    return Extended(
        bundle=replace(
            grown,
            training={
                **bundle.training,
                "extended": [
                    *bundle.training.get("extended", []),
                    {"generator": name, "n_labelled": n_labelled, "skill": number(skill, digits=4)},
                ],
            },
        ),
        generator=name,
        n_labelled=n_labelled,
        n_told=n_told,
        n_drawn=len(drawn.prompts),
        skill=skill,
        rate=float(fit.predict(references, rates[:, None]).clip(0, 1).mean()),
        deviation=float(deviation.mean()),
        offered=float(offered.any(axis=1).mean()),
        next_prompts=asked.first(fit, n_next),
    )


def _new_name(bundle: PolicyBundle, log: SampleLog, generator: str | None) -> str:
    new = [name for name in log.generators if name not in bundle.generators]
    if generator is not None:
        check_choice("generator", generator, log.generators, error=UnknownGeneratorError)
        if generator not in new:
            raise UnknownGeneratorError(
                f"the bundle knows {generator!r} already; train it anew to learn more"
            )
        return generator
    if len(new) != 1:
        raise UnknownGeneratorError(
            "the log must have one generator that the bundle does not know; it has "
            + (f"{', '.join(new)}; say which" if new else "none")
        )
    return new[0]


def _check_kind(bundle: PolicyBundle, labelled: Sequence[Prompt], name: str) -> None:
    """Refuse labels on prompts of another kind: they would tell plans about prompts that nobody labelled."""
    if bundle.belief is None or bundle.features is None or bundle.belief.known is None:
        return
    familiar = bundle.belief.familiarity(bundle.features.transform(labelled, None)) >= 0.5
    if familiar.mean() < 0.5:
        raise InvalidInputError(
            f"{int((~familiar).sum())} of the {len(familiar)} labelled prompts of {name!r} are of another "
            "kind than those of the bundle's training: label prompts like these, best the same, or train on "
            "both logs"
        )


def _skill(foretold: FloatArray, rates: FloatArray, n: NDArray[np.int64]) -> float:
    """Return the share of the variance of rates that is foretold, both corrected for their noise; NaN where
    no prompt has two samples, without which nobody knows the noise.
    """
    some = n > 1
    if not some.any():
        return float("nan")
    foretold, rates = foretold[some], rates[some]
    noise = float((rates * (1 - rates) / (n[some] - 1)).mean())
    true = float(rates.var()) - noise
    if true <= 1e-9:
        return 0.0
    return min(1 - (float(np.mean((foretold - rates) ** 2)) - noise) / true, 1.0)
