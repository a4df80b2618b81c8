"""The transformers backend on a tiny random model that is built here."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from backend_contract import BackendContract, MakeBackend, request
from tiny_model import tiny_model, tiny_tokenizer

from difficulty.errors import BackendError, InvalidInputError, InvalidPromptError
from difficulty.generator import Generator
from difficulty.prompt import Prompt
from planner.backends.kv_cache import cache_argument, cache_of
from planner.backends.results import Spent
from planner.backends.transformers import TransformersBackend
from planner.ports.ports import Metered, SampleRequest
from policies.cost.usage import Usage

torch = pytest.importorskip("torch", reason="extra 'local' is not installed")
transformers = pytest.importorskip("transformers", reason="extra 'local' is not installed")


class OlderOutput(dict[str, Any]):
    @property
    def logits(self) -> Any:
        return self["logits"]


class OlderModel:
    """A model that calls its cache ``past_key_values``, as all did before transformers 5.24."""

    def __init__(self, model: Any) -> None:
        self._model = model

    def __getattr__(self, name: str) -> Any:
        return getattr(self._model, name)

    def __call__(self, **arguments: Any) -> OlderOutput:
        return self.forward(**arguments)

    def forward(self, *, past_key_values: Any = None, **arguments: Any) -> OlderOutput:
        name = cache_argument(self._model)
        output = self._model(**arguments, **({} if past_key_values is None else {name: past_key_values}))
        return OlderOutput(logits=output.logits, past_key_values=cache_of(output))


def backend(**options: Any) -> TransformersBackend:
    return TransformersBackend(**({"model": tiny_model(), "tokenizer": tiny_tokenizer()} | options))


class TestContract(BackendContract):
    @pytest.fixture
    def make(self) -> MakeBackend:
        return backend


class TestContractInSmallBatches(BackendContract):
    @pytest.fixture
    def make(self) -> MakeBackend:
        return lambda: backend(max_batch_tokens=60)


async def test_a_sample_depends_on_its_seed_alone() -> None:
    [together] = await backend().sample([request(n=4, seed=10)])
    for index in (0, 3):
        [[alone]] = await backend(max_batch_tokens=1).sample([request(n=1, seed=10 + index)])
        assert alone.text == together[index].text
        assert alone.mean_logprob == pytest.approx(together[index].mean_logprob, abs=1e-5)
    assert len({completion.text for completion in together}) == 4


async def test_models_that_name_their_cache_as_before_give_the_same() -> None:
    older = backend(model=OlderModel(tiny_model()))
    assert await older.sample([request(n=4, seed=10)]) == await backend().sample([request(n=4, seed=10)])


async def test_the_same_seed_on_another_prompt_is_other_luck() -> None:
    [[one], [other]] = await backend().sample([request("what is 1+2"), request("what is 1+3", id="p2")])
    assert one.text != other.text


async def test_greedy_is_what_transformers_generates() -> None:
    greedy = Generator(name="g", temperature=0.0, max_output_tokens=12)
    text = "what is 1+2"
    [[one], [two]] = await backend().sample(
        [
            request(text, generator=greedy),
            request("a much longer question, is it?", id="p2", generator=greedy),
        ]
    )
    tokens = tiny_tokenizer()(text, return_tensors="pt")["input_ids"]
    expected = tiny_model().generate(
        tokens, attention_mask=torch.ones_like(tokens), do_sample=False, max_new_tokens=12
    )
    new = [token for token in expected[0, tokens.shape[1] :].tolist() if token != 0]
    assert one.text == tiny_tokenizer().decode(new)
    assert two.finish_reason in ("stop", "length")


async def test_mean_logprob_is_the_models_own() -> None:
    [[one]] = await backend().sample(
        [request(generator=Generator(name="g", temperature=1.7, max_output_tokens=9))]
    )
    prompt = tiny_tokenizer()("what is 1+2")["input_ids"]
    ids = prompt + tiny_tokenizer()(one.text, add_special_tokens=False)["input_ids"]
    ids += [0] if one.finish_reason == "stop" else []
    with torch.inference_mode():
        logprobs = tiny_model()(torch.tensor([ids])).logits[0].log_softmax(-1)
    values = [logprobs[at - 1, ids[at]].item() for at in range(len(prompt), len(ids))]
    assert len(values) == one.output_tokens
    assert one.mean_logprob == pytest.approx(sum(values) / len(values), abs=1e-4)


async def test_a_prefix_is_continued_and_is_not_in_the_text() -> None:
    [[whole]] = await backend().sample([request("what is 1+2 so far")])
    [[continued]] = await backend().sample([request("what is 1+2", prefix=(" so", " far"))])
    assert continued.text == whole.text


async def test_stop_strings_end_the_text_before_them() -> None:
    long = Generator(name="g", temperature=1.0, max_output_tokens=60)
    [plain] = await backend().sample([request(n=8, generator=long)])
    stopped = await backend().sample([request(n=8, generator=long, stop=("e", "zz"))])
    for one, other in zip(plain, stopped[0], strict=True):
        assert other.text == one.text.split("e")[0].split("zz")[0]
        if "e" in one.text:
            assert (other.finish_reason, other.stop_string) == ("stop", "e")
            assert other.output_tokens == len(other.text) + 1
        elif other.finish_reason == "stop":
            assert other.stop_string == ""


async def test_limits_of_request_generator_and_context() -> None:
    [[short]] = await backend().sample([request(max_output_tokens=3)])
    assert short.output_tokens <= 3
    endless = Generator(name="g", temperature=1.0)
    [many] = await backend().sample([request("x" * 80, n=4, generator=endless)])
    assert all(completion.output_tokens <= 16 for completion in many)
    assert any(completion.finish_reason == "length" for completion in many)


async def test_a_prompt_that_does_not_fit_is_an_error_and_loses_no_other() -> None:
    with pytest.raises(BackendError, match="do not fit"):
        await backend().sample([request("x" * 96)])
    [[failed], [fine]] = await backend().sample([request("x" * 96), request(id="p2")])
    assert failed.finish_reason == "error" and fine.finish_reason in ("stop", "length")


async def test_a_chat_template_is_used_and_messages_need_one() -> None:
    template = "{% for m in messages %}{{ m.content }}{% endfor %}{% if add_generation_prompt %}={% endif %}"
    [[chat]] = await backend(tokenizer=tiny_tokenizer(template)).sample([request("1+2")])
    [[plain]] = await backend().sample([request("1+2=")])
    assert chat.text == plain.text
    messages = Prompt(id="m", messages=({"role": "user", "content": "1+2"},))
    asked = SampleRequest(prompt=messages, generator=Generator(name="g"), n=1, seed=0)
    with pytest.raises(InvalidPromptError, match="no chat template"):
        await backend().sample([asked])


async def test_a_thought_that_has_had_its_tokens_is_closed() -> None:
    thinker = Generator(name="g", max_output_tokens=20, thinking_tokens=6)
    plain = Generator(name="g", max_output_tokens=20)
    one = backend(thinking_tags=("=", "?*?"))
    question = "what is 1+2 ="
    held = (await one.sample([request(question, n=4, seed=5, generator=thinker)]))[0]
    free = (await one.sample([request(question, n=4, seed=5, generator=plain)]))[0]
    for ours, theirs in zip(held, free, strict=True):
        # Up to its budget a sample is what it would have been; then comes the tag, and the model goes on.
        thought = theirs.text[:6]
        assert ours.text.startswith(thought + "?*?" if theirs.output_tokens > 6 else theirs.text)
        assert ours.output_tokens <= 20
    assert any(sample.output_tokens > 9 for sample in held)
    assert held[0].mean_logprob is not None


async def test_a_text_that_does_not_think_is_left_alone() -> None:
    thinker = Generator(name="g", max_output_tokens=20, thinking_tokens=2)
    one = backend(thinking_tags=("<<<", "?*?"))
    [held] = await one.sample([request(n=3, generator=thinker)])
    [free] = await one.sample([request(n=3, generator=Generator(name="g", max_output_tokens=20))])
    assert [sample.text for sample in held] == [sample.text for sample in free]
    with pytest.raises(InvalidInputError, match="thinking_tags"):
        backend(thinking_tags=("", "x"))


async def test_the_ledger_counts_every_token_and_reads_a_prompt_once() -> None:
    one = backend()
    [first, again] = await one.sample([request(n=2, seed=1), request(n=3, seed=9)])
    completions = [*first, *again]
    assert one.spent.completed.output_tokens == sum(c.output_tokens for c in completions)
    assert first[0].cached_prompt_tokens == 0
    assert again[0].cached_prompt_tokens == again[0].prompt_tokens == first[0].prompt_tokens


async def test_cancelled_work_stops_and_is_listed_apart() -> None:
    endless = Generator(name="g", temperature=1.0, max_output_tokens=80)
    one = backend(max_batch_tokens=1)
    task = asyncio.create_task(one.sample([request("a", n=200, generator=endless)]))
    while not one._engine.locked():
        await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError) as caught:
        await task
    spent = one.spent
    assert spent.cancelled.samples > 0
    # Exactly what was generated until then, and nothing for samples that had not begun.
    metered = Metered.of(caught.value)
    assert metered is not None and metered.exact
    assert metered.usage.output_tokens == spent.completed.output_tokens + spent.cancelled.output_tokens
    assert spent.cancelled.output_tokens < spent.cancelled.samples
    [[after]] = await one.sample([request()])
    assert after.finish_reason in ("stop", "length")


async def test_a_model_that_fails_leaves_no_other_call_waiting() -> None:
    class Broken:
        config = tiny_model().config
        generation_config = tiny_model().generation_config
        device = tiny_model().device

        def __call__(self, **_: Any) -> Any:
            raise RuntimeError("a broken layer")

    one = backend(model=Broken())
    with one._engine:
        calls = [asyncio.create_task(one.sample([request(seed=seed)])) for seed in (1, 2)]
        while len(one._waiting) < 2:
            await asyncio.sleep(0)
    ended = await asyncio.wait_for(asyncio.gather(*calls, return_exceptions=True), 30)
    assert {type(error) for error in ended} == {RuntimeError, BackendError}


async def test_work_that_has_not_begun_has_used_nothing() -> None:
    one = backend()
    with one._engine:
        waiting = asyncio.create_task(one.sample([request()]))
        while not one._waiting:
            await asyncio.sleep(0)
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError) as caught:
            await waiting
    assert Metered.of(caught.value) == Metered(Usage(), True)
    assert one.spent == Spent()
