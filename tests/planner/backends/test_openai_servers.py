"""What becomes of what servers send: refusals, replies and streams as they really come."""

from __future__ import annotations

import json
import time
from dataclasses import replace
from typing import Any

import pytest
from backend_contract import request
from fake_openai_server import FakeOpenAIServer, Response, completion, refusal
from server_replies import (
    CAPPED,
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

from difficulty.errors import BackendError, RetryableBackendError
from planner.backends.openai import OpenAIBackend

pytest.importorskip("aiohttp", reason="extra 'openai' is not installed")


pytestmark = pytest.mark.usefixtures("short_waits")


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
