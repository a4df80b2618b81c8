"""Sample logs come from dataframes of any package, and go back into them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas
import polars
import pyarrow
import pytest

from difficulty import Generator, SampleLog
from difficulty.errors import InvalidInputError, InvalidLogError
from training.simulated.log import simulated_log

COLUMNS: dict[str, list[Any]] = {
    "problem_id": [1, 1, 2, 2],
    "Question": ["1 + 1?", "1 + 1?", "2 + 2?", "2 + 2?"],
    "pred": ["2", None, "4", "5"],
    "isCorrect": [1.0, 0.0, 1.0, None],
    "completion_tokens": [10.0, 20.0, 30.0, None],
    "model-name": ["small"] * 4,
    "seed": [1, 2, 1, 2],
}


class OnlyStream:
    """A frame that offers Arrow's stream and nothing else."""

    def __init__(self, table: Any) -> None:
        self._table = table

    def __arrow_c_stream__(self, requested_schema: object = None) -> object:
        return self._table.__arrow_c_stream__(requested_schema)


class OnlyInterchange:
    """A frame that offers the dataframe interchange protocol and nothing else."""

    def __init__(self, table: Any) -> None:
        self._table = table

    def __dataframe__(self, nan_as_null: bool = False, allow_copy: bool = True) -> object:
        return self._table.__dataframe__(nan_as_null, allow_copy)


FRAMES = {
    "mapping": lambda: COLUMNS,
    "records": lambda: [dict(zip(COLUMNS, row, strict=True)) for row in zip(*COLUMNS.values(), strict=True)],
    "pandas": lambda: pandas.DataFrame(COLUMNS),
    "pandas of nullable types": lambda: pandas.DataFrame(COLUMNS).convert_dtypes(),
    "pandas of some rows": lambda: pandas.DataFrame(COLUMNS).iloc[::-1].iloc[::-1],
    "polars": lambda: polars.DataFrame(COLUMNS),
    "arrow": lambda: pyarrow.table(COLUMNS),
    "arrow stream": lambda: OnlyStream(pyarrow.table(COLUMNS)),
    "interchange": lambda: OnlyInterchange(pyarrow.table(COLUMNS)),
}


@pytest.mark.parametrize("kind", FRAMES)
def test_frames_of_all_kinds_give_one_log(kind: str) -> None:
    log = SampleLog.from_frame(FRAMES[kind]())
    assert [(prompt.id, prompt.text) for prompt in log.prompts] == [("1", "1 + 1?"), ("2", "2 + 2?")]
    pool = log.pool("small")
    assert pool.correct.tolist() == [[1, 0], [1, -1]]
    assert pool.answer.tolist() == [[0, -1], [0, 1]]
    assert pool.output_tokens[0].tolist() == [10, 20] and np.isnan(pool.output_tokens[1, 1])
    assert log.about["columns"] == {
        "prompt_id": "problem_id",
        "prompt": "Question",
        "generator": "model-name",
        "answer": "pred",
        "correct": "isCorrect",
        "output_tokens": "completion_tokens",
    }
    assert log.about["unused_columns"] == ["seed"]


@pytest.mark.parametrize("kind", ["pandas", "polars", "arrow"])
def test_a_log_comes_back_from_its_frame(kind: Any) -> None:
    log = simulated_log(n_prompts=12, n_samples=6, seed=3)
    frame = log.to_frame(kind)
    assert SampleLog.from_frame(frame, generators=log.generators).digest == log.digest


