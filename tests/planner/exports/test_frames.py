"""Plans, outcomes and rollouts as dataframes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from difficulty import Prompt
from difficulty.errors import InvalidInputError
from difficulty.generator import Generator
from planner.exports.frames import outcomes_frame, plans_frame, rollouts_frame
from planner.exports.openai_batch import write_openai_batch
from planner.planner import Planner
from planner.simulated import SimulatedBackend, SimulatedExtractor
from policies.cost.budget import Budget

PROMPTS = [Prompt(id=f"p{number}", text=f"question {number}", gold="right") for number in range(4)]
KINDS = ("pandas", "polars", "arrow")


def rows(frame: Any) -> list[dict[str, Any]]:
    if hasattr(frame, "to_pylist"):
        return list(frame.to_pylist())
    return list(frame.to_dicts() if hasattr(frame, "to_dicts") else frame.to_dict("records"))


@pytest.mark.parametrize("kind", KINDS)
def test_plans_are_rows(kind: Any) -> None:
    pytest.importorskip({"arrow": "pyarrow"}.get(kind, kind))
    plans = Planner.untrained().plan(PROMPTS, budget=Budget(limit=4, unit="samples"))
    found = rows(plans_frame(plans, prompts=PROMPTS, kind=kind))
    assert [row["prompt"] for row in found] == [prompt.text for prompt in PROMPTS]
    assert [row["n"] for row in found] == [plan.allocation.n for plan in plans]
    assert found[0]["course"] == str(plans[0].course) and found[0]["unit"] == "samples"
    with pytest.raises(InvalidInputError, match="same order"):
        plans_frame(plans, prompts=PROMPTS[::-1], kind=kind)


@pytest.mark.parametrize("kind", KINDS)
def test_outcomes_are_rows_with_prompts_and_texts(kind: Any) -> None:
    pytest.importorskip({"arrow": "pyarrow"}.get(kind, kind))
    outcomes = Planner.untrained().run(
        PROMPTS,
        budget=Budget(limit=4, unit="samples"),
        backend=SimulatedBackend(),
        extractor=SimulatedExtractor(),
    )
    found = rows(outcomes_frame(outcomes, prompts=PROMPTS, kind=kind))
    assert [(row["prompt_id"], row["answer"]) for row in found] == [
        (one.prompt_id, one.answer) for one in outcomes
    ]
    assert found[0]["prompt"] == "question 0" and found[0]["gold"] == "right"
    each = rows(outcomes_frame(outcomes, prompts=PROMPTS, candidates=True, kind=kind))
    assert len(each) == sum(len(one.candidates) for one in outcomes)
    chosen = [row["text"] for row in each if row["selected"]]
    assert chosen == [one.text for one in outcomes if one.selected is not None]


@pytest.mark.parametrize("kind", KINDS)
def test_rollouts_name_their_number_and_leave_out_prompts_without_any(kind: Any) -> None:
    pytest.importorskip({"arrow": "pyarrow"}.get(kind, kind))
    found = rows(rollouts_frame(PROMPTS, [4, 0, 8, 4], kind=kind))
    assert [row["rollout.n"] for row in found] == [4, 8, 4]
    assert found[1]["prompt"] == [{"role": "user", "content": "question 2"}]
    assert found[1]["reward_model"]["ground_truth"] == found[1]["answer"] == "right"
    assert found[1]["extra_info"] == {"index": 2, "prompt_id": "p2"}


@pytest.mark.parametrize(
    ("n", "said"),
    [([1], "as many; got 4 and 1"), ([1, 1, 1, -1], "at least 0, got -1"), ([0] * 4, "no prompt has any")],
)
def test_numbers_that_mean_nothing_are_refused(n: list[int], said: str) -> None:
    with pytest.raises(InvalidInputError, match=said):
        rollouts_frame(PROMPTS, n)


def test_plain_strings_are_prompts_here_as_in_planning(tmp_path: Path) -> None:
    texts = ["What is 6 times 7?", "What is 8 times 9?", "What is 6 times 7?"]
    plans = Planner.untrained().plan(texts, budget=Budget(limit=2, unit="samples"), one_shot=True)
    assert list(plans_frame(plans, prompts=texts)["prompt"]) == texts
    assert len(rollouts_frame(texts, [1, 0, 2])) == 2
    served = {
        name: Generator(name=name, model="tiny") for name in {plan.allocation.generator for plan in plans}
    }
    (file,) = write_openai_batch(tmp_path / "batch.jsonl", plans, texts, generators=served)
    assert all(text in file.read_text() for text in texts)
    with pytest.raises(InvalidInputError, match="the same order"):
        plans_frame(plans, prompts=texts[::-1][1:])
