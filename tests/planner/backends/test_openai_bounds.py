"""Bounds on what a server may send, and keys, which stay with their host."""

from __future__ import annotations

import gzip
import itertools
import json
import pickle
import time
from collections.abc import Iterator
from typing import Any

import pytest
from fake_openai_server import FakeOpenAIServer, Response, completion, refusal
from server_replies import (
    COUNTS,
    DONE,
    USAGE,
    ask,
    backend,
    choice,
    events,
    one_reply,
    piece,
    revocable,
    whole,
)

from difficulty.errors import BackendError, InvalidInputError, InvalidResponseError, RetryableBackendError
from planner.backends.openai import OpenAIBackend

pytest.importorskip("aiohttp", reason="extra 'openai' is not installed")


pytestmark = pytest.mark.usefixtures("short_waits")


KEY = "sk-0123456789abcdef"


class TestBounds:
    """Seconds, bytes and counts are bounded, whatever comes."""

    async def test_a_try_is_bounded_and_not_a_read(self) -> None:
        with FakeOpenAIServer() as server:

            def drip() -> Iterator[bytes]:
                for _ in itertools.count():
                    server.release.wait(0.02)
                    yield b" "

            server.behave = lambda _body, _index: Response(chunks=drip())
            start = time.monotonic()
            with pytest.raises(RetryableBackendError, match=r"no answer in time from http://127"):
                await backend(server, timeout_seconds=0.2, max_retries=0).sample([ask()])
            assert time.monotonic() - start < 5

    async def test_a_long_retry_after_is_not_slept(self) -> None:
        late = refusal("slow down", status=429, headers={"Retry-After": "100000"})
        with FakeOpenAIServer(lambda body, index: late if index == 0 else completion(body)) as server:
            [[sample]] = await backend(server).sample([ask()])
        assert sample.text == "answer 3"

    @pytest.mark.parametrize("streamed", [False, True])
    async def test_an_endless_body_is_stopped(self, streamed: bool) -> None:
        megabyte = b" " * 2**20
        reply = Response(chunks=itertools.repeat(megabyte))
        endless = FakeOpenAIServer(lambda _body, _index: reply)
        with endless as server, pytest.raises(InvalidResponseError, match="larger than 64 MiB"):
            await backend(server).sample([revocable() if streamed else ask()])

    async def test_a_small_reply_that_unpacks_to_gigabytes_is_stopped(self) -> None:
        bomb = Response(body=gzip.compress(b" " * 200 * 2**20, 9), headers={"Content-Encoding": "gzip"})
        with pytest.raises(InvalidResponseError, match="larger than 64 MiB"):
            await one_reply(bomb)

    async def test_packed_replies_are_read_and_unknown_packing_is_typed(self) -> None:
        plain = whole(choice()).body
        packed = Response(body=gzip.compress(plain), headers={"Content-Encoding": "gzip"})
        assert (await one_reply(packed)).text == "42"
        for encoding in ("br", "gzip"):
            with pytest.raises(InvalidResponseError, match=r"packed"):
                await one_reply(Response(body=plain, headers={"Content-Encoding": encoding}))

    @pytest.mark.parametrize(
        ("usage", "prompt", "cached", "output"),
        [
            ({"prompt_tokens": 5, "completion_tokens": 10**18}, 5, 0, 3),
            ({"prompt_tokens": 5, "completion_tokens": int("9" * 400)}, 5, 0, 3),
            ({"prompt_tokens": 5, "completion_tokens": 51}, 5, 0, 3),
            ({"prompt_tokens": 5, "completion_tokens": -1}, 5, 0, 3),
            ({"prompt_tokens": 5, "completion_tokens": 0}, 5, 0, 3),
            ({"prompt_tokens": 10**9, "completion_tokens": 3}, 11, 0, 3),
            ({"prompt_tokens": -5, "completion_tokens": 3}, 11, 0, 3),
            (USAGE | {"prompt_tokens_details": {"cached_tokens": -4}}, 5, 0, 3),
            (USAGE | {"prompt_tokens_details": {"cached_tokens": 9}}, 5, 0, 3),
        ],
    )
    @pytest.mark.parametrize("streamed", [False, True])
    async def test_usage_beyond_the_request_is_refused_and_counted_again(
        self, usage: dict[str, Any], prompt: int, cached: int, output: int, streamed: bool
    ) -> None:
        reply = events(piece("42", end="stop"), {"choices": [], "usage": usage}, DONE)
        sample = await one_reply(reply if streamed else whole(choice(), usage=usage), streamed=streamed)
        assert (sample.prompt_tokens, sample.cached_prompt_tokens) == (prompt, cached)
        assert sample.output_tokens == output and sample.finish_reason == "stop"
        assert len(sample.remarks) == 1 and sample.remarks[0].startswith("UsageRefused: ")

    async def test_log_probabilities_count_again_exactly(self) -> None:
        shown = {"content": [{"logprob": -0.1}] * 7}
        liar = whole(choice(logprobs=shown), usage={"prompt_tokens": 5, "completion_tokens": 7000})
        assert (await one_reply(liar)).output_tokens == 7

    async def test_surplus_choices_are_paid_for_and_dropped(self) -> None:
        sample = await one_reply(whole(choice("a"), choice("b", index=1), usage=USAGE))
        assert (sample.text, sample.output_tokens, sample.lost_output_tokens) == ("a", 2, 1)
        assert sample.remarks[0].startswith("SurplusChoices: ")

    @pytest.mark.parametrize(
        "reply",
        [
            whole(),
            Response(body=b'{"choices": 7, "usage": {"prompt_tokens": 5, "completion_tokens": 3}}'),
            Response(body=b'{"choices": ' + b"[" * 100_000 + json.dumps({"usage": USAGE}).encode()),
        ],
        ids=["no choices", "wrong type", "deep"],
    )  # fmt: skip
    async def test_a_reply_that_is_none_is_charged_where_its_usage_can_be_read(self, reply: Response) -> None:
        with FakeOpenAIServer(lambda _body, _index: reply) as server:
            one = backend(server)
            with pytest.raises(InvalidResponseError) as caught:
                await one.sample([ask()])
        assert (caught.value.prompt_tokens, caught.value.output_tokens) == (5, 3)
        assert one.spent.failed.output_tokens == 3

    @pytest.mark.parametrize(
        "usage", [None, {}, {"prompt_tokens": 5, "completion_tokens": None}, {"total_tokens": 8}, 7]
    )
    async def test_missing_counts_are_counted_here_or_typed(self, usage: Any) -> None:
        sample = await one_reply(
            whole(choice("a b"), usage=usage), token_counter=lambda text: len(text.split())
        )
        assert (sample.output_tokens, sample.finish_reason) == (2, "stop")
        with pytest.raises(InvalidResponseError, match="token_counter"):
            await one_reply(whole(choice("a b"), usage=usage))


