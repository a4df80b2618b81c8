"""Everything that the description of the server allows, and much that it does not, is answered as it says."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from live_server import live_server
from scripted_upstream import Asked, Said, completion

from planner.serving.description import openapi

schemathesis = pytest.importorskip("schemathesis", reason="schemathesis is not installed")
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::ResourceWarning")

SCHEMA = schemathesis.openapi.from_dict(json.loads(openapi()))
N_EXAMPLES = 60


def behave(asked: Asked, _: int) -> Said:
    try:
        body = asked.json
    except ValueError:
        body = None
    stream = body.get("stream") is True if isinstance(body, dict) else False
    chat: dict[str, Any] = {"messages": []} if asked.path.endswith("chat/completions") else {}
    return completion({**chat, "stream": stream}, "it is 42")


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    with live_server(behave, upstream={"max_retries": 0}) as (address, _):
        yield address


@SCHEMA.parametrize()
@settings(max_examples=N_EXAMPLES, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
def test_answers_are_as_described(case: Any, url: str) -> None:
    response = case.call(base_url=url)
    assert response.status_code < 500, response.text
    assert "Traceback" not in response.text
    case.validate_response(
        response,
        checks=[
            schemathesis.checks.CHECKS.get_one(name)
            for name in ("not_a_server_error", "status_code_conformance", "content_type_conformance",
                         "response_schema_conformance", "response_headers_conformance")
        ],
    )  # fmt: skip
