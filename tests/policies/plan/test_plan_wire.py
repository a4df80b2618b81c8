"""Plans survive the trip through JSON, and nothing else is taken for a plan."""

from __future__ import annotations

import gzip
import json
import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from difficulty.errors import InvalidInputError, UnknownUnitError
from policies.cost.budget import UNITS
from policies.course.allocate import summary_of
from policies.course.allocation import Allocation
from policies.course.course import Course, waves
from policies.course.selection import Selection
from policies.course.stop import Beta
from policies.course.strategies import STRATEGIES
from policies.plan.plan import AllocationPlan
from policies.plan.wire import PLAN_SCHEMA, plan_from_json, plan_to_json, read_plans, write_plans

PLAN = AllocationPlan(
    prompt_id="gsm8k-17",
    allocation=Allocation(
        generator="qwen-1.5b/cot",
        strategy="best_of_n",
        width=8,
        params={"verifier": "mean_logprob", "keep": 0.5},
    ),
    expected_accuracy=0.81,
    accuracy_interval=(0.7, 0.9),
    expected_cost=1144.25,
    unit="output_tokens",
    price=2e-5,
    reason="hard for one sample, easy for eight",
)
fractions = st.floats(0, 1)


@given(
    numbers=st.tuples(fractions, fractions, fractions).map(sorted),
    cost=st.floats(0, 1e12),
    price=st.none() | st.floats(0, 1e6),
    costs=st.none() | st.tuples(st.floats(0, 1e9), st.floats(0, 1e9)).map(sorted).map(tuple),
    text=st.text(),
    strategy=st.sampled_from(STRATEGIES),
    unit=st.sampled_from(UNITS),
    objective=st.sampled_from(["accuracy", "coverage"]),
    params=st.dictionaries(
        st.text(max_size=5),
        st.text(max_size=5) | st.booleans() | st.integers(-9, 9) | st.floats(-9, 9),
        max_size=3,
    ),
)
def test_round_trip(numbers, cost, price, costs, text, strategy, unit, objective, params) -> None:  # type: ignore[no-untyped-def]
    plan = AllocationPlan(
        prompt_id=text,
        allocation=Allocation(generator="g", strategy=strategy, width=3, depth=2, params=params),
        expected_accuracy=numbers[1],
        accuracy_interval=(numbers[0], numbers[2]),
        expected_cost=cost,
        cost_interval=costs,
        unit=unit,
        objective=objective,
        price=price,
        reason=text,
    )
    line = plan_to_json(plan)
    assert plan_from_json(line) == plan
    assert plan_to_json(plan_from_json(line)) == line


def test_equal_plans_give_equal_bytes_whatever_their_numbers_came_from() -> None:
    array = replace(
        PLAN,
        expected_accuracy=np.float64(0.81),
        accuracy_interval=tuple(np.array([0.7, 0.9])),
        expected_cost=np.float64(1144.25),
        price=np.float64(2e-5),
        allocation=replace(PLAN.allocation, params={"keep": 0.5, "verifier": "mean_logprob"}),
    )
    assert plan_to_json(array) == plan_to_json(PLAN)


def test_wire_format_is_what_version_2_says() -> None:
    plan = replace(
        PLAN, allocation=replace(PLAN.allocation, params={"verifier": "mean_logprob"}), familiarity=0.9
    )
    assert json.loads(plan_to_json(plan)) == {
        "schema": 2,
        "prompt_id": "gsm8k-17",
        "allocation": {
            "generator": "qwen-1.5b/cot",
            "strategy": "best_of_n",
            "width": 8,
            "depth": 1,
            "params": {"verifier": "mean_logprob"},
        },
        "course": {
            "steps": [
                {
                    "generator": "qwen-1.5b/cot",
                    "n": 8,
                    "times": 1,
                    "kind": "sample",
                    "strategy": "",
                    "params": {},
                }
            ],
            "selection": {
                "by": "best",
                "signal": "mean_logprob",
                "power": 1.0,
                "pooled": True,
                "weights": {},
                "usual": {},
                "of_chain": "all",
                "threshold": 0.5,
                "or_vote": False,
            },
            "stop": {"rule": "Never"},
        },
        "expected_accuracy": 0.81,
        "accuracy_interval": [0.7, 0.9],
        "expected_cost": 1144.25,
        "cost_interval": None,
        "unit": "output_tokens",
        "objective": "accuracy",
        "price": 2e-05,
        "familiarity": 0.9,
        "reason": "hard for one sample, easy for eight",
    }


