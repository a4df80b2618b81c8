"""Plan the batch of one call of an engine in this process: one price, or one budget, over all its prompts.

It turns prompts into outcomes with the runner that everything else uses, in lock-step rounds, since engines
batch by themselves. How an engine is called, and what its users get, is left to the modules that wrap it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import Any, TypeVar

from difficulty.errors import InvalidInputError, InvalidPromptError
from difficulty.prompt import Prompt
from planner.drivers import Limits
from planner.planner import Planner
from planner.ports.outcome import Outcome
from planner.ports.ports import Backend
from planner.running.run_plans import run_plans
from planner.serving.options import Options
from planner.serving.planning import Planning
from planner.serving.reply import agreement_of, plan_fields, stop_reason_of
from planner.serving.selecting import WHOLE
from policies.cost.budget import Budget
from policies.course.course import Course, waves
from policies.course.selection import PLAIN_VOTE
from policies.plan.plan import AllocationPlan

_Result = TypeVar("_Result")
_AS_SAMPLES = "revisions and searches are drawn as samples here"


@dataclass(frozen=True, kw_only=True, slots=True)
class Planned:
    """The plan of one prompt and what came of it."""

    plan: AllocationPlan
    outcome: Outcome

    @property
    def told(self) -> dict[str, Any]:
        """What is told beside the answer."""
        outcome = self.outcome
        return {
            "samples": int(outcome.usage.samples),
            "stop_reason": stop_reason_of(outcome),
            "selected_by": outcome.selected_by,
            "cost": outcome.cost,
            "agreement": agreement_of(outcome),
            "prompt_tokens": int(outcome.usage.prompt_tokens),
            "output_tokens": int(outcome.usage.output_tokens),
            "failures": len(outcome.errors),
            **plan_fields(self.plan, explain=False),
        }


@dataclass(frozen=True, kw_only=True, slots=True)
class Engine:
    """How the batches of one engine are planned.

    Parameters
    ----------
    planning : Planning
        Its price, caps and selection; it has no sources.
    budget : Budget, optional
        In place of the price.
    seed : int
        Seed of plans and ties.
    """

    planning: Planning
    budget: Budget | None = None
    seed: int = 0

    def __post_init__(self) -> None:
        models = {one.model for one in self.planner.bundle.generators.values() if one.model is not None}
        if len(models) > 1:
            raise InvalidInputError(
                f"the bundle's generators are of the models {', '.join(sorted(models))}, and an engine holds "
                "one; load the bundle with generators={...} of that one"
            )

    @property
    def planner(self) -> Planner:
        """Who plans."""
        return self.planning.planner

    def carry(self, prompts: Sequence[Prompt], backend: Backend) -> list[Planned]:
        """Plan and run a batch; may be called where an event loop runs."""
        planning = self.planning
        at_once = planning.selecting.at_once
        if self.budget is None:
            plans = self.planner.plan(
                prompts,
                price=planning.price or 0.0,
                max_per_prompt=planning.max_per_request,
                one_shot=at_once,
                seed=self.seed,
            )
        else:
            plans = self.planner.plan(prompts, budget=self.budget, one_shot=at_once, seed=self.seed)
        plans = [self._of_samples(plan, prompt) for plan, prompt in zip(plans, prompts, strict=True)]
        unit = planning.unit if self.budget is None else self.budget.unit
        model = replace(planning.cost_model, unit=unit)
        cap = planning.max_per_request if self.budget is None else self.budget.max_per_prompt
        work = run_plans(
            plans,
            prompts,
            backend=backend,
            generators=self.planner.bundle.generators,
            cost_model=model,
            budget=self.budget,
            verifier=planning.selecting.verifiers,
            learned=self.planner.bundle.verifiers,
            extractor=planning.selecting.extractor or WHOLE,
            limits=Limits(
                price=model.price, max_cost_per_prompt=cap, max_samples_per_prompt=planning.max_samples
            ),
            driver="lockstep",
            seed=self.seed,
        )
        outcomes = _finished(work)
        return [Planned(plan=plan, outcome=outcome) for plan, outcome in zip(plans, outcomes, strict=True)]

    def _of_samples(self, plan: AllocationPlan, prompt: Prompt) -> AllocationPlan:
        """Return a plan of samples alone: an engine's call has no place for a conversation about them."""
        plan = self.planning.within(plan, prompt, Options())
        course = plan.course
        if course is None or all(step.kind == "sample" for step in course.steps):
            return plan
        plain = Course(steps=waves(course.steps[0].generator, (course.n,)), selection=PLAIN_VOTE)
        return self.planner.cut(plan, prompt, plain, reason=_AS_SAMPLES)


def distinct(prompts: Sequence[Prompt]) -> list[Prompt]:
    """Return prompts with ids of their own, so that equal ones are drawn apart.

    Examples
    --------
    >>> [one.id for one in distinct([Prompt(id="a", text="?"), Prompt(id="a", text="?")])]
    ['a', 'a#1']
    """
    seen: set[str] = set()
    found = []
    for place, prompt in enumerate(prompts):
        name = prompt.id if prompt.id not in seen else f"{prompt.id}#{place}"
        seen.add(name)
        found.append(prompt if name == prompt.id else replace(prompt, id=name, group=prompt.group))
    return found


def conversation_of(messages: Any) -> Prompt | None:
    """Return a conversation as plans read it, None where it is more than texts that ask for an answer."""
    texts = [one.get("content") if isinstance(one, Mapping) else None for one in messages]
    plain = all(isinstance(text, str) for text in texts) and not any(
        one.get("tool_calls") for one in messages
    )
    if not plain or not messages or messages[-1].get("role") not in ("user", "system"):
        return None
    said = [one for one in messages if one.get("role") in ("user", "assistant")]
    alone = str(said[0]["content"]) if len(said) == 1 else None
    try:
        prompt = Prompt(text=alone or None, messages=tuple(messages))
    except InvalidPromptError:
        return None
    return prompt if prompt.content and prompt.content.strip() else None


def _finished(work: Coroutine[Any, Any, _Result]) -> _Result:
    """Return the result of a coroutine, beside a running event loop where there is one."""
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return asyncio.run(work)
    with ThreadPoolExecutor(1, thread_name_prefix="planner-engine") as executor:
        return executor.submit(asyncio.run, work).result()
