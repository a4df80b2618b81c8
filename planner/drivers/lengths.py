"""How long samples are: what one may use at most, and what those of a generator have come to so far.

Lengths spread about as much as their mean, which is all that is assumed of them. What a server charged beyond
what was asked for, it may charge again. What may be sent is left to `planner.drivers.ledger`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

from difficulty.prompt import Prompt
from planner.drivers.accounts import Account
from planner.ports.ports import SampleRequest
from policies.cost.usage import Usage

_NOTHING = Usage()
# Prompts whose tokens nobody has counted: bytes per token at least, and tokens of a chat template.
_BYTES, _TEMPLATE = 2, 32


class Draw(NamedTuple):
    """What one sample may use, the cap on its output that it has to be sent with, the tokens of its prompt as
    far as they are known, whether each may turn out to be a request of its own, which sends the prompt again,
    and what a request may use beside its samples."""

    generator: str
    prompt: float
    tokens: float
    cap: int | None
    known: float = 0.0
    apart: bool = False
    beside: Usage = _NOTHING

    def usage(self, n: int) -> Usage:
        """Return what `n` of them may use."""
        sent = n if self.apart else 1
        return Usage(
            samples=n + self.beside.samples,
            prompt_tokens=sent * self.prompt,
            output_tokens=n * self.tokens + self.beside.output_tokens,
            requests=sent,
        )


@dataclass(frozen=True, slots=True)
class Seen:
    """Output tokens per sample of one generator so far."""

    most: float = 0.0
    samples: float = 0.0
    tokens: float = 0.0

    @property
    def mean(self) -> float:
        """Mean length; 0 where nothing was seen."""
        return self.tokens / max(self.samples, 1)

    @property
    def usual(self) -> float:
        """Mean plus two standard errors: output lengths spread about as much as their mean."""
        return self.mean * (1 + 2 / math.sqrt(self.samples))

    @property
    def bound(self) -> float:
        """A length that hardly any sample reaches."""
        hardly = 8 * self.mean * (1 + 8 / math.sqrt(self.samples))
        return float(math.ceil(max(hardly, 1.5 * self.most, 1.0)))

    def add(self, lengths: Sequence[float]) -> Seen:
        """Return these and further lengths."""
        return Seen(max(self.most, *lengths), self.samples + len(lengths), self.tokens + sum(lengths))


@dataclass(frozen=True, slots=True)
class Habits:
    """The most that any request so far was charged beyond what was asked for: prompt tokens in multiples of
    those that were known, and samples and output tokens beside those of its samples."""

    sent: float = 1.0
    beside: Usage = _NOTHING

    def add(self, sent: float, beside: Usage) -> Habits:
        """Return these and those of one more request."""
        if sent <= self.sent and beside == _NOTHING:
            return self
        most = Usage(
            samples=max(self.beside.samples, beside.samples),
            output_tokens=max(self.beside.output_tokens, beside.output_tokens),
        )
        return Habits(max(self.sent, sent), most)


NOTHING_SEEN: Final = Seen()


def bytes_of(request: SampleRequest) -> int:
    """Return how long the prompt of a request is."""
    texts = [request.prompt.text or "", *(str(one.get("content", "")) for one in request.prompt.messages)]
    return sum(len(text.encode()) for text in texts)


def about_as_much(request: SampleRequest) -> tuple[str, int, int]:
    """Return what is the same for requests whose samples hold about as much, within a factor of two."""
    cap = int(request.most_output_tokens or 0)
    return request.generator.name, cap.bit_length(), bytes_of(request).bit_length()


@dataclass(frozen=True, kw_only=True, slots=True)
class Counting:
    """How prompts are counted before they are sent.

    Parameters
    ----------
    exact : callable, optional
        What a backend will count of a request, None where it cannot say; in place of whatever else is known.
    fitted : callable, optional
        What prompts like this come to for a generator, as a log has it, for those that nobody has counted.
    """

    exact: Callable[[SampleRequest], int | None] | None = None
    fitted: Callable[[Prompt, str], float | None] | None = None

    def known(self, request: SampleRequest) -> float | None:
        """Return the tokens of the prompt itself; None where nobody knows."""
        told = request.prompt.prompt_tokens
        if told is None and self.fitted is not None:
            return self.fitted(request.prompt, request.generator.name)
        return told


def sent_tokens(
    request: SampleRequest, account: Account, habits: Habits, counting: Counting
) -> tuple[float, float]:
    """Return the prompt tokens of a request, and those of its prompt as far as they are known, 0 if not.

    Others were charged multiples of what was known; what nobody has counted is at least what its length makes
    of it.
    """
    exact = None if counting.exact is None else counting.exact(request)
    if exact is not None:
        return exact, exact
    known = counting.known(request) or 0.0
    sent = max(known * habits.sent, account.longest_prompt)
    if request.prompt.prompt_tokens is None:
        more = bytes_of(request) - account.longest_written
        guess = account.longest_prompt + max(math.ceil(more / _BYTES), 0)
        sent = max(sent, guess + (0 if account.longest_prompt else _TEMPLATE))
    # What a chain or a search sends again was drawn before, so that its tokens are known to be no more.
    prefix = sum(len(part.encode()) for part in request.prefix)
    return sent + min(prefix, account.usage.output_tokens + len(request.prefix)), known
