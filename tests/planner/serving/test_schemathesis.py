"""Everything that the description of the server allows, and much that it does not, is answered as it says."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from scripted_upstream import Asked, Said, ScriptedUpstream, completion
from serving_bed import serving

from planner.serving.description import openapi
from planner.serving.server import server_of

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
    """A server in a thread of its own."""
    told: list[str] = []
    ready, stopped = threading.Event(), threading.Event()

    async def serve() -> None:
        async with ScriptedUpstream(behave) as up, serving(up, upstream={"max_retries": 0}) as bed:
            server = server_of(bed.service.application)
            server.config.lifespan = "off"
            server.install_signal_handlers = lambda: None
            work = asyncio.create_task(server.serve())
            while not server.started:
                await asyncio.sleep(0.001)
            told.append(f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}")
            ready.set()
            await asyncio.to_thread(stopped.wait)
            server.should_exit = True
            await work

    thread = threading.Thread(target=lambda: asyncio.run(serve()))
    thread.start()
    assert ready.wait(30)
    yield told[0]
    stopped.set()
    thread.join()


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
