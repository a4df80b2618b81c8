"""Draw samples from a causal language model in this process, on a GPU or on the CPU, through transformers.

Calls that arrive while the model is busy are decoded together in the next batch; a sample's outcome does not
depend on its company. It assumes a model that one machine holds; serving many users is left to real engines.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from os import PathLike
from typing import Any, Self, final

from difficulty.errors import BackendError, InvalidInputError, require
from planner.backends.decoding import Row, decode, plan_groups
from planner.backends.prompt_text import check_request, tokens_of
from planner.backends.results import Drawn, Spent, assemble
from planner.backends.seeded_sampling import sample_key
from planner.backends.stop_strings import StopStrings
from planner.backends.thinking import Thought
from planner.files.models import load_model
from planner.ports.ports import Completion, Metered, SampleRequest
from policies.cost.usage import Usage

__all__ = ["TransformersBackend"]


@dataclass(kw_only=True, slots=True, eq=False)
class _Job:
    """One call of `sample`: its requests with their tokens, and where the results go."""

    requests: Sequence[SampleRequest]
    prompts: Sequence[tuple[int, ...]]
    result: Future[list[list[Drawn]]] = field(default_factory=Future)
    wanted: bool = True


@final
class TransformersBackend:
    """Draws samples from a model of transformers.

    Parameters
    ----------
    model : causal language model
        Loaded and in evaluation mode; `load` does both.
    tokenizer : tokenizer
        With a chat template the prompt is sent as chat, without as plain text.
    max_batch_tokens : int
        Most tokens in a batch: prompts, padding and all that may be generated.
    max_output_tokens : int
        For requests and generators that set no limit.
    chat_options : mapping, optional
        Variables of the chat template, e.g. ``{"enable_thinking": False}``.
    thinking_tags : tuple of str
        What opens and closes a thought, for generators with a thinking budget: when the thought has had its
        `thinking_tokens`, the closing tag is put in (`planner.backends.thinking`).

    Notes
    -----
    Plain sampling: temperature and top-p of the generator, nothing of the model's own generation settings.
    Each sample is seeded by itself. Results repeat exactly for equal batches; for other batches, up to the
    rounding of the model's arithmetic, which changes with the shape of a batch (rarely visible in float32,
    now and then in bfloat16). Models whose cache is a recurrent state are not covered.

    Examples
    --------
    ``backend = TransformersBackend.load("folder/of/a/model")``, then ``await backend.sample(requests)``.
    """

    def __init__(
        self,
        *,
        model: Any,
        tokenizer: Any,
        max_batch_tokens: int = 16_384,
        max_output_tokens: int = 1024,
        chat_options: Mapping[str, object] | None = None,
        thinking_tags: tuple[str, str] = ("<think>", "</think>"),
    ) -> None:
        if max_batch_tokens < 1 or max_output_tokens < 1:
            raise InvalidInputError("max_batch_tokens and max_output_tokens must be at least 1")
        self._model, self._tokenizer = model, tokenizer
        self._max_batch_tokens, self._max_output_tokens = max_batch_tokens, max_output_tokens
        self._chat_options, self._tags = dict(chat_options or {}), thinking_tags
        if len(thinking_tags) != 2 or "" in thinking_tags:
            raise InvalidInputError(f"thinking_tags are an opening and a closing tag, got {thinking_tags!r}")
        self._waiting: list[_Job] = []
        self._lock, self._engine = threading.Lock(), threading.Lock()
        self.spent = Spent()

    @classmethod
    def load(
        cls,
        path: str | PathLike[str],
        *,
        device: str | None = None,
        max_batch_tokens: int = 16_384,
        max_output_tokens: int = 1024,
        chat_options: Mapping[str, object] | None = None,
        thinking_tags: tuple[str, str] = ("<think>", "</think>"),
    ) -> Self:
        """Load a model from a folder or hub name: bfloat16 on a GPU, float32 on the CPU, safetensors only.

        Parameters
        ----------
        path : str or path
            Folder, or name on the hub.
        device : str, optional
            Where it runs; by default a GPU where there is one.
        max_batch_tokens, max_output_tokens, chat_options, thinking_tags
            As in the class.

        Raises
        ------
        MissingDependencyError
            When torch or transformers is not installed.
        """
        model, tokenizer = load_model(path, "AutoModelForCausalLM", device=device)
        return cls(
            model=model,
            tokenizer=tokenizer,
            max_batch_tokens=max_batch_tokens,
            max_output_tokens=max_output_tokens,
            chat_options=chat_options,
            thinking_tags=thinking_tags,
        )

    def prompt_tokens(self, request: SampleRequest) -> int:
        """Return the prompt tokens that a request will be charged."""
        return len(tokens_of(self._tokenizer, request, options=self._chat_options))

    async def sample(self, requests: Sequence[SampleRequest]) -> list[list[Completion]]:
        """Return `n` completions per request; a call that is cancelled says exactly what it has used.

        Raises
        ------
        InvalidInputError
            Before anything is drawn, when a request cannot be meant.
        BackendError
            When no request fits the model's context, or the device ran out of memory.
        """
        for request in requests:
            check_request(request)
        prompts = [tuple(tokens_of(self._tokenizer, one, options=self._chat_options)) for one in requests]
        job = _Job(requests=requests, prompts=prompts)
        with self._lock:
            self._waiting.append(job)
        try:
            await asyncio.to_thread(self._serve, job)
        except asyncio.CancelledError as error:
            job.wanted = False
            error.args = await self._used(job)
            raise
        return assemble(job.result.result())

    async def _used(self, job: _Job) -> tuple[Metered, ...]:
        """Return what a job has used that nobody wants any more, as soon as the model is done with it."""
        with self._lock:
            if job in self._waiting:
                self._waiting.remove(job)
                return (Metered(Usage(), exact=True),)
        try:
            rows = await asyncio.shield(asyncio.wrap_future(job.result))
        except BackendError:
            return ()
        usage = Usage(requests=len(rows))
        for completion in (one for row in rows for one in row if isinstance(one, Completion)):
            usage += Usage(
                prompt_tokens=completion.prompt_tokens,
                cached_prompt_tokens=completion.cached_prompt_tokens,
                output_tokens=completion.output_tokens,
            )
        return (Metered(usage, exact=True),)

    def _serve(self, job: _Job) -> None:
        """Run all waiting jobs in one go, unless another thread has run this one meanwhile."""
        with self._engine:
            if job.result.done():
                return
            with self._lock:
                jobs, self._waiting = self._waiting, []
            try:
                self._run(jobs)
            finally:
                # Where the model fails, its error goes to the job at hand, and none of the others waits on.
                for other in jobs:
                    if not other.result.done():
                        other.result.set_exception(BackendError("the model failed on the batch"))

    def _run(self, jobs: Sequence[_Job]) -> None:
        """Decode the samples of several jobs together and hand out the results."""
        torch = require("torch", extra="local")
        prompts = list(dict.fromkeys(prompt for job in jobs for prompt in job.prompts))
        place = {prompt: index for index, prompt in enumerate(prompts)}
        rows = {
            (id(job), at): self._rows(job, request, prompt, place[prompt])
            for job in jobs
            for at, (request, prompt) in enumerate(zip(job.requests, job.prompts, strict=True))
        }
        groups = plan_groups(
            [len(prompt) for prompt in prompts],
            [row for members in rows.values() for row in members],
            max_batch_tokens=self._max_batch_tokens,
        )
        ends = self._end_tokens()
        try:
            for group in groups:
                decode(self._model, prompts, group, end_tokens=ends)
        except torch.OutOfMemoryError as error:
            failure = BackendError(f"the device is out of memory; lower max_batch_tokens ({error})")
            for job in jobs:
                job.result.set_result([[failure] * request.n for request in job.requests])
            return
        read: set[tuple[int, ...]] = set()
        for job in jobs:
            results: list[list[Drawn]] = []
            for at, (request, prompt) in enumerate(zip(job.requests, job.prompts, strict=True)):
                results.append(self._results(request, prompt, rows[id(job), at], cached=prompt in read))
                read.add(prompt)
            job.result.set_result(results)

    def _rows(self, job: _Job, request: SampleRequest, prompt: tuple[int, ...], place: int) -> list[Row]:
        """Return the rows of a request; none where the prompt does not fit."""
        most = request.most_output_tokens
        limit = self._max_output_tokens if most is None else most
        context = getattr(self._model.config, "max_position_embeddings", None) or len(prompt) + limit
        if len(prompt) >= context:
            return []
        stop = StopStrings(self._tokenizer, request.stop)
        temperature, top_p = request.generator.temperature, request.generator.top_p
        return [
            Row(
                prompt=place,
                key=sample_key(prompt, request.seed + offset),
                limit=min(limit, context - len(prompt)),
                temperature=1.0 if temperature is None else temperature,
                top_p=1.0 if top_p is None else top_p,
                ends=stop.reached,
                wanted=lambda: job.wanted,
                thought=self._thought(request, prompt),
            )
            for offset in range(request.n)
        ]

    def _thought(self, request: SampleRequest, prompt: tuple[int, ...]) -> Thought | None:
        """Return what holds one sample to its thinking budget, where it has one."""
        budget = request.generator.thinking_tokens
        if budget is None:
            return None
        opening, closing = self._tags
        tail = self._tokenizer.decode(prompt[-len(opening.encode()) - 4 :])
        return Thought(
            budget=budget,
            tags=self._tags,
            closing=self._tokenizer(closing, add_special_tokens=False)["input_ids"],
            open_already=tail.rstrip().endswith(opening),
            decode=self._tokenizer.decode,
        )

    def _results(
        self, request: SampleRequest, prompt: tuple[int, ...], rows: Sequence[Row], *, cached: bool
    ) -> list[Drawn]:
        """Turn finished rows into completions, and book them."""
        if not rows:
            reason = (
                f"prompt {request.prompt.id!r} has {len(prompt)} tokens, which do not fit the model's context"
            )
            return [BackendError(reason, failed_requests=0)] * request.n
        stop, ends = StopStrings(self._tokenizer, request.stop), self._end_tokens()
        completions: list[Drawn] = []
        for index, row in enumerate(rows):
            tokens = [token for token in row.tokens if token not in ends]
            text, stop_string = stop.cut(self._tokenizer.decode(tokens, skip_special_tokens=True))
            prompt_tokens = 0 if index else len(prompt)
            completion = Completion(
                text=text,
                prompt_tokens=prompt_tokens,
                cached_prompt_tokens=prompt_tokens if cached else 0,
                output_tokens=len(row.tokens),
                finish_reason=row.finish or "error",
                mean_logprob=row.mean_logprob,
                stop_string=stop_string if row.finish == "stop" else None,
            )
            self.spent = self.spent.drawn(completion)
            completions.append(completion)
        return completions

    def _end_tokens(self) -> frozenset[int]:
        """Return the tokens that end a text, by the model's and by the tokenizer's account."""
        configured = getattr(self._model.generation_config, "eos_token_id", None)
        ends = configured if isinstance(configured, list) else [configured]
        return frozenset(end for end in (*ends, self._tokenizer.eos_token_id) if end is not None)
