"""Plans as a batch file in OpenAI's documented form, and results that come back as a log."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from difficulty import Generator, Prompt, SampleLog
from difficulty.errors import InvalidInputError, InvalidLogError, UnknownGeneratorError
from difficulty.importers.openai_batch import read_openai_batch
from planner.cli import main
from planner.exports import openai_batch
from planner.exports.openai_batch import batch_requests, write_openai_batch
from policies.course.allocate import summary_of
from policies.course.course import Course, Step, waves
from policies.course.stop import Agreement
from policies.plan.plan import AllocationPlan
from policies.plan.wire import write_plans

GENERATORS = {
    "small": Generator(name="small", model="small-1b", temperature=0.7, max_output_tokens=64),
    "large": Generator(name="large", model="acme/large-70b", reasoning_effort="low"),
}
PROMPTS = [
    Prompt(id="a#1", text="2 + 2?"),
    Prompt(id="b", messages=({"role": "system", "content": "Be brief."}, {"role": "user", "content": "3?"})),
]


def plan(prompt_id: str, course: Course) -> AllocationPlan:
    return AllocationPlan(
        prompt_id=prompt_id,
        allocation=summary_of(course),
        course=course,
        expected_accuracy=0.5,
        accuracy_interval=(0.2, 0.8),
        expected_cost=float(course.n),
        unit="output_tokens",
    )


PLANS = [
    plan("a#1", Course(steps=waves("small", (130,)))),
    plan("b", Course(steps=(Step(generator="small", n=2), Step(generator="large", n=1)))),
]


def check_documented_form(lines: list[dict[str, Any]]) -> None:
    """What platform.openai.com/docs/guides/batch asks of a file, as of 2026."""
    ids = [line["custom_id"] for line in lines]
    assert len(set(ids)) == len(ids) and all(isinstance(one, str) and one for one in ids)
    assert len({line["body"]["model"] for line in lines}) == 1  # one model a file
    for line in lines:
        assert set(line) == {"custom_id", "method", "url", "body"}
        assert line["method"] == "POST" and line["url"] == "/v1/chat/completions"
        body = line["body"]
        assert body["messages"] and all({"role", "content"} <= set(one) for one in body["messages"])
        assert 1 <= body.get("n", 1) <= 128 and "stream" not in body and "max_tokens" not in body


def read(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_each_model_has_a_file_in_the_documented_form(tmp_path: Path) -> None:
    files = write_openai_batch(str(tmp_path / "batch.jsonl"), PLANS, PROMPTS, generators=GENERATORS)
    assert [file.name for file in files] == ["batch-small-1b.jsonl", "batch-acme-large-70b.jsonl"]
    small, large = map(read, files)
    check_documented_form(small)
    check_documented_form(large)
    assert [(line["custom_id"], line["body"].get("n", 1)) for line in small] == [
        ("a#1#small#0", 128),
        ("a#1#small#128", 2),
        ("b#small#0", 2),
    ]
    assert small[0]["body"] == {
        "model": "small-1b",
        "n": 128,
        "max_completion_tokens": 64,
        "temperature": 0.7,
        "messages": [{"role": "user", "content": "2 + 2?"}],
    }
    assert large[0]["body"]["reasoning_effort"] == "low" and len(large[0]["body"]["messages"]) == 2
    one = write_openai_batch(tmp_path / "one.jsonl", PLANS[:1], PROMPTS[:1], generators=GENERATORS)
    assert [file.name for file in one] == ["one.jsonl"]


def test_the_official_client_takes_the_bodies() -> None:
    types = pytest.importorskip("openai.types.chat.completion_create_params")
    allowed = set(types.CompletionCreateParamsNonStreaming.__annotations__)
    allowed |= set(types.CompletionCreateParamsBase.__annotations__)
    for request in batch_requests(PLANS, PROMPTS, generators=GENERATORS):
        assert set(request["body"]) <= allowed


def test_files_keep_to_their_limits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(openai_batch, "BATCH_LIMITS", (2, 10_000))
    plans = [plan(str(number), Course(steps=waves("small", (1,)))) for number in range(5)]
    prompts = [Prompt(id=str(number), text="?") for number in range(5)]
    files = write_openai_batch(tmp_path / "b.jsonl", plans, prompts, generators=GENERATORS)
    assert [file.name for file in files] == ["b-small-1b.jsonl", "b-small-1b-2.jsonl", "b-small-1b-3.jsonl"]
    assert [len(read(file)) for file in files] == [2, 2, 1]


def test_what_no_batch_can_do_is_refused(tmp_path: Path) -> None:
    waiting = plan("a#1", Course(steps=waves("small", (1, 1)), stop=Agreement(count=2)))
    path = tmp_path / "b.jsonl"
    with pytest.raises(InvalidInputError, match=r"waits for samples.*one_shot=True \(--one-shot\)"):
        write_openai_batch(path, [waiting], PROMPTS[:1], generators=GENERATORS)
    with pytest.raises(InvalidInputError, match="same prompts in the same order"):
        write_openai_batch(path, PLANS, PROMPTS[::-1], generators=GENERATORS)
    with pytest.raises(UnknownGeneratorError, match="'small'; given are large"):
        write_openai_batch(path, PLANS, PROMPTS, generators={"large": GENERATORS["large"]})
    with pytest.raises(InvalidInputError, match="names no model"):
        write_openai_batch(path, PLANS[:1], PROMPTS[:1], generators={"small": Generator(name="small")})
    assert not list(tmp_path.iterdir())


def answered(request: dict[str, Any], texts: list[str]) -> dict[str, Any]:
    """A line of results, as the interface writes them."""
    choices = [
        {"index": place, "message": {"role": "assistant", "content": text}, "finish_reason": "stop"}
        for place, text in enumerate(texts)
    ]
    usage = {"prompt_tokens": 7, "completion_tokens": 10, "total_tokens": 17}
    body = {"id": "chatcmpl-1", "object": "chat.completion", "choices": choices, "usage": usage}
    response = {"status_code": 200, "request_id": "r", "body": body}
    return {"id": "batch_req_1", "custom_id": request["custom_id"], "response": response, "error": None}


def test_results_become_a_log_from_which_answers_are_selected(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    plans = [plan(name, Course(steps=waves("small", (3,)))) for name in ("x", "y", "z")]
    prompts = [Prompt(id=name, text=f"{name}?") for name in ("x", "y", "z")]
    (file,) = write_openai_batch(tmp_path / "batch.jsonl", plans, prompts, generators=GENERATORS)
    first, second, third = read(file)
    failed = {
        "id": "r",
        "custom_id": third["custom_id"],
        "response": {"status_code": 500, "body": {}},
        "error": None,
    }
    results = [answered(second, ["so 8", "so 9", "so 9"]), answered(first, ["4", "4", "five"]), failed]
    (tmp_path / "out.jsonl").write_text("".join(json.dumps(line) + "\n" for line in results))
    assert main(["import", "batch.jsonl", "out.jsonl", "--extract", "number", "--out", "drawn.jsonl"]) == 0
    assert "left out: 1 samples that failed" in capsys.readouterr().err
    log = SampleLog.read("drawn.jsonl")
    assert [prompt.text for prompt in log.prompts] == ["y?", "x?"]
    drawn = log.samples("x", "small")
    assert [one.answer for one in drawn] == ["4", "4", None]
    assert sum(one.output_tokens or 0 for one in drawn) == 10
    write_plans("plans.jsonl", plans[:2])
    assert log.generators["small"] == Generator(
        name="small", model="small-1b", temperature=0.7, max_output_tokens=64
    )


def test_results_without_their_requests_are_refused(tmp_path: Path) -> None:
    (file,) = write_openai_batch(tmp_path / "b.jsonl", PLANS[:1], PROMPTS[:1], generators=GENERATORS)
    with pytest.raises(InvalidLogError, match="requests and no results"):
        read_openai_batch(file)
    out = tmp_path / "out.jsonl"
    out.write_text(json.dumps(answered(read(file)[0], ["4"])) + "\n")
    with pytest.raises(InvalidLogError, match=r"out\.jsonl, line 1: result 'a#1#small#0' has no request"):
        read_openai_batch(out)
    out.write_text('{"id": 1}\n')
    with pytest.raises(InvalidLogError, match="it has no custom_id"):
        read_openai_batch(file, out)
