"""Plans, outcomes and rollouts as dataframes of pandas, polars or Arrow.

It assumes plans and outcomes in memory, and prompts in the same order where their texts are wanted. What
trainers do with the frame of rollouts is left to them.
"""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import msgspec

from difficulty.errors import InvalidInputError, require
from difficulty.files.whole import written_whole
from difficulty.log.tables.frames import FrameKind, frame_of_table
from difficulty.prompt import Prompt, as_prompts
from planner.ports.outcome import Outcome
from policies.plan.plan import AllocationPlan

ROLLOUTS: Final = "rollout.n"
"""Column of the number of rollouts, as verl calls it."""
SOURCE: Final = "ttc-planner"
"""Name of the data set, where nobody gives another."""


def plans_frame(
    plans: Sequence[AllocationPlan],
    *,
    prompts: Sequence[Prompt | str] | None = None,
    kind: FrameKind = "pandas",
) -> Any:
    """Return plans as a frame, one row a plan.

    Parameters
    ----------
    plans : sequence of AllocationPlan
        The P plans.
    prompts : sequence of Prompt or str, optional
        In the same order, for their texts.
    kind : {"pandas", "polars", "arrow"}
        What kind of frame.

    Raises
    ------
    InvalidInputError
        When plans and prompts do not match, or `kind` is another word.
    MissingDependencyError
        When the package is not installed.
    """
    return _frame(_plan_rows(plans, prompts), kind)


def write_plans_table(path: Path, plans: Sequence[AllocationPlan], prompts: Sequence[Prompt | str]) -> None:
    """Write `plans_frame` as CSV or Parquet, by the name of the file.

    Raises
    ------
    InvalidInputError
        As `plans_frame`, and when the name ends otherwise.
    MissingDependencyError
        For Parquet, when pyarrow is not installed.
    """
    if path.suffix == ".parquet":
        table = plans_frame(plans, prompts=prompts, kind="arrow")
        with written_whole(path) as part:
            require("pyarrow.parquet", extra="parquet").write_table(table, part)
    elif path.suffix == ".csv":
        rows = _plan_rows(plans, prompts)
        with written_whole(path) as part, part.open("w", encoding="utf-8", newline="") as file:
            writer = csv.DictWriter(file, list(dict.fromkeys(name for row in rows for name in row)))
            writer.writeheader()
            writer.writerows(rows)
    else:
        raise InvalidInputError(f"tables of plans are written as .csv or .parquet; got {path.name}")


def _plan_rows(
    plans: Sequence[AllocationPlan], prompts: Sequence[Prompt | str] | None
) -> list[dict[str, Any]]:
    """Return the rows of `plans_frame`."""
    rows = [
        {
            "prompt_id": plan.prompt_id,
            "generator": plan.allocation.generator,
            "strategy": plan.allocation.strategy,
            "n": plan.allocation.n if plan.draws else 0,
            "course": str(plan.course or plan.allocation) if plan.draws else "",
            f"expected_{plan.objective}": plan.expected_accuracy,
            "lower": plan.accuracy_interval[0],
            "upper": plan.accuracy_interval[1],
            "expected_cost": plan.expected_cost,
            "unit": plan.unit,
            "price": plan.price,
            "familiarity": plan.familiarity,
            "reason": plan.reason,
        }
        for plan in plans
    ]
    return _with_texts(rows, prompts)


def outcomes_frame(
    outcomes: Sequence[Outcome],
    *,
    prompts: Sequence[Prompt | str] | None = None,
    candidates: bool = False,
    kind: FrameKind = "pandas",
) -> Any:
    """Return outcomes as a frame, one row a prompt, or one row a candidate.

    Parameters
    ----------
    outcomes : sequence of Outcome
        The P outcomes.
    prompts : sequence of Prompt or str, optional
        In the same order, for their texts and right answers.
    candidates : bool
        One row for each candidate, with its text, answer and score.
    kind : {"pandas", "polars", "arrow"}
        What kind of frame.

    Raises
    ------
    InvalidInputError
        When outcomes and prompts do not match, or `kind` is another word.
    MissingDependencyError
        When the package is not installed.
    """
    rows = []
    for outcome in outcomes:
        row: dict[str, Any] = {
            "prompt_id": outcome.prompt_id,
            "generator": outcome.allocation.generator,
            "strategy": outcome.allocation.strategy,
            "answer": outcome.answer,
            "text": outcome.text,
            "selected_by": outcome.selected_by,
            "stop_reason": outcome.stop_reason,
            "n_candidates": len(outcome.candidates),
            "n_samples": outcome.usage.samples,
            "prompt_tokens": outcome.usage.prompt_tokens,
            "output_tokens": outcome.usage.output_tokens,
            "cost": outcome.cost,
            "expected_cost": outcome.expected_cost,
            "errors": "; ".join(f"{error.kind}: {error.reason}" for error in outcome.errors) or None,
        }
        rows.append(row)
    rows = _with_texts(rows, prompts)
    if candidates:
        rows = [
            {name: row[name] for name in ("prompt_id", "prompt", "gold") if name in row}
            | {
                "candidate": place,
                "selected": place == outcome.selected,
                "answer": one.answer,
                "text": one.text,
                "status": one.status,
                "score": one.score,
                "mean_logprob": one.mean_logprob,
                "output_tokens": one.output_tokens,
                "chain": one.chain,
                "step": one.step,
            }
            for row, outcome in zip(rows, outcomes, strict=True)
            for place, one in enumerate(outcome.candidates)
        ]
    return _frame(rows, kind)