class TestKeys:
    """The key goes to the server and nowhere else."""

    @pytest.mark.parametrize("streamed", [False, True])
    async def test_a_key_that_is_sent_back_is_in_no_output(self, streamed: bool) -> None:
        message = {"content": f"you said Bearer {KEY}", "reasoning_content": KEY}
        reply = whole({"message": message, "finish_reason": "stop"})
        if streamed:
            halves = [piece(KEY[:9]), piece(KEY[9:], end="stop")]
            reply = events(*halves, COUNTS, DONE)
        sample = await one_reply(reply, streamed=streamed, api_key=KEY)
        assert "[key removed]" in sample.text and KEY not in repr(sample)

    async def test_a_key_that_is_sent_back_is_in_no_error(self) -> None:
        for reply in (refusal(f"bad key {KEY}", status=401), Response(body=f"<p>{KEY}</p>".encode())):
            with pytest.raises(BackendError) as caught:
                await one_reply(reply, api_key=KEY)
            assert KEY not in repr(caught.value) and caught.value.__context__ is None

    async def test_nothing_of_the_environment_is_sent(self, monkeypatch: pytest.MonkeyPatch) -> None:
        for name in ("CUSTOM_HEADERS", "ORG_ID", "PROJECT_ID", "API_KEY"):
            monkeypatch.setenv(f"OPENAI_{name}", "X-Leak: leaked" if name == "CUSTOM_HEADERS" else "leaked")
        with FakeOpenAIServer() as server:
            await backend(server, api_key=KEY).sample([ask()])
            assert (
                "leaked" not in str(server.headers) and server.headers[0]["authorization"] == f"Bearer {KEY}"
            )

    async def test_the_key_is_not_shown_and_not_pickled(self) -> None:
        with FakeOpenAIServer() as server:
            one = backend(server, api_key=KEY)
            assert KEY not in repr(vars(one)) and KEY.encode() not in pickle.dumps(one)
            copy = pickle.loads(pickle.dumps(one))
            with pytest.raises(InvalidInputError, match="out of a pickle"):
                await copy.sample([ask()])
            keyless = pickle.loads(pickle.dumps(backend(server)))
            assert len(await keyless.sample([ask()])) == 1

    def test_a_key_with_a_line_break_is_refused_and_not_shown(self) -> None:
        with pytest.raises(InvalidInputError) as caught:
            OpenAIBackend(base_url="http://127.0.0.1:9/v1", api_key=KEY + "\n")
        assert KEY not in str(caught.value)
