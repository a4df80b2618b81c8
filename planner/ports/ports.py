"""The four ports: what a plug-in must offer, and the values that cross.

A backend draws completions and a verifier scores them; both are one method. Requests and completions carry
all that an implementation may need, so that the strategies above stay free of input and output.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple, Protocol, Self, TypeAlias

from difficulty.errors import VerifierError
from difficulty.generator import Generator
from difficulty.prompt import Prompt
from policies.cost.usage import Usage

__all__ = [
    "AnswerExtractor",
    "Backend",
    "Completion",
    "FinishReason",
    "Grader",
    "Metered",
    "SampleRequest",
    "ScoreRequest",
    "Scores",
    "Verifier",
]

FinishReason: TypeAlias = Literal["stop", "length", "cancelled", "error"]


@dataclass(frozen=True, kw_only=True, slots=True)
class SampleRequest:
    """Ask for `n` completions of one prompt.

    Parameters
    ----------
    prompt : Prompt
        The question.
    generator : Generator
        How to draw.
    n : int
        Completions wanted, at least 1.
    seed : int
        Seed of the first completion; completion ``i`` uses ``seed + i``.
    prefix : tuple of str
        Text of the answer so far, in steps, that the completion continues (tree search, revision); the steps
        are joined with nothing between them, so that each carries its own delimiter.
    max_output_tokens : int, optional
        Cap for each completion, below the generator's own.
    stop : tuple of str
        Strings that end a completion; the string itself is not part of the text.
    revocable : bool
        The caller may cancel the call before its end, so that a backend should be able to say then what it
        has used (`Metered`), even where that takes some more effort.
    """

    prompt: Prompt
    generator: Generator
    n: int
    seed: int
    prefix: tuple[str, ...] = ()
    max_output_tokens: int | None = None
    stop: tuple[str, ...] = ()
    revocable: bool = False

    @property
    def most_output_tokens(self) -> int | None:
        """The lower of its own cap and the generator's; None where there is neither."""
        own, general = self.max_output_tokens, self.generator.max_output_tokens
        return general if own is None else own if general is None else min(own, general)


class Metered(NamedTuple):
    """What a cancelled call has used; a backend that knows gives it as argument of the `CancelledError`.

    Attributes
    ----------
    usage : Usage
        All that the call has used, completions included that were done and are lost with it.
    exact : bool
        False where it is a lower bound: an engine behind a network generates on for a moment.
    """

    usage: Usage
    exact: bool

    @classmethod
    def of(cls, error: BaseException) -> Self | None:
        """Return what an error says about its call, None where it says nothing."""
        return next((argument for argument in error.args if isinstance(argument, cls)), None)


@dataclass(frozen=True, kw_only=True, slots=True)
class Completion:
    """One completion as an engine returned it.

    Parameters
    ----------
    text : str
        Generated text, without the prefix.
    prompt_tokens, output_tokens : int
        What the engine counted; shared prefill is counted once per request, on the first completion.
    finish_reason : str
        ``"stop"``, ``"length"`` (truncated), ``"cancelled"`` or ``"error"``.
    mean_logprob : float, optional
        Mean log-probability per output token, in nats.
    cached_prompt_tokens : int
        The part of `prompt_tokens` that came from a prefix cache.
    reasoning : str, optional
        Thinking text, where the engine reports it apart from `text`; its tokens are in `output_tokens`.
    error : str, optional
        Kind and reason, e.g. ``"RetryableBackendError: timed out"``, when `finish_reason` is ``"error"``.
    failed_requests : int
        Attempts that failed on the way to this completion, retries included; counted on one completion only.
    stop_string : str, optional
        The requested stop string that ended the text; ``""`` when the model ended it by itself, None when the
        engine does not say. Tree search tells the end of a step from the end of the answer by it.
    lost_prompt_tokens, lost_output_tokens : int
        What failed attempts on the way to this completion have used, and completions that nobody asked for;
        not in `prompt_tokens` and `output_tokens`, and paid for as well.
    remarks : tuple of str
        What a reader of the books must know about these counts, each as ``"Kind: reason"``.
    reasoning_tokens : int
        The part of `output_tokens` that the engine says was thinking; 0 where it does not say.
    tool_calls : tuple of mapping
        Calls of tools as the server sent them; `text` ends with them, as `planner.answers.tool_calls` writes
        them.
    """

    text: str
    prompt_tokens: int
    output_tokens: int
    finish_reason: FinishReason
    mean_logprob: float | None = None
    cached_prompt_tokens: int = 0
    reasoning: str | None = None
    error: str | None = None
    failed_requests: int = 0
    stop_string: str | None = None
    lost_prompt_tokens: int = 0
    lost_output_tokens: int = 0
    remarks: tuple[str, ...] = ()
    reasoning_tokens: int = 0
    tool_calls: tuple[Mapping[str, object], ...] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class ScoreRequest:
    """Ask a verifier for scores of completions of one prompt.

    Parameters
    ----------
    prompt : Prompt
        The question.
    completions : tuple of tuple of str
        Each completion as its steps (one step where it is not split).
    mean_logprobs : tuple of float or None
        Mean log-probability of each completion, where known.
    output_tokens : tuple of int
        Tokens of each completion, where known; empty otherwise.
    verifier : str
        Name of the verifier wanted, where a run has several; ``"score"`` is the one that logs record.
    generator : str
        Name of the generator that drew all of them; empty where that is not known.
    answers : tuple of str or None
        The answer that was extracted from each completion, None where there is none; empty where they were
        not extracted.
    """

    prompt: Prompt
    completions: tuple[tuple[str, ...], ...]
    mean_logprobs: tuple[float | None, ...] = ()
    output_tokens: tuple[int, ...] = ()
    verifier: str = "score"
    generator: str = ""
    answers: tuple[str | None, ...] = ()

    @property
    def question(self) -> str:
        """The prompt's text, which a verifier that reads completions needs; without one it cannot judge."""
        if self.prompt.content is None:
            raise VerifierError(f"prompt {self.prompt.id!r} has no text, so its completions cannot be judged")
        return self.prompt.content


