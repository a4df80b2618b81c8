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
from typing import TYPE_CHECKING, Literal, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from difficulty.arithmetic.threads import on_one_thread
from difficulty.belief.reference_prompts import Belief
from difficulty.belief.weight_spec import STATIC
from difficulty.belief.weights import Weigher
from difficulty.errors import InvalidBudgetError, InvalidInputError
from difficulty.generator import Generator
from difficulty.prompt import Prompt, as_prompts
from planner.bundle.policy_bundle import PolicyBundle
from planner.bundle.restriction import restrict
from planner.planning import adaptive as adaptive_plans
from planner.planning.levels import Levels, Menu, table_of
from planner.planning.one_shot import CHUNK, OneShot
from planner.planning.pricing import Pricing
from planner.planning.reason import Reasons
from planner.planning.spend import choose_levels
from policies.adaptive.cold_start import cold_start_adaptive
from policies.adaptive.table import AdaptiveTable
from policies.cost.budget import Budget, check_unit
from policies.cost.cost_model import CostModel
from policies.cost.latency import DecodeModel
from policies.menu.cold_start import cold_start
from policies.menu.curves import CurveTable
from policies.plan.objective import Objective, check_objective
from policies.plan.plan import AllocationPlan
from policies.solver.prices import choose_at_prices, price_grid
from policies.solver.solver import solve

if TYPE_CHECKING:  # running loads the drivers; planning does not need them
    from difficulty.features.hidden_states import HiddenStates
    from planner.drivers import Limits
    from planner.drivers.session import DriverName, OnProgress
    from planner.ports.outcome import Outcome
    from planner.ports.ports import AnswerExtractor, Backend, Verifier
    from planner.strategies.climb import Climb

__all__ = ["FrontierPoint", "Planner"]

FloatArray: TypeAlias = NDArray[np.float64]


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


class _Planned(NamedTuple):
    """Plans, and the prompts' coordinates, shape (P, 1 + D)."""

    plans: list[AllocationPlan]
    coordinates: FloatArray


