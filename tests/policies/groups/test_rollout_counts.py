"""Rollouts of a trainer's table become counts by prompt; what is no such table is refused in words."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas
import pytest

from difficulty.errors import InvalidInputError
from planner import Prompt, rollouts_frame
from policies.groups.group_planner import GroupPlanner
from policies.groups.rollout_counts import count_rollouts

UIDS = ["a", "b", "c"]


def test_a_run_over_tables_in_any_order_is_the_run_over_counts() -> None:
    rng = np.random.default_rng(0)
    rates = rng.beta(0.5, 1, 30)
    prompts = [Prompt(id=f"p{at}", text=f"What is {at} squared?", gold="1") for at in range(30)]
    told = by_hand = GroupPlanner.start(30, floor=2, cap=8, tokens_per_rollout=50.0)
    for epoch in range(4):
        plan = told.plan(3000, seed=epoch)
        sent = rollouts_frame(prompts, plan.n)
        table = sent.loc[sent.index.repeat(sent["rollout.n"])].sample(frac=1, random_state=epoch)
        table["text"] = [messages[0]["content"] for messages in table["prompt"]]
        texts = [prompt.text for prompt in prompts]
        table["reward"] = [float(rng.random() < rates[texts.index(text)]) for text in table["text"]]
        table["length"] = rng.integers(10, 90, len(table))
        counts = count_rollouts(texts, table["text"], table["reward"], output_tokens=table["length"])
        told = told.after(**counts._asdict())
        sums = table.groupby("text")[["reward", "length"]].sum().reindex(texts, fill_value=0)
        by_hand = by_hand.after(
            plan.n, sums["reward"].to_numpy().astype(int), output_tokens=sums["length"].to_numpy()
        )
        assert (counts.n == plan.n).all()
    assert (told.plan(3000).n == by_hand.plan(3000).n).all()
    assert (told.lengths == by_hand.lengths).all()


def test_ragged_groups_and_rollouts_that_nobody_judged() -> None:
    counts = count_rollouts(UIDS, ["b", "b", "a"], [None, 1.0, np.nan], output_tokens=[5, 6, 7])
    assert counts.n.tolist() == [0, 1, 0] and counts.n_correct.tolist() == [0, 1, 0]
    assert counts.output_tokens is not None and counts.output_tokens.tolist() == [0, 6, 0]
    none = count_rollouts(UIDS, [], [])
    assert none.n.tolist() == [0, 0, 0] and none.output_tokens is None
    marked = count_rollouts(UIDS, pandas.Series(["a", "a"]), [0.4, 0.6], threshold=0.5)
    assert marked.n_correct.tolist() == [1, 0, 0]


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"drawn": ["a", "z"]}, "prompt 'z', which is none of the 3 prompts; give the column"),
        ({"drawn": [[{"role": "user", "content": "?"}]] * 2}, "messages is neither"),
        ({"prompts": ["a", "a"]}, "two prompts have the same name"),
        ({"rewards": [0.5, 1.0]}, "a reward is 0.5, neither 0 nor 1; say from which"),
        ({"rewards": [1.0]}, r"rewards must have one number for each of the 2 rollouts, got \(1,\)"),
        ({"rewards": ["right", "wrong"]}, "rewards must be numbers"),
        ({"output_tokens": [1, None]}, "known of every rollout"),
        ({"output_tokens": [1, -1]}, "at least 0"),
        ({"threshold": float("nan")}, "threshold must be a finite number"),
    ],
)
def test_wrong_tables_are_refused_in_words(changes: dict[str, Any], words: str) -> None:
    how: dict[str, Any] = {"prompts": UIDS, "drawn": ["a", "b"], "rewards": [1, 0], **changes}
    with pytest.raises(InvalidInputError, match=words):
        count_rollouts(**how)


def test_sums_of_rewards_are_refused_with_what_to_do() -> None:
    groups = GroupPlanner.start(2)
    with pytest.raises(InvalidInputError, match=r"count_rollouts.*astype\(int\)"):
        groups.after(np.array([4, 4]), np.array([1.0, 2.0]))
