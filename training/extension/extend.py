"""Add a generator to a bundle: a new version, another provider, recorded on few labelled prompts.

Its courses are measured on the labelled prompts and foretold for the bundle's reference prompts by what it
shares with the other generators; plans use them where they are foretold to pay, unless labelled prompts show
that this loses. Nothing of the old policy is taken away; a training on all logs together knows more.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from difficulty.arithmetic.threads import on_one_thread
from difficulty.belief.reference_prompts import ReferencePrompts
from difficulty.errors import InvalidInputError, UnknownGeneratorError
from difficulty.log.sample_log import SampleLog
from difficulty.prompt import Prompt
from planner.bundle.policy_bundle import PolicyBundle, prompt_hash
from policies.answering.evidence import Usual
from policies.cost.budget import check_unit
from policies.cost.cost_model import CostModel
from policies.course.course import Course
from policies.course.selection import NO_SIGNAL
from policies.menu.curves import row_mean
from policies.plan.objective import check_objective
from policies.table.measure import prompt_lengths
from policies.table.table import CourseTable
from training.extension.factors import Factors, Fit, fit_process
from training.extension.next_prompts import next_prompts
from training.policy.columns import Columns, measure_columns, screen

__all__ = ["Extended", "extend"]

FloatArray: TypeAlias = NDArray[np.float64]

_FEWEST: Final = 20
_KNOWN: Final = ("accuracy", "coverage")
# Courses of the new generator that are kept, and those offered at a price.
_MOST_COURSES: Final = 40
_MOST_OFFERS: Final = 6
# Value per prompt that offers must be foretold to gain: less is not worth a change.
_LEAST_GAIN: Final = 0.001
# Standard errors over labelled prompts by which offers must not have lost.
_LOST: Final = 1.0


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Extended:
    """What an extension leaves.

    Parameters
    ----------
    bundle : PolicyBundle
        With the new generator.
    generator : str
        Its name.
    n_labelled : int
        Prompts that it was learned from.
    skill : float
        Share of the true variance of its success that is foretold for labelled prompts left out; below 0
        where nothing is.
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
        Labelled samples of the new generator on L prompts, a hundred or so.
    generator : str, optional
        Which of the log's; needed where several are new.
    candidates : sequence of Prompt
        Prompts that could be labelled next.
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
        When the bundle's text tells nothing, its objective is none that this knows, or too few prompts are
        labelled.
    UnknownGeneratorError
        When the generator is not in the log, or is in the bundle already.
    """
    name = _new_name(bundle, log, generator)
    objective = check_objective(bundle.objective)
    if objective not in _KNOWN:
        raise InvalidInputError(
            f"a bundle is extended for {' or '.join(_KNOWN)}, not for {objective}: train on all logs together"
        )
    own = log.select_generators([name])
    known = own.pool(name).n_known > 0
    if known.sum() < _FEWEST:
        raise InvalidInputError(
            f"only {int(known.sum())} prompts have labelled samples of {name!r}; {_FEWEST} are needed, and a "
            "hundred are a good start"
        )
    own = own.select([prompt.id for prompt, told in zip(own.prompts, known, strict=True) if told])
    unit = check_unit(bundle.unit)
    described = {**bundle.generators, name: log.generators[name]}
    model = replace(cost_model or CostModel(unit=unit, generators=described), unit=unit)
    columns = measure_columns(own, model, objective=objective, wanted=_plain, seed=seed)
    columns = columns.keep(_kept(columns))
    factors = Factors.of(bundle)
    fit = fit_process(factors, factors.place(own.prompts))
    rates = _rates(own, name)
    table = _foretold(bundle, own, name, columns, fit)
    offered = _offers(bundle, columns, table, fit, model)
    pool = own.pool(name)
    grown = _joined(bundle, own, name, table, offered, fit)
    deviation = fit.deviation(factors.references, rates)
    asked = factors.place(candidates) if len(candidates) else None
    skill = _skill(fit.left_out(rates[:, None])[:, 0], rates, pool.n_known)
    return Extended(
        bundle=replace(
            grown,
            training={
                **bundle.training,
                "extended": [
                    *bundle.training.get("extended", []),
                    {"generator": name, "n_labelled": len(own.prompts), "skill": round(skill, 4)},
                ],
            },
        ),
        generator=name,
        n_labelled=len(own.prompts),
        skill=skill,
        rate=float(fit.predict(factors.references, rates[:, None]).clip(0, 1).mean()),
        deviation=float(deviation.mean()),
        offered=float(offered.any(axis=1).mean()),
        next_prompts=()
        if asked is None
        else tuple(candidates[at].id for at in next_prompts(fit, asked, min(n_next, len(candidates)))),
    )


def _new_name(bundle: PolicyBundle, log: SampleLog, generator: str | None) -> str:
    new = [name for name in log.generators if name not in bundle.generators]
    if generator is not None:
        if generator not in log.generators:
            raise UnknownGeneratorError(
                f"generator must be one of the log's, {', '.join(log.generators)}; got {generator!r}"
            )
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


def _plain(course: Course) -> bool:
    return course.selection.signal == NO_SIGNAL


def _kept(columns: Columns) -> NDArray[np.intp]:
    """Return the courses of samples, picked without scores, that are near the best at some price."""
    plain = np.array(
        [
            _plain(course) and all(step.kind == "sample" for step in course.steps)
            for course in columns.table.courses
        ]
    )
    near = [at for at in screen(columns, None).tolist() if plain[at]]
    if len(near) <= _MOST_COURSES:
        return np.array(near, dtype=np.intp)
    worth = columns.value.mean(axis=0) - columns.prices[:, None] * columns.cost.mean(axis=0)
    best = np.sort(worth[:, near].argsort(axis=1)[:, ::-1][:, :2].ravel())
    one_shot = [place for place, at in enumerate(near) if columns.table.courses[at].one_shot]
    chosen = list(dict.fromkeys([*best.tolist(), *one_shot]))[:_MOST_COURSES]
    return np.array(sorted(near[place] for place in chosen), dtype=np.intp)


def _rates(log: SampleLog, name: str) -> FloatArray:
    pool = log.pool(name)
    return np.asarray(pool.n_correct / np.maximum(pool.n_known, 1))


def _skill(foretold: FloatArray, rates: FloatArray, n: NDArray[np.int64]) -> float:
    """Return the share of the variance of rates that is foretold, both corrected for their noise."""
    some = n > 1
    noise = float((rates[some] * (1 - rates[some]) / (n[some] - 1)).mean()) if some.any() else 0.0
    true = float(rates.var()) - noise
    return 1 - (float(np.mean((foretold - rates) ** 2)) - noise) / true if true > 1e-9 else 0.0


def _foretold(bundle: PolicyBundle, log: SampleLog, name: str, columns: Columns, fit: Fit) -> CourseTable:
    """Return the table of the new courses on the reference prompts."""
    places = fit.factors.references
    size, measured = len(places.rates), columns.table
    table = CourseTable.empty(measured.courses, size)

    def spread(values: NDArray[np.floating]) -> FloatArray:
        target = np.asarray(values, dtype=np.float64)
        known = ~np.isnan(target)
        mean = np.where(known, target, 0.0).sum(axis=0) / np.maximum(known.sum(axis=0), 1)
        target = np.where(known, target, mean)
        return fit.predict(places, target).clip(target.min(axis=0), target.max(axis=0))

    table.value[:] = spread(columns.value).clip(0.0, 1.0)
    for field in ("rounds", "samples", "requests"):
        getattr(table, field)[:] = spread(getattr(measured, field))
    table.output_tokens[:] = table.samples * _lengths(bundle, log, name, fit)[:, None]
    table.resent_tokens[:] = 0.0
    table.verifier_tokens[:] = 0.0
    return table


def _lengths(bundle: PolicyBundle, log: SampleLog, name: str, fit: Fit) -> FloatArray:
    """Return output tokens per sample on the references: those of the others, in proportion."""
    own = row_mean(log.pool(name).output_tokens)
    others = row_mean(bundle.references.output_tokens)
    size = len(others)
    if np.isnan(own).all() or np.isnan(others).all():
        return np.full(size, np.nan if np.isnan(own).all() else float(np.nanmean(own)))
    others = np.where(np.isnan(others), np.nanmean(others), others)
    expected = np.square(fit.places.leaves) @ others
    known = ~np.isnan(own)
    return np.asarray(others * own[known].sum() / expected[known].sum())


def _offers(
    bundle: PolicyBundle, columns: Columns, table: CourseTable, fit: Fit, model: CostModel
) -> NDArray[np.bool_]:
    """Return the new courses on offer at each price, shape (L, C).

    Offered is what reference prompts are foretold to gain most by, unless labelled prompts, foretold without
    themselves, show that choosing so loses.
    """
    known = _Known.of(bundle, columns, table, fit, model)
    offered = np.zeros((len(bundle.policy.prices), len(columns.table.courses)), dtype=bool)
    for level, price in enumerate(bundle.policy.prices):
        before = np.flatnonzero(bundle.policy.offered[level])
        usual = (known.old_value[:, before] - price * known.old_cost[:, before]).max(axis=1)
        more = known.value - price * known.cost - usual[:, None]
        taken, size = more.argmax(axis=1), more.shape[1]
        total = np.bincount(taken, weights=np.maximum(more.max(axis=1), 0.0), minlength=size)
        kept = np.argsort(-total, kind="stable")[:_MOST_OFFERS]
        kept = kept[total[kept] > 0]
        if total.sum() <= _LEAST_GAIN * len(more):
            continue
        gain = known.labelled_gain(price, before, kept)
        if gain.mean() >= -_LOST * gain.std() / np.sqrt(len(gain)):
            offered[level, kept] = True
    return offered


class _Known(NamedTuple):
    """Old and new courses on reference prompts (T, ·), as foretold, and on labelled ones (L, ·).

    Attributes
    ----------
    old_value, old_cost, value, cost : ndarray of float64
        Expected for each reference prompt by those that resemble it.
    at_value, at_cost : ndarray of float64
        Of the old courses for labelled prompts, likewise.
    told, paid : ndarray of float64
        Of the new courses for labelled prompts, each foretold without itself.
    came, spent : ndarray of float64
        What they came to.
    """

    old_value: FloatArray
    old_cost: FloatArray
    value: FloatArray
    cost: FloatArray
    at_value: FloatArray
    at_cost: FloatArray
    told: FloatArray
    paid: FloatArray
    came: FloatArray
    spent: FloatArray

    @classmethod
    def of(
        cls, bundle: PolicyBundle, columns: Columns, table: CourseTable, fit: Fit, model: CostModel
    ) -> _Known:
        lengths = {name: bundle.prompt_tokens[:, at] for at, name in enumerate(bundle.generators)}
        old = bundle.table.value.astype(np.float64), bundle.table.cost(model, lengths).astype(np.float64)
        came, spent = columns.value.astype(np.float64), columns.cost.astype(np.float64)
        places = fit.factors.references
        alike, near = np.square(places.leaves), np.square(fit.places.leaves)
        cost = fit.predict(places, spent).clip(spent.min(axis=0), spent.max(axis=0))
        return cls(
            alike @ old[0],
            alike @ old[1],
            alike @ table.value.astype(np.float64),
            alike @ cost,
            near @ old[0],
            near @ old[1],
            fit.left_out(came),
            fit.left_out(spent).clip(spent.min(axis=0), spent.max(axis=0)),
            came,
            spent,
        )

    def labelled_gain(self, price: float, before: NDArray[np.intp], kept: NDArray[np.intp]) -> FloatArray:
        """Return what labelled prompts gained by the new courses that they would have taken, shape (L,)."""
        rows = np.arange(len(self.came))
        usual = (self.at_value[:, before] - price * self.at_cost[:, before]).max(axis=1)
        expected = self.told[:, kept] - price * self.paid[:, kept]
        taken = kept[expected.argmax(axis=1)]
        came = self.came[rows, taken] - price * self.spent[rows, taken]
        return np.asarray(np.where(expected.max(axis=1) > usual, came - usual, 0.0))


def _joined(
    bundle: PolicyBundle,
    log: SampleLog,
    name: str,
    table: CourseTable,
    offered: NDArray[np.bool_],
    fit: Fit,
) -> PolicyBundle:
    """Return the bundle with the new generator."""
    references, pool = bundle.references, log.pool(name)
    n, n_correct = (np.zeros((len(references), 1), dtype=np.int64) for _ in range(2))
    tokens = np.full((len(references), 1), np.nan)
    at = fit.places.matched
    some = at >= 0
    n[at[some], 0], n_correct[at[some], 0] = pool.n_known[some], pool.n_correct[some]
    tokens[at[some], 0] = row_mean(pool.output_tokens)[some]
    sent = prompt_lengths(log)[name]
    others = row_mean(bundle.prompt_tokens)
    usual = float(np.nanmean(others)) if np.isfinite(others).any() else 0.0
    expected = np.square(fit.places.leaves) @ np.nan_to_num(others, nan=usual)
    known = ~np.isnan(sent) & (expected > 0)
    length = others * (sent[known].sum() / expected[known].sum() if known.any() else np.nan)
    used = offered.any(axis=0)
    policy = bundle.policy
    answering = bundle.answering
    if answering is not None:
        answering = replace(answering, usual={**answering.usual, name: Usual(np.nan, np.nan)})
    hashes = [prompt_hash(each) for prompt in log.prompts for each in (prompt.id, prompt.group)]
    return replace(
        bundle,
        generators={**bundle.generators, name: log.generators[name]},
        policy=replace(policy, offered=np.concatenate([policy.offered, offered], axis=1)),
        table=CourseTable.joined([bundle.table, table]),
        deployed=np.concatenate([bundle.deployed, used]),
        references=ReferencePrompts(
            generators=(*references.generators, name),
            n=np.concatenate([references.n, n], axis=1),
            n_correct=np.concatenate([references.n_correct, n_correct], axis=1),
            output_tokens=np.concatenate([references.output_tokens, tokens], axis=1),
        ),
        prompt_tokens=np.concatenate([bundle.prompt_tokens, length[:, None]], axis=1),
        trained=np.unique(np.concatenate([bundle.trained, np.array(hashes, dtype=np.uint64)])),
        answering=answering,
    )