def rollouts_frame(
    prompts: Sequence[Prompt | str],
    n: Sequence[int],
    *,
    source: str = SOURCE,
    kind: FrameKind = "pandas",
) -> Any:
    """Return prompts with their number of rollouts, as trainers for reinforcement learning read them.

    Parameters
    ----------
    prompts : sequence of Prompt or str
        The P prompts.
    n : sequence of int
        Rollouts of each, at least 0; prompts with 0 are left out. ``[plan.allocation.n for plan in plans]``,
        or the `n` of a plan of groups.
    source : str
        Name of the data set, by which trainers choose a reward function.
    kind : {"pandas", "polars", "arrow"}
        What kind of frame.

    Returns
    -------
    frame
        Columns ``prompt`` (messages), ``rollout.n``, ``answer``, and those of verl: ``data_source``,
        ``reward_model``, ``extra_info``.

    Raises
    ------
    InvalidInputError
        When the two do not match, a number is below 0, nothing is left, or `kind` is another word.
    MissingDependencyError
        When the package is not installed.
    """
    return _frame(_rollout_rows(prompts, n, source=source), kind)


def write_rollouts(path: Path, prompts: Sequence[Prompt | str], n: Sequence[int]) -> None:
    """Write `rollouts_frame` as Parquet or JSON Lines, by the name of the file.

    Raises
    ------
    InvalidInputError
        As `rollouts_frame`, and when the name ends otherwise.
    MissingDependencyError
        For Parquet, when pyarrow is not installed.
    """
    if path.suffix == ".parquet":
        table = rollouts_frame(prompts, n, kind="arrow")
        with written_whole(path) as part:
            require("pyarrow.parquet", extra="parquet").write_table(table, part)
    elif path.suffix == ".jsonl":
        rows = _rollout_rows(prompts, n)
        with written_whole(path) as part:
            part.write_bytes(b"".join(msgspec.json.encode(row) + b"\n" for row in rows))
    else:
        raise InvalidInputError(f"rollouts are written as .parquet or .jsonl; got {path.name}")


def _rollout_rows(
    prompts: Sequence[Prompt | str], n: Sequence[int], *, source: str = SOURCE
) -> list[dict[str, Any]]:
    """Return the rows of `rollouts_frame`."""
    prompts = as_prompts(prompts)
    if len(prompts) != len(n):
        raise InvalidInputError(f"prompts and n must be as many; got {len(prompts)} and {len(n)}")
    if min(n, default=0) < 0:
        raise InvalidInputError(f"numbers of rollouts must be at least 0, got {min(n)}")
    rows = [
        {
            "data_source": source,
            "prompt": _messages(prompt),
            "answer": prompt.gold,
            "reward_model": {"style": "rule", "ground_truth": prompt.gold or ""},
            "extra_info": {"index": place, "prompt_id": prompt.id},
            ROLLOUTS: int(rollouts),
        }
        for place, (prompt, rollouts) in enumerate(zip(prompts, n, strict=True))
        if rollouts
    ]
    if not rows:
        raise InvalidInputError("no prompt has any rollouts; raise the budget")
    return rows


def _messages(prompt: Prompt) -> list[dict[str, Any]]:
    if prompt.messages:
        return [dict(message) for message in prompt.messages]
    return [{"role": "user", "content": prompt.text or ""}]


def _with_texts(rows: list[dict[str, Any]], prompts: Sequence[Prompt | str] | None) -> list[dict[str, Any]]:
    """Return rows with the texts and right answers of their prompts."""
    if prompts is None:
        return rows
    prompts = as_prompts(prompts)
    if [row["prompt_id"] for row in rows] != [prompt.id for prompt in prompts]:
        raise InvalidInputError("prompts must be those of the rows, in the same order")
    return [
        {"prompt_id": prompt.id, "prompt": prompt.content, "gold": prompt.gold} | row
        for row, prompt in zip(rows, prompts, strict=True)
    ]


def _frame(rows: Sequence[Mapping[str, Any]], kind: FrameKind) -> Any:
    names = list(dict.fromkeys(name for row in rows for name in row))
    return frame_of_table({name: [row.get(name) for row in rows] for name in names}, kind)