class _Levelled(NamedTuple):
    """The price levels of the adaptive policy for P prompts, and the prompts' coordinates."""

    menu: Menu
    table: AdaptiveTable
    coordinates: FloatArray


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
    >>> plan.allocation.n
    7
    """

    bundle: PolicyBundle
    cost_model: CostModel | None = None
    decode: DecodeModel | None = None
    hidden_states: HiddenStates | None = None
    _curves: CurveTable = field(init=False, repr=False)
    _weigh: Weigher = field(init=False, repr=False)
    _reasons: Reasons = field(init=False, repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_weigh", self.bundle.policy.weigher(self.bundle.references.coordinates))
        columns = np.flatnonzero(self.bundle.deployed)
        object.__setattr__(self, "_curves", self.bundle.curves.columns(columns))
        object.__setattr__(self, "_reasons", Reasons.of(self.bundle, self._curves))

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
    ) -> Planner:
        """Return a planner that knows nothing of your prompts: a broad prior, the same plan for like budgets.

        Parameters
        ----------
        generators : sequence of str
            Names of the generators.
        objective : {"accuracy", "coverage"}
            Majority vote, or first success where a checker is available.
        output_tokens_per_sample : float
            Assumed length of a completion, for budgets in tokens.
        """
        start = cold_start(
            generators,
            objective=check_objective(objective),
            output_tokens_per_sample=output_tokens_per_sample,
        )
        probe = cold_start_adaptive(
            generators[0],
            start.references.success()[:, 0],
            objective=objective,
            output_tokens_per_sample=output_tokens_per_sample,
        )
        return cls(
            bundle=PolicyBundle(
                objective=objective,
                unit="output_tokens",
                generators={name: Generator(name=name) for name in generators},
                policy=STATIC,
                references=start.references,
                curves=start.curves,
                deployed=np.ones(len(start.curves.allocations), dtype=bool),
                features=None,
                predictor=None,
                prompt_token_fit={},
                training={},
                adaptive=probe,
            )
        )

    def plan(
        self,
        prompts: Iterable[Prompt | str],
        *,
        budget: Budget | None = None,
        price: float | None = None,
        target_accuracy: float | None = None,
        max_per_prompt: float | None = None,
        adaptive: bool = False,
        seed: int = 0,
    ) -> list[AllocationPlan]:
        """Return one plan per prompt, in order.

        Exactly one of `budget`, `price` and `target_accuracy` is given.

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
        max_per_prompt : float, optional
            Hard cap on each plan, in the unit of the bundle, beside a price or a target; budgets have their
            own.
        adaptive : bool
            Plans that react to what has been drawn (`planner.planning.adaptive`), in the unit of the bundle:
            each names a ladder of waves and the rule that ends it, with the expected cost and its interval.
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
            When `adaptive` is asked of a bundle without an adaptive policy.
        """
        return self._plan(
            as_prompts(prompts),
            budget,
            price,
            target_accuracy,
            cap=max_per_prompt,
            adaptive=adaptive,
            seed=seed,
        ).plans

    def _plan(
        self,
        batch: Sequence[Prompt],
        budget: Budget | None,
        price: float | None,
        target_accuracy: float | None,
        *,
        cap: float | None,
        adaptive: bool,
        seed: int,
    ) -> _Planned:
        """Return plans with the coordinates behind them."""
        given = [argument for argument in (budget, price, target_accuracy) if argument is not None]
        if len(given) != 1:
            raise InvalidBudgetError(
                f"give exactly one of budget, price and target_accuracy; got {len(given)}"
            )
        if budget is not None and not isinstance(budget, Budget):
            raise InvalidBudgetError(
                f"budget must be a Budget such as Budget(limit=4000, unit='output_tokens'), got {budget!r}"
            )
        if cap is not None and (budget is not None or not (np.isfinite(cap) and cap > 0)):
            raise InvalidBudgetError(
                "max_per_prompt must be a finite number above 0, and is a field of the budget where there is "
                f"one: Budget(..., max_per_prompt={cap!r})"
            )
        if target_accuracy is not None and not 0 < target_accuracy <= 1:
            raise InvalidBudgetError(f"target_accuracy must lie in (0, 1], got {target_accuracy!r}")
        if not batch:
            return _Planned([], np.zeros((0, 1)))
        unit = self.bundle.unit if budget is None else budget.unit
        cap = cap if budget is None else budget.max_per_prompt
        total = None if budget is None else budget.total(n_prompts=len(batch))
        if not adaptive:
            one_shot = self._one_shot(unit)
            assessed = one_shot.assess(batch, self.coordinates(batch))
            solution = solve(
                assessed.value,
                assessed.cost,
                budget=total,
                price=price,
                target=target_accuracy,
                cap=cap,
                seed=seed,
            )
            return _Planned(one_shot.write(batch, assessed, solution), assessed.coordinates)
        found = self._levels(batch, unit, cap)
        solution = choose_levels(
            found.menu, budget=total, price=price, target=target_accuracy, cap=cap, seed=seed
        )
        plans = adaptive_plans.write(
            batch,
            found.menu,
            solution,
            bundle=self.bundle,
            table=found.table,
            unit=unit,
            reasons=self._reasons,
            standing=found.coordinates[:, 0].tolist(),
            cap=cap,
        )
        return _Planned(plans, found.coordinates)

    def run(
        self,
        prompts: Iterable[Prompt | str],
        *,
        backend: Backend,
        budget: Budget | None = None,
        price: float | None = None,
        target_accuracy: float | None = None,
        max_per_prompt: float | None = None,
        adaptive: bool = False,
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
                max_per_prompt=max_per_prompt,
                adaptive=adaptive,
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
        max_per_prompt: float | None = None,
        adaptive: bool = False,
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
        budget, price, target_accuracy, max_per_prompt, adaptive
            As in `plan`. Budgets and caps also hold against *actual* usage: what is in flight counts at the
            mean of what was drawn so far, and nothing is sent that would exceed them. Adaptive plans under a
            budget are run as one batch by the lock-step driver: the price is solved anew between waves,
            savings are spent on other prompts, and what is in flight counts at the most that it can cost.
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
        from planner.running.run_plans import run_plans

        batch = as_prompts(prompts)
        plans, coordinates = self._plan(
            batch, budget, price, target_accuracy, cap=max_per_prompt, adaptive=adaptive, seed=seed
        )
        unit = self.bundle.unit if budget is None else budget.unit
        as_batch = adaptive and budget is not None and driver == "lockstep"
        strategies = self._climbs(plans, coordinates, unit, as_batch=as_batch) if adaptive else None
        limits = Limits(hold="worst" if as_batch else "expected") if limits is None else limits
        model = self._cost_model(unit)
        if max_per_prompt is not None:
            limits = replace(limits, max_cost_per_prompt=max_per_prompt, price=model.price)
        return await run_plans(
            plans,
            batch,
            backend=backend,
            generators=self.bundle.generators,
            cost_model=model,
            budget=budget,
            strategies=strategies,
            verifier=verifier,
            learned=self.bundle.verifiers,
            extractor=extractor,
            limits=limits,
            driver=driver,
            run_log=run_log,
            seed=seed,
            progress=progress,
        )

    def _climbs(
        self, plans: Sequence[AllocationPlan], coordinates: FloatArray, unit: str, *, as_batch: bool = False
    ) -> list[Climb]:
        from planner.running.climbs import climbs

        model = self._cost_model(unit)
        table = table_of(self.bundle, model)
        return climbs(
            plans, coordinates, bundle=self.bundle, table=table, cost_model=model, as_batch=as_batch
        )

    def _cost_model(self, unit: str) -> CostModel:
        model = self.cost_model or CostModel(unit=check_unit(unit), generators=self.bundle.generators)
        return replace(model, unit=check_unit(unit))

    def frontier(
        self,
        prompts: Iterable[Prompt | str],
        *,
        unit: str | None = None,
        n_points: int = 40,
        adaptive: bool = False,
    ) -> list[FrontierPoint]:
        """Return expected accuracy against expected cost, before anything is spent.

        Parameters
        ----------
        prompts : iterable of Prompt or str
            The batch.
        unit : str, optional
            Unit of cost; by default the one that the bundle was trained in.
        n_points : int
            Prices looked at, at least 2; points that coincide are given once.
        adaptive : bool
            Of plans that react to what has been drawn.

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
        unit = self.bundle.unit if unit is None else check_unit(unit)
        if adaptive:
            menu = self._levels(batch, unit, None).menu
            usable = ~np.isnan(menu.value).any(axis=0)
            worth, spend, charge = (part[:, usable] for part in (menu.value, menu.cost, menu.charge))
        else:
            worth, spend, *_ = self._one_shot(unit).assess(batch, self.coordinates(batch))
            charge = spend
        prices = price_grid(np.nanmean(worth, axis=0), spend.mean(axis=0), n_prices=n_points)
        choice = choose_at_prices(worth, spend, prices)
        rows = np.arange(len(batch))[:, None]
        cost, value = charge[rows, choice].mean(axis=0), worth[rows, choice].mean(axis=0)
        points: list[FrontierPoint] = []
        for point in map(FrontierPoint, cost.tolist(), value.tolist(), prices.tolist()):
            if not points or point.expected_cost > points[-1].expected_cost * (1 + 1e-9):
                points.append(point)
        return points

    def belief(self, prompts: Iterable[Prompt | str]) -> Belief:
        """Return what is believed about prompts: a distribution over per-sample success, per generator."""
        return self._belief_at(self.coordinates(as_prompts(prompts)))

    def coordinates(self, prompts: Sequence[Prompt]) -> FloatArray:
        """Return predicted coordinates (`DifficultyPredictor`), shape (P, 1 + D).

        The population's mean where nothing can be predicted.
        """
        bundle = self.bundle
        if bundle.features is None or bundle.predictor is None:
            return np.tile(bundle.references.coordinates.mean(axis=0), (len(prompts), 1))
        hidden = None if self.hidden_states is None else self.hidden_states.transform(prompts)
        return bundle.predictor.predict(bundle.features.transform(prompts, hidden))

    def _belief_at(self, coordinates: FloatArray) -> Belief:
        return Belief(weights=self._weigh(coordinates), references=self.bundle.references)

    def _one_shot(self, unit: str) -> OneShot:
        return OneShot(
            references=self.bundle.references,
            weigh=self._weigh,
            curves=self._curves,
            pricing=Pricing(
                cost_model=self._cost_model(unit),
                prompt_token_fit=self.bundle.prompt_token_fit,
                decode=self.decode,
            ),
            objective=check_objective(self.bundle.objective),
            reasons=self._reasons,
        )

    @on_one_thread
    def _levels(self, prompts: Sequence[Prompt], unit: str, cap: float | None) -> _Levelled:
        """Return value and cost of every price level for every prompt, a chunk of beliefs at a time."""
        model = self._cost_model(unit)
        table = table_of(self.bundle, model)
        coordinates = self.coordinates(prompts)
        levels = Levels(bundle=self.bundle, table=table, cost_model=model)
        beliefs = (
            self._belief_at(coordinates[start : start + CHUNK]) for start in range(0, len(prompts), CHUNK)
        )
        return _Levelled(levels.menu(beliefs, coordinates=coordinates, cap=cap), table, coordinates)
