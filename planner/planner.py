"""The user's door: plans for prompts under a budget, at a price, or for a target accuracy.

A planner holds a bundle (or the cold start) and turns prompts into beliefs, beliefs into values and costs,
and those into one allocation per prompt by one price. Planning spends nothing; running plans is left to the
drivers. What the verbs do lives in the modules that are imported here: `planner.planning`, `planner.running`.
The file is long because arguments are documented where people look for them.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import TYPE_CHECKING, Literal

from difficulty.arguments import check_whole
from difficulty.arithmetic.threads import on_one_thread
from difficulty.belief.reference_prompts import Belief
from difficulty.errors import InvalidBudgetError, InvalidInputError
from difficulty.generator import Generator
from difficulty.logger import logger_of
from difficulty.prompt import Prompt, as_prompts
from planner.bundle.policy_bundle import PolicyBundle
from planner.bundle.restriction import restrict
from planner.drivers.blocking import blocking
from planner.planning.frontier import FrontierPoint, frontier_of
from planner.planning.groups import first_groups
from planner.planning.menu import CHUNK
from planner.planning.preparer import Preparer
from planner.planning.request import Request
from planner.planning.untrained import cold_start
from policies.answering.answering import AnswerPrice
from policies.cost.budget import Budget, check_unit
from policies.cost.cost_model import CostModel
from policies.cost.latency import DecodeModel
from policies.course.course import Course
from policies.groups.group_planner import GroupPlanner
from policies.groups.values import GroupValue
from policies.plan.objective import Objective
from policies.plan.plan import AllocationPlan

if TYPE_CHECKING:  # running loads the drivers; planning does not need them
    from difficulty.features.own_features import PromptReader
    from planner.drivers import Limits
    from planner.drivers.session import DriverName, OnProgress
    from planner.ports.outcome import Outcome
    from planner.ports.ports import AnswerExtractor, Backend, Verifier

_LOG = logger_of(__name__)


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Planner:
    """Plans test-time compute for prompts; make one with `load` or `untrained`.

    Parameters
    ----------
    bundle : PolicyBundle
        What training left, or the cold start: then a run under a budget learns from its first answers how
        often such prompts agree.
    cost_model : CostModel, optional
        Prices in place of those in the log's header; its unit is replaced by the one that is planned in.
    decode : DecodeModel, optional
        Predicts seconds; needed for budgets in ``seconds``.
    hidden_states : PromptReader, optional
        Reads prompts as the bundle was trained with: `HiddenStates` of the same model, or the same
        `OwnFeatures`; needed for such bundles only.

    Examples
    --------
    >>> planner = Planner.untrained()
    >>> plan, = planner.plan(["What is 6 times 7?"], budget=Budget(limit=8, unit="samples"))
    >>> plan.allocation.n, str(plan.course.stop)
    (32, 'until 3 agree')
    """

    bundle: PolicyBundle
    cost_model: CostModel | None = None
    decode: DecodeModel | None = None
    hidden_states: PromptReader | None = None
    _preparer: Preparer = field(init=False, repr=False)

    def __post_init__(self) -> None:
        preparer = Preparer(
            bundle=self.bundle,
            cost_model=self.cost_model,
            decode=self.decode,
            hidden_states=self.hidden_states,
        )
        object.__setattr__(self, "_preparer", preparer)

    @classmethod
    def load(
        cls,
        path: str | os.PathLike[str],
        *,
        generators: Mapping[str, Generator] | None = None,
        cost_model: CostModel | None = None,
        decode: DecodeModel | None = None,
        hidden_states: PromptReader | None = None,
    ) -> Planner:
        """Load the bundle that training left, or that of a planner without a log.

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
        bundle = cold_start(
            generators,
            objective=objective,
            output_tokens_per_sample=output_tokens_per_sample,
            output_tokens=output_tokens,
            max_samples=max_samples,
        )
        return cls(bundle=bundle)

    def plan(
        self,
        prompts: Iterable[Prompt | str],
        *,
        budget: Budget | None = None,
        price: float | None = None,
        target_accuracy: float | None = None,
        target_risk: float | None = None,
        answer_price: AnswerPrice | None = None,
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
        answer_price : AnswerPrice, optional
            Beside a budget or a price: what a wrong answer costs and what none does. Prompts for which no
            answer is expected to be worth it draw nothing.
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
        asked = Request(
            budget=budget,
            price=price,
            target_accuracy=target_accuracy,
            target_risk=target_risk,
            answer_price=answer_price,
            max_per_prompt=max_per_prompt,
            one_shot=one_shot,
            max_rounds=max_rounds,
            seed=seed,
        )
        batch = as_prompts(prompts)
        reading, asked = self._preparer.read(batch, asked)
        ready = self._preparer.batch(batch, asked)
        with reading.paid_first():
            plans = [] if ready is None else reading.plans(self._preparer.plans(ready, asked).plans)
        cost = sum(plan.expected_cost for plan in plans)
        _LOG.info("planned %d prompts, expected to cost %.6g", len(plans), cost)
        return plans

    def cut(
        self, plan: AllocationPlan, prompt: Prompt | str, course: Course, *, reason: str
    ) -> AllocationPlan:
        """Return a plan cut to a shorter course, with what is expected of that for the same prompt.

        Parameters
        ----------
        plan : AllocationPlan
            Made for the prompt by this planner.
        prompt : Prompt or str
            The prompt.
        course : Course
            What is carried out in the plan's place.
        reason : str
            Why, in words for people; may be empty.

        Raises
        ------
        UnknownGeneratorError
            When the bundle lacks a generator of the course.
        """
        (one,) = as_prompts([prompt])
        return plan if course == plan.course else self._preparer.cut(plan, one, course, reason)

    async def arun(
        self,
        prompts: Iterable[Prompt | str],
        *,
        backend: Backend,
        plans: Sequence[AllocationPlan] | None = None,
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
        plans : sequence of AllocationPlan, optional
            Carried out as they are, by the ids of their prompts, in place of new ones: those of `plan`,
            `planner.exports.group_plans.group_plans` or `read_plans`, as they were or changed. Beside them
            goes a budget in their unit, held against actual usage, or nothing.
        budget, price, target_accuracy, max_per_prompt, one_shot, max_rounds
            As in `plan`. Budgets and caps also hold against *actual* usage: nothing is sent that would exceed
            them, what some prompts save is spent on others, and where money runs out before a prompt's first
            answer, one cheap sample is drawn in place of its plan.
        target_risk : float, optional
            As in `plan`. Answers that are not sure enough are withheld, so that among those that are given
            the share of errors stays below it, in 95 of 100 batches; outcomes say how sure each is and, of
            those withheld, whether more samples may help (docs/risk.md).
        answer_price : AnswerPrice, optional
            In place of a risk: what a wrong answer costs and what none does, a right one being worth 1. No
            token is spent on prompts for which no answer is expected to be worth it (`plan`).
        verifier, extractor, limits, driver, run_log, progress
            As in `planner.running.run_plans.run_plans`.
        seed : int
            Seed of plans, samples and ties.

        Returns
        -------
        list of Outcome
            One per prompt, in order: answer or None, candidates, actual usage and cost beside the expected,
            stop reason.

        Raises
        ------
        InvalidInputError
            When plans are given and a prompt has none or two, their units differ, or more than a budget is
            asked for beside them; else as `plan`.
        """
        from planner.drivers import Limits
        from planner.running.given_plans import plans_of
        from planner.running.parts import LeastAnswer
        from planner.running.run_plans import run_plans
        from planner.running.withholding import withhold

        batch = as_prompts(prompts)
        asked = Request(
            budget=budget,
            price=price,
            target_accuracy=target_accuracy,
            target_risk=target_risk,
            answer_price=answer_price,
            max_per_prompt=max_per_prompt,
            one_shot=one_shot,
            max_rounds=max_rounds,
            seed=seed,
        )
        if isinstance(backend, type) or not callable(getattr(backend, "sample", None)):
            got = f"the class {backend.__name__}" if isinstance(backend, type) else type(backend).__name__
            raise InvalidInputError(
                f"backend must have a method `sample`, as OpenAIBackend(base_url=...) has; got {got}"
            )
        carry_out = partial(
            run_plans,
            prompts=batch,
            backend=backend,
            generators=self.bundle.generators,
            verifier=verifier,
            learned=self.bundle.verifiers,
            extractor=extractor,
            driver=driver,
            run_log=run_log,
            seed=seed,
            progress=progress,
        )
        if plans is not None:
            if asked != Request(budget=budget, seed=seed):
                raise InvalidInputError(
                    "plans are carried out as they are: only a budget goes with them, which actual usage is "
                    "held to; leave out price, targets, caps, one_shot and max_rounds, which `plan` takes"
                )
            given = plans_of(plans, batch, unit=None if budget is None else budget.unit)
            unit = check_unit(given[0].unit if given else self.bundle.unit)
            model = self._preparer.cost_model_in(unit)
            return await carry_out(given, cost_model=model, budget=budget, limits=limits)
        reading, asked = self._preparer.read(batch, asked)
        budget, max_per_prompt = asked.budget, asked.max_per_prompt
        ready = self._preparer.batch(batch, asked)
        if ready is None:
            return []
        with reading.paid_first():
            planned = self._preparer.plans(ready, asked)
        least = None if budget is None else ready.least()
        model = self._preparer.cost_model_in(asked.unit(self.bundle.unit))
        limits = limits or Limits()
        if max_per_prompt is not None:
            limits = replace(limits, max_cost_per_prompt=max_per_prompt, price=model.price)
        outcomes = await carry_out(
            planned.plans,
            cost_model=model,
            budget=budget,
            replan=None if budget is None or asked.withholds else ready,
            learner=ready if ready.learns and not asked.withholds else None,
            least=None if least is None else [LeastAnswer(*one) for one in least],
            levels=None
            if budget is None or one_shot or max_rounds is not None or asked.withholds
            else ready.levels(budget.total(n_prompts=len(batch)), cap=budget.max_per_prompt),
            prompt_tokens=ready.chooser.expectation.lengths.one,
            max_rounds=max_rounds,
            limits=limits,
        )
        outcomes = reading.outcomes(outcomes)
        if not asked.withholds:
            return outcomes
        known = self._preparer.answering()
        rates = self._preparer.rates(batch, list(known.usual))
        return withhold(outcomes, planned.plans, known, rates=rates, least=planned.confidence)

    run = blocking(arun)

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
        check_whole("n_points", n_points, least=2, error=InvalidBudgetError)
        if not batch:
            return []
        unit = check_unit(self.bundle.unit if unit is None else unit)
        menu = self._preparer.menu(self._preparer.chooser(Request(one_shot=one_shot), unit), batch)
        points = frontier_of(menu, self.bundle.policy, n_points=n_points)
        return self._preparer.reading(batch, unit).points(points)

    def belief(self, prompts: Iterable[Prompt | str]) -> Belief:
        """Return what is believed about prompts: a distribution over per-sample success, per generator."""
        return self._preparer.belief(as_prompts(prompts))

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
                self._preparer.belief(batch[start : start + CHUNK]).weights
                for start in range(0, len(batch), CHUNK)
            ),
            self.bundle.references,
            generator=generator,
            floor=floor,
            cap=cap,
            everybody=everybody,
            value=value,
        )
