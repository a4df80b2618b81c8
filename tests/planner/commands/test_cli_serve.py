"""``planner serve`` as a process: it answers, finishes what is in flight, and ends when it is told to."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import sys
from pathlib import Path

import pytest
from scripted_upstream import Asked, Said, ScriptedUpstream, completion

from planner.cli import main

aiohttp = pytest.importorskip("aiohttp", reason="the extra 'serve' is not installed")
pytest.importorskip("uvicorn", reason="the extra 'serve' is not installed")

ASK = {"model": "tiny", "messages": [{"role": "user", "content": "6 x 7?"}]}


async def test_a_process_answers_and_ends_with_what_is_in_flight() -> None:
    free = asyncio.Event()

    async def behave(asked: Asked, _: int) -> Said:
        if asked.json.get("user") == "slow":
            await free.wait()
        return completion(asked.json, "it is 42")

    async with ScriptedUpstream(behave) as up:
        options = ["--upstream", up.url, "--price", "1e-5", "--extract", "last_number", "--port", "0"]
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "planner", "serve", *options, stderr=asyncio.subprocess.PIPE,
            env=os.environ | {"PYTHONPATH": os.fspath(Path(__file__).parents[3])},
        )  # fmt: skip
        assert process.stderr is not None
        line = (await process.stderr.readline()).decode()
        url = line.partition("serving on ")[2].partition(";")[0] + "/chat/completions"
        async with aiohttp.ClientSession() as session:
            async with session.post(url, json=ASK) as answer:
                told = await answer.json()
            assert told["choices"][0]["message"]["content"] == "it is 42"
            assert told["planner"]["samples"] == len(up.asked) > 1
            slow = asyncio.ensure_future(session.post(url, json=ASK | {"user": "slow"}))
            while up.asked[-1].json.get("user") != "slow":
                await asyncio.sleep(0.001)
            process.send_signal(signal.SIGTERM)
            await asyncio.sleep(0)
            free.set()
            assert (await slow).status == 200
            slow.result().close()
        said = await process.stderr.read()
        assert await process.wait() in (0, -signal.SIGTERM)
    assert b"Traceback" not in said, said.decode()


def test_an_address_that_is_taken_is_said(capsys: pytest.CaptureFixture[str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        options = ["--upstream", "http://127.0.0.1:1/v1", "--off", "--port", str(port)]
        assert main(["serve", *options]) == 2
    assert "take another --port" in capsys.readouterr().err


async def test_a_bundle_that_is_missing_at_the_start_is_said_without_a_trace(tmp_path: Path) -> None:
    options = ["--upstream", "http://127.0.0.1:1/v1", "--price", "1", "--bundle", str(tmp_path / "none")]
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "planner", "serve", *options, "--port", "0", stderr=asyncio.subprocess.PIPE,
        env=os.environ | {"PYTHONPATH": os.fspath(Path(__file__).parents[3])},
    )  # fmt: skip
    _, said = await process.communicate()
    assert process.returncode == 2
    assert b"none is not a policy bundle" in said
    assert b"Traceback" not in said


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--judge", "big"], "take another --port"),
        (["--select", "logprob"], "take another --port"),
        (["--select", "judge"], "needs the route's judge"),
        (["--verifier", "checker"], "reward:MODEL"),
        (["--select", "learned"], "needs a bundle"),
        (["--judge", "big", "--settings", __file__], "--settings stands alone"),
    ],
)
def test_what_selects_is_an_option(
    options: list[str], words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        upstream = ["--upstream", "http://127.0.0.1:1/v1", "--price", "1e-5"]
        assert main(["serve", *upstream, "--port", port, *options]) == 2
    assert words in capsys.readouterr().err
