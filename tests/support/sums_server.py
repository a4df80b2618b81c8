"""A server that answers sums, right two times in three, and how it is drawn from."""

from __future__ import annotations

from typing import Any

from fake_openai_server import FakeOpenAIServer, Response, completion


def answer(body: dict[str, Any], index: int) -> Response:
    """Answer sums right two times in three, by the seed."""
    del index
    text = body["messages"][0]["content"]
    total = sum(int(word) for word in text.split() if word.isdigit())
    return completion(
        body, message=None if body.get("stop") else {"content": f"It is {total + (body['seed'] % 3 == 0)}"}
    )


def drawing(server: FakeOpenAIServer, *more: str) -> list[str]:
    # One request per sample: the seeds alone decide what the server says.
    options = ["--backend", "openai", "--base-url", server.url, "--model", "tiny", "--single", "--json"]
    return [*options, "--concurrency", "4", *more]
