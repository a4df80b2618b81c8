"""What every backend owes; a new backend adds one line to the list in its test file."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest

from difficulty.errors import InvalidInputError
from difficulty.generator import Generator
from difficulty.prompt import Prompt
from planner.ports.ports import Backend, SampleRequest

MakeBackend = Callable[[], Backend]


def request(
    text: str = "what is 1+2",
    *,
    id: str = "p1",
    n: int = 1,
    seed: int = 3,
    generator: Generator | None = None,
    max_output_tokens: int | None = None,
    prefix: tuple[str, ...] = (),
    stop: tuple[str, ...] = (),
) -> SampleRequest:
    return SampleRequest(
        prompt=Prompt(id=id, text=text),
        generator=generator or Generator(name="tiny", model="tiny", temperature=1.0, max_output_tokens=16),
        n=n,
        seed=seed,
        prefix=prefix,
        max_output_tokens=max_output_tokens,
        stop=stop,
    )


class BackendContract:
    """Checks that hold for all backends; a subclass gives the fixture `make`."""

    @pytest.fixture
    def make(self) -> MakeBackend:
        raise AssertionError("a subclass overrides this fixture")

    async def test_each_request_gets_its_n_in_order(self, make: MakeBackend) -> None:
        requests = [request(n=3), request("what is 2+2, really", id="p2", n=1), request("what", id="p3", n=2)]
        results = await make().sample(requests)
        assert [len(completions) for completions in results] == [3, 1, 2]
        for completions in results:
            for completion in completions:
                assert completion.finish_reason in ("stop", "length")
                assert completion.error is None
                assert completion.output_tokens >= 0

    async def test_the_prompt_is_counted_and_not_once_per_sample(self, make: MakeBackend) -> None:
        [completions] = await make().sample([request(n=3)])
        assert completions[0].prompt_tokens > 0
        assert all(0 <= c.cached_prompt_tokens <= c.prompt_tokens for c in completions)

    async def test_who_counts_prompts_before_sending_counts_them_rightly(self, make: MakeBackend) -> None:
        backend = make()
        counts = getattr(backend, "prompt_tokens", None)
        if counts is not None:
            asked = request("what is 2+2, really", id="p2")
            ((completion,),) = await backend.sample([asked])
            assert counts(asked) == completion.prompt_tokens

    async def test_a_fresh_backend_and_the_same_seed_give_the_same(self, make: MakeBackend) -> None:
        requests = [request(n=3), request("what is 2+2, really", id="p2", n=2)]
        assert await make().sample(requests) == await make().sample(requests)

    async def test_a_sample_does_not_depend_on_its_company(self, make: MakeBackend) -> None:
        alone = await make().sample([request(n=2)])
        company = await make().sample([request("what is 2+2, really", id="p2", n=3), request(n=2)])
        assert [c.text for c in company[1]] == [c.text for c in alone[0]]

    async def test_no_request_gives_no_result(self, make: MakeBackend) -> None:
        assert list(await make().sample([])) == []

    async def test_n_below_one_is_refused(self, make: MakeBackend) -> None:
        with pytest.raises(InvalidInputError, match="at least 1"):
            await make().sample([request(n=0)])

    async def test_calls_may_overlap(self, make: MakeBackend) -> None:
        backend = make()
        results = await asyncio.gather(*(backend.sample([request(n=1)]) for _ in range(3)))
        assert [len(result[0]) for result in results] == [1, 1, 1]

    def test_one_backend_serves_two_event_loops(self, make: MakeBackend) -> None:
        backend = make()
        for _ in range(2):
            assert len(asyncio.run(_sample(backend))[0]) == 1


async def _sample(backend: Backend) -> list[list[object]]:
    return [list(completions) for completions in await backend.sample([request(n=1)])]
