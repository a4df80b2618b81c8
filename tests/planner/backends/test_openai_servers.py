"""The OpenAI backend against what servers are reported to send: tolerated, or typed and charged."""

from __future__ import annotations

import gzip
import itertools
import json
import pickle
import time
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
from backend_contract import request
from fake_openai_server import FakeOpenAIServer, Response, completion, refusal

from difficulty.errors import BackendError, InvalidInputError, InvalidResponseError, RetryableBackendError
from difficulty.generator import Generator
from planner.backends.openai import OpenAIBackend, patience
from planner.ports.ports import Completion, SampleRequest

pytest.importorskip("aiohttp", reason="extra 'openai' is not installed")

KEY = "sk-0123456789abcdef"
USAGE = {"prompt_tokens": 5, "completion_tokens": 3}
CAPPED = Generator(name="g", model="m", temperature=1.0, max_output_tokens=50)


@pytest.fixture(autouse=True)
def short_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(patience, "_FIRST_WAIT", 0.01)


def backend(server: FakeOpenAIServer, **options: Any) -> OpenAIBackend:
    return OpenAIBackend(base_url=server.url, **({"max_retries": 1, "timeout_seconds": 20.0} | options))


def ask(**more: Any) -> SampleRequest:
    return request(generator=CAPPED, **more)


def revocable(**more: Any) -> SampleRequest:
    return replace(ask(**more), revocable=True)


def choice(text: Any = "42", *, index: int = 0, finish: Any = "stop", **more: Any) -> dict[str, Any]:
    return {"index": index, "message": {"content": text}, "finish_reason": finish} | more


def whole(*choices: dict[str, Any], usage: Any = USAGE) -> Response:
    return Response(body=json.dumps({"choices": choices, "usage": usage}).encode())


def events(*items: Any) -> Response:
    lines = [
        item if isinstance(item, str) else f"data: {json.dumps(item, ensure_ascii=False)}\n\n"
        for item in items
    ]
    return Response(body="".join(lines).encode(), headers={"Content-Type": "text/event-stream"})


def piece(text: Any = None, *, end: str | None = None, index: int = 0, **more: Any) -> dict[str, Any]:
    delta = {} if text is None else {"content": text}
    return {"choices": [{"index": index, "delta": delta, "finish_reason": end}]} | more


COUNTS = {"choices": [], "usage": USAGE}
DONE = "data: [DONE]\n\n"


async def one_reply(reply: Response, *, streamed: bool = False, **options: Any) -> Completion:
    """Return the sample that one reply makes; a second request is a mistake."""
    with FakeOpenAIServer(lambda _body, _index: reply) as server:
        [[sample]] = await backend(server, **options).sample([revocable() if streamed else ask()])
        assert len(server.requests) == 1
    return sample