@pytest.mark.parametrize("kind", ["pandas", "polars", "arrow"])
def test_chains_runs_counts_and_messages_come_back(kind: Any) -> None:
    records: list[dict[str, object]] = [
        {"prompt_id": "a", "generator": "g", "messages": [{"role": "user", "content": "hi"}], "n": 5,
         "n_correct": 2, "meta": {"level": 3}},
        {"prompt_id": "b", "prompt": "x", "generator": "g", "group": "s", "gold": "7", "prompt_tokens": 9,
         "samples": [{"answer": "7", "correct": True, "chain": 0, "step": 0},
                     {"answer": "8", "correct": False, "chain": 0, "step": 1}]},
        {"prompt_id": "b", "generator": "g", "prompt_tokens": 9,
         "samples": [{"answer": "7", "correct": True, "step_scores": [0.5, 0.25], "finish": "length"}]},
        {"prompt_id": "b", "generator": "g", "strategy": "beam_search", "params": {"n": 4},
         "samples": [{"answer": "7", "correct": True, "output_tokens": 40, "verifier_tokens": 50}]},
    ]  # fmt: skip
    log = SampleLog.from_records(records, {"g": Generator(name="g")})
    again = SampleLog.from_frame(log.to_frame(kind))
    assert again.digest == log.digest


def test_columns_can_be_named_and_generators_described() -> None:
    frame = {"a": ["x", "x"], "b": ["t", "f"], "c": [1, 2]}
    generators = {"tiny": Generator(name="tiny", params=1e9)}
    log = SampleLog.from_frame(
        frame,
        columns={"prompt_id": "a", "correct": "b", "output_tokens": "c"},
        generators=generators,
        about={"source": "us"},
    )
    assert log.generators["tiny"].params == 1e9 and log.about["source"] == "us"
    assert log.pool("tiny").correct.tolist() == [[1, 0]]
    with pytest.raises(InvalidInputError, match="no column 'd' for answer; the table has: a, b, c"):
        SampleLog.from_frame(frame, columns={"answer": "d"})
    with pytest.raises(InvalidInputError, match="'reply' is no field of a log"):
        SampleLog.from_frame(frame, columns={"reply": "a"})


def test_rows_may_hold_lists_and_objects() -> None:
    lists = {
        "problem": ["1 + 1?", "2 + 2?"],
        "answer": ["2", "4"],
        "completions": [["It is 2", "It is 3"], ["4", None]],
        "scores": [[[0.5, 0.9], [0.1, 0.2]], [[0.7], [0.3]]],
        "completion_tokens": [[5, 6], [7, -1]],
    }
    log = SampleLog.from_frame(lists)
    assert [prompt.gold for prompt in log.prompts] == ["2", "4"]
    pool = log.pool("model")
    assert pool.score.tolist() == [[0.9, 0.2], [0.7, 0.3]]
    assert pool.output_tokens[0].tolist() == [5, 6] and np.isnan(pool.output_tokens[1, 1])
    assert [sample.text for sample in log.samples(log.prompts[0].id, "model")] == ["It is 2", "It is 3"]
    assert log.samples(log.prompts[0].id, "model")[0].step_scores == (0.5, 0.9)
    objects = [
        {
            "question": "1 + 1?",
            "expected_answer": "2",
            "completions": [
                {"model_answer": "2", "full_model_response": "so 2", "score": 1.0},
                {"model_answer": None, "full_model_response": "?", "score": 0.01},
            ],
        }
    ]
    log = SampleLog.from_frame(objects)
    assert log.pool("model").answer.tolist() == [[0, -1]] and log.prompts[0].gold == "2"
    assert log.pool("model").score.tolist() == [[1.0, 0.01]]
    marked = SampleLog.from_frame(objects, columns={"correct": "score"}, threshold=0.999)
    assert marked.pool("model").correct.tolist() == [[1, 0]]


def test_arrays_inside_cells_are_lists() -> None:
    frame = pandas.DataFrame(
        {"id": ["a"], "correct": [np.array([True, False])], "answer": [np.array(["1", "2"])]}
    )
    assert SampleLog.from_frame(frame).pool("model").correct.tolist() == [[1, 0]]


