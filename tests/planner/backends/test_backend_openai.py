"""The OpenAI backend against a fake server that misbehaves in every way that real ones do."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest
from backend_contract import BackendContract, MakeBackend, request
from fake_openai_server import FakeOpenAIServer, Response, completion, refusal

from difficulty.errors import BackendError, InvalidInputError, InvalidResponseError, RetryableBackendError
from difficulty.generator import Generator
from difficulty.prompt import Prompt
from planner.backends.openai import OpenAIBackend
from planner.ports.ports import SampleRequest

pytest.importorskip("aiohttp", reason="extra 'openai' is not installed")

SOON = {"retry-after-ms": "1"}


@pytest.fixture
def server() -> Iterator[FakeOpenAIServer]:
    with FakeOpenAIServer() as running:
        yield running


def backend(server: FakeOpenAIServer, **options: Any) -> OpenAIBackend:
    return OpenAIBackend(base_url=server.url, **({"max_retries": 0, "timeout_seconds": 20.0} | options))


class TestContract(BackendContract):
    @pytest.fixture
    def make(self, server: FakeOpenAIServer) -> MakeBackend:
        return lambda: backend(server)


class TestContractOneByOne(BackendContract):
    @pytest.fixture
    def make(self, server: FakeOpenAIServer) -> MakeBackend:
        return lambda: backend(server, n_choices="single", api="completions")


async def test_one_request_brings_all_samples_with_seeds_and_log_probabilities(
    server: FakeOpenAIServer,
) -> None:
    [completions] = await backend(server).sample([request(n=3, seed=40)])
    assert [c.text for c in completions] == ["answer 40", "answer 41", "answer 42"]
    assert [c.output_tokens for c in completions] == [9, 9, 9]
    assert [c.prompt_tokens for c in completions] == [9, 0, 0]
    assert completions[0].cached_prompt_tokens == 2
    assert completions[0].mean_logprob == -0.5
    assert len(server.requests) == 1


async def test_what_is_sent(server: FakeOpenAIServer) -> None:
    generator = Generator(
        name="g",
        model="m",
        temperature=0.8,
        top_p=0.9,
        max_output_tokens=64,
        thinking_tokens=32,
        reasoning_effort="low",
        prompt_template="Q: {prompt}",
    )
    await backend(server, extra_body={"min_p": 0}).sample(
        [request(generator=generator, max_output_tokens=48, prefix=("so ", "far"), stop=("\n",))]
    )
    sent = server.requests[0]
    assert sent["messages"] == [
        {"role": "user", "content": "Q: what is 1+2"},
        {"role": "assistant", "content": "so far"},
    ]
    assert sent["continue_final_message"] is True and sent["add_generation_prompt"] is False
    assert (sent["model"], sent["temperature"], sent["top_p"], sent["max_tokens"]) == ("m", 0.8, 0.9, 48)
    assert (sent["thinking_token_budget"], sent["reasoning_effort"], sent["min_p"]) == (32, "low", 0)
    assert (sent["stop"], sent["seed"]) == (["\n"], 3)


async def test_completions_endpoint_continues_plain_text(server: FakeOpenAIServer) -> None:
    [[one]] = await backend(server, api="completions").sample([request(prefix=("so far",))])
    assert server.requests[0]["_path"].endswith("/completions")
    assert server.requests[0]["prompt"] == "what is 1+2so far"
    assert one.mean_logprob == -0.5


async def test_a_prefix_that_the_server_sends_again_is_not_in_the_text() -> None:
    message = {"role": "assistant", "content": "so far, so good"}
    with FakeOpenAIServer(lambda body, _: completion(body, message=message)) as server:
        [[one]] = await backend(server, continuation="prefill").sample([request(prefix=("so", " far"))])
        [[flags]] = await backend(server).sample([request(prefix=("so", " far"))])
    assert server.requests[0]["messages"][-1] == {"role": "assistant", "content": "so far"}
    assert "continue_final_message" not in server.requests[0]
    assert (one.text, flags.text) == (", so good", "so far, so good")


async def test_thinking_text_is_kept_apart() -> None:
    message = {"role": "assistant", "content": None, "reasoning_content": "hm"}
    with FakeOpenAIServer(lambda body, _: completion(body, message=message, finish="length")) as server:
        [[one]] = await backend(server).sample([request()])
    assert (one.text, one.reasoning, one.finish_reason) == ("", "hm", "length")


async def test_a_server_that_ignores_n_is_asked_one_by_one_and_this_is_noted() -> None:
    with FakeOpenAIServer(lambda body, _: completion(body, honour_n=False)) as server:
        one = backend(server)
        [completions] = await one.sample([request(n=4, seed=10)])
        assert [c.text for c in completions] == [f"answer {seed}" for seed in (10, 11, 12, 13)]
        assert sum(c.prompt_tokens for c in completions) == 4 * 9
        assert not one.traits.native_n and "1 of 4" in one.traits.notes[0]
        assert len(server.requests) == 4
        await one.sample([request(n=2)])
        assert all(sent.get("n", 1) == 1 for sent in server.requests[4:])
        assert one.spent.completed.samples == 6


async def test_a_usage_of_one_choice_is_found_out_and_the_ledger_is_right() -> None:
    with FakeOpenAIServer(lambda body, _: completion(body, usage="one")) as server:
        one = backend(server)
        [completions] = await one.sample([request(n=4, seed=10)])
    assert [c.output_tokens for c in completions] == [9, 9, 9, 9]
    assert one.spent.completed.output_tokens == 36
    assert not one.traits.native_n


async def test_without_log_probabilities_choices_are_never_split_by_guess(server: FakeOpenAIServer) -> None:
    [completions] = await backend(server, logprobs=False).sample([request(n=2)])
    assert len(server.requests) == 2
    assert [c.output_tokens for c in completions] == [8, 8]
    assert completions[0].mean_logprob is None


async def test_refused_fields_are_learnt() -> None:
    def picky(body: dict[str, Any], _index: int) -> Response:
        if "logprobs" in body:
            return refusal("'logprobs' is not supported with this model")
        if "max_tokens" in body:
            return refusal("Use 'max_completion_tokens' instead.")
        return completion(body)

    with FakeOpenAIServer(picky) as server:
        one = backend(server)
        [completions] = await one.sample([request(n=2)])
        assert [c.finish_reason for c in completions] == ["stop", "stop"]
        assert one.traits.limit_field == "max_completion_tokens" and not one.traits.logprobs
        assert one.spent.failed.failed_requests == len(server.requests) - 2


async def test_refused_n_is_learnt() -> None:
    def small(body: dict[str, Any], _index: int) -> Response:
        return (
            refusal("Field 'n': Value must be between 1 <= value <= 1") if "n" in body else completion(body)
        )

    with FakeOpenAIServer(small) as server:
        [completions] = await backend(server).sample([request(n=3, seed=5)])
    assert [c.text for c in completions] == ["answer 5", "answer 6", "answer 7"]


@pytest.mark.parametrize(
    "reply",
    [
        Response(body=b"<html>gateway</html>", headers={"Content-Type": "text/html"}),
        Response(body=b'{"choices": []}'),
        Response(body=b'{"error": "busy"}'),
        Response(body=b'{"choices": [{"message": {"content": 3}}]}'),
        Response(body=b'{"choices": [{"text": "4", "finish_reason": "stop"}]}'),
        Response(body=b'{"choices": [{"text": "4"}, {"text": "5"}]}'),
        Response(body=b'{"choices": [{"text": "4\xff"}]}'),
        Response(body=b'{"choices": ' + b"[" * 200_000 + b"]" * 200_000 + b"}"),
    ],
    ids=[
        "html",
        "no choices",
        "error object",
        "wrong type",
        "no usage",
        "no usage of two",
        "invalid UTF-8",
        "deep",
    ],
)
async def test_a_broken_reply_is_a_typed_error(reply: Response) -> None:
    with FakeOpenAIServer(lambda _body, _index: reply) as server:
        one = backend(server)
        with pytest.raises(InvalidResponseError):
            await one.sample([request()])
    assert one.spent.failed.samples == 1 and one.spent.completed.samples == 0


async def test_tokens_can_be_counted_here_where_the_server_does_not() -> None:
    with FakeOpenAIServer(lambda body, _: completion(body, usage=None, logprobs=False)) as server:
        [[one]] = await backend(server, token_counter=len).sample([request()])
    assert (one.prompt_tokens, one.output_tokens) == (len("what is 1+2"), len("answer 3"))


async def test_an_unknown_finish_is_never_an_answer() -> None:
    with FakeOpenAIServer(lambda body, _: completion(body, finish="content_filter")) as server:
        [[one]] = await backend(server).sample([request()])
    assert one.finish_reason == "error" and "content_filter" in str(one.error)


async def test_a_storm_of_429_ends_and_is_counted() -> None:
    with FakeOpenAIServer(
        lambda body, index: refusal("slow down", status=429, headers=SOON) if index < 3 else completion(body)
    ) as server:
        one = backend(server, max_retries=4)
        [[result]] = await one.sample([request()])
    assert result.text == "answer 3" and result.failed_requests == 3
    assert one.spent.failed.failed_requests == 3 and one.spent.completed.requests == 1


async def test_an_endless_storm_is_a_typed_error_that_counts_its_tries() -> None:
    with FakeOpenAIServer(lambda _body, _index: refusal("slow down", status=429, headers=SOON)) as server:
        one = backend(server, max_retries=2)
        with pytest.raises(RetryableBackendError, match="429") as caught:
            await one.sample([request(n=2)])
    assert caught.value.status == 429 and caught.value.failed_requests == 3
    assert one.spent.failed.failed_requests == 3


@pytest.mark.parametrize(
    ("status", "kind"), [(503, RetryableBackendError), (401, BackendError), (404, BackendError)]
)
async def test_refusals_are_typed(status: int, kind: type[BackendError]) -> None:
    refuse = FakeOpenAIServer(lambda _body, _index: refusal("no", status=status))
    with refuse as server, pytest.raises(BackendError) as caught:
        await backend(server).sample([request()])
    assert type(caught.value) is kind and caught.value.status == status


async def test_a_disconnect_in_the_body_is_retried() -> None:
    whole = completion({"messages": [], "seed": 3})
    cut = Response(body=whole.body, cut_after=20)
    with FakeOpenAIServer(lambda _body, index: cut if index == 0 else whole) as server:
        [[one]] = await backend(server, max_retries=1).sample([request()])
    assert one.text == "answer 3" and one.failed_requests == 1


async def test_a_hang_is_a_typed_error() -> None:
    hanging = FakeOpenAIServer(lambda _body, _index: Response(hang=True))
    with hanging as server, pytest.raises(RetryableBackendError, match="no answer in time"):
        await backend(server, timeout_seconds=0.1).sample([request()])


async def test_a_dead_server_is_a_typed_error() -> None:
    with pytest.raises(RetryableBackendError, match="no connection"):
        await OpenAIBackend(base_url="http://127.0.0.1:9/v1", max_retries=0).sample([request()])


async def test_one_failed_sample_never_loses_the_others() -> None:
    def one_bad(body: dict[str, Any], _index: int) -> Response:
        return refusal("poisoned", status=403) if body["seed"] == 4 else completion(body)

    with FakeOpenAIServer(one_bad) as server:
        [completions] = await backend(server, n_choices="single").sample([request(n=3)])
    assert [c.finish_reason for c in completions] == ["stop", "error", "stop"]
    assert completions[1].error is not None and completions[1].error.startswith("BackendError: ")
    assert (completions[1].text, completions[1].failed_requests) == ("", 1)


async def test_a_cancelled_request_is_listed_apart() -> None:
    with FakeOpenAIServer(lambda _body, _index: Response(hang=True)) as server:
        one = backend(server)
        task = asyncio.create_task(one.sample([request(n=2)]))
        await asyncio.to_thread(server.arrived.wait, 10)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert one.spent.cancelled.requests == 1 and one.spent.cancelled.samples == 2
        server.behave = lambda body, _index: completion(body)
        assert len((await one.sample([request()]))[0]) == 1


async def test_the_cap_on_requests_in_flight_holds(server: FakeOpenAIServer) -> None:
    await backend(server, max_concurrency=2, n_choices="single").sample([request(n=12)])
    assert len(server.requests) == 12 and server.most_at_once <= 2


async def test_the_key_goes_to_the_server_only_and_never_from_the_environment(
    server: FakeOpenAIServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "from-the-environment")
    await backend(server).sample([request()])
    await backend(server, api_key="mine").sample([request()])
    assert [headers["authorization"] for headers in server.headers] == ["Bearer none", "Bearer mine"]


async def test_a_redirect_is_not_followed(server: FakeOpenAIServer) -> None:
    moved = Response(status=307, headers={"Location": server.url + "/chat/completions"})
    with FakeOpenAIServer(lambda _body, _index: moved) as other, pytest.raises(BackendError):
        await backend(other, api_key="secret").sample([request()])
    assert server.requests == []


async def test_connections_can_be_kept_open(server: FakeOpenAIServer) -> None:
    async with backend(server) as one:
        await one.sample([request()])
        await one.sample([request()])
    assert len(server.requests) == 2


@pytest.mark.parametrize(
    "url", ["127.0.0.1:8000/v1", "ftp://host/v1", "http://user:secret@host/v1", "http:///v1"]
)
def test_a_bad_address_is_refused(url: str) -> None:
    with pytest.raises(InvalidInputError, match="base_url"):
        OpenAIBackend(base_url=url)


async def test_nothing_is_sent_when_a_request_cannot_be_meant(server: FakeOpenAIServer) -> None:
    bad = [
        request(generator=Generator(name="nameless")),
        request(prefix=("x",)),
        SampleRequest(prompt=Prompt(id="empty"), generator=Generator(name="g", model="m"), n=1, seed=0),
        request(generator=Generator(name="g", model="m", thinking_tokens=5)),
    ]
    for wrong in bad:
        with pytest.raises(InvalidInputError):
            await backend(server, continuation="none", thinking_field=None).sample([request(), wrong])
    assert server.requests == []
