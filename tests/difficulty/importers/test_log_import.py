"""Logs of lm-evaluation-harness and inspect_ai become sample logs."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path
from typing import Any

import pytest

from difficulty import Generator
from difficulty.errors import InvalidInputError, InvalidLogError
from difficulty.importers.inspect_ai import read_inspect
from difficulty.importers.lm_eval import read_lm_eval

TINY = Generator(name="tiny", temperature=0.8)
NAME = "samples_gsm8k_2026-02-03T04-05-06.789.jsonl"


def same(answer: str, gold: str) -> bool:
    return answer == gold


def harness_row(doc_id: int = 0, **fields: object) -> dict[str, object]:
    row: dict[str, object] = {
        "doc_id": doc_id,
        "doc": {"question": "6 * 7?"},
        "target": "42",
        "arguments": {"gen_args_0": {"arg_0": f"Q{doc_id}: 6 * 7?", "arg_1": {"until": ["Q:"]}}},
        "resps": [["It is 42.", "No idea", "41"]],
        "filtered_resps": [["42", "[invalid]", "41"]],
        "filter": "all",
        "metrics": ["exact_match"],
        "doc_hash": f"hash{doc_id}",
        "prompt_hash": "p",
        "target_hash": "t",
        "exact_match": 0.0,
    }
    return row | fields


def write(path: Path, *rows: dict[str, object]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def test_repeats_become_samples(tmp_path: Path) -> None:
    path = write(tmp_path / NAME, harness_row(0), harness_row(1))
    log = read_lm_eval(path, generator=TINY, grade=same)
    assert [prompt.id for prompt in log.prompts] == ["gsm8k/0", "gsm8k/1"]
    assert (log.prompts[1].text, log.prompts[1].group, log.prompts[1].gold) == ("Q1: 6 * 7?", "hash1", "42")
    pool = log.pool("tiny")
    assert pool.answer.tolist() == [[0, -1, 1]] * 2
    assert pool.correct.tolist() == [[1, 0, 0]] * 2
    assert [sample.text for sample in log.samples("gsm8k/0", "tiny")] == ["It is 42.", "No idea", "41"]
    assert log.generators["tiny"] == TINY and not log.has_tokens


def test_repeats_without_verdict_stay_unknown(tmp_path: Path) -> None:
    log = read_lm_eval(write(tmp_path / NAME, harness_row()), generator=TINY)
    assert log.pool("tiny").n_known.tolist() == [0]


def test_a_verdict_for_each_repeat_is_taken(tmp_path: Path) -> None:
    log = read_lm_eval(write(tmp_path / NAME, harness_row(exact_match=[1, 0, 0.0])), generator=TINY)
    assert log.pool("tiny").correct.tolist() == [[1, 0, 0]]


def test_runs_with_other_seeds_add_samples(tmp_path: Path) -> None:
    single = {"resps": [["42!"]], "filtered_resps": ["42"], "exact_match": 1.0}
    other = {"resps": [["7"]], "filtered_resps": ["7"], "exact_match": 0.0}
    (tmp_path / "b").mkdir()
    paths = [
        write(tmp_path / NAME, harness_row(**single)),
        write(tmp_path / "b" / NAME, harness_row(**other)),
    ]
    log = read_lm_eval(*paths, generator=TINY)
    assert log.pool("tiny").correct.tolist() == [[1, 0]]
    assert log.pool("tiny").answer.tolist() == [[0, 1]]


def test_one_filter_and_one_metric_are_chosen(tmp_path: Path) -> None:
    rows = [
        harness_row(
            filter="strict",
            resps=[["42"]],
            filtered_resps=["[invalid]"],
            metrics=["exact_match", "f1"],
            f1=0.5,
        ),
        harness_row(
            filter="loose",
            resps=[["42"]],
            filtered_resps=["42"],
            exact_match=1.0,
            metrics=["exact_match", "f1"],
            f1=0.5,
        ),
    ]
    path = write(tmp_path / NAME, *rows)
    log = read_lm_eval(path, generator=TINY, filter="loose", metric="exact_match")
    assert log.pool("tiny").correct.tolist() == [[1]]
    with pytest.raises(InvalidLogError, match="which filter\\? There are: 'strict', 'loose'"):
        read_lm_eval(path, generator=TINY)
    with pytest.raises(InvalidLogError, match="which metric\\? There are: 'exact_match', 'f1'"):
        read_lm_eval(path, generator=TINY, filter="loose")
    with pytest.raises(InvalidLogError, match="filter 'none' is not there"):
        read_lm_eval(path, generator=TINY, filter="none")
    with pytest.raises(InvalidLogError, match="f1 must be 0 or 1"):
        read_lm_eval(path, generator=TINY, filter="loose", metric="f1")


def test_answers_can_be_extracted_from_the_responses(tmp_path: Path) -> None:
    path = write(tmp_path / NAME, harness_row(filtered_resps=["42"]))
    with pytest.raises(InvalidLogError, match="the filter kept 1 of 3 repeats"):
        read_lm_eval(path, generator=TINY, grade=same)

    def digits(text: str) -> str | None:
        return "".join(c for c in text if c.isdigit()) or None

    log = read_lm_eval(path, generator=TINY, extract=digits, grade=same)
    assert log.pool("tiny").correct.tolist() == [[1, 0, 0]]
    assert log.pool("tiny").answer.tolist() == [[0, -1, 1]]


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"resps": [[["-1.2", "False"]], [["-0.3", "True"]]]}, "2 requests: a multiple-choice"),
        ({"resps": [[["-1.2", "False"]]]}, "the responses are not texts"),
        ({"resps": []}, "resps must be a list"),
        ({"doc_id": 0}, "doc_id 0 is in the file twice"),
    ],
)
def test_what_is_no_generative_log_is_refused(fields: dict[str, object], reason: str, tmp_path: Path) -> None:
    path = write(tmp_path / NAME, harness_row(0), harness_row(1) | fields)
    with pytest.raises(InvalidLogError, match=reason) as caught:
        read_lm_eval(path, generator=TINY, grade=same)
    assert caught.value.line == 2


def test_other_files_are_no_harness_logs(tmp_path: Path) -> None:
    with pytest.raises(InvalidLogError, match="'doc_id' is missing"):
        read_lm_eval(write(tmp_path / "x.jsonl", {"a": 1}), generator=TINY)
    (tmp_path / "y.jsonl").write_text("{")
    with pytest.raises(InvalidLogError, match="broken JSON"):
        read_lm_eval(tmp_path / "y.jsonl", generator=TINY)
    with pytest.raises(InvalidInputError, match="at least one path"):
        read_lm_eval(generator=TINY)


def epoch(number: int, answer: str | None, value: object, **fields: object) -> dict[str, Any]:
    sample: dict[str, Any] = {
        "id": "q1",
        "epoch": number,
        "input": "6 * 7?",
        "target": "42",
        "output": {
            "model": "m",
            "choices": [
                {"message": {"role": "assistant", "content": f"It is {answer}"}, "stop_reason": "stop"}
            ],
            "completion": f"It is {answer}",
            "usage": {
                "input_tokens": 4,
                "output_tokens": 9,
                "total_tokens": 19,
                "input_tokens_cache_read": 6,
            },
        },
        "scores": {"match": {"value": value, "answer": answer}},
    }
    return sample | fields


def inspect_log(path: Path, *samples: dict[str, Any], **spec: object) -> Path:
    header = {
        "version": 2,
        "status": "success",
        "eval": {
            "task": "sums",
            "model": "openai/m",
            "model_generate_config": {"temperature": 0.7, "max_tokens": 100, "reasoning_effort": "low"},
        }
        | spec,
    }
    if path.suffix == ".eval":
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr("header.json", json.dumps(header))
            for sample in samples:
                archive.writestr(f"samples/{sample['id']}_epoch_{sample['epoch']}.json", json.dumps(sample))
    else:
        path.write_text(json.dumps(header | {"samples": samples}))
    return path


@pytest.mark.parametrize("suffix", ["json", "eval"])
def test_epochs_become_samples(suffix: str, tmp_path: Path) -> None:
    cut = epoch(3, None, "I")
    cut["output"]["choices"][0]["stop_reason"] = "max_tokens"
    other = epoch(
        1, "1", 1.0, id=2, input=[{"id": "x", "role": "user", "content": "1?"}], target=["1", "one"]
    )
    path = inspect_log(tmp_path / f"log.{suffix}", epoch(2, "41", "I"), epoch(1, "42", "C"), other, cut)
    log = read_inspect(path)
    assert {prompt.id for prompt in log.prompts} == {"sums/q1", "sums/2"}
    log = log.select(["sums/q1", "sums/2"])
    pool = log.pool("openai/m")
    assert pool.correct.tolist() == [[1, 0, 0], [1, -1, -1]]
    assert pool.answer.tolist() == [[0, 1, -1], [0, -2, -2]]
    assert pool.output_tokens[0].tolist() == [9, 9, 9]
    assert pool.prompt_tokens.tolist() == [10, 10]
    assert pool.truncated[0].tolist() == [False, False, True]
    assert log.prompts[0].gold == "42"
    assert log.prompts[1].content == "1?"
    assert log.samples("sums/q1", "openai/m")[0].text == "It is 42"
    generator = log.generators["openai/m"]
    assert (generator.temperature, generator.max_output_tokens, generator.reasoning_effort) == (
        0.7,
        100,
        "low",
    )


def test_usage_of_all_calls_and_attachments(tmp_path: Path) -> None:
    usage = {
        "openai/m": {"output_tokens": 30, "total_tokens": 100},
        "judge": {"output_tokens": 5, "total_tokens": 7},
    }
    sample = epoch(
        1, "42", True, model_usage=usage, input="attachment://abc", attachments={"abc": "A long prompt"}
    )
    log = read_inspect(inspect_log(tmp_path / "log.json", sample))
    assert log.pool("openai/m").output_tokens.tolist() == [[30]]
    assert log.pool("openai/m").prompt_tokens.tolist() == [70]
    assert log.prompts[0].text == "A long prompt"


def test_failed_samples_are_refused_or_counted(tmp_path: Path) -> None:
    path = inspect_log(
        tmp_path / "log.json", epoch(1, "42", "C"), epoch(2, None, "I", error={"message": "timeout"})
    )
    with pytest.raises(InvalidLogError, match="sample 'q1', epoch 2 ended in an error"):
        read_inspect(path)
    log = read_inspect(path, failed_samples="leave_out")
    assert log.pool("openai/m").n.tolist() == [1]
    assert log.about["failed_samples_left_out"] == 1


def test_scores_that_are_no_verdict(tmp_path: Path) -> None:
    partial = inspect_log(tmp_path / "a.json", epoch(1, "42", "P"))
    with pytest.raises(InvalidLogError, match="epoch 1: the score must be 0 or 1"):
        read_inspect(partial)
    unscored = inspect_log(tmp_path / "b.json", epoch(1, "42", float("nan")))
    assert read_inspect(unscored).pool("openai/m").n_known.tolist() == [0]
    two = epoch(1, "42", "C", scores={"match": {"value": "C", "answer": "42"}, "judge": {"value": "I"}})
    both = inspect_log(tmp_path / "c.json", two)
    with pytest.raises(InvalidLogError, match="which scorer\\? There are: 'match', 'judge'"):
        read_inspect(both)
    assert read_inspect(both, scorer="judge").pool("openai/m").correct.tolist() == [[0]]


def test_several_models_and_logs(tmp_path: Path) -> None:
    paths = [
        inspect_log(tmp_path / "a.json", epoch(1, "42", "C")),
        inspect_log(tmp_path / "b.json", epoch(1, "41", "I")),
        inspect_log(tmp_path / "c.json", epoch(1, "42", "C"), model="other"),
    ]
    log = read_inspect(*paths)
    assert list(log.generators) == ["openai/m", "other"]
    assert log.counts().n.tolist() == [[2, 1]]
    changed = inspect_log(
        tmp_path / "d.json", epoch(1, "42", "C"), model_generate_config={"temperature": 0.1}
    )
    with pytest.raises(InvalidLogError, match="other settings"):
        read_inspect(paths[0], changed)


def test_other_files_are_no_inspect_logs(tmp_path: Path) -> None:
    for name, text in (("a.json", "{"), ("b.json", "[]"), ("c.json", "{}"), ("d.eval", "PK")):
        path = tmp_path / name
        path.write_text(text)
        with pytest.raises(InvalidLogError, match=r"not a log of inspect_ai|broken JSON"):
            read_inspect(path)
    with pytest.raises(InvalidLogError, match="no samples"):
        read_inspect(inspect_log(tmp_path / "e.json"))
    with pytest.raises(InvalidLogError, match="cannot read"):
        read_inspect(tmp_path / "none.json")
    with pytest.raises(InvalidInputError, match="at least one path"):
        read_inspect()


def test_a_target_or_an_answer_in_a_list_of_one_is_that_one(tmp_path: Path) -> None:
    row = harness_row(target=["42"], filtered_resps=[[["42"], [], "41"]])
    log = read_lm_eval(write(tmp_path / NAME, row), generator=TINY, grade=same)
    assert log.prompts[0].gold == "42"
    assert log.pool("tiny").correct.tolist() == [[1, 0, 0]]
    for target in (["42", "forty-two"], {"value": 42}, True):
        path = write(tmp_path / NAME, harness_row(target=target))
        assert read_lm_eval(path, generator=TINY).prompts[0].gold is None
        with pytest.raises(InvalidLogError, match="no target to grade against"):
            read_lm_eval(path, generator=TINY, grade=same)
    with pytest.raises(InvalidLogError, match="no single answer in a repeat"):
        read_lm_eval(
            write(tmp_path / NAME, harness_row(filtered_resps=[["42", ["4", "2"], "41"]])), generator=TINY
        )


def test_archives_that_unpack_to_more_than_a_log_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "log.eval"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("header.json", json.dumps({"version": 2, "eval": {"task": "s", "model": "m"}}))
        archive.writestr("samples/1_epoch_1.json", b" " * 20_000_000)
    with pytest.raises(InvalidLogError, match="the archive unpacks to"):
        read_inspect(path)


@pytest.mark.parametrize(
    "text",
    [
        '{"eval": ' + "[" * 100_000 + "]" * 100_000 + "}",
        '{"eval": {"task": "s", "model": "m"}, "samples": [{"id": 1, "input": 3}]}',
        '{"eval": {"task": "s", "model": "m"}, "samples": {"id": 1}}',
        '{"eval": {"task": "s", "model": "m"}, "samples": [{"id": [1], "input": "x"}]}',
        '{"eval": {"task": "s", "model": "m"}, "samples": [{"id": 1, "input": "x", "scores": [1]}]}',
        '{"eval": {"task": "s", "model": 1' + "0" * 5000 + "}}",
    ],
)
def test_inspect_logs_of_other_shapes_are_refused(text: str, tmp_path: Path) -> None:
    path = tmp_path / "log.json"
    path.write_text(text)
    with pytest.raises(InvalidLogError, match=r"log\.json: (not a log of inspect_ai|broken JSON)"):
        read_inspect(path)


def test_cached_prompt_tokens_stay_with_their_sample(tmp_path: Path) -> None:
    epochs = [epoch(1, "42", "C"), epoch(2, "42", "C")]
    for sample, cached in zip(epochs, (0, 4), strict=True):
        usage = {"output_tokens": 1, "total_tokens": 9, "input_tokens_cache_read": cached}
        sample["model_usage"] = {"openai/m": usage}
    pool = read_inspect(inspect_log(tmp_path / "a.json", *epochs)).pool("openai/m")
    assert pool.prompt_tokens.tolist() == [8.0]
    assert pool.cached_prompt_tokens is not None
    assert pool.cached_prompt_tokens[0, 1] == 4
