"""The user's door: plans for prompts under a budget, at a price, or for a target accuracy.

A planner holds a bundle (or the cold start) and turns prompts into beliefs, beliefs into values and costs,
and those into one allocation per prompt by one price. Planning spends nothing; running plans is left to the
drivers. The file is long because it is the one door: five verbs (`plan`, `frontier`, `belief`, `run`, `arun`)
whose arguments are documented where people look for them; what they do lives in the modules imported here.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from difficulty.arithmetic.threads import on_one_thread
from difficulty.belief.reference_prompts import Belief
from difficulty.errors import InvalidBudgetError, InvalidInputError
from difficulty.generator import Generator
from difficulty.logger import logger_of
from difficulty.prompt import Prompt, as_prompts
from planner.bundle.policy_bundle import PolicyBundle
from planner.bundle.restriction import restrict
from planner.planning.at_risk import AtRisk, Panels, plan_at_risk
from planner.planning.batch import Batch
from planner.planning.expectation import Expectation, Lengths
from planner.planning.groups import first_groups
from planner.planning.likeness import Likenesses
from planner.planning.menu import CHUNK, Chooser, Menu, menu_of
from planner.planning.plans import Ground, Writer
from planner.planning.request import check_request, warn_of_strangers
from planner.planning.untrained import untrained_bundle
from policies.answering.answering import Answering, AnswerPrice
from policies.cost.budget import Budget, Unit, check_unit
from policies.cost.cost_model import CostModel
from policies.cost.latency import DecodeModel
from policies.groups.group_planner import GroupPlanner
from policies.groups.values import GroupValue
from policies.plan.objective import GROUP_OBJECTIVES, Objective, check_objective
from policies.plan.plan import AllocationPlan
from policies.solver.hull import upper_hull

if TYPE_CHECKING:  # running loads the drivers; planning does not need them
    from difficulty.features.hidden_states import HiddenStates
    from planner.drivers import Limits
    from planner.drivers.session import DriverName, OnProgress
    from planner.ports.outcome import Outcome
    from planner.ports.ports import AnswerExtractor, Backend, Verifier

__all__ = ["FrontierPoint", "Planner"]

_LOG = logger_of(__name__)


class FrontierPoint(NamedTuple):
    """A point of the expected frontier.

    Attributes
    ----------
    expected_cost : float
        Mean cost per prompt, in the unit asked for.
    expected_accuracy : float
        Mean expected accuracy (or coverage).
    price : float
        Value per unit of cost at which the point is reached.
    """

    expected_cost: float
    expected_accuracy: float
    price: float


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Planner:
    """Plans test-time compute for prompts; make one with `load` or `untrained`.

    Parameters
    ----------
    bundle : PolicyBundle
        What training left, or the cold start.
    cost_model : CostModel, optional
        Prices in place of those in the log's header; its unit is replaced by the one that is planned in.
    decode : DecodeModel, optional
        Predicts seconds; needed for budgets in ``seconds``.
    hidden_states : HiddenStates, optional
        Reads prompts with the language model that the bundle was trained with; needed for such bundles only.

    Examples
    --------
    >>> planner = Planner.untrained()
    >>> plan, = planner.plan(["What is 6 times 7?"], budget=Budget(limit=8, unit="samples"))
    >>> plan.allocation.n, str(plan.course.stop)
    (12, 'until 4 agree')
    """

    bundle: PolicyBundle
    cost_model: CostModel | None = None
    decode: DecodeModel | None = None
    hidden_states: HiddenStates | None = None
    _likeness: Likenesses = field(init=False, repr=False)
    _priced: dict[Unit, Expectation] = field(init=False, repr=False, default_factory=dict)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_likeness", Likenesses.of(self.bundle))

    @classmethod
    def load(
        cls,
        path: str | os.PathLike[str],
        *,
        generators: Mapping[str, Generator] | None = None,
        cost_model: CostModel | None = None,
        decode: DecodeModel | None = None,
        hidden_states: HiddenStates | None = None,
    ) -> Planner:
        """Load the bundle that training left.

        Parameters
        ----------
        path : str or path
            The folder.
        generators : mapping, optional
            The generators that will be used. Those that the bundle does not know are no part of any plan, and
            a `UserWarning` says where settings differ from what the bundle was trained on.
        cost_model, decode, hidden_states
            See `Planner`.

        Raises
        ------
        InvalidBundleError
            When the folder is not a bundle, was changed, or is of another schema.
        UnknownGeneratorError
            When the bundle knows none of `generators`.
        """
        bundle = PolicyBundle.load(path)
        if generators is not None:
            bundle = restrict(bundle, generators)
        return cls(bundle=bundle, cost_model=cost_model, decode=decode, hidden_states=hidden_states)

    @classmethod
    def untrained(
        cls,
        generators: Sequence[str] = ("default",),
        *,
        objective: Objective = "accuracy",
        output_tokens_per_sample: float = 512.0,
        output_tokens: Mapping[str, float] | None = None,
        max_samples: int = 32,
    ) -> Planner:
        """Return a planner that knows nothing of your prompts: probe, and stop when samples agree.

        Parameters
        ----------
        generators : sequence of str
            Names of the generators, from the cheapest to the strongest; plans draw from the first and the
            last.
        objective : {"accuracy", "coverage"}
            Majority vote, or first success where a checker is available.
        output_tokens_per_sample : float
            Assumed length of a completion, for budgets in tokens.
        output_tokens : mapping of str to float, optional
            The same of generators whose completions are of another length.
        max_samples : int
            The most samples of one generator that a plan may draw, 1 to 128.

        Raises
        ------
        InvalidInputError
            When no generator is named, one is named twice, a number is out of range, or groups of rollouts
            are asked for: `policies.groups.group_planner.GroupPlanner` starts without a bundle.
        """
        if objective == "reward":
            raise InvalidInputError(
                "what rewards look like is not known without a log: train(log, objective='reward') on one "
                "that records them, or plan for accuracy"
            )
        if objective in GROUP_OBJECTIVES:
            raise InvalidInputError(
                f"there is nothing to tell prompts apart by before the first rollouts ({objective}): "
                "GroupPlanner.start(n_prompts) in policies.groups.group_planner learns from them as it goes"
            )
        return cls(
            bundle=untrained_bundle(
                generators,
                objective=check_objective(objective),
                output_tokens_per_sample=output_tokens_per_sample,
                output_tokens=output_tokens,
                max_samples=max_samples,
            )
        )

    def plan(
        self,
        prompts: Iterable[Prompt | str],
        *,
        budget: Budget | None = None,
        price: float | None = None,
        target_accuracy: float | None = None,
        target_risk: float | None = None,
        max_per_prompt: float | None = None,
        one_shot: bool = False,
        max_rounds: int | None = None,
        seed: int = 0,
    ) -> list[AllocationPlan]:
        """Return one plan per prompt, in order.

        Exactly one of `budget`, `price` and `target_accuracy` is given, or `target_risk`, alone or with a
        budget.

        Parameters
        ----------
        prompts : iterable of Prompt or str
            The P prompts.
        budget : Budget, optional
            Limit over the batch (``scope="batch"``) or on average per prompt (``scope="prompt"``). The
            expected total never exceeds it, and no plan's expected cost exceeds ``max_per_prompt``.
        price : float, optional
            Value that a unit of cost must bring, at least 0; each plan then depends on its prompt alone.
        target_accuracy : float, optional
            Mean expected accuracy that is to be reached at least cost, in (0, 1].
        target_risk : float, optional
            Greatest share of errors among answered prompts, in (0, 1): plans give the most answers at that
            risk. Which answers are given is settled by `run`, from what was drawn.
        max_per_prompt : float, optional
            Hard cap on each plan, in the unit of the bundle, beside a price or a target; budgets have their
            own.
        one_shot : bool
            Only courses that decide everything before the first sample, as batch interfaces need.
        max_rounds : int, optional
            The most steps of a plan that wait for one another, at least 1.
        seed : int
            Decides between prompts that are equally worth more compute.

        Raises
        ------
        InvalidPromptError
            When a prompt is empty or an id is given twice.
        InvalidBudgetError
            When not exactly one of the three is given, or when it cannot be met; the message says what could
            be.
        UnknownUnitError
            When the budget's unit cannot be priced.
        InvalidInputError
            When `max_rounds` is below 1, or nothing may be planned within the restrictions.
        """
        batch = as_prompts(prompts)
        ready = self._batch(
            batch,
            budget=budget,
            price=price,
            target_accuracy=target_accuracy,
            target_risk=target_risk,
            max_per_prompt=max_per_prompt,
            one_shot=one_shot,
            max_rounds=max_rounds,
            seed=seed,
        )
        plans: list[AllocationPlan] = []
        if ready is not None and target_risk is not None:
            plans = self._at_risk(ready, target_risk, budget, max_per_prompt).plans
        elif ready is not None:
            plans = _plans(ready, budget, target_accuracy)
        cost = sum(plan.expected_cost for plan in plans)
        _LOG.info("planned %d prompts, expected to cost %.6g", len(plans), cost)
        return plans

    def _batch(
        self,
        prompts: Sequence[Prompt],
        *,
        budget: Budget | None,
        price: float | None,
        target_accuracy: float | None,
        max_per_prompt: float | None,
        one_shot: bool,
        max_rounds: int | None,
        seed: int,
        target_risk: float | None = None,
        answering: bool = False,
    ) -> Batch | None:
        """Check what was asked, and work out what prompts would take; None where there are none."""
        check_request(
            budget=budget,
            price=price,
            target_accuracy=target_accuracy,
            max_per_prompt=max_per_prompt,
            max_rounds=max_rounds,
            seed=seed,
            scale=self.bundle.policy.telling.scale,
            target_risk=target_risk,
        )
        if not prompts:
            return None
        answering = answering or target_risk is not None
        unit = check_unit(self.bundle.unit if budget is None else budget.unit)
        cap = max_per_prompt if budget is None else budget.max_per_prompt
        chooser = self._chooser(unit, cap=cap, one_shot=one_shot, max_rounds=max_rounds, sampled=answering)
        menu = self._menu(chooser, prompts, price)
        warn_of_strangers(menu.familiarity)
        return Batch(
            prompts=prompts,
            chooser=chooser,
            menu=menu,
            writer=Writer(
                courses=self.bundle.table.courses,
                telling=self.bundle.policy.telling,
                learned_unit=check_unit(self.bundle.unit),
                ground=self._ground(),
                objective=check_objective(self.bundle.objective),
                unit=unit,
            ),
            price=price,
            seed=seed,
        )

    def run(
        self,
        prompts: Iterable[Prompt | str],
        *,
        backend: Backend,
        budget: Budget | None = None,
        price: float | None = None,
        target_accuracy: float | None = None,
        target_risk: float | None = None,
        answer_price: AnswerPrice | None = None,
        max_per_prompt: float | None = None,
        one_shot: bool = False,
        max_rounds: int | None = None,
        verifier: Verifier | Mapping[str, Verifier] | Literal["learned"] | None = None,
        extractor: AnswerExtractor | None = None,
        limits: Limits | None = None,
        driver: DriverName = "lockstep",
        run_log: str | os.PathLike[str] | None = None,
        seed: int = 0,
        progress: OnProgress | None = None,
    ) -> list[Outcome]:
        """Plan, sample, select and account; see `arun`, which this runs to its end.

        Raises
        ------
        InvalidInputError
            When called inside a running event loop: use ``await planner.arun(...)`` there.
        """
        import asyncio

        try:
            asyncio.get_running_loop()
        except RuntimeError:
            pass
        else:
            raise InvalidInputError(
                "an event loop is running here: use `await planner.arun(...)` instead of run"
            )
        return asyncio.run(
            self.arun(
                prompts,
                backend=backend,
                budget=budget,
                price=price,
                target_accuracy=target_accuracy,
                target_risk=target_risk,
                answer_price=answer_price,
                max_per_prompt=max_per_prompt,
                one_shot=one_shot,
                max_rounds=max_rounds,
                verifier=verifier,
                extractor=extractor,
                limits=limits,
                driver=driver,
                run_log=run_log,
                seed=seed,
                progress=progress,
            )
        )

    async def arun(
        self,
        prompts: Iterable[Prompt | str],
        *,
        backend: Backend,
        budget: Budget | None = None,
        price: float | None = None,
        target_accuracy: float | None = None,
        target_risk: float | None = None,
        answer_price: AnswerPrice | None = None,
        max_per_prompt: float | None = None,
        one_shot: bool = False,
        max_rounds: int | None = None,
        verifier: Verifier | Mapping[str, Verifier] | Literal["learned"] | None = None,
        extractor: AnswerExtractor | None = None,
        limits: Limits | None = None,
        driver: DriverName = "lockstep",
        run_log: str | os.PathLike[str] | None = None,
        seed: int = 0,
        progress: OnProgress | None = None,
    ) -> list[Outcome]:
        """Plan, sample, select and account.

        Parameters
        ----------
        prompts : iterable of Prompt or str
            The P prompts.
        backend : Backend
            Draws samples; the bundle's generators say how.
        budget, price, target_accuracy, max_per_prompt, one_shot, max_rounds
            As in `plan`. Budgets and caps also hold against *actual* usage: nothing is sent that would exceed
            them, what some prompts save is spent on others, and where money runs out before a prompt's first
            answer, one cheap sample is drawn in place of its plan.
        target_risk : float, optional
            As in `plan`. Answers that are not sure enough are withheld, so that among those that are given
            the share of errors stays below it, in 95 of 100 batches; outcomes say how sure each is and, of
            those withheld, whether more samples may help (docs/risk.md).
        answer_price : AnswerPrice, optional
            In place of a risk: what a wrong answer costs and what none does, a right one being worth 1.
        verifier, extractor, limits, driver, run_log, progress
            As in `planner.running.run_plans.run_plans`.
        seed : int
            Seed of plans, samples and ties.

        Returns
        -------
        list of Outcome
            One per prompt, in order: answer or None, candidates, actual usage and cost beside the expected,
            stop reason.
        """
        from planner.drivers import Limits
        from planner.running.parts import LeastAnswer
        from planner.running.run_plans import run_plans
        from planner.running.withholding import withhold

        batch = as_prompts(prompts)
        if target_risk is not None and answer_price is not None:
            raise InvalidInputError("give target_risk or answer_price, not both")
        answering = target_risk is not None or answer_price is not None
        ready = self._batch(
            batch,
            budget=budget,
            price=price,
            target_accuracy=target_accuracy,
            max_per_prompt=max_per_prompt,
            one_shot=one_shot,
            max_rounds=max_rounds,
            seed=seed,
            target_risk=target_risk,
            answering=answering,
        )
        if ready is None:
            return []
        if target_risk is not None:
            plans, threshold = self._at_risk(ready, target_risk, budget, max_per_prompt)
            enough = threshold.confidence
        else:
            plans = _plans(ready, budget, target_accuracy)
            enough = 0.0 if answer_price is None else answer_price.threshold
        least = None if budget is None else ready.least()
        model = self._cost_model(self.bundle.unit if budget is None else budget.unit)
        limits = limits or Limits()
        if max_per_prompt is not None:
            limits = replace(limits, max_cost_per_prompt=max_per_prompt, price=model.price)
        outcomes = await run_plans(
            plans,
            batch,
            backend=backend,
            generators=self.bundle.generators,
            cost_model=model,
            budget=budget,
            replan=None if budget is None or answering else ready,
            least=None if least is None else [LeastAnswer(*one) for one in least],
            levels=None if one_shot or max_rounds is not None else ready.levels(),
            max_rounds=max_rounds,
            verifier=verifier,
            learned=self.bundle.verifiers,
            extractor=extractor,
            limits=limits,
            driver=driver,
            run_log=run_log,
            seed=seed,
            progress=progress,
        )
        if not answering:
            return outcomes
        known = self._answering()
        return withhold(outcomes, plans, known, rates=self._rates(batch, list(known.usual)), least=enough)

    def _answering(self) -> Answering:
        """Return what the bundle knows of being right.

        Raises
        ------
        InvalidInputError
            When it knows nothing.
        """
        if self.bundle.answering is None:
            raise InvalidInputError(
                "this bundle does not know how sure its answers are: it was trained for another objective, "
                "on too few prompts with marked answers, or before there were targets of risk; train it anew"
            )
        return self.bundle.answering

    def _at_risk(self, ready: Batch, target_risk: float, budget: Budget | None, cap: float | None) -> AtRisk:
        """Return plans for a target of risk."""
        known = self._answering()
        model = self._cost_model(ready.writer.unit)
        columns = known.columns[known.columns >= 0]
        size = len(ready.prompts)
        panels = Panels(np.empty((size, 0)), np.empty((size, 0)))
        if len(columns):
            expectation = Expectation.of(
                self.bundle.table.columns(columns), model, self._lengths(), decode=self.decode
            )
            panels = Panels(*expectation.expect_alike(ready.prompts))
        most = cap if budget is None else budget.max_per_prompt
        return plan_at_risk(
            ready,
            known,
            panels,
            target_risk=target_risk,
            budget=None if budget is None else budget.total(n_prompts=size),
            cap=np.inf if most is None else most,
        )

    def _rates(self, prompts: Sequence[Prompt], names: Sequence[str]) -> NDArray[np.float64]:
        """Return the success rates of one sample that text promises of generators, shape (P, G)."""
        success = self.bundle.references.success()
        columns = [self.bundle.references.generators.index(name) for name in names]
        parts = []
        for start in range(0, len(prompts), CHUNK):
            belief = self.belief(prompts[start : start + CHUNK])
            parts.append(belief.expect(success[:, columns]))
        return np.concatenate(parts)

    def _cost_model(self, unit: str) -> CostModel:
        model = self.cost_model or CostModel(unit=check_unit(unit), generators=self.bundle.generators)
        return replace(model, unit=check_unit(unit))

    def frontier(
        self,
        prompts: Iterable[Prompt | str],
        *,
        unit: str | None = None,
        n_points: int = 40,
        one_shot: bool = False,
    ) -> list[FrontierPoint]:
        """Return expected accuracy against expected cost, before anything is spent.

        Parameters
        ----------
        prompts : iterable of Prompt or str
            The batch.
        unit : str, optional
            Unit of cost; by default the one that the bundle was trained in.
        n_points : int
            Points at most, at least 2.
        one_shot : bool
            Only courses that decide everything before the first sample.

        Raises
        ------
        InvalidInputError, UnknownUnitError
            As in `plan`.
        """
        batch = as_prompts(prompts)
        if n_points < 2:
            raise InvalidBudgetError(f"n_points must be at least 2, got {n_points}")
        if not batch:
            return []
        unit = check_unit(self.bundle.unit if unit is None else unit)
        menu = self._menu(self._chooser(unit, one_shot=one_shot), batch, None)
        cost, value = menu.cost.mean(axis=0), menu.told.mean(axis=0)
        hull = np.flatnonzero(upper_hull(value[None], cost[None])[0])
        points: list[FrontierPoint] = []
        for at in hull[np.argsort(cost[hull], kind="stable")]:
            point = FrontierPoint(float(cost[at]), float(value[at]), float(self.bundle.policy.prices[at]))
            if not points or point.price < points[-1].price:
                points.append(point)
        kept = np.unique(np.linspace(0, len(points) - 1, n_points).round().astype(int))
        return [points[at] for at in kept]

    def belief(self, prompts: Iterable[Prompt | str]) -> Belief:
        """Return what is believed about prompts: a distribution over per-sample success, per generator."""
        return Belief(
            weights=self._likeness.weights(as_prompts(prompts), self.hidden_states),
            references=self.bundle.references,
        )

    @on_one_thread
    def groups(
        self,
        prompts: Iterable[Prompt | str],
        *,
        generator: str | None = None,
        floor: int = 2,
        cap: int = 32,
        everybody: bool = False,
        value: GroupValue = "contrast",
    ) -> GroupPlanner:
        """Return what plans groups of rollouts, epoch by epoch, starting from what the bundle believes.

        Parameters
        ----------
        prompts : iterable of Prompt or str
            The P prompts of a reinforcement-learning run.
        generator : str, optional
            Whose rollouts they are; needed where the bundle knows several.
        floor, cap, everybody, value
            As in `policies.groups.group_planner.GroupPlanner`.

        Raises
        ------
        InvalidInputError
            When a number is out of range, or several generators are known and none is named.
        UnknownGeneratorError
            When the bundle does not know the generator.
        """
        batch = as_prompts(prompts)
        return first_groups(
            (
                self._likeness.weights(batch[start : start + CHUNK], self.hidden_states)
                for start in range(0, len(batch), CHUNK)
            ),
            self.bundle.references,
            generator=generator,
            floor=floor,
            cap=cap,
            everybody=everybody,
            value=value,
        )

    @on_one_thread
    def _menu(self, chooser: Chooser, batch: Sequence[Prompt], price: float | None) -> Menu:
        parts = (
            self._likeness.of_prompts(batch[start : start + CHUNK], self.hidden_states)
            for start in range(0, len(batch), CHUNK)
        )
        return menu_of(chooser, batch, parts, price)

    def _chooser(
        self,
        unit: Unit,
        *,
        cap: float | None = None,
        one_shot: bool = False,
        max_rounds: int | None = None,
        sampled: bool = False,
    ) -> Chooser:
        """Return what takes courses in a unit, under restrictions."""
        bundle = self.bundle
        allowed = np.array(
            [
                (not one_shot or course.one_shot)
                and (max_rounds is None or course.rounds <= max_rounds)
                and (not sampled or all(step.kind == "sample" for step in course.steps))
                for course in bundle.table.courses
            ]
        )
        allowed &= bundle.deployed
        if not allowed.any():
            raise InvalidInputError(
                "no course of this bundle may be planned within one_shot, max_rounds and the generators that "
                "are given; lift one of them"
            )
        kept = np.flatnonzero(bundle.deployed)
        expectation = self._expectation(unit)
        return Chooser(
            policy=bundle.policy.columns(kept),
            expectation=expectation,
            allowed=allowed[kept],
            cap=np.inf if cap is None else cap,
            place=kept,
            by_text=bundle.policy.by_text,
        )

    def _expectation(self, unit: Unit) -> Expectation:
        """Return what deployed courses bring and cost in a unit, priced once."""
        if unit not in self._priced:
            bundle = self.bundle
            self._priced[unit] = Expectation.of(
                bundle.table.columns(np.flatnonzero(bundle.deployed)),
                self._cost_model(unit),
                self._lengths(),
                decode=self.decode,
            )
        return self._priced[unit]

    def _lengths(self) -> Lengths:
        """Return how long prompts are."""
        bundle = self.bundle
        return Lengths(
            reference={name: bundle.prompt_tokens[:, at] for at, name in enumerate(bundle.generators)},
            fit=bundle.prompt_token_fit,
        )

    def _ground(self) -> Ground:
        if not self.bundle.training:
            return "nothing"
        return "text" if bool(self.bundle.policy.by_text.any()) else "everybody"


def _plans(ready: Batch, budget: Budget | None, target_accuracy: float | None) -> list[AllocationPlan]:
    """Return plans for what was asked: a budget, a target, or else the price."""
    if budget is not None:
        return ready.spend(budget.total(n_prompts=len(ready.prompts)), per_prompt=budget.scope == "prompt")
    return ready.at_price() if target_accuracy is None else ready.reach(target_accuracy)
