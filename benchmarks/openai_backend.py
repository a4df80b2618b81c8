"""Time what the OpenAI backend adds to the bare client, for the same requests to the same server.

The server is a stand-in in a process of its own that takes a fixed time per request, as an engine would; the
bare client is the official one, called directly. What bounds it: the client's own work per request, which
both pay.
"""

from __future__ import annotations

import argparse
import asyncio
import multiprocessing
import time
from collections.abc import Sequence
from statistics import median

import msgspec

from difficulty.generator import Generator
from difficulty.prompt import Prompt
from planner.backends.openai import OpenAIBackend
from planner.ports import SampleRequest

CHOICES, TOKENS = 4, 100


def serve(ready: multiprocessing.Queue[int], seconds: float) -> None:
    """Answer every request after a while with the same four choices of a hundred tokens."""
    choice = {
        "finish_reason": "stop",
        "message": {"role": "assistant", "content": "word " * TOKENS},
        "logprobs": {"content": [{"token": "word ", "logprob": -0.5}] * TOKENS},
    }
    usage = {"prompt_tokens": 50, "completion_tokens": CHOICES * TOKENS}
    choices = [choice | {"index": index} for index in range(CHOICES)]
    body = msgspec.json.encode({"choices": choices, "usage": usage})
    head = (
        f"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {len(body)}\r\n\r\n".encode()
    )

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            try:
                header = await reader.readuntil(b"\r\n\r\n")
            except asyncio.IncompleteReadError:
                return writer.close()
            fields = dict(line.lower().split(b": ", 1) for line in header.split(b"\r\n")[1:-2])
            await reader.readexactly(int(fields[b"content-length"]))
            await asyncio.sleep(seconds)
            writer.write(head + body)
            await writer.drain()

    async def run() -> None:
        server = await asyncio.start_server(answer, "127.0.0.1", 0)
        ready.put(server.sockets[0].getsockname()[1])
        await server.serve_forever()

    asyncio.run(run())


async def bare(url: str, n_requests: int, concurrency: int) -> None:
    """Call the official client directly."""
    from openai import AsyncOpenAI

    slots = asyncio.Semaphore(concurrency)
    async with AsyncOpenAI(base_url=url, api_key="none") as client:

        async def one(index: int) -> int:
            async with slots:
                reply = await client.chat.completions.create(
                    model="m",
                    messages=[{"role": "user", "content": f"prompt {index}"}],
                    n=CHOICES,
                    seed=index,
                    logprobs=True,
                )
                return len(reply.choices)

        await asyncio.gather(*map(one, range(n_requests)))


async def through(url: str, n_requests: int, concurrency: int) -> None:
    """Send the same through the backend."""
    generator = Generator(name="g", model="m")
    requests = [
        SampleRequest(prompt=Prompt(text=f"prompt {index}"), generator=generator, n=CHOICES, seed=index)
        for index in range(n_requests)
    ]
    await OpenAIBackend(base_url=url, max_concurrency=concurrency).sample(requests)


def main(argv: Sequence[str] | None = None) -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--requests", type=int, default=200)
    parser.add_argument("--concurrency", type=int, default=16)
    parser.add_argument("--seconds", type=float, default=0.2, help="time the server takes per request")
    parser.add_argument("--repeats", type=int, default=5)
    options = parser.parse_args(argv)
    ready: multiprocessing.Queue[int] = multiprocessing.Queue()
    server = multiprocessing.Process(target=serve, args=(ready, options.seconds), daemon=True)
    server.start()
    url = f"http://127.0.0.1:{ready.get()}/v1"
    wall: dict[str, list[float]] = {"bare client": [], "backend": []}
    busy: dict[str, list[float]] = {"bare client": [], "backend": []}
    for repeat in range(options.repeats + 1):
        for name, run in (("bare client", bare), ("backend", through)):
            start, begun = time.perf_counter(), time.process_time()
            asyncio.run(run(url, options.requests, options.concurrency))
            if repeat:
                wall[name].append(time.perf_counter() - start)
                busy[name].append(time.process_time() - begun)
    server.kill()
    print(f"{options.requests} requests for {CHOICES} samples each, {options.concurrency} in flight")
    for name in wall:
        ratio = median(wall[name]) / median(wall["bare client"])
        cpu = 1000 * median(busy[name]) / options.requests
        print(f"  {name:12s} {median(wall[name]):7.3f} s  {ratio:6.3f} x  {cpu:6.2f} ms CPU a request")


if __name__ == "__main__":
    main()
