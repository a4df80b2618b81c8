"""What upstreams say that is no usual answer, and what clients in process send that no socket takes."""

from __future__ import annotations

import json
from typing import Any

import pytest
from scripted_upstream import Asked, Said, ScriptedUpstream
from serving_bed import chat, serving

USAGE = {"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5}


def said(message: dict[str, Any], **more: Any) -> Said:
    """A whole reply."""
    choice = {"index": 0, "finish_reason": "stop", "message": {"role": "assistant", **message}, **more}
    body = json.dumps({"id": "x", "model": "tiny", "choices": [choice], "usage": USAGE})
    return Said(body=body.encode(), headers={"content-type": "application/json"})


async def test_a_refusal_beside_the_content_is_not_swallowed() -> None:
    def refuse(asked: Asked, place: int) -> Said:
        return said({"content": None, "refusal": "I cannot say that."})

    async with ScriptedUpstream(refuse) as up, serving(up) as bed:
        got = await bed.ask(chat(planner={"max_samples": 3}))
    assert got.status == 200 and got.text == "I cannot say that."


@pytest.mark.parametrize(
    ("reply", "words"),
    [
        (said({"content": "42"}, finish_reason="content_filter"), "ended the choice with 'content_filter'"),
        (said({"content": 42}), "content must be text"),
        (Said(body=b"<html>log in</html>"), "begins '<html>log in</html>'"),
        (
            Said(body=b'{"choices": [{"message": {"content": "42"}, "finish_reason": "stop"}]}'),
            "sends no usage",
        ),
    ],
)
async def test_an_answer_that_cannot_be_used_says_why(reply: Said, words: str) -> None:
    async with ScriptedUpstream(lambda asked, place: reply) as up, serving(up) as bed:
        got, place = await bed.ask(chat(planner={"max_samples": 3})), up.url.split("/")[2]
    assert got.status == 502
    assert words in got.json["error"]["message"]
    assert place not in got.json["error"]["message"]


@pytest.mark.parametrize("end", ["\n", "\r\n", "\0"])
@pytest.mark.parametrize("mode", ["plan", "off"])
async def test_a_key_with_a_line_break_is_refused_by_name(end: str, mode: str) -> None:
    async with ScriptedUpstream() as up, serving(up, mode=mode) as bed:
        got = await bed.ask(chat(), headers={"authorization": f"Bearer key{end}"})
    assert got.status == 400 and "the header authorization holds a line break" in got.json["error"]["message"]
    assert not up.asked
