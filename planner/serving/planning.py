"""How one route plans: at which price, within which caps, by whom samples are drawn and how one is selected.

It turns a request into a plan and a plan into an outcome, with the runner that everything else uses. What is
sent to the client is left to `planner.serving.route`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from random import Random
from typing import Final

from difficulty.errors import InvalidBudgetError, InvalidInputError
from difficulty.generator import Generator
from difficulty.prompt import Prompt
from planner.planner import Planner
from planner.serving.judging import JudgeCost, with_judge
from planner.serving.options import Options
from planner.serving.origin import Origin, Source
from planner.serving.plannable import Asked
from planner.serving.selecting import JUDGE, Selecting
from planner.strategies.follow import Follow
from policies.cost.budget import Budget, Unit, check_unit
from policies.cost.cost_model import CostModel
from policies.cost.usage import Usage
from policies.course.course import Course, waves
from policies.course.selection import LOGPROB, Selection
from policies.plan.plan import AllocationPlan
from policies.verifier.learned_verifier import LEARNED

_SEEDS: Final = Random()
_ONE_TOKEN_EACH: Final = Usage(samples=1, requests=1, prompt_tokens=1, output_tokens=1)
EXAMPLE: Final = Prompt(text="What is 6 times 7?")
"""A prompt as short as most."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Planning:
    """Plans and runs the requests of a route.

    Parameters
    ----------
    planner : Planner
        Plans them.
    sources : mapping of str to Source
        Who draws, by generator of the planner's bundle.
    price : float, optional
        Value that a unit of cost must bring; None where a window's price is given with each request.
    max_per_request : float, optional
        The most that one may cost, in the bundle's unit.
    selecting : Selecting
        How one of several samples is selected; where nothing can, plans are one sample.
    max_samples : int
        The most samples of one request.
    target_risk : float, optional
        Greatest share of errors among the answers that are given, in place of a price: others are withheld.
    """

    planner: Planner
    sources: Mapping[str, Source]
    price: float | None
    max_per_request: float | None = None
    selecting: Selecting = field(default_factory=Selecting)
    max_samples: int = 64
    target_risk: float | None = None
    judging: JudgeCost | None = field(init=False, repr=False, default=None)

    def __post_init__(self) -> None:
        way = self.selecting.judge
        if self.selecting.select != JUDGE or way is None:
            return
        one = self.least(EXAMPLE)
        sample = one.expected_cost / (one.course.n if one.course else 1)
        judging = JudgeCost.of(way.generator, way.prompt, self.cost_model, sample=sample)
        object.__setattr__(self, "judging", judging)

    @property
    def dearer(self) -> float:
        """By which factor a sample of a plan of several costs more than planners know: it is judged."""
        return 1.0 if self.judging is None else self.judging.factor

    @property
    def unit(self) -> Unit:
        """Unit of costs."""
        return check_unit(self.planner.bundle.unit)

    @property
    def reads_logprobs(self) -> bool:
        """Whether some plan selects by log-probabilities, which samples must then bring."""
        bundle = self.planner.bundle
        if self.target_risk is not None:
            return True  # how sure an answer is may rest on them
        signals = {self.selecting.signal, *(course.selection.signal for course in bundle.table.courses)}
        return bool(signals & {LOGPROB, LEARNED})

    @property
    def scorers(self) -> set[str]:
        """Names of what can score samples here."""
        return self.selecting.scorers | ({LEARNED} if self.planner.bundle.verifiers else set())

    def generator_of(self, model: object, origin: Origin) -> str:
        """Return by whose prices a call is charged that passes with a model: its own, else the dearest."""
        own = [
            name for name, one in self.sources.items() if one.origin is origin and one.model in (model, None)
        ]
        prices = self.cost_model.price
        return own[0] if own else max(self.sources, key=lambda name: prices(_ONE_TOKEN_EACH, name))

    def plan(self, prompt: Prompt, options: Options, *, price: float | None) -> AllocationPlan:
        """Return the plan of one prompt.

        Parameters
        ----------
        prompt : Prompt
            The prompt.
        options : Options
            The client's.
        price : float, optional
            Of the moment, in place of the route's.

        Raises
        ------
        InvalidBudgetError
            When the client's budget, or the route's cap, does not reach for one sample.
        """
        if self.target_risk is not None:
            return self._at_risk(prompt, options, self.target_risk)
        cap = self.max_per_request
        at = options.price if options.price is not None else price if price is not None else self.price
        if self.judging is None:
            return self.within(self._planned(prompt, options, at, cap, 1.0), prompt, options)
        try:
            plan = self.within(self._planned(prompt, options, at, cap, self.dearer), prompt, options)
        except InvalidBudgetError:
            # One sample is not judged.
            plan = self._planned(prompt, options, at, cap, 1.0)
            return self._one(plan, prompt, "nothing is left for a judge")
        judged = plan.course is not None and plan.course.n > 1
        return with_judge(plan, self.dearer if judged else 1.0, at)

    def _at_risk(self, prompt: Prompt, options: Options, target_risk: float) -> AllocationPlan:
        """Plan for a target of risk, as the bundle was judged: nothing of it is cut or chosen anew."""
        for name in ("price", "budget", "target_accuracy", "max_samples"):
            if getattr(options, name) is not None:
                raise InvalidInputError(
                    f"planner.{name} cannot be set: this model plans for a target of risk"
                )
        (plan,) = self.planner.plan([prompt], target_risk=target_risk)
        course = plan.course
        lacking = [] if course is None else sorted(set(Follow(course=course).verifiers) - self.scorers)
        if lacking or (course is not None and course.n > self.max_samples):
            raise InvalidInputError(
                f"the target of risk asks for {course}; the server allows {self.max_samples} samples"
                + (f", and nothing here scores by {', '.join(lacking)}" if lacking else "")
            )
        return plan

    def _planned(
        self, prompt: Prompt, options: Options, at: float | None, cap: float | None, dearer: float
    ) -> AllocationPlan:
        """Plan where a sample costs more, by a factor, than the planner knows: so much less is bought."""
        cap = None if cap is None else cap / dearer
        plan, at_once = self.planner.plan, self.selecting.at_once
        if options.budget is not None:
            own = options.unit is None or options.unit == self.unit
            given = options.budget / dearer
            most = given if cap is None or not own else min(given, cap)
            budget = Budget(limit=most, unit=check_unit(options.unit or self.unit), max_per_prompt=most)
            (one,) = plan([prompt], budget=budget, one_shot=at_once)
        elif options.target_accuracy is not None:
            target = options.target_accuracy
            (one,) = plan([prompt], target_accuracy=target, max_per_prompt=cap, one_shot=at_once)
        else:
            (one,) = plan([prompt], price=(at or 0.0) * dearer, max_per_prompt=cap, one_shot=at_once)
        return one

    def least(self, prompt: Prompt) -> AllocationPlan:
        """Return the cheapest plan that there is: what a request gets when nothing is left for more."""
        (plan,) = self.planner.plan([prompt], price=float(self.planner.bundle.policy.prices.max()))
        return plan

    def within(self, plan: AllocationPlan, prompt: Prompt, options: Options) -> AllocationPlan:
        """Cut a plan to what may be drawn, to one sample where nothing selects, and tell of what is left."""
        course = plan.course
        if course is None:
            return plan
        most = min(self.max_samples, options.max_samples or self.max_samples)
        if self.selecting.why_not:
            return self._one(plan, prompt, self.selecting.why_not)
        course = self.selecting.chosen(course)
        lacking = sorted(set(Follow(course=course).verifiers) - self.scorers)
        if lacking:
            return self._one(plan, prompt, f"nothing here scores samples by {', '.join(lacking)}")
        reason = ""
        if course.n > most:
            kept = max((n for n in range(1, len(course.steps)) if course.prefix(n).n <= most), default=0)
            first = course.steps[0]
            if kept:
                course = course.prefix(kept)
            elif first.kind == "sample":
                course = replace(course, steps=(replace(first, n=most),))
            reason = f"at most {most} samples" if course.n <= most else ""
        return self.planner.cut(plan, prompt, course, reason=reason)

    def _one(self, plan: AllocationPlan, prompt: Prompt, reason: str) -> AllocationPlan:
        """Cut a plan to one sample of its first generator."""
        course = plan.course
        if course is None:
            return plan
        first = course.steps[0]
        if course.n == 1 or first.kind == "search":
            single = Course(steps=waves(first.generator, (1,)))
        else:
            single = Course(steps=(replace(first, n=1, kind="sample"),), selection=Selection())
        return self.planner.cut(plan, prompt, single, reason=reason)

    def generators(self, asked: Asked, model: str) -> dict[str, Generator]:
        """Return the generators as a request draws from them: the client's settings go first.

        Parameters
        ----------
        asked : Asked
            The request.
        model : str
            The model's name as the client sent it.
        """
        found = {}
        for name, generator in self.planner.bundle.generators.items():
            source = self.sources.get(name)
            if source is None:
                continue
            limits = [x for x in (asked.max_output_tokens, generator.max_output_tokens) if x is not None]
            found[name] = replace(
                generator,
                model=source.model or model,
                temperature=generator.temperature if asked.temperature is None else asked.temperature,
                top_p=generator.top_p if asked.top_p is None else asked.top_p,
                max_output_tokens=min(limits, default=None),
                reasoning_effort=asked.reasoning_effort or generator.reasoning_effort,
            )
        return found

    @property
    def cost_model(self) -> CostModel:
        """Prices usage in the bundle's unit, that of judges and embeddings at their own prices."""
        planner = self.planner
        model = planner.cost_model or CostModel(
            unit=check_unit(self.unit), generators=planner.bundle.generators
        )
        ways = (self.selecting.judge, self.selecting.embedding)
        others = {way.generator.name: way.generator for way in ways if way is not None}
        return replace(model, unit=check_unit(self.unit), generators={**others, **model.generators})

    def caps(self, plan: AllocationPlan, options: Options) -> tuple[CostModel, float | None]:
        """Return what prices a request, and the most that it may cost in that unit."""
        model, cap = self.cost_model, self.max_per_request
        if options.budget is not None and plan.unit != model.unit:
            model, cap = replace(model, unit=plan.unit), None
        if options.budget is not None:
            cap = options.budget if cap is None else min(cap, options.budget)
        return model, cap

    def seed(self, asked: Asked) -> int:
        """Return the seed of a request's samples: the client's, or a new one."""
        return _SEEDS.getrandbits(30) if asked.seed is None else asked.seed % 2**30
