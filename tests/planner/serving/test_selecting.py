"""Selection without task knowledge, per route: votes over JSON, tool calls and open words; judges."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from scripted_upstream import Asked, Said, ScriptedUpstream, completion
from serving_bed import chat, serving

from difficulty.errors import InvalidInputError
from planner.planner import Planner
from planner.serving.settings import ServeSettings
from policies.verifier.learned_verifier import CorrectnessModel

TOOLS = [{"type": "function", "function": {"name": "add", "parameters": {"type": "object"}}}]


def calling(name: str, arguments: str) -> Any:
    """Answer with one call of a tool."""

    def said(asked: Asked) -> Said:
        whole = json.loads(completion(asked.json, "").body)
        call = {"id": "call_7", "type": "function", "function": {"name": name, "arguments": arguments}}
        whole["choices"][0] |= {
            "finish_reason": "tool_calls",
            "message": {"role": "assistant", "content": None, "tool_calls": [call]},
        }
        return Said(body=json.dumps(whole).encode(), headers={"content-type": "application/json"})

    return said


def judged(texts: Sequence[str], marks: Sequence[str], *, judge: str = "judge-8b") -> Any:
    """Draw one text after the other, and give one mark after the other as the judge."""
    n = {"drawn": 0, "judged": 0}

    def behave(asked: Asked, place: int) -> Said:
        if asked.json["model"] == judge:
            n["judged"] += 1
            return completion(asked.json, marks[(n["judged"] - 1) % len(marks)])
        n["drawn"] += 1
        return completion(asked.json, texts[(n["drawn"] - 1) % len(texts)])

    return behave


def of_judge(up: ScriptedUpstream, judge: str = "judge-8b") -> list[Asked]:
    return [asked for asked in up.asked if asked.json.get("model") == judge]


async def test_json_that_means_the_same_is_one_vote() -> None:
    texts = ['{"city": "Paris", "n": 2}', '{"n": 3, "city": "Paris"}', '{"n": 2.0, "city": "Paris"}']
    schema = {"type": "json_schema", "json_schema": {"name": "x", "schema": {"type": "object"}}}
    async with (
        ScriptedUpstream(lambda asked, place: completion(asked.json, texts[place % 3])) as up,
        serving(up, extract="json:city,n") as bed,
    ):
        got = await bed.ask(chat(response_format=schema))
    assert len(up.asked) > 1
    assert json.loads(got.text)["n"] == 2
    assert got.json["planner"]["selected_by"] == "majority_vote"
    assert all(asked.json["response_format"] == schema for asked in up.asked)


async def test_equal_calls_of_tools_win_and_come_back_as_the_server_sent_them() -> None:
    ways = [
        calling("add", '{"a": 1, "b": 9}'),
        calling("add", '{"a": 1, "b": 2}'),
        calling("add", '{"b": 2.0, "a": 1}'),
    ]
    async with (
        ScriptedUpstream(lambda asked, place: ways[place % 3](asked)) as up,
        serving(up, extract="tool_calls|last_number") as bed,
    ):
        got = await bed.ask(chat(tools=TOOLS, tool_choice="auto"))
        n = len(up.asked)
        stream = await bed.ask(chat(tools=TOOLS, stream=True))
        history = [
            {"role": "user", "content": "1 + 2?"},
            {"role": "assistant", "content": None, "tool_calls": [{"id": "c", "type": "function"}]},
            {"role": "tool", "tool_call_id": "c", "content": "3"},
        ]
        await bed.ask(chat() | {"messages": history, "tools": TOOLS})
    assert n > 1
    choice = got.json["choices"][0]
    assert choice["finish_reason"] == "tool_calls"
    assert choice["message"]["content"] is None
    (call,) = choice["message"]["tool_calls"]
    assert call["id"] == "call_7"
    assert json.loads(call["function"]["arguments"]) == {"a": 1, "b": 2}
    assert up.asked[0].json["tools"] == TOOLS
    deltas = [one["delta"] for event in stream.events for one in event["choices"]]
    (said,) = [delta["tool_calls"] for delta in deltas if "tool_calls" in delta]
    assert said[0]["index"] == 0
    assert said[0]["function"]["name"] == "add"
    assert up.asked[-1].json["messages"] == history
    assert len(up.asked) >= 3 * 2


async def test_without_votes_on_them_calls_of_tools_pass_with_one_call() -> None:
    async with (
        ScriptedUpstream(lambda asked, place: calling("add", "{}")(asked)) as up,
        serving(up, extract="last_number") as bed,
    ):
        await bed.ask(chat(tools=TOOLS))
    assert len(up.asked) == 1


async def test_texts_in_open_words_vote_by_what_they_say() -> None:
    texts = ["Lyon.", "The capital is Paris.", "It is Paris", "Paris"]
    async with (
        ScriptedUpstream(lambda asked, place: completion(asked.json, texts[place % 4])) as up,
        serving(up, extract="clusters") as bed,
    ):
        got = await bed.ask(chat("What is the capital of France?"))
    assert "Paris" in got.text
    assert got.json["planner"]["selected_by"] == "majority_vote"
    assert got.json["planner"]["agreement"] >= 0.5
    assert len(up.asked) > 1


def embedding(asked: Asked, vectors: dict[str, list[float]]) -> Said:
    data = [
        {"object": "embedding", "index": place, "embedding": vectors[text]}
        for place, text in enumerate(asked.json["input"])
    ]
    usage = {"prompt_tokens": 5 * len(data), "total_tokens": 5 * len(data)}
    return Said(body=json.dumps({"object": "list", "data": data, "usage": usage}).encode())


async def test_an_embedding_endpoint_tells_what_words_do_not_and_is_charged() -> None:
    vectors = {"huge": [1.0, 0.1], "enormous": [1.0, 0.2], "tiny": [0.0, 1.0]}
    texts = ["tiny", "huge", "enormous"]

    def behave(asked: Asked, place: int) -> Said:
        if asked.path.endswith("/embeddings"):
            return embedding(asked, vectors)
        return completion(
            asked.json, texts[sum(one.path.endswith("completions") for one in up.asked) % 3 - 1]
        )

    async with (
        ScriptedUpstream(behave) as up,
        serving(up, extract="clusters", clusters={"model": "bge", "threshold": 0.9}) as bed,
    ):
        got = await bed.ask(chat())
    asked = [one.json for one in up.asked if one.path.endswith("/embeddings")]
    assert {text for one in asked for text in one["input"]} <= set(vectors)
    assert all(one["model"] == "bge" for one in asked)
    told = got.json["planner"]["clusters"]
    n_texts = sum(len(one["input"]) for one in asked)
    assert told == {
        "requests": len(asked), "prompt_tokens": 5 * n_texts, "output_tokens": 0, "failures": 0,
    }  # fmt: skip
    assert n_texts == 3
    assert got.text in ("huge", "enormous")
    assert got.json["planner"]["agreement"] > 0.5
    n = len(up.asked) - len(asked)
    assert got.json["usage"]["prompt_tokens"] == 11 * n + 5 * n_texts


async def test_where_embeddings_fail_words_decide_and_it_is_said() -> None:
    def behave(asked: Asked, place: int) -> Said:
        if asked.path.endswith("/embeddings"):
            return Said(status=500, body=b"no")
        return completion(asked.json, "It is Paris" if place % 2 else "Paris")

    async with (
        ScriptedUpstream(behave) as up,
        serving(up, extract="clusters", clusters={"model": "bge"}) as bed,
    ):
        got = await bed.ask(chat())
    assert got.json["planner"]["agreement"] == 1.0
    assert got.json["planner"]["clusters"]["failures"] >= 1


async def test_a_judge_marks_what_cannot_vote_and_is_counted_apart_and_in_all() -> None:
    marks = ["Score: 3", "Score: 9", "Score: 5"]
    async with (
        ScriptedUpstream(judged(["a poem", "a better poem", "a song"], marks)) as up,
        serving(
            up,
            extract=None,
            select="judge",
            judge={"model": "judge-8b", "max_output_tokens": 64},
            limits={"max_samples": 3},
        ) as bed,
    ):
        got = await bed.ask(chat("Write a poem."))
        page = (await bed.ask(path="/metrics", method="GET")).body.decode()
    asked = of_judge(up)
    assert len(asked) == 3
    assert got.text == "a better poem"
    planner = got.json["planner"]
    assert planner["selected_by"] == "best_of_n"
    assert planner["samples"] == 3
    assert planner["judge"] == {"requests": 3, "prompt_tokens": 33, "output_tokens": 24, "failures": 0}
    drawn = len("a poem") + len("a better poem") + len("a song")
    assert got.json["usage"]["completion_tokens"] == drawn + 24
    assert got.json["usage"]["prompt_tokens"] == 11 * 6
    assert planner["cost"] == drawn + 24 == float(got.headers["x-planner-cost"])
    assert "Write a poem." in asked[0].json["messages"][0]["content"]
    assert asked[0].json["max_tokens"] == 64
    assert asked[0].json["temperature"] == 0
    assert 'planner_judge_tokens_total{kind="output",route="*"} 24.0' in page


async def test_a_judge_weighs_votes_where_samples_can_vote() -> None:
    marks = ["Score: 1", "Score: 10"]
    async with (
        ScriptedUpstream(judged(["it is 41", "it is 42"], marks)) as up,
        serving(up, select="judge", judge={"model": "judge-8b"}, limits={"max_samples": 4}) as bed,
    ):
        got = await bed.ask(chat())
    assert got.text == "it is 42"
    assert got.json["planner"]["selected_by"] == "weighted_best_of_n"
    assert len(of_judge(up)) == 2  # equal texts are judged once


async def test_a_judge_that_fails_leaves_the_vote_and_it_is_said() -> None:
    async with (
        ScriptedUpstream(judged(["it is 41", "it is 42", "it is 42"], ["no idea"])) as up,
        serving(up, select="judge", judge={"model": "judge-8b"}) as bed,
    ):
        got = await bed.ask(chat())
    assert got.status == 200
    assert got.text == "it is 42"
    planner = got.json["planner"]
    assert planner["selected_by"] == "majority_vote"
    assert planner["judge"]["failures"] == 2
    assert planner["judge"]["output_tokens"] == 2 * len("no idea")
    assert planner["failures"] >= 2


async def test_a_budget_covers_the_judge_too() -> None:
    async with (
        ScriptedUpstream(judged(["it is 41", "it is 42"], ["Score: 9"])) as up,
        serving(
            up, select="judge", judge={"model": "judge-8b", "max_output_tokens": 5000},
            max_per_request=3000.0,
        ) as bed,
    ):  # fmt: skip
        got = await bed.ask(chat(max_tokens=8))
    assert got.status == 200
    assert got.json["planner"]["cost"] <= 3000
    assert of_judge(up)
    assert all(asked.json["max_tokens"] <= 3000 for asked in of_judge(up))


async def test_what_a_judge_costs_is_learned_and_expected() -> None:
    marks = ["x" * 190 + "Score: 9"]
    texts = [f"it is {41 + place % 2}, {place}" for place in range(2000)]
    async with (
        ScriptedUpstream(judged(texts, marks)) as up,
        serving(up, price=4e-7, select="judge", judge={"model": "judge-8b", "max_output_tokens": 20}) as bed,
    ):
        first = (await bed.ask(chat(max_tokens=20), path="/v1/plan")).json
        for _ in range(20):
            await bed.ask(chat(max_tokens=20))
        last = (await bed.ask(chat(max_tokens=20), path="/v1/plan")).json
    # A judgement costs more than ten times what its sample does, and was guessed at two per cent: so much
    # less is drawn, and is expected to cost more.
    assert last["expected_accuracy"] < first["expected_accuracy"]
    assert last["expected_cost"] > 1.5 * first["expected_cost"]


async def test_a_judge_may_be_asked_at_another_upstream_with_its_own_key(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("JUDGE_KEY", "sk-judge-1")
    async with (
        ScriptedUpstream(judged(["a poem", "a song"], [])) as up,
        ScriptedUpstream(judged([], ["Score: 2", "Score: 7"])) as other,
    ):
        routes = {
            "tiny": {
                "upstream": "up", "price": 1e-5, "select": "judge",
                "judge": {"upstream": "other", "model": "judge-8b"},
            }
        }  # fmt: skip
        settings = {
            "upstreams": {
                "up": {"base_urls": [up.url]},
                "other": {"base_urls": [other.url], "key_variable": "JUDGE_KEY"},
            },
            "routes": routes,
            "limits": {"max_samples": 2},
        }
        from planner.serving.build import build
        from planner.serving.exchange import Call

        service = build(ServeSettings.from_plain(settings))
        for one in service.opened:
            await one.start()
        call = Call(
            method="POST",
            path="/v1/chat/completions",
            headers={"authorization": "Bearer sk-client"},
            body=json.dumps(chat()).encode(),
        )
        answer = await service.handler.handle(call)
        for one in reversed(service.opened):
            await one.close()
    assert answer.status == 200
    assert len(other.asked) == 2
    assert {asked.headers["authorization"] for asked in other.asked} == {"Bearer sk-judge-1"}
    assert {asked.headers["authorization"] for asked in up.asked} == {"Bearer sk-client"}


async def test_where_nothing_selects_every_answer_says_so() -> None:
    async with ScriptedUpstream() as up, serving(up, extract=None) as bed:
        got = await bed.ask(chat())
    assert len(up.asked) == 1
    assert got.json["planner"]["note"].startswith("one sample: nothing can select")


@pytest.mark.parametrize(
    ("route", "words"),
    [
        ({"select": "judge"}, "needs the route's judge"),
        ({"judge": {"model": "j"}}, "needs select = 'judge'"),
        ({"select": "judge", "judge": {}}, "either a generator"),
        ({"select": "judge", "judge": {"model": "j", "generator": "g"}}, "either a generator"),
        ({"select": "judge", "judge": {"model": "j", "upstream": "nowhere"}}, "'nowhere'"),
        ({"select": "judge", "judge": {"model": "j", "prompt": "{answer}"}}, "must hold"),
        ({"select": "judge", "judge": {"model": "j", "best": 0}}, "best above 0"),
        ({"select": "judge", "judge": {"model": "j", "retries": 1}}, "retries"),
        ({"select": "verifier"}, "needs the route's verifier"),
        ({"select": "learned"}, "needs a bundle"),
        ({"verifier": "checker"}, "reward:MODEL"),
        ({"clusters": {"model": "bge"}, "extract": "json"}, "need extract = 'clusters'"),
        ({"clusters": {"model": "bge", "threshold": 2}, "extract": "clusters"}, "threshold"),
        ({"clusters": {"model": "b", "upstream": "x"}, "extract": "json:a|clusters"}, "'x'"),
    ],
)
def test_what_contradicts_itself_is_refused(route: dict[str, Any], words: str) -> None:
    plain = {
        "upstreams": {"up": {"base_urls": ["http://127.0.0.1:1/v1"]}},
        "routes": {"tiny": {"upstream": "up", "price": 1e-5, **route}},
    }
    with pytest.raises(InvalidInputError, match=words):
        ServeSettings.from_plain(plain)


async def test_a_reward_model_is_loaded_from_its_folder_and_scores(tmp_path: Path) -> None:
    tiny = pytest.importorskip("tiny_model")
    tiny.torch.manual_seed(0)
    tokenizer = tiny.tiny_tokenizer()
    config = tiny.transformers.LlamaConfig(
        vocab_size=len(tokenizer), hidden_size=16, intermediate_size=32, num_hidden_layers=1,
        num_attention_heads=2, max_position_embeddings=256, bos_token_id=None, eos_token_id=0,
        pad_token_id=0, num_labels=1, initializer_range=0.5,
    )  # fmt: skip
    model = tiny.transformers.LlamaForSequenceClassification(config).eval()
    model.save_pretrained(tmp_path)
    tokenizer.save_pretrained(tmp_path)
    texts = ["a poem", "a better poem", "a song"]
    scores = {}
    for text in texts:
        tokens = tiny.torch.tensor([tokenizer.encode(f"write a poem\n{text}")])
        scores[text] = float(model(tokens).logits[0, 0].detach())
    async with (
        ScriptedUpstream(lambda asked, place: completion(asked.json, texts[place % 3])) as up,
        serving(
            up, extract=None, select="verifier", verifier=f"reward:{tmp_path}", limits={"max_samples": 3}
        ) as bed,
    ):
        got = await bed.ask(chat("write a poem"))
    assert len(up.asked) == 3
    assert got.text == max(scores, key=lambda text: scores[text])
    assert got.json["planner"]["selected_by"] == "best_of_n"
    assert got.json["planner"]["verifier_tokens"] > 0


async def test_the_learned_verifier_of_a_bundle_selects() -> None:
    # A model of P(correct) that believes in agreement: the log-odds rise with the share of equal answers.
    shares = CorrectnessModel(
        generator="default", columns=(), centre=(0.0,) * 6, scale=(1.0,) * 6, weights=(4.0, 0, 0, 0, 0, 0),
        intercept=-2.0, trees=None, log_loss=0.5, brier=0.2, base_brier=0.25, calibration_error=0.01,
    )  # fmt: skip
    texts = ["it is 41", "it is 42", "it is 42", "it is 7"]
    async with (
        ScriptedUpstream(lambda asked, place: completion(asked.json, texts[place % 4])) as up,
        serving(up, limits={"max_samples": 4}) as bed,
    ):
        route = bed.service.routes["*"]
        assert route.planning is not None
        bundle = replace(route.planning.planner.bundle, verifiers={"default": shares})
        selecting = replace(route.planning.selecting, select="learned")
        route.planning = replace(route.planning, planner=Planner(bundle=bundle), selecting=selecting)
        got = await bed.ask(chat())
    assert got.text == "it is 42"
    assert got.json["planner"]["selected_by"] == "best_of_n"
    assert len(up.asked) > 1