@pytest.mark.parametrize(
    ("frame", "reason"),
    [
        ({"id": [], "correct": []}, "no rows"),
        ({"id": [None], "correct": [None]}, "all rows are empty"),
        ({"id": ["a", None], "correct": [1, 0]}, "line 2: the row has neither an id nor a prompt"),
        ({"id": ["a"], "correct": [10**400]}, "line 1: correct must be 0 or 1"),
        ({"id": ["a"], "correct": [1], "score": [10**400]}, "line 1: score must be a number"),
        ({"id": ["a"], "correct": [0.5]}, "line 1: correct must be 0 or 1 .*--threshold"),
        ({"id": ["a"], "correct": [1], "tokens": ["many"]}, "line 1: tokens must be a number, got 'many'"),
        ({"id": ["a"], "correct": [1], "tokens": [1.5]}, "line 1: tokens must be a whole number"),
        ({"id": ["a", "a"], "prompt": ["x", "y"], "correct": [1, 1]}, "line 2: prompt 'a' has another"),
        ({"id": ["a"], "correct": [[1, 0]], "answer": [["x"]]}, "line 1: the lists of the row differ"),
        ({"id": ["a"], "level": [1]}, "no column says what came of a sample.*there are: 'id', 'level'"),
        ({"level": ["a"], "correct": [1]}, "no column tells the prompts apart"),
    ],
)  # fmt: skip
def test_what_cannot_be_read_is_refused_by_row(frame: dict[str, list[Any]], reason: str) -> None:
    with pytest.raises(InvalidLogError, match=reason):
        SampleLog.from_frame(frame)


@pytest.mark.parametrize(
    ("frame", "reason"),
    [
        (3, "int is no dataframe"),
        ([3], "row 1 must be a mapping"),
        ({"id": ["a"], "correct": [1, 0]}, "of one length"),
        ({"id": "ab", "correct": [1, 0]}, "a column must be a sequence"),
        (pandas.DataFrame([["a", "b"]], columns=["id", "id"]), "two columns 'id'"),
    ],
)
def test_what_is_no_frame_is_refused(frame: Any, reason: str) -> None:
    with pytest.raises(InvalidInputError, match=reason):
        SampleLog.from_frame(frame)
    with pytest.raises(InvalidInputError, match="kind must be one of pandas, polars, arrow"):
        simulated_log(n_prompts=3, n_samples=2, seed=0).to_frame("excel")  # type: ignore[arg-type]  # on purpose


def test_an_id_that_numbers_the_rows_is_not_taken_for_that_of_the_prompts() -> None:
    frame = {"idx": [0, 1, 2, 3], "question": ["x", "x", "y", "y"], "correct": [1, 0, 1, 1]}
    log = SampleLog.from_frame(frame)
    assert log.counts().n.ravel().tolist() == [2, 2]
    assert log.about["unused_columns"] == ["idx"]
    assert len(SampleLog.from_frame(frame, columns={"prompt_id": "idx"})) == 4  # the caller knows better


def test_conversations_are_messages() -> None:
    messages = [{"role": "user", "content": "hi"}]
    log = SampleLog.from_frame({"prompt": [messages, messages], "answer": ["a", "b"]})
    assert len(log) == 1 and log.prompts[0].messages == tuple(messages)


@pytest.mark.parametrize("kind", ["pandas", "polars", "arrow"])
def test_words_and_numbers_of_a_log_come_back_as_they_are(kind: Any) -> None:
    answers = ("None", "NA", "n/a", "4.0", "nan")
    records = [
        {"prompt_id": f"{n}.0", "prompt": "None", "generator": "NA", "gold": "N/A",
         "samples": [{"answer": answer, "score": float(n % 2)}, {"answer": "0,5", "score": 0.0}]}
        for n, answer in enumerate(answers)
    ]  # fmt: skip
    log = SampleLog.from_records(records, {"NA": Generator(name="NA")})
    again = SampleLog.from_frame(log.to_frame(kind))
    assert again.digest == log.digest
