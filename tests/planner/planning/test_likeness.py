"""What prompts are like by their text, read as seldom as can be."""

from __future__ import annotations

import pickle
from typing import Any

import numpy as np

from difficulty.prompt import Prompt
from planner.planning.likeness import Likenesses


def test_a_single_prompt_is_read_once_for_its_plan_and_for_cutting_it(trained: Any) -> None:
    bundle = trained.bundle
    likeness = Likenesses.of(bundle)
    one, other = Prompt(id="one", text="Add up 3 + 4."), Prompt(id="other", text="Add up 3 + 44 + 8 + 59.")
    assert bundle.policy.reads_text
    first = likeness.of_prompts([one], None).weights
    assert first is not None
    assert likeness.read([Prompt(id="asked again", text=one.text)], None) is first
    both = likeness.read([one, other], None)
    assert both is not None and len(both.familiarity) == 2
    again = likeness.read([other], None)
    assert again is not None and again is not first
    np.testing.assert_array_equal(again.leaves, both.leaves[1:])


def test_no_prompt_travels_with_a_pickled_planner(trained: Any) -> None:
    secret = "Add up 3 + 4, says Zanzibar."
    likeness = Likenesses.of(trained.bundle)
    read = likeness.read([Prompt(text=secret)], None)
    told = pickle.dumps(likeness)
    assert read is not None and b"Zanzibar" not in told
    again = pickle.loads(told).read([Prompt(text=secret)], None)
    np.testing.assert_array_equal(again.leaves, read.leaves)
