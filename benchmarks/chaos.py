"""Hundreds of clients at a time through the proxy, over sockets, in front of an upstream that behaves badly.

Clients, proxy and upstream each have a process of their own; the upstream delays, resets, refuses, babbles,
dies and comes back (`benchmarks._bad_upstream`). Every answer names its request, so that mixed-up ones show,
and the books of the proxy are compared with those of the upstream. ``python -m benchmarks.chaos`` prints what
was found and ends with 1 where something that must hold did not.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import random
import re
import sys
import time
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from typing import Any, Final

from benchmarks import _bad_upstream
from benchmarks._bad_upstream import Books
from benchmarks._processes import started

_UPSTREAM_KEY, _KEYS = "upstream-secret", {"app": "app-secret", "poor": "poor-secret"}
_NONCE: Final = re.compile(rb"nonce-\d{7}")
# Most tokens of an answer, and of samples per request.
_MOST_TOKENS, _MOST_SAMPLES = 60, 8
# The budget of a window, in output tokens, and its prompts.
_WINDOW: Final = (12_000.0, 500)
_POOR: Final = 6_000.0
# How often a client goes away before its answer, and how long anybody waits for one.
_LEAVES, _PATIENCE = 0.02, 60.0
# How often the upstream dies.
_OUTAGES: Final = 4
# What clients ask for: the route, whether as a stream, further fields.
_KINDS: Final[tuple[tuple[str, bool, dict[str, Any]], ...]] = (
    ("planned", False, {}),
    ("planned", True, {}),
    ("window", False, {}),
    ("window", True, {}),
    ("one", False, {}),
    ("one", True, {}),
    ("planned", False, {"tools": [{"type": "function", "function": {"name": "f"}}]}),
)


@dataclass(kw_only=True)
class Kept:
    """What the proxy says in the end.

    Parameters
    ----------
    output_tokens : dict
        Of `/metrics`, by route.
    windows : list of (float, float, float)
        What each window has spent, what it has lost track of, and how many of its places no upstream served
        and nobody has taken yet; in order.
    poor : float
        What the key with a limit has spent.
    in_flight : int
        Calls that have not ended.
    """

    output_tokens: dict[str, float]
    windows: list[tuple[float, float, float]]
    poor: float
    in_flight: int


@dataclass(kw_only=True)
class Found:
    """What was found.

    Parameters
    ----------
    asked, left, answered : int
        Requests, those whose client went away, and those with an answer of status 200.
    refused : Counter
        Answers by another status.
    wrong, lost : list of str
        Answers that are not the request's, and requests without an answer.
    broken : int
        Streams that ended without their end.
    kept, books
        The proxy's and the upstream's books.
    """

    asked: int = 0
    left: int = 0
    answered: int = 0
    refused: Counter[int] = field(default_factory=Counter)
    wrong: list[str] = field(default_factory=list)
    lost: list[str] = field(default_factory=list)
    broken: int = 0
    kept: Kept
    books: Books

    def faults(self) -> list[str]:
        """Return what must hold and did not, in words."""
        kept, books = self.kept, self.books
        found = [f"wrong: {one}" for one in self.wrong[:5]] + [f"lost: {one}" for one in self.lost[:5]]
        for route in ("planned", "window", "one"):
            users = [user for user in books.read | books.unsure if user.startswith(route)]
            least = sum(books.read[user] for user in users)
            most = least + sum(books.unsure[user] for user in users)
            booked = kept.output_tokens.get(route, 0.0)
            if not least <= booked <= most:
                found.append(f"route {route} has booked {booked:g} tokens, and {least} to {most} were sent")
        poor = books.read["planned:poor"] + books.unsure["planned:poor"]
        if poor > _POOR:
            found.append(f"the key with a limit of {_POOR:g} has cost {poor} tokens")
        limit, n_prompts = _WINDOW
        for at, (spent, _, _) in enumerate(kept.windows):
            if spent > 1.02 * limit:
                found.append(f"window {at} has spent {spent:g} of {limit:g}")
        # Nothing can be bought while the upstream is down: others take the place of what it fails, and an
        # even share may be left for each that is still to come. The first window learns what prompts cost,
        # and the last one is cut.
        for at, (spent, lost, unserved) in enumerate(kept.windows[:-1]):
            if at and spent + lost < 0.98 * limit * (1 - unserved / n_prompts):
                found.append(f"window {at} has spent {spent:g} of {limit:g}, {unserved:.1f} places are free")
        if most_drawn := [nonce for nonce, n in books.samples.items() if n > _MOST_SAMPLES]:
            found.append(f"more than {_MOST_SAMPLES} samples: {most_drawn[:5]}")
        if self.broken > books.streams_broken:
            found.append(f"{self.broken} streams broke off, {books.streams_broken} of them at the upstream")
        if kept.in_flight:
            found.append(f"{kept.in_flight} calls are still in flight")
        if books.wrong_keys:
            found.append(f"{books.wrong_keys} requests came without the upstream's key")
        return found


def chaos(seconds: float, *, n_clients: int = 500, seed: int = 0) -> Found:
    """Let clients ask for so many seconds, and return what was found."""
    upstream, behind, port = started(_bad_upstream.serve, seed, _UPSTREAM_KEY)
    proxy, front, listening = started(_serve_proxy, port)
    try:
        return asyncio.run(_clients(seconds, n_clients, seed, listening, behind, front))
    finally:
        for process in (proxy, upstream):
            process.terminate()
            process.join()


def _serve_proxy(pipe: Connection, upstream: int) -> None:
    from planner.serving.build import build
    from planner.serving.exchange import Call
    from planner.serving.server import prepare_process, server_of
    from planner.serving.settings import ServeSettings

    os.environ |= {f"{name.upper()}_KEY": key for name, key in _KEYS.items()} | {"UP_KEY": _UPSTREAM_KEY}
    planned = {"upstream": "up", "extract": "regex:is (\\d+)"}
    limit, window = _WINDOW
    settings = ServeSettings.from_plain(
        {
            "upstreams": {"up": {"base_urls": [f"http://127.0.0.1:{upstream}/v1"], "key_variable": "UP_KEY"}},
            "routes": {
                "planned": planned | {"price": 1e-5},
                "window": planned
                | {"limit": limit, "window": window, "clock": "prompts", "when_spent": "refuse"},
                "one": planned | {"price": 1.0},
            },
            "keys": {
                "app": {"key_variable": "APP_KEY"},
                "poor": {"key_variable": "POOR_KEY", "limit": _POOR},
            },
            "limits": {"max_samples": _MOST_SAMPLES},
        }
    )

    async def serve() -> None:
        service = build(settings)
        server = server_of(service.application)
        work = asyncio.create_task(server.serve())
        while not server.started:
            await asyncio.sleep(0.01)
        pipe.send(server.servers[0].sockets[0].getsockname()[1])
        await asyncio.get_running_loop().run_in_executor(None, pipe.recv)
        headers = {"authorization": f"Bearer {_KEYS['app']}"}
        page = (await service.handler.handle(Call(method="GET", path="/metrics", headers=headers))).body
        assert isinstance(page, bytes)
        tokens = {}
        for line in page.decode().splitlines():
            found = re.match(r'planner_tokens_total\{kind="output",route="(\w+)"\} (\S+)', line)
            if found:
                tokens[found[1]] = float(found[2])
        till, keys = service.routes["window"].till, service.routes["planned"].keys
        assert till is not None and keys is not None
        kept = Kept(
            output_tokens=tokens,
            windows=[
                (purse.spent, purse.lost, unserved)
                for purse, unserved in zip(till.purses, till.unserved, strict=True)
            ],
            poor=sum(purse.spent for _, purse in keys._purses.values()),
            in_flight=service.handler.in_flight,
        )
        pipe.send(kept)
        server.should_exit = True
        await work

    prepare_process()
    asyncio.run(serve())


async def _clients(
    seconds: float, n_clients: int, seed: int, port: int, behind: Connection, front: Connection
) -> Found:
    nothing = Kept(output_tokens={}, windows=[], poor=0.0, in_flight=0)
    found = Found(kept=nothing, books=Books())
    until = time.perf_counter() + seconds
    loop = asyncio.get_running_loop()

    async def kills() -> None:
        """Let the upstream die for a tenth of each quarter."""
        for _ in range(_OUTAGES):
            await asyncio.sleep(seconds / _OUTAGES * 0.7)
            for order, pause in (("die", seconds / 40), ("live", seconds / 40)):
                behind.send(order)
                await loop.run_in_executor(None, behind.recv)
                await asyncio.sleep(pause)

    async def client(number: int) -> None:
        rng = random.Random(f"{seed} {number}")
        connection: _Connection | None = None
        while time.perf_counter() < until:
            found.asked += 1
            connection = await _ask(found, port, connection, found.asked, rng)
        if connection is not None:
            await _close(connection[1])

    await asyncio.gather(kills(), *(client(number) for number in range(n_clients)))
    await asyncio.sleep(1.0)  # who has just gone away takes its work along
    front.send("books")
    found.kept = await loop.run_in_executor(None, front.recv)
    behind.send("books")
    found.books = await loop.run_in_executor(None, behind.recv)
    return found


_Connection = tuple[asyncio.StreamReader, asyncio.StreamWriter]


async def _ask(
    found: Found, port: int, connection: _Connection | None, turn: int, rng: random.Random
) -> _Connection | None:
    """Ask once, and return a connection that can be used again."""
    route, stream, more = _KINDS[turn % len(_KINDS)]
    key = "poor" if route == "planned" and turn % 3 == 0 else "app"
    nonce = f"nonce-{turn:07}"
    body = json.dumps(
        {
            "model": route,
            "messages": [{"role": "user", "content": f"say {nonce}"}],
            "user": f"{route}:{key}",
            "max_tokens": _MOST_TOKENS,
            "stream": stream,
            **more,
        }
    ).encode()
    head = f"POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {_KEYS[key]}\r\n"
    try:
        async with asyncio.timeout(_PATIENCE):
            if connection is None:
                connection = await asyncio.open_connection("127.0.0.1", port)
            reader, writer = connection
            writer.write(f"{head}content-length: {len(body)}\r\n\r\n".encode() + body)
            if rng.random() < _LEAVES:
                await asyncio.sleep(rng.random() / 2)
                found.left += 1
                await _close(writer)
                return None
            status, content, whole = await _read(reader)
    except (OSError, asyncio.IncompleteReadError) as error:  # with the end of patience, too
        found.lost.append(f"{nonce} {route} stream={stream} {type(error).__name__}: {error}")
        if connection is not None:
            await _close(connection[1])
        return None
    if not whole:
        found.broken += 1
        await _close(writer)
        connection = None
    named = set(_NONCE.findall(content))
    if b"Traceback" in content or named - {nonce.encode()}:
        found.wrong.append(f"{nonce} {route} {status} {content[:200]!r}")
    elif status == 200 and b'"error"' not in content:
        said = _text(content, stream)
        # Plans of one sample pass on what comes.
        passed = content == _bad_upstream.BABBLE or content.startswith(b'{"choices":[]')
        # At the end of a budget, which the answer says.
        cut = said and f"{nonce} is 4".startswith(said) and b'"length"' in content
        if whole and not (passed or cut) and said not in (f"{nonce} is 41", f"{nonce} is 42"):
            found.wrong.append(f"{nonce} {route} {status} {said!r} of {content[:200]!r}")
        found.answered += whole and not passed
    else:
        if status != 200 and not content.startswith(b'{"error"') and status not in (429, 500):
            found.wrong.append(f"{nonce} {route} {status} {content[:200]!r}")
        found.refused[status] += 1
    return connection


async def _close(writer: asyncio.StreamWriter) -> None:
    writer.close()
    with suppress(OSError):
        await writer.wait_closed()


async def _read(reader: asyncio.StreamReader) -> tuple[int, bytes, bool]:
    """Return the status, the content, and whether all of it came."""
    head = (await reader.readuntil(b"\r\n\r\n")).lower()
    status = int(head.split(b" ", 2)[1])
    if b"chunked" not in head:
        length = int(head.split(b"content-length:")[1].split(b"\r\n")[0])
        return status, await reader.readexactly(length), True
    pieces = []
    try:
        while size := int(await reader.readline() or b"x", 16):
            pieces.append((await reader.readexactly(size + 2))[:-2])
        await reader.readline()
    except (ValueError, OSError, asyncio.IncompleteReadError):
        return status, b"".join(pieces), False
    return status, b"".join(pieces), True


def _text(content: bytes, stream: bool) -> str:
    try:
        if not stream:
            return str(json.loads(content)["choices"][0]["message"]["content"])
        events = [line[6:] for line in content.decode().splitlines() if line.startswith("data: {")]
        choices = [one for event in events for one in json.loads(event).get("choices", ())]
        return "".join(one["delta"].get("content") or "" for one in choices)
    except (ValueError, KeyError, IndexError):
        return ""


def main(argv: Sequence[str] | None = None) -> None:
    """Run, and print what was found."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=120.0)
    parser.add_argument("--clients", type=int, default=500)
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args(argv)
    found = chaos(given.seconds, n_clients=given.clients, seed=given.seed)
    books, kept = found.books, found.kept
    print(f"asked {found.asked}, answered {found.answered}, left {found.left}, broken {found.broken}")
    print(f"refused {dict(sorted(found.refused.items()))}, wrong {len(found.wrong)}, lost {len(found.lost)}")
    print(
        f"upstream: {books.requests} requests; read {dict(books.read)}, unsure {dict(books.unsure)}, "
        f"broken off {dict(books.broken)}"
    )
    print(f"proxy: booked {kept.output_tokens}, key with a limit {kept.poor:g} of {_POOR:g}")
    print(f"windows of {_WINDOW[0]:g}, spent + lost (places that no upstream served):")
    print("  " + ", ".join(f"{spent:.0f} + {lost:.0f} ({n:.1f})" for spent, lost, n in kept.windows))
    faults = found.faults()
    print("\n".join(["", *faults]) if faults else "everything held")
    sys.exit(bool(faults))


if __name__ == "__main__":
    main()
