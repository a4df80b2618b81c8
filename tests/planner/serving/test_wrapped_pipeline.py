"""A wrapped text-generation pipeline, with a real model of a few thousand parameters."""

from __future__ import annotations

from typing import Any

import pytest
from tiny_model import tiny_model, tiny_tokenizer, torch, transformers

from planner import wrap

TEMPLATE = "{% for message in messages %}{{ message['content'] }}\n{% endfor %}"
pytestmark = pytest.mark.filterwarnings("ignore:Setting `pad_token_id`")


def pipeline(**more: Any) -> Any:
    tokenizer = tiny_tokenizer(TEMPLATE)
    tokenizer.pad_token = tokenizer.eos_token
    return transformers.pipeline("text-generation", model=tiny_model(), tokenizer=tokenizer, **more)


SETTINGS: dict[str, Any] = {"do_sample": True, "max_new_tokens": 12, "temperature": 0.9}


def wrapped(pipe: Any, **more: Any) -> Any:
    return wrap(pipe, **{"price": 1e-5, "extractor": "regex:[0-9a-e]", "max_samples": 6, **more})


def test_one_text_and_several_come_back_as_from_the_pipeline() -> None:
    torch.manual_seed(0)
    pipe = pipeline()
    client = wrapped(pipe)
    assert isinstance(client, type(pipe))
    assert type(client).__name__ == type(pipe).__name__
    (one,) = client("6 x 7?", **SETTINGS)
    assert one["generated_text"].startswith("6 x 7?")
    assert one["planner"]["samples"] > 1
    assert set(one) == {"generated_text", "planner"}
    many = client(["6 x 7?", "1 + 1?", "6 x 7?"], return_full_text=False, batch_size=2, **SETTINGS)
    assert [len(records) for records in many] == [1, 1, 1]
    assert not any(records[0]["generated_text"].startswith("6 x") for records in many)
    told = many[0][0]["planner"]
    assert told["prompt_tokens"] % len("6 x 7?") == 0
    assert told["samples"] <= told["output_tokens"] <= 12 * told["samples"]
    # The pipeline that was given is left as it is.
    (plain,) = pipe("6 x 7?", **SETTINGS)
    assert set(plain) == {"generated_text"}


def test_conversations_keep_their_shape() -> None:
    torch.manual_seed(0)
    talk = [{"role": "user", "content": "6 x 7?"}]
    client = wrapped(pipeline())
    (one,) = client(talk, **SETTINGS)
    (two,) = client([talk], **SETTINGS)
    for record in (one, two[0]):
        assert record["generated_text"][0] == talk[0]
        assert record["generated_text"][-1]["role"] == "assistant"
        assert record["planner"]["samples"] > 1


@pytest.mark.parametrize(
    "more",
    [
        {"do_sample": False, "temperature": None},
        {"num_return_sequences": 2},
        {"return_tensors": True},
        {"num_beams": 2},
    ],
)
def test_what_asks_for_more_than_one_text_passes(more: dict[str, Any]) -> None:
    torch.manual_seed(0)
    records = wrapped(pipeline())("6 x 7?", **{**SETTINGS, **more})
    assert len(records) == more.get("num_return_sequences", 1)
    assert all("planner" not in record for record in records)


def test_tokens_are_those_of_the_model_and_a_cut_text_abstains() -> None:
    torch.manual_seed(0)
    client = wrapped(pipeline(), extractor="whole_text", max_samples=4)
    (one,) = client("6 x 7?", do_sample=True, max_new_tokens=1)
    told = one["planner"]
    assert told["output_tokens"] == told["samples"]
    assert told["agreement"] is None


def test_without_a_way_to_select_there_is_one_sample() -> None:
    torch.manual_seed(0)
    (one,) = wrapped(pipeline(), extractor=None)("6 x 7?", **SETTINGS)
    assert one["planner"]["samples"] == 1