class TestRefusals:
    """A refusal is learnt by the feature that it is about, and only when a request without it is answered."""

    @pytest.mark.parametrize(
        ("field", "words", "status"),
        [
            ("n", "This deployment can only return one choice per call", 400),
            ("n", "{'loc': ['body', 'n'], 'msg': 'less than or equal to 1'}", 422),
            ("n", "Generating multiple completions is not implemented", 501),
            ("n", "number of samples must be 1", 403),
            ("n", "参数n只能为1", 400),
            ("logprobs", "log_probs unavailable", 405),
            ("logprobs", "Log probabilities: no", 500),
            ("seed", "seed: unknown field", 400),
            ("seed", "random seeds are not available", 404),
            ("n", "Bad Request", 400),
            ("logprobs", "", 422),
            ("seed", "<html>Unprocessable</html>", 422),
        ],
    )
    async def test_a_field_is_left_out_whatever_the_words(self, field: str, words: str, status: int) -> None:
        def picky(body: dict[str, Any], _index: int) -> Response:
            return refusal(words, status=status) if field in body else completion({"seed": 3} | body)

        with FakeOpenAIServer(picky) as server:
            one = backend(server)
            [samples] = await one.sample([ask(n=3)])
            assert [sample.finish_reason for sample in samples] == ["stop"] * 3
            before = len(server.requests)
            await one.sample([ask(n=2, seed=50)])
            assert not any(field in sent for sent in server.requests[before:])
        assert len(one.traits.notes) == 1
        assert one.traits.native_n == (field != "n") and one.traits.logprobs == (field != "logprobs")
        assert one.traits.seeds == (field != "seed")

    @pytest.mark.parametrize(
        ("words", "status", "n_requests"),
        [
            ("'max_tokens' or 'max_completion_tokens' is too large: the context length is 40", 400, 2),
            ("the request exceeds the available context size", 400, 2),
            ("rejected by the upstream policy", 400, 2),
            ("you said: what are logprobs and seeds, n of them?", 400, None),
            ("something else", 400, None),
            ("no such stream", 404, None),
        ],
    )
    async def test_what_one_prompt_meets_changes_nothing_for_others(
        self, words: str, status: int, n_requests: int | None
    ) -> None:
        def poisoned(body: dict[str, Any], _index: int) -> Response:
            return refusal(words, status=status) if "bad" in str(body["messages"]) else completion(body)

        with FakeOpenAIServer(poisoned) as server:
            one = backend(server)
            first = one.traits
            with pytest.raises(BackendError, match="refused with HTTP 4"):
                await one.sample([replace(revocable(n=2), prompt=request("bad").prompt)])
            [samples] = await one.sample([revocable(n=2)])
            assert [sample.finish_reason for sample in samples] == ["stop"] * 2
            assert n_requests is None or len(server.requests) == n_requests
        assert one.traits.same_requests(first) and one.traits.notes == ()

    async def test_what_has_worked_is_not_unlearnt(self) -> None:
        def moody(body: dict[str, Any], index: int) -> Response:
            return refusal("logprobs are out of order", status=500) if index == 1 else completion(body)

        with FakeOpenAIServer(moody) as server:
            one = backend(server)
            for seed in range(3):
                [[sample]] = await one.sample([ask(seed=seed)])
                assert sample.mean_logprob is not None
        assert one.traits.logprobs and one.traits.notes == ()

    async def test_models_of_one_server_are_learnt_apart(self) -> None:
        def picky(body: dict[str, Any], _index: int) -> Response:
            refused = body["model"] == "b" and "logprobs" in body
            return refusal("no logprobs here") if refused else completion(body)

        with FakeOpenAIServer(picky) as server:
            one = backend(server)
            for model in ("a", "b", "a", "b"):
                [[_]] = await one.sample([replace(ask(), generator=replace(CAPPED, model=model))])
        assert [(sent["model"], "logprobs" in sent) for sent in server.requests] == [
            ("a", True), ("b", True), ("b", False), ("a", True), ("b", False)
        ]  # fmt: skip


