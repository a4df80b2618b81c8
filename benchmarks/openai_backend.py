"""Time what the OpenAI backend adds to its bare HTTP client, for the same requests to the same server.

The server is a stand-in in a process of its own that takes a fixed time per request, as an engine would, or
with ``--base-url`` a real one. The bare client is aiohttp, twice: it decodes the JSON of its replies (by
msgspec, the fastest reader that we know), as everybody must who wants an answer, or it throws them away,
which nobody does and which shows what the network alone costs. Requests that may be cancelled are streamed,
whole and in the same two ways. Rounds take turns; CPU is the client's alone.
"""

from __future__ import annotations

import argparse
import asyncio
import multiprocessing
import os
import time
from collections.abc import Callable, Coroutine, Sequence
from statistics import median
from typing import NamedTuple

import msgspec

from difficulty.generator import Generator
from difficulty.prompt import Prompt
from planner.backends.openai import OpenAIBackend
from planner.ports.ports import SampleRequest

TOKENS = 100


class Load(NamedTuple):
    """What is sent: requests for `choices` samples each, and how many at a time."""

    url: str
    model: str
    requests: int
    choices: int
    concurrency: int


def serve(ready: multiprocessing.Queue[int], seconds: float, n: int) -> None:
    """Answer every request after a while with the same choices of a hundred tokens, streamed if asked."""
    choice = {
        "finish_reason": "stop",
        "message": {"role": "assistant", "content": "word " * TOKENS},
        "logprobs": {"content": [{"token": "word ", "logprob": -0.5}] * TOKENS},
    }
    usage = {"prompt_tokens": 50, "completion_tokens": n * TOKENS}
    choices = [choice | {"index": index} for index in range(n)]
    body = msgspec.json.encode({"choices": choices, "usage": usage})
    word = {"delta": {"content": "word "}, "logprobs": {"content": [{"token": "word ", "logprob": -0.5}]}}
    end = {"delta": {}, "finish_reason": "stop"}
    parts = [{"choices": [word | {"index": index}]} for _ in range(TOKENS) for index in range(n)]
    parts += [{"choices": [end | {"index": index}]} for index in range(n)]
    events = [msgspec.json.encode(part) for part in [*parts, {"choices": [], "usage": usage}]] + [b"[DONE]"]
    stream = b"".join(b"data: " + event + b"\n\n" for event in events)

    def message(kind: str, content: bytes) -> bytes:
        head = f"HTTP/1.1 200 OK\r\ncontent-type: {kind}\r\ncontent-length: {len(content)}\r\n\r\n"
        return head.encode() + content

    whole, streamed = message("application/json", body), message("text/event-stream", stream)

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            try:
                header = await reader.readuntil(b"\r\n\r\n")
            except asyncio.IncompleteReadError:
                return writer.close()
            fields = dict(line.lower().split(b": ", 1) for line in header.split(b"\r\n")[1:-2])
            asked = await reader.readexactly(int(fields[b"content-length"]))
            await asyncio.sleep(seconds)
            writer.write(streamed if b'"stream":true' in asked.replace(b" ", b"") else whole)
            await writer.drain()

    async def run() -> None:
        server = await asyncio.start_server(answer, "127.0.0.1", 0)
        ready.put(server.sockets[0].getsockname()[1])
        await server.serve_forever()

    asyncio.run(run())


async def bare(load: Load, *, streamed: bool = False, read: Callable[[bytes], object] = len) -> None:
    """Post the same requests, and read the replies as told: by default not at all."""
    from aiohttp import ClientSession

    slots = asyncio.Semaphore(load.concurrency)
    async with ClientSession() as client:

        async def one(index: int) -> None:
            body: dict[str, object] = {
                "model": load.model,
                "messages": [{"role": "user", "content": f"prompt {index}"}],
                "n": load.choices,
                "seed": index,
                "logprobs": True,
                "max_tokens": TOKENS,
            }
            if streamed:
                body |= {"stream": True, "stream_options": {"include_usage": True}}
            async with slots, client.post(f"{load.url}/chat/completions", json=body) as reply:
                read(await reply.read())

        await asyncio.gather(*map(one, range(load.requests)))


def decode_events(stream: bytes) -> None:
    """Decode the events of a stream, and keep none."""
    for event in stream.split(b"\n\n"):
        if event.startswith(b"data: {"):
            msgspec.json.decode(event[6:])


async def through(load: Load, *, revocable: bool = False) -> None:
    """Send the same through the backend."""
    generator = Generator(name="g", model=load.model, max_output_tokens=TOKENS)
    requests = [
        SampleRequest(
            prompt=Prompt(text=f"prompt {index}"),
            generator=generator,
            n=load.choices,
            seed=index,
            revocable=revocable,
        )
        for index in range(load.requests)
    ]
    await OpenAIBackend(base_url=load.url, max_concurrency=load.concurrency).sample(requests)


def main(argv: Sequence[str] | None = None) -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--requests", type=int, default=200)
    parser.add_argument("--concurrency", type=int, default=16)
    parser.add_argument("--choices", type=int, default=4, help="samples per request")
    parser.add_argument("--seconds", type=float, default=0.2, help="time the stand-in takes per request")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--base-url", help="a real server, up to /v1, in place of the stand-in")
    parser.add_argument("--model", default="m", help="its name of the model")
    parser.add_argument("--quick", action="store_true", help="one repeat")
    options = parser.parse_args(argv)
    server, url = None, options.base_url
    if url is None:
        ready: multiprocessing.Queue[int] = multiprocessing.Queue()
        given = (ready, options.seconds, options.choices)
        server = multiprocessing.Process(target=serve, args=given, daemon=True)
        server.start()
        url = f"http://127.0.0.1:{ready.get()}/v1"
    load = Load(url, options.model, options.requests, options.choices, options.concurrency)
    runs: dict[str, Callable[[], Coroutine[object, object, None]]] = {
        "bare client": lambda: bare(load),
        "bare client, decoded": lambda: bare(load, read=msgspec.json.decode),
        "backend": lambda: through(load),
        "bare client, streamed": lambda: bare(load, streamed=True),
        "bare client, streamed, decoded": lambda: bare(load, streamed=True, read=decode_events),
        "backend, streamed": lambda: through(load, revocable=True),
    }
    wall: dict[str, list[float]] = {name: [] for name in runs}
    busy: dict[str, list[float]] = {name: [] for name in runs}
    for repeat in range((1 if options.quick else options.repeats) + 1):
        for name, run in runs.items():
            start, begun = time.perf_counter(), time.process_time()
            asyncio.run(run())
            if repeat:
                wall[name].append(time.perf_counter() - start)
                busy[name].append(time.process_time() - begun)
    if server is not None:
        server.kill()
    load_now = ", ".join(f"{one:.1f}" for one in os.getloadavg())
    print(f"{load.requests} requests for {load.choices} samples each, {load.concurrency} in flight")
    print(f"(load {load_now})")
    print(f"  {'':30s} {'wall s':>7s} {'CPU ms a request':>17s} {'x bare':>7s} {'x decoded':>10s}")
    cpu = {name: 1000 * median(busy[name]) / load.requests for name in busy}
    for name in runs:
        least = "bare client, streamed" if "streamed" in name else "bare client"
        ratios = f"{cpu[name] / cpu[least]:7.2f} {cpu[name] / cpu[least + ', decoded']:10.2f}"
        print(f"  {name:30s} {median(wall[name]):7.3f} {cpu[name]:17.3f} {ratios}")


if __name__ == "__main__":
    main()