# One plan of each form that was ever written; new forms are added and none is ever taken away.
WRITTEN = {
    "schema 1, before plans had an interval of their cost": (
        b'{"schema":1,"prompt_id":"gsm8k-17","allocation":{"generator":"qwen-1.5b/cot","strategy":"best_of_n",'
        b'"width":8,"depth":1,"params":{"keep":0.5,"verifier":"mean_logprob"}},"expected_accuracy":0.81,'
        b'"accuracy_interval":[0.7,0.9],"expected_cost":1144.25,"unit":"output_tokens",'
        b'"objective":"accuracy","price":0.00002,"reason":"hard for one sample, easy for eight"}'
    ),
    "schema 1": (
        b'{"schema":1,"prompt_id":"gsm8k-17","allocation":{"generator":"qwen-1.5b/cot","strategy":"best_of_n",'
        b'"width":8,"depth":1,"params":{"keep":0.5,"verifier":"mean_logprob"}},"expected_accuracy":0.81,'
        b'"accuracy_interval":[0.7,0.9],"expected_cost":1144.25,"cost_interval":null,"unit":"output_tokens",'
        b'"objective":"accuracy","price":0.00002,"reason":"hard for one sample, easy for eight"}'
    ),
    "schema 2, without a course that could be carried out": (
        b'{"schema":2,"prompt_id":"gsm8k-17","allocation":{"generator":"qwen-1.5b/cot","strategy":"best_of_n",'
        b'"width":8,"depth":1,"params":{"keep":0.5,"verifier":"mean_logprob"}},"expected_accuracy":0.81,'
        b'"accuracy_interval":[0.7,0.9],"expected_cost":1144.25,"cost_interval":null,"unit":"output_tokens",'
        b'"objective":"accuracy","price":0.00002,"reason":"hard for one sample, easy for eight",'
        b'"course":null,"familiarity":null}'
    ),
}


@pytest.mark.parametrize("line", WRITTEN.values(), ids=WRITTEN)
def test_plans_of_earlier_versions_are_read(line: bytes) -> None:
    assert plan_from_json(line) == PLAN


def test_an_allocation_of_the_first_schema_becomes_a_course_that_asks_nothing() -> None:
    line = next(iter(WRITTEN.values())).replace(b'"keep":0.5,', b"")
    plan = plan_from_json(line)
    assert plan.course == Course(
        steps=waves("qwen-1.5b/cot", (8,)), selection=Selection(by="best", signal="mean_logprob")
    )


CASCADE = Course(
    steps=waves("small", (2, 2)) + waves("large", (1,)),
    selection=Selection(pooled=False, weights={"large": 2.0}),
    stop=Beta(threshold=0.9, futile_from=3, futile_below=0.6),
)


def test_a_plan_carries_its_course_in_full() -> None:
    plan = replace(PLAN, course=CASCADE, allocation=summary_of(CASCADE), familiarity=0.25)
    line = plan_to_json(plan)
    assert plan_from_json(line) == plan and plan_to_json(plan_from_json(line)) == line
    assert plan.allocation.n == 5 and plan.allocation.parameters["course"] == str(CASCADE)
    with pytest.raises(InvalidInputError, match="does not sum up its course"):
        replace(plan, allocation=Allocation(generator="small", strategy="majority_vote", width=5))
    with pytest.raises(InvalidInputError, match="familiarity"):
        replace(plan, familiarity=-0.1)