class TestReplies:
    """One reply is read as it is meant, or is one failed sample."""

    @pytest.mark.parametrize(
        ("name", "finish"),
        [
            ("eos_token", "stop"),
            ("END_TURN", "stop"),
            ("FINISH_REASON_STOP", "stop"),
            ({"type": "stop"}, "stop"),
            ("MAX_TOKENS", "length"),
            ("model_length", "length"),
            ("abort", "cancelled"),
            ("content_filter", "error"),
            (None, "error"),
            (7, "error"),
        ],
    )
    async def test_names_of_ends(self, name: Any, finish: str) -> None:
        sample = await one_reply(whole(choice(finish=name)))
        assert sample.finish_reason == finish and (sample.text, sample.output_tokens) == ("42", 3)

    @pytest.mark.parametrize(
        "content",
        [
            [{"type": "text", "text": "4"}, {"type": "output_text", "text": "2"}],
            ["4", "2"],
            {"type": "text", "text": "42"},
            [
                {"type": "thinking", "thinking": [{"type": "text", "text": "hm"}]},
                {"type": "text", "text": "42"},
            ],
        ],
    )
    async def test_content_in_parts(self, content: Any) -> None:
        assert (await one_reply(whole(choice(content)))).text == "42"
        streamed = events(piece(content), piece(end="stop"), COUNTS, DONE)
        assert (await one_reply(streamed, streamed=True)).text == "42"

    @pytest.mark.parametrize(
        ("broken", "reason"),
        [
            (choice(logprobs={"content": [{"logprob": 0.5}]}), "above 0"),
            (choice(3), "content must be"),
            (choice() | {"message": "x"}, "cannot be read"),
        ],
    )
    async def test_a_broken_choice_is_one_failed_sample_that_is_charged(
        self, broken: dict[str, Any], reason: str
    ) -> None:
        sample = await one_reply(whole(broken))
        assert (sample.finish_reason, sample.text, sample.output_tokens) == ("error", "", 3)
        assert sample.error is not None and sample.error.startswith("InvalidResponseError: ")
        assert reason in sample.error
        with FakeOpenAIServer(lambda _body, _index: whole(broken | {"index": 0}, choice(index=1))) as server:
            [samples] = await backend(server).sample([ask(n=2)])
        assert [one.finish_reason for one in samples] == ["error", "stop"]

    @pytest.mark.parametrize("raw", [b"1e999", b"-1e999"])
    async def test_a_log_probability_that_is_not_finite(self, raw: bytes) -> None:
        body = whole(choice(logprobs={"content": [{"logprob": -1}]})).body.replace(b"-1", raw)
        assert (await one_reply(Response(body=body))).finish_reason == "error"

    async def test_rounding_above_0_is_none(self) -> None:
        sample = await one_reply(whole(choice(logprobs={"content": [{"logprob": 1e-6}, {"logprob": -1.0}]})))
        assert sample.mean_logprob == -0.5

    async def test_invalid_utf8_spoils_its_own_choice_and_is_charged(self) -> None:
        body = whole(choice("??"), choice("fine", index=1)).body.replace(b"??", b"\xff\xfe")
        with FakeOpenAIServer(lambda _body, _index: Response(body=body)) as server:
            [samples] = await backend(server).sample([ask(n=2)])
        assert [one.finish_reason for one in samples] == ["error", "stop"]
        assert sum(one.output_tokens for one in samples) == 3

    async def test_indices_that_are_all_0_are_an_order(self) -> None:
        with FakeOpenAIServer(lambda _body, _index: whole(choice("a"), choice("b"))) as server:
            [samples] = await backend(server).sample([ask(n=2)])
        assert [one.text for one in samples] == ["a", "b"]

    @pytest.mark.parametrize("error", [
        {"error": {"message": "slow down", "code": 429}},
        {"error": {"message": "x", "type": "overloaded_error"}, "choices": None},
        {"object": "error", "message": "busy", "code": 503},
        {"error": {"message": "x", "code": "rate_limit_exceeded"}, "choices": []},
    ])  # fmt: skip
    @pytest.mark.parametrize("streamed", [False, True])
    async def test_a_busy_server_within_http_200_is_asked_again(self, error: Any, streamed: bool) -> None:
        busy = events(error) if streamed else Response(body=json.dumps(error).encode())
        with FakeOpenAIServer(lambda body, index: busy if index == 0 else completion(body)) as server:
            [[sample]] = await backend(server).sample([revocable() if streamed else ask()])
        assert (sample.finish_reason, sample.failed_requests) == ("stop", 1)


