"""From plans to outcomes: plan, sample, select, account.

It turns each plan into a task, holds the run to the budget on *actual* usage, and hands both to a driver.
Which requests are sent is the strategies' affair, how they are sent the drivers'; nothing here knows an
inference stack.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, replace
from typing import Literal

from difficulty.arguments import check_choice
from difficulty.errors import InvalidInputError, UnknownGeneratorError, UnknownUnitError
from difficulty.generator import Generator
from difficulty.prompt import Prompt
from planner.answers.rule import AnswerRule
from planner.answers.rules import USUAL_RULE
from planner.drivers import Limits, RunLog, drive
from planner.drivers.session import DriverName, OnProgress
from planner.drivers.turns import Turns
from planner.ports.outcome import Outcome
from planner.ports.ports import AnswerExtractor, Backend, Verifier
from planner.running.deepening import Deepening, Levels
from planner.running.parts import Learner, LeastAnswer, Parts, Replan
from planner.strategies.follow import Follow
from planner.strategies.registry import strategy_of
from planner.strategies.task import Task
from planner.verifiers.learned import LearnedVerifier
from planner.verifiers.mean_logprob import MeanLogprob
from planner.verifiers.stand_in import check_learned, picked_by_learned
from policies.cost.budget import UNIT_TRAITS, Budget
from policies.cost.cost_model import CostModel
from policies.course.allocate import summary_of
from policies.course.course import Course
from policies.plan.plan import AllocationPlan
from policies.verifier.learned_verifier import LEARNED, CorrectnessModel


async def run_plans(
    plans: Sequence[AllocationPlan],
    prompts: Sequence[Prompt],
    *,
    backend: Backend,
    generators: Mapping[str, Generator],
    cost_model: CostModel,
    budget: Budget | None = None,
    replan: Replan | None = None,
    learner: Learner | None = None,
    least: Sequence[LeastAnswer] | None = None,
    levels: Levels | None = None,
    prompt_tokens: Callable[[Prompt, str], float | None] | None = None,
    verifier: Verifier | Mapping[str, Verifier] | Literal["learned"] | None = None,
    learned: Mapping[str, CorrectnessModel] | None = None,
    extractor: AnswerExtractor | None = None,
    limits: Limits | None = None,
    max_rounds: int | None = None,
    driver: DriverName = "lockstep",
    run_log: str | os.PathLike[str] | None = None,
    seed: int = 0,
    progress: OnProgress | None = None,
) -> list[Outcome]:
    """Run plans and return one outcome per prompt, in order.

    Parameters
    ----------
    plans : sequence of AllocationPlan
        One per prompt, in the order of `prompts`; those that draw nothing cost nothing, and go with plans
        that stand as they are.
    prompts : sequence of Prompt
        The questions.
    backend : Backend
        Draws the samples.
    generators : mapping of str to Generator
        How the backend is to draw for each generator that the plans name.
    cost_model : CostModel
        Prices actual usage, in the unit of the plans.
    budget : Budget, optional
        Held against actual usage: its total over the batch and its cap per prompt.
    replan : Replan, optional
        Plans prompts that have not been opened yet with what is left of the budget, so that what others save
        or overspend is made good (`planner.running.parts`). By default plans stand as they are.
    learner : Learner, optional
        Learns from the outcomes of some prompts how to plan the others, and then takes the place of `replan`.
    least : sequence of LeastAnswer, optional
        The least costly way to answer each prompt. So much of the budget is set aside for each prompt that
        has drawn nothing, and one such sample is drawn where the budget ends its course before any answer.
    levels : Levels, optional
        What each prompt takes with more and more to spend, where a checker tells who is solved: then those
        that are not go on as far as the budget reaches (`planner.running.deepening`), in place of `replan`.
    prompt_tokens : callable, optional
        Tokens of prompts that do not say theirs, by generator, as far as a log tells.
    verifier : Verifier, mapping of str to Verifier, or "learned", optional
        One verifier for every name that strategies ask for, or one per name. ``mean_logprob`` and what
        `learned` holds are always there. ``"learned"`` puts the learned verifier in the place of every other
        one that best-of-N and its weighted form ask for; outcomes then say so.
    learned : mapping of str to CorrectnessModel, optional
        Learned verifiers by generator, from the bundle.
    extractor : AnswerExtractor, optional
        Finds the answer in a text; by default the backend's own (`ReplayBackend`), else the last
        ``\\boxed{}``, else the last number.
    limits : Limits, optional
        Further caps: concurrency, seconds, samples, tokens. The budget's caps are added to them.
    max_rounds : int, optional
        The most steps of a course that wait for an earlier one, at least 1: each prompt gets the beginning of
        its course that keeps to it.
    driver : {"lockstep", "concurrent"}
        One backend call per round for all prompts (batch engines), or requests as they come (servers).
    run_log : path, optional
        Append-only record; a run that is started again on the same file pays for nothing twice.
    seed : int
        Seed of samples and ties.
    progress : callable, optional
        Called after each outcome.

    Raises
    ------
    UnknownGeneratorError
        When a plan names a generator that is not among `generators`.
    InvalidInputError
        When plans and prompts do not match, or a verifier is missing.
    UnknownUnitError
        When the unit is one that no run can be held to.
    """
    if [plan.prompt_id for plan in plans] != [prompt.id for prompt in prompts]:
        raise InvalidInputError("plans and prompts must be the same prompts in the same order")
    check_choice("driver", driver, ("lockstep", "concurrent"))
    whole = plans
    if not all(plan.draws for plan in plans):
        drawn = [number for number, plan in enumerate(plans) if plan.draws]
        plans, prompts = [plans[number] for number in drawn], [prompts[number] for number in drawn]
        least = None if least is None else [least[number] for number in drawn]
    found = extractor or getattr(backend, "extractor", None) or USUAL_RULE
    models = dict(learned or {})
    work = _Work(
        generators=generators,
        extractor=found,
        seed=seed,
        models=models,
        learned=verifier == LEARNED,
        max_rounds=max_rounds,
        least=least,
    )
    if work.learned:
        check_learned([], [], models, wanted=True)

    def task_of(number: int, plan: AllocationPlan) -> Task:
        return work.task(number, plan, prompts[number])

    tasks = [task_of(number, plan) for number, plan in enumerate(plans)]
    limits = _with_budget(limits or Limits(), budget, cost_model, n_prompts=len(prompts))
    turns: Turns | None = None
    if limits.max_cost is not None and levels is not None:
        turns = Deepening(
            plans, limit=limits.max_cost, task_of=task_of, levels=levels, least=least or (), seed=seed
        )
    elif limits.max_cost is not None and (replan is not None or least is not None):
        turns = Parts(
            plans,
            limit=limits.max_cost,
            task_of=task_of,
            replan=replan,
            learner=learner,
            least=least or (),
            seed=seed,
        )
    with nullcontext() if run_log is None else RunLog.open(run_log, resume=os.path.exists(run_log)) as log:
        outcomes = await drive(
            tasks,
            driver=driver,
            backend=backend,
            verifiers=_verifiers(tasks, verifier, LearnedVerifier(models=models, extractor=found)),
            limits=limits,
            run_log=log,
            progress=progress,
            turns=turns,
            prompt_tokens=prompt_tokens,
        )
    came = iter(outcomes)
    return [next(came) if plan.draws else Outcome.of_nothing(plan) for plan in whole]


@dataclass(frozen=True, kw_only=True, slots=True)
class _Work:
    """What the tasks of a run share."""

    generators: Mapping[str, Generator]
    extractor: AnswerExtractor
    seed: int
    models: Mapping[str, CorrectnessModel]
    learned: bool
    max_rounds: int | None
    least: Sequence[LeastAnswer] | None

    def task(self, number: int, plan: AllocationPlan, prompt: Prompt) -> Task:
        """Return the task of a plan that carries its course."""
        course = course_to_run(plan)
        check_learned([plan], [course], self.models, wanted=self.learned)
        if self.learned:
            course = picked_by_learned(course)
        if self.max_rounds is not None:
            course = course.within_rounds(self.max_rounds)
        resort = None if self.least is None else self.least[number].generator
        names = dict.fromkeys((*course.generators, *(() if resort is None else (resort,))))
        strategy = Follow(
            course=course,
            generators={name: self._generator(plan, name) for name in names},
            last_resort=resort,
        )
        allocation = plan.allocation if course == plan.course else summary_of(course)
        return Task(
            prompt=prompt,
            allocation=allocation,
            generator=self._generator(plan, allocation.generator),
            extractor=self.extractor.fresh(prompt)
            if isinstance(self.extractor, AnswerRule)
            else self.extractor,
            seed=self.seed,
            strategy=strategy,
            expected_cost=plan.expected_cost,
        )

    def _generator(self, plan: AllocationPlan, name: str) -> Generator:
        if name not in self.generators:
            raise UnknownGeneratorError(
                f"plan of prompt {plan.prompt_id!r} names generator {name!r}; given are "
                f"{', '.join(self.generators) or 'none'}"
            )
        return self.generators[name]


def course_to_run(plan: AllocationPlan) -> Course:
    """Return the course of a plan.

    Raises
    ------
    InvalidInputError
        When the plan has an allocation that is no course.
    """
    return plan.course or strategy_of(plan.allocation).course


def _verifiers(
    tasks: Iterable[Task],
    verifier: Verifier | Mapping[str, Verifier] | Literal["learned"] | None,
    learned: LearnedVerifier,
) -> dict[str, Verifier]:
    """Return verifiers by the names that the tasks' strategies ask for."""
    named: dict[str, Verifier] = {"mean_logprob": MeanLogprob()}
    if learned.models:
        named[LEARNED] = learned
    if isinstance(verifier, Mapping):
        return named | dict(verifier)
    if verifier is not None and not isinstance(verifier, str):
        asked = {name for task in tasks if task.strategy is not None for name in task.strategy.verifiers}
        named |= dict.fromkeys(sorted({"score", *asked} - set(named)), verifier)
    return named


def _with_budget(limits: Limits, budget: Budget | None, cost_model: CostModel, *, n_prompts: int) -> Limits:
    """Add the budget's caps to the caller's limits."""
    if not UNIT_TRAITS[cost_model.unit].additive:
        raise UnknownUnitError(
            f"{cost_model.unit} can be planned in, but no run is held to them: what a sample takes is known "
            "only when it has come; run with a budget in another unit, and cap the time of the run with "
            "Limits(max_seconds=...)"
        )
    if budget is None:
        return limits if limits.price is not None else replace(limits, price=cost_model.price)
    return replace(
        limits,
        price=cost_model.price,
        max_cost=budget.total(n_prompts=n_prompts),
        max_cost_per_prompt=budget.max_per_prompt,
    )