def test_every_schema_that_was_written_has_an_example() -> None:
    assert {json.loads(line)["schema"] for line in WRITTEN.values()} == set(range(1, PLAN_SCHEMA + 1))


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"schema": 3}, "upgrade ttc-planner"),
        ({"schema": 0}, "write the plan again"),
        ({"colour": "red"}, "unknown field `colour`"),
        ({"prompt_id": 3}, "prompt_id"),
        ({"expected_accuracy": 2.0}, "expected_accuracy"),
        ({"unit": "bananas"}, "bananas"),
        ({"objective": "fame"}, "fame"),
        ({"familiarity": 1.5}, "familiarity"),
        ({"course": {"steps": [], "selection": {}, "stop": {"rule": "Never"}}}, "1 to 1,024 steps"),
        (
            {"course": {"steps": [{"generator": "b"}], "selection": {}, "stop": {"rule": "Never"}}},
            "does not sum up its course",
        ),
    ],
)
def test_other_things_are_refused(change: dict[str, object], words: str) -> None:
    line = json.dumps(json.loads(plan_to_json(PLAN)) | change)
    with pytest.raises(InvalidInputError, match=words):
        plan_from_json(line)


@pytest.mark.parametrize("line", [b"", b"{", b"[]", b"\xff", b"{}", b"null"])
def test_what_is_not_a_plan_is_refused(line: bytes) -> None:
    with pytest.raises(InvalidInputError, match="not a plan"):
        plan_from_json(line)


def test_files(tmp_path: Path) -> None:
    path = tmp_path / "plans.jsonl"
    other = replace(PLAN, prompt_id="zweites Beispiel: ä\n")
    write_plans(path, [PLAN, other])
    assert read_plans(path) == [PLAN, other]
    path.write_bytes(plan_to_json(PLAN) + b"\n\n{\n")
    with pytest.raises(InvalidInputError, match=r"plans\.jsonl, line 3: not a plan"):
        read_plans(path)
    with pytest.raises(InvalidInputError, match="cannot read the file"):
        read_plans(tmp_path / "none.jsonl")


@pytest.mark.parametrize(
    "change",
    [
        {"accuracy_interval": (0.82, 0.9)},
        {"accuracy_interval": (0.1, 1.1)},
        {"accuracy_interval": (0.1, 0.2, 0.9)},
        {"expected_accuracy": math.nan},
        {"expected_cost": math.inf},
        {"expected_cost": -1.0},
        {"price": -1.0},
        {"price": math.nan},
        {"cost_interval": (3.0, 2.0)},
        {"cost_interval": (0.0, math.nan)},
    ],
)
def test_plans_that_cannot_be_meant(change: dict[str, object]) -> None:
    (name,) = change
    with pytest.raises(InvalidInputError, match="accuracy" if name == "accuracy_interval" else name):
        replace(PLAN, **change)


def test_unit_of_a_plan_is_checked() -> None:
    with pytest.raises(UnknownUnitError):
        replace(PLAN, unit="bananas")


def test_a_mark_and_gzip_are_read_and_other_encodings_named(tmp_path: Path) -> None:
    path = tmp_path / "plans.jsonl"
    line = plan_to_json(PLAN) + b"\n"
    path.write_bytes(b"\xef\xbb\xbf" + line)
    assert read_plans(path) == [PLAN]
    path.write_bytes(gzip.compress(line))
    assert read_plans(path) == [PLAN]
    path.write_bytes(line.decode().encode("utf-16"))
    with pytest.raises(InvalidInputError, match=r"plans\.jsonl: the file is UTF-16"):
        read_plans(path)


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        (b'"width":8', b'"width":1' + b"0" * 18, "at most 1,000,000"),
        (b'"width":8', b'"width":1' + b"0" * 5000, "not a plan"),
        (b'"prompt_id"', b'"x":' + b"[" * 100_000 + b"]" * 100_000 + b',"prompt_id"', "not a plan"),
    ],
)
def test_numbers_and_depths_that_no_one_means(old: bytes, new: bytes, said: str) -> None:
    line = plan_to_json(PLAN)
    assert old in line
    with pytest.raises(InvalidInputError, match=said):
        plan_from_json(line.replace(old, new))
