"""Ask an embedding endpoint what texts say, so that samples in open words can vote; one object per request.

Each text is asked for once. Where the endpoint fails, texts are compared by their words, and the failure is
counted; tokens are charged at the endpoint's own prices.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Final

import msgspec

from difficulty.errors import BackendError, InvalidInputError, InvalidResponseError
from difficulty.prompt import Prompt
from planner.answers.clusters import SemanticAnswer
from planner.answers.embedded import EmbeddedLikeness
from planner.answers.likeness import Likeness
from planner.answers.rules import FirstOf
from planner.ports.ports import AnswerExtractor, Backend, Completion, SampleRequest
from planner.serving.exchange import Answer, Call, beside
from planner.serving.refusal import Refusal
from planner.serving.selecting import EmbeddingWay
from policies.cost.usage import Usage

_MOST: Final = 8 * 2**20
# Characters of one text that are sent: models read a few hundred tokens at least.
_LONGEST: Final = 8000


class _Vector(msgspec.Struct):
    embedding: list[float]
    index: int | None = None


class _Stated(msgspec.Struct, frozen=True):
    prompt_tokens: int = 0
    total_tokens: int = 0


class _Reply(msgspec.Struct):
    data: list[_Vector]
    usage: _Stated = _Stated()


class Embedding:
    """The vectors of one request's samples.

    Parameters
    ----------
    way : EmbeddingWay
        Who is asked.
    call : Call
        The client's.
    paying : callable
        Returns a backend whose requests are paid for.

    Attributes
    ----------
    likeness : EmbeddedLikeness
        Compares texts.
    spent : Usage
        What all requests have used.
    n_failed : int
        Requests that came to nothing.
    """

    def __init__(self, way: EmbeddingWay, call: Call, *, paying: Callable[[Backend], Backend]) -> None:
        self._way, self._call = way, call
        self._backend = paying(_Asking(self))
        self._lock = asyncio.Lock()
        self.likeness = EmbeddedLikeness(threshold=way.threshold)
        self.spent = Usage()
        self.n_failed = 0

    async def read(self, extractor: AnswerExtractor, row: Sequence[Completion]) -> None:
        """Ask for the vectors of the texts in open words of some samples, where they have none yet."""
        found = (open_text(extractor, one.text) for one in row if one.finish_reason == "stop")
        texts = [text for text in dict.fromkeys(found) if text is not None]
        async with self._lock:
            new = [text for text in texts if not self.likeness.knows(text)]
            if not new:
                return
            # A request is paid for as one for a sample without output.
            sample = SampleRequest(
                prompt=Prompt(text="\n".join(new), messages=tuple({"content": text} for text in new)),
                generator=self._way.generator,
                n=1,
                seed=0,
            )
            try:
                await self._backend.sample([sample])
            except (BackendError, Refusal):
                self.n_failed += 1

    async def ask(self, texts: Sequence[str]) -> int:
        """Ask for vectors, take them, and return the tokens of the request."""
        source, end = self._way.source, "/embeddings"
        body = {
            "model": source.model,
            "input": [text[:_LONGEST] for text in texts],
            "encoding_format": "float",
        }
        headers = {name: value for name, value in self._call.headers.items() if name != "idempotency-key"}
        headers |= {"content-type": "application/json", "accept-encoding": "identity"}
        call = replace(
            self._call, path=f"/v1{end}", query="", headers=headers, url=beside(self._call.url, end)
        )
        answer = await source.origin.forward(call, body=msgspec.json.encode(body))
        content = await _whole(answer)
        if answer.status != 200:
            raise BackendError(f"the embedding endpoint answered {answer.status}", status=answer.status)
        try:
            reply = msgspec.json.decode(content, type=_Reply)
            if len(reply.data) != len(texts):
                raise InvalidResponseError("the endpoint sent another number of embeddings")
            for place, one in enumerate(reply.data):
                at = place if one.index is None or not 0 <= one.index < len(texts) else one.index
                self.likeness.add(texts[at], one.embedding)
        except (msgspec.MsgspecError, ValueError, RecursionError, InvalidInputError) as error:
            raise InvalidResponseError(f"the endpoint sent no embeddings: {error}") from None
        tokens = max(reply.usage.prompt_tokens, reply.usage.total_tokens, 0)
        self.spent += Usage(requests=1, prompt_tokens=tokens)
        return tokens


class _Asking:
    """The requests of an embedding as a backend."""

    draws_singly = True

    def __init__(self, embedding: Embedding) -> None:
        self._embedding = embedding

    async def sample(self, requests: Sequence[SampleRequest]) -> list[list[Completion]]:
        """Ask for the texts of each request."""
        rows = []
        for request in requests:
            texts = [str(message["content"]) for message in request.prompt.messages]
            tokens = await self._embedding.ask(texts)
            rows.append([Completion(text="", prompt_tokens=tokens, output_tokens=0, finish_reason="stop")])
        return rows


def open_text(extractor: AnswerExtractor, text: str) -> str | None:
    """Return the text that groups are made by, None where another rule finds an answer.

    Examples
    --------
    >>> from planner.answers.rules import LastNumber
    >>> rule = FirstOf(rules=(LastNumber(), SemanticAnswer()))
    >>> open_text(rule, "It is Paris."), open_text(rule, "It is 42.")
    ('It is Paris', None)
    """
    if isinstance(extractor, SemanticAnswer):
        return SemanticAnswer().extract(text, "stop")
    if isinstance(extractor, FirstOf):
        for rule in extractor.rules:
            if isinstance(rule, SemanticAnswer):
                return open_text(rule, text)
            if rule.extract(text, "stop") is not None:
                return None
    return None


def compared_by(extractor: AnswerExtractor, likeness: Likeness) -> AnswerExtractor:
    """Return an extractor whose texts in open words are compared by `likeness`."""
    if isinstance(extractor, SemanticAnswer):
        return SemanticAnswer(likeness=likeness)
    if isinstance(extractor, FirstOf):
        return FirstOf(
            rules=tuple(
                SemanticAnswer(likeness=likeness) if isinstance(rule, SemanticAnswer) else rule
                for rule in extractor.rules
            )
        )
    return extractor


async def _whole(answer: Answer) -> bytes:
    if isinstance(answer.body, bytes):
        return answer.body
    parts, size = [], 0
    try:
        async for piece in answer.body:
            parts.append(piece)
            size += len(piece)
            if size > _MOST:
                raise InvalidResponseError("the embedding endpoint sent too much")
    finally:
        await answer.body.aclose()
    return b"".join(parts)
