"""Addresses of servers that can be none are refused before anything is sent."""

from __future__ import annotations

import pytest

from difficulty.errors import InvalidInputError
from planner.backends.openai import OpenAIBackend
from planner.backends.specs import BackendSpec
from planner.serving.settings import UpstreamSettings

WRONG = [
    "http://127.0.0.1:99999/v1",
    "http://127.0.0.1:-1/v1",
    "http://127.0.0.1:0/v1",
    "http://127.0.0.1:x/v1",
    "http://[::1/v1",
    "http:///v1",
    "http://a\u200bb.example/v1",
    "http://127.0.0.1:8000/v1 ",
    f"http://{'a' * 64}.example/v1",
    "http://127.0.0.1:8000/v1/chat/completions",
    "http://127.0.0.1:8000/v1/completions/",
    "http://name:secret@127.0.0.1:8000/v1",
]


@pytest.mark.parametrize("url", WRONG)
def test_what_is_no_address_is_refused_everywhere(url: str) -> None:
    for opened in (
        lambda: OpenAIBackend(base_url=url),
        lambda: BackendSpec(kind="openai", base_url=url, model="m").open(),
        lambda: UpstreamSettings(base_urls=(url,)),
    ):
        with pytest.raises(InvalidInputError, match="must look like http") as refused:
            opened()
        assert "secret" not in str(refused.value)


@pytest.mark.parametrize("url", ["http://[::1]:8000/v1", "https://münchen.example/v1?api-version=1"])
def test_unusual_addresses_are_taken(url: str) -> None:
    OpenAIBackend(base_url=url)
    UpstreamSettings(base_urls=(url,))
