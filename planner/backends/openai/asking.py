"""One request for samples of one prompt, from the first try to completions or an error, with its bill.

Tries are repeated where that may mend them, written anew where the server refuses a field, and asked whole
where a stream broke; whatever they have used goes to the bill of what comes of it. Spreading samples over
requests is left to `planner.backends.openai.backend`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from difficulty.errors import BackendError, InvalidResponseError
from difficulty.logger import logger_of
from planner.backends.openai.completing import completions_of
from planner.backends.openai.counting import Asked, Counts, UsageMissing, count_tokens, plausible
from planner.backends.openai.failure import Failed, Way
from planner.backends.openai.learning import Feature, Findings, refused_feature, searchable, suspects
from planner.backends.openai.patience import Patience
from planner.backends.openai.request import RequestStyle
from planner.backends.openai.secret import Secret
from planner.backends.openai.sending import Sender
from planner.backends.openai.stream import Pieces, stream_fields
from planner.backends.openai.wire import Reply
from planner.backends.results import Books, Drawn, Meter
from planner.ports.ports import SampleRequest
from policies.cost.usage import Usage

_LOG: Final = logger_of(__name__)

# Prompts that are refused in words that name no field: so many are tried without one field after the other.
_SEARCHES: Final = 3


class Server(NamedTuple):
    """What all requests of a backend share."""

    where: str
    style: RequestStyle
    findings: Findings
    patience: Patience
    secret: Secret
    counter: Callable[[str], int] | None
    books: Books


@dataclass(slots=True)
class _Bill:
    """What tries that came to nothing have used; `blind` of them nobody counted to the end."""

    failed: int = 0
    prompt_tokens: int = 0
    output_tokens: int = 0
    broken_streams: int = 0
    blind: int = 0
    remarks: list[str] = field(default_factory=list)


class Asking:
    """One request.

    Parameters
    ----------
    server : Server
        Who is asked.
    line : Sender
        Its open connections.
    request : SampleRequest
        The prompt.
    n, offset : int
        Samples wanted, and the place of the first one among all of the request's.
    meter : Meter
        The books of the call, in case that it is cancelled.
    """

    def __init__(
        self, server: Server, line: Sender, request: SampleRequest, *, n: int, offset: int, meter: Meter
    ) -> None:
        self._server, self._line, self._request, self._meter = server, line, request, meter
        self._wanted = self._n = n
        self._seed = request.seed + offset
        self._model = server.style.model_of(request)
        self._traits = server.findings.known(self._model)
        self._refused: dict[Feature, str] = {}
        self._ask_whole = False
        self._retries = 0
        self._bill = _Bill()
        self._in_flight: Pieces | None = None
        self._streamed = False
        self._asked = Asked(n=n, prompt="")

    async def drawn(self) -> list[Drawn]:
        """Return the samples, fewer than wanted where the server gives them one by one, or their error."""
        try:
            async with self._line.slots:
                while True:
                    try:
                        return self._finish(await self._once())
                    except (Failed, InvalidResponseError) as failure:
                        found = await self._after(failure)
                    if found is not None:
                        return found
        except asyncio.CancelledError:
            self._cancel()
            raise

    async def _once(self) -> Reply:
        """Send the request once, as it is written now."""
        server, request = self._server, self._request
        self._streamed = request.revocable and self._traits.streams and not self._ask_whole
        body = server.style.body(request, n=self._n, seed=self._seed, traits=self._traits)
        limit = body.get(self._traits.limit_field)
        self._asked = Asked(
            n=self._n,
            prompt=server.style.prompt_text(request),
            most_output=limit if isinstance(limit, int) else None,
            only_text=server.style.only_text(request),
            counter=server.counter,
        )
        if self._streamed:
            body |= stream_fields(running_usage=self._traits.running_usage)
        self._in_flight = pieces = Pieces(n=self._n, streamed=self._streamed)
        try:
            await self._line.send(server.style, body, pieces.feed)
            return pieces.reply()
        except Failed as failure:
            if failure.way in (Way.BROKEN, Way.LATE) and pieces.settled:
                return pieces.reply()
            raise

    def _finish(self, reply: Reply) -> list[Drawn]:
        """Book a reply that can be read, learn from it and return its completions."""
        server, n, findings = self._server, self._n, self._server.findings
        try:
            counts = count_tokens(reply, self._asked)
        except UsageMissing as missing:
            if self._streamed and "streams" not in self._refused:
                # Whole replies may have what streams leave out.
                self._do_without("streams", "streams bring no usage")
            raise missing.error() from None
        server.patience.answered()
        findings.learn(self._model, self._refused)
        findings.prove(self._model, self._traits, n=min(n, len(reply.choices)), streamed=self._streamed)
        if len(reply.choices) < n:
            findings.single(self._model, f"{len(reply.choices)} of {n} choices came")
        elif n > 1 and counts.fell_short:
            findings.single(self._model, "the usage counts fewer tokens than the choices have")
        elif n > 1 and self._traits.logprobs and any(one.texts and not one.logprobs for one in reply.choices):
            findings.single(self._model, "without log-probabilities nobody knows whose the tokens are")
        self._in_flight = None
        return self._booked(reply, counts)

    def _booked(self, reply: Reply, counts: Counts) -> list[Drawn]:
        bill = self._bill
        # A stream that broke off had read the prompt, also where it never said how long that is.
        bill.prompt_tokens += bill.broken_streams * counts.prompt
        bill.output_tokens += counts.surplus
        if bill.blind:
            bill.remarks.append(
                f"UnmeteredTries: {bill.blind} tries were late or broke off; what the server generated for "
                "them, beyond what had come, is not known"
            )
        completions = completions_of(
            reply,
            counts,
            failed_requests=bill.failed,
            lost=(bill.prompt_tokens, bill.output_tokens),
            remarks=(*counts.remarks, *bill.remarks),
            echo=self._server.style.echo(self._request),
            secret=self._server.secret,
        )
        used = Usage(
            samples=len(completions),
            requests=1,
            prompt_tokens=counts.prompt,
            cached_prompt_tokens=counts.cached,
            output_tokens=sum(counts.output),
        )
        meter, books = self._meter, self._server.books
        unused = [one for one in completions if one.finish_reason == "error"]
        if not (unused or bill.broken_streams or counts.surplus):
            meter.complete(used)
            books.add("completed", used)
            return list(completions)
        lost = Usage(prompt_tokens=bill.broken_streams * counts.prompt, output_tokens=counts.surplus)
        wasted = Usage(samples=len(unused), output_tokens=sum(one.output_tokens for one in unused))
        meter.complete(used + lost)
        books.add("completed", used - wasted)
        books.add("failed", wasted + lost)
        return list(completions)

    async def _after(self, failure: Failed | InvalidResponseError) -> list[Drawn] | None:
        """Decide what comes after a failed try: None for another one, else what is returned in the end."""
        pieces = self._lose(failure)
        if self._n > 1 and (pieces.mixed_up or pieces.empty):
            self._do_without("n", "one request per sample: the choices of a request cannot be told apart")
            return None
        if isinstance(failure, Failed) and failure.way is Way.REFUSED:
            feature = refused_feature(self._traits, failure, n=self._n, streamed=self._streamed)
            if feature is not None and feature not in self._refused:
                self._do_without(feature)
                return None
            if searchable(failure) and not self._refused:
                return await self._search(failure)
        if pieces.begun and not self._ask_whole:
            self._ask_whole = True
            return None
        if isinstance(failure, Failed):
            self._retries += 1
            wait = self._server.patience.wait(failure, failed=self._retries)
            if wait is not None:
                _LOG.info("trying again in %.1f s: %s", wait, failure)
                await asyncio.sleep(wait)
                return None
        return self._failed(failure)

    async def _search(self, failure: Failed) -> list[Drawn] | None:
        """Find out which field a refusal without a name means: by what is answered without it."""
        findings = self._server.findings
        async with self._line.finding_out:
            known = findings.known(self._model)
            if not known.same_requests(self._traits):
                self._traits, self._n = known, self._n if known.native_n and known.logprobs else 1
                return None
            plans = list(suspects(self._traits, n=self._n, streamed=self._streamed))
            if not plans or findings.searches >= _SEARCHES:
                return self._failed(failure)
            findings.searches += 1
            traits, n = self._traits, self._n
            for features in plans:
                self._traits, self._n, self._refused = traits, n, {}
                for feature in features:
                    self._do_without(feature)
                try:
                    return self._finish(await self._once())
                except (Failed, InvalidResponseError) as other:
                    self._lose(other)
            return self._failed(failure)

    def _do_without(self, feature: Feature, reason: str = "") -> None:
        """Write further tries without a feature; it is learnt when one of them is answered."""
        self._refused[feature] = reason
        self._traits = self._traits.without(feature)
        if feature in ("n", "logprobs"):
            # Without log-probabilities nobody could say how the usage of one request splits over its choices.
            self._n = 1

    def _lose(self, failure: Failed | InvalidResponseError) -> Pieces:
        """Book a failed try, with what is known that it has used, and return what had come of it."""
        pieces, self._in_flight = self._in_flight, None
        assert pieces is not None
        bill = self._bill
        bill.failed += 1
        prompt, output = 0, 0
        if pieces.begun:
            seen = self._asked.bounded(pieces.usage())
            prompt, output = int(seen.prompt_tokens), int(seen.output_tokens)
            bill.broken_streams += not pieces.prompt_is_known
        elif isinstance(failure, InvalidResponseError):
            prompt, output = plausible(failure, self._asked)
        if isinstance(failure, Failed) and failure.way in (Way.BROKEN, Way.LATE):
            bill.blind += 1
        bill.prompt_tokens += prompt
        bill.output_tokens += output
        lost = Usage(requests=1, failed_requests=1, prompt_tokens=prompt, output_tokens=output)
        self._meter.complete(lost)
        self._server.books.add("failed", lost)
        return pieces

    def _failed(self, failure: Failed | InvalidResponseError) -> list[Drawn]:
        """Return the error that every sample of this request met."""
        bill, secret = self._bill, self._server.secret
        if isinstance(failure, Failed):
            error = failure.error(self._server.where, bill.failed)
        else:
            error = type(failure)(failure.reason, status=failure.status)
        reason = secret.removed_from(error.reason)
        told: BackendError = type(error)(
            reason,
            status=error.status,
            failed_requests=bill.failed,
            prompt_tokens=bill.prompt_tokens,
            output_tokens=bill.output_tokens,
            retry_after=error.retry_after,
        )
        self._server.books.add("failed", Usage(samples=self._wanted))
        return [told] * self._wanted

    def _cancel(self) -> None:
        """Book what was in flight when the call was cancelled, as far as it is known."""
        pieces = self._in_flight
        if pieces is None:
            self._meter.cancel(Usage(), known=True, exact=True)
            return
        used = self._asked.bounded(pieces.usage()) if self._streamed else Usage(samples=self._n, requests=1)
        self._meter.cancel(used, known=self._streamed, exact=False)
        self._server.books.add("cancelled", used)
