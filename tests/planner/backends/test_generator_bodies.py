"""Request fields by generator: nested as providers want them, with the thinking budget in its place."""

from __future__ import annotations

import asyncio
import json
import pickle
import sys
from types import SimpleNamespace
from typing import Any

import pytest
from fake_openai_server import FakeOpenAIServer
from stand_in_llm import LLM

from difficulty.errors import InvalidInputError
from difficulty.generator import Generator
from difficulty.prompt import Prompt
from planner.backends.openai import OpenAIBackend
from planner.backends.specs import BackendSpec
from planner.ports.ports import SampleRequest

CLAUDE = {"thinking": {"type": "enabled", "budget_tokens": "{thinking_tokens}"}}
GEMINI = {"extra_body": {"google": {"thinking_config": {"thinking_budget": "{thinking_tokens}"}}}}
QWEN = {"chat_template_kwargs": {"enable_thinking": True, "thinking_budget": "{thinking_tokens}"}}


def sent(generator: Generator, **options: Any) -> dict[str, Any]:
    """The body that one sample is asked for with."""
    with FakeOpenAIServer() as server:
        backend = OpenAIBackend(base_url=server.url, model="m", **options)
        request = SampleRequest(prompt=Prompt(text="?"), generator=generator, n=1, seed=0)
        asyncio.run(backend.sample([request]))
        return server.requests[0]


@pytest.mark.parametrize(
    ("fields", "path"),
    [
        (CLAUDE, ("thinking", "budget_tokens")),
        (GEMINI, ("extra_body", "google", "thinking_config", "thinking_budget")),
        (QWEN, ("chat_template_kwargs", "thinking_budget")),
    ],
)
def test_a_budget_goes_where_the_provider_wants_it(fields: dict[str, Any], path: tuple[str, ...]) -> None:
    body = sent(Generator(name="deep", thinking_tokens=512), generator_bodies={"deep": fields, "flat": {}})
    value: Any = body
    for name in path:
        value = value[name]
    assert value == 512
    assert "thinking_token_budget" not in body


def test_fields_of_a_generator_are_merged_into_those_of_all() -> None:
    bodies = {"deep": {"chat_template_kwargs": {"enable_thinking": True}, "top_k": 5}}
    more = {"chat_template_kwargs": {"enable_thinking": False, "style": "short"}, "top_k": 1, "min_p": 0}
    deep = sent(Generator(name="deep"), generator_bodies=bodies, extra_body=more)
    flat = sent(Generator(name="flat"), generator_bodies=bodies, extra_body=more)
    assert deep["chat_template_kwargs"] == {"enable_thinking": True, "style": "short"}
    assert (deep["top_k"], deep["min_p"]) == (5, 0)
    assert flat["chat_template_kwargs"] == {"enable_thinking": False, "style": "short"}
    assert flat["top_k"] == 1


def test_a_field_for_budgets_may_be_nested() -> None:
    generator = Generator(name="deep", thinking_tokens=64)
    body = sent(
        generator, thinking_field="thinking.budget_tokens", extra_body={"thinking": {"type": "enabled"}}
    )
    assert body["thinking"] == {"type": "enabled", "budget_tokens": 64}
    assert sent(generator)["thinking_token_budget"] == 64
    # Without a budget, what would hold it is left out.
    assert sent(Generator(name="deep"), generator_bodies={"deep": CLAUDE})["thinking"] == {"type": "enabled"}


@pytest.mark.parametrize(
    "fields",
    [
        {"messages": []},
        {"model": "x"},
        {"n": 4},
        {"stream": True},
        {"a": json.loads('{"a":' * 40 + "1" + "}" * 40)},
    ],
)
def test_fields_that_would_undo_a_request_are_refused(fields: dict[str, Any]) -> None:
    with pytest.raises(InvalidInputError, match="must"):
        OpenAIBackend(base_url="http://127.0.0.1:1/v1", generator_bodies={"g": fields})


def test_a_specification_holds_them() -> None:
    spec = BackendSpec(
        kind="openai",
        base_url="http://127.0.0.1:1/v1",
        model="m",
        generator_bodies=json.dumps({"deep": CLAUDE}),
        thinking_field="a.b",
    )
    assert pickle.loads(pickle.dumps(spec)) == spec
    assert spec.bodies() == {"deep": CLAUDE}
    assert isinstance(spec.open(), OpenAIBackend)
    for wrong in (
        {"generator_bodies": "[1]"},
        {"generator_bodies": '{"deep": 3}'},
        {"engine_options": "{}x"},
    ):
        with pytest.raises(InvalidInputError):
            BackendSpec(kind="openai", base_url="http://127.0.0.1:1/v1", model="m", **wrong)
    for wrong in ({"generator_bodies": "{}x"}, {"thinking_field": "a"}):
        with pytest.raises(InvalidInputError, match="does not go with"):
            BackendSpec(kind="vllm", model="m", **wrong)
    with pytest.raises(InvalidInputError, match="does not go with"):
        BackendSpec(kind="transformers", model="m", engine_options="{}")


def test_a_vllm_engine_keeps_its_cap_and_takes_options(monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[dict[str, Any]] = []

    def engine(**options: Any) -> LLM:
        made.append(options)
        return LLM(say=lambda text, number: "a long answer")

    def parameters(**given: Any) -> Any:
        return SimpleNamespace(**given)

    monkeypatch.setitem(sys.modules, "vllm", SimpleNamespace(LLM=engine, SamplingParams=parameters))
    spec = BackendSpec(
        kind="vllm",
        model="folder",
        max_output_tokens=7,
        engine_options='{"max_model_len": 4096, "enable_prefix_caching": false}',
        chat_options='{"enable_thinking": false}',
    )
    backend: Any = spec.open()
    assert made == [{"model": "folder", "max_model_len": 4096, "enable_prefix_caching": False}]
    assert backend._max_output_tokens == 7
    assert backend._chat_options == {"enable_thinking": False}