class Scores(tuple[float, ...]):
    """Scores of one request's completions that also say what scoring them cost.

    A verifier may return plain sequences of floats instead; then its tokens count as 0.

    Parameters
    ----------
    values : iterable of float
        One score per completion.
    verifier_tokens : int, optional
        Tokens that the verifier's model read for this request; by default the sum of `tokens_each`.
    tokens_each : iterable of int
        Tokens that it read for each completion; empty where only their sum is known. Sample logs keep them.
    steps : iterable of iterable of float
        The scores of each completion's steps; empty where a verifier scores whole texts.
    usage : Usage, optional
        What a verifier that itself generates has used, a judge model say, beside `verifier_tokens`.
    generator : str
        Name of the generator that `usage` is of, whose prices hold; empty for that of the samples.
    reason : str
        Why a score is not finite: what was used is charged all the same.

    Examples
    --------
    >>> scores = Scores([0.25, 0.75], tokens_each=[50, 70])
    >>> max(scores), scores.verifier_tokens
    (0.75, 120)
    """

    verifier_tokens: int
    tokens_each: tuple[int, ...]
    steps: tuple[tuple[float, ...], ...]
    usage: Usage
    generator: str
    reason: str

    def __new__(
        cls,
        values: Iterable[float] = (),
        *,
        verifier_tokens: int | None = None,
        tokens_each: Iterable[int] = (),
        steps: Iterable[Iterable[float]] = (),
        usage: Usage | None = None,
        generator: str = "",
        reason: str = "",
    ) -> Self:
        scores = super().__new__(cls, values)
        scores.usage, scores.generator, scores.reason = usage or Usage(), generator, reason
        scores.tokens_each, scores.steps = tuple(tokens_each), tuple(map(tuple, steps))
        scores.verifier_tokens = sum(scores.tokens_each) if verifier_tokens is None else verifier_tokens
        return scores


class Backend(Protocol):
    """Draws samples.

    One that can count before it sends has a method ``prompt_tokens(request)``, which returns what the request
    will be charged for its prompt, or None where that cannot be said.
    """

    async def sample(self, requests: Sequence[SampleRequest]) -> Sequence[Sequence[Completion]]:
        """Return the completions of each request, in the order of `requests`: `n` each, failures included.

        A sample that failed for good, while another succeeded, has the finish reason ``"error"``.

        Raises
        ------
        BackendError
            When no sample at all could be drawn in this call.
        InvalidInputError
            When a request cannot be meant: no retry and no other engine would help.
        """
        ...


class AnswerExtractor(Protocol):
    """Finds the answer in a text; answers that agree come back as equal strings."""

    def extract(self, text: str, finish_reason: FinishReason) -> str | None:
        """Return the canonical answer, or None when the completion abstains (cut, unparsable, failed)."""
        ...


class Grader(Protocol):
    """Says whether an answer is right."""

    def grade(self, prompt: Prompt, answer: str | None) -> bool | None:
        """Return whether `answer` is right, or None when nothing is known to compare it with."""
        ...


class Verifier(Protocol):
    """Scores completions; higher is better."""

    async def score(self, requests: Sequence[ScoreRequest]) -> Sequence[Sequence[float]]:
        """Return one score per completion of each request; `Scores` where scoring costs tokens.

        Raises
        ------
        VerifierError
            When a completion cannot be scored; a score is never made up.
        """
        ...