class TestStreams:
    """Events are read as servers write them; choices are never mixed up, counts never asked for twice."""

    @pytest.mark.parametrize("separator", ["\u2028", "\u2029", "\x85", "\x0b", "\x1c"])
    async def test_other_line_separators_are_text(self, separator: str) -> None:
        text = f"a{separator}b"
        sample = await one_reply(events(piece("so "), piece(text, end="stop"), COUNTS, DONE), streamed=True)
        assert sample.text == "so " + text

    @pytest.mark.parametrize(
        "stream",
        [
            events(piece("4", usage={}), piece("2", end="stop", usage={}), COUNTS, DONE),
            events("data:\n\n", piece("4"), "data: \n\n", piece("2", end="stop"), COUNTS, DONE),
            events(piece("4"), piece("2", end="stop"), {"choices": None, "usage": USAGE}, DONE),
            events("retry: 3\n\n", ": ping\n\n", "id: 7\n", piece("4"), piece("2", end="stop"), COUNTS),
            events("data: ping\n\n", piece("4"), piece("2", end="stop"), COUNTS, DONE),
            events("event: message\n", piece("4"), piece("2", end="stop", usage=USAGE), DONE),
            events("\ufeff", piece("4"), piece("2"), piece(end="stop", usage=USAGE), DONE, ": bye\n\n"),
            Response(body=events(piece("4"), piece("2", end="stop"), COUNTS).body.replace(b"\n", b"\r\n")),
            Response(body=events(piece("4"), piece("2", end="stop"), COUNTS).body.replace(b"\n\n", b"\n")),
            Response(body=events(piece("4"), piece("2", end="stop"), COUNTS).body.rstrip()),
            Response(
                body=events(piece("4"), piece("2", end="stop"), COUNTS).body.replace(b", ", b",\ndata: ")
            ),
            whole(choice("42")),
        ],
    )
    async def test_ways_to_write_events(self, stream: Response) -> None:
        sample = await one_reply(stream, streamed=True)
        assert (sample.text, sample.finish_reason, sample.output_tokens) == ("42", "stop", 3)

    async def test_a_server_without_usage_in_streams_is_found_out_once_and_both_are_charged(self) -> None:
        stream = events(piece("4"), piece("2", end="stop"), DONE)
        with FakeOpenAIServer(lambda body, _: stream if body.get("stream") else completion(body)) as server:
            one = backend(server)
            samples = [(await one.sample([revocable(seed=seed)]))[0][0] for seed in range(6)]
            assert len(server.requests) == 7
        assert samples[0].lost_output_tokens == 2 and samples[0].lost_prompt_tokens == 9
        assert samples[1].lost_output_tokens == 0

    @pytest.mark.parametrize(
        "mixed",
        [
            events(piece("red"), piece("blue"), piece(end="stop"), piece(end="stop"), COUNTS, DONE),
            events(piece("red"), piece("blue"), piece(end="stop"), COUNTS, DONE),
            events(
                {"choices": [*piece("red")["choices"], *piece("blue")["choices"]]}, piece(end="stop"), COUNTS
            ),
        ],
    )
    async def test_choices_under_one_index_are_drawn_again_and_paid_for(self, mixed: Response) -> None:
        with FakeOpenAIServer(lambda body, _: mixed if "n" in body else completion(body)) as server:
            one = backend(server)
            [samples] = await one.sample([revocable(n=2)])
        assert [sample.text for sample in samples] == ["answer 3", "answer 4"]
        assert samples[0].lost_output_tokens == 3 and not one.traits.native_n

    async def test_a_broken_piece_spoils_its_own_choice(self) -> None:
        broken = piece("b", index=1)
        broken["choices"][0]["logprobs"] = {"content": [{"logprob": 3.0}]}
        ends = [piece(end="stop", index=0), piece(end="stop", index=1)]
        stream = events(piece("a"), broken, *ends, COUNTS, DONE)
        with FakeOpenAIServer(lambda _body, _index: stream) as server:
            [samples] = await backend(server).sample([revocable(n=2)])
        assert [(one.text, one.finish_reason) for one in samples] == [("a", "stop"), ("", "error")]

    @pytest.mark.parametrize("before", [b"", b": ping\n\n"])
    async def test_a_break_before_the_first_piece_is_asked_again(self, before: bytes) -> None:
        cut = Response(body=before + b"data: {", cut_after=len(before) + 1)
        with FakeOpenAIServer(lambda body, index: cut if index == 0 else completion(body)) as server:
            [[sample]] = await backend(server).sample([revocable()])
        assert (sample.text, sample.failed_requests) == ("answer 3", 1)
        assert sample.remarks[0].startswith("UnmeteredTries: 1 ")

    async def test_a_break_after_everything_has_come_loses_nothing(self) -> None:
        stream = events(piece("4"), piece("2", end="stop"), COUNTS, DONE)
        cut = replace(stream, cut_after=len(stream.body) - len(DONE))
        sample = await one_reply(cut, streamed=True)
        assert (sample.text, sample.failed_requests) == ("42", 0)


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


async def test_a_dead_server_is_said_at_once_with_its_address() -> None:
    dead = OpenAIBackend(base_url="http://127.0.0.1:9/v1?token=secret", model="m", max_retries=4)
    start = time.monotonic()
    with pytest.raises(
        RetryableBackendError, match=r"no connection to http://127.0.0.1:9/v1, 2 tries \(Conn"
    ) as caught:
        await dead.sample([ask()])
    assert time.monotonic() - start < 5 and "secret" not in str(caught.value)


async def test_a_server_that_never_answers_anybody_is_not_waited_for_again_and_again() -> None:
    busy = refusal("down", status=503, headers={"retry-after-ms": "1"})
    with FakeOpenAIServer(lambda _body, _index: busy) as server:
        one = backend(server, max_retries=4, max_concurrency=1)
        for _ in range(10):
            with pytest.raises(RetryableBackendError, match="503"):
                await one.sample([ask()])
        assert len(server.requests) == 4 * 5 + 6
        server.behave = lambda body, _index: completion(body)
        await one.sample([ask()])
        server.behave = lambda body, index: busy if index < 29 else completion(body)
        [[sample]] = await one.sample([ask()])
        assert sample.failed_requests == 2
