"""What an OpenAI-compatible server answers, read strictly, and how many tokens each choice really has.

Chat and legacy completions are read by the same structures, only the fields that matter. Servers are known to
send HTML, no usage, or (llama.cpp, ``n`` > 1) the usage of one choice only; each is found out here. Sending
is left to `planner.backends.openai.backend`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final, NamedTuple

import msgspec

from difficulty.errors import InvalidResponseError
from planner.ports.ports import Completion, FinishReason

__all__ = ["Reply", "TokenCounts", "count_tokens", "read_reply", "to_completion"]


class PromptDetails(msgspec.Struct):
    """Part of the usage: how much of the prompt came from a cache."""

    cached_tokens: int | None = None


class WireUsage(msgspec.Struct):
    """Token counts as the server states them."""

    prompt_tokens: int
    completion_tokens: int = 0
    prompt_tokens_details: PromptDetails | None = None


class TokenLogprob(msgspec.Struct):
    """Log-probability of one generated token."""

    logprob: float


class Logprobs(msgspec.Struct):
    """Log-probabilities: `content` in the chat shape, `token_logprobs` in the legacy one."""

    content: list[TokenLogprob] | None = None
    token_logprobs: list[float | None] | None = None


class Message(msgspec.Struct):
    """A chat message of the model; servers name the thinking text in one of two ways."""

    content: str | None = None
    reasoning_content: str | None = None
    reasoning: str | None = None


class Choice(msgspec.Struct):
    """One completion; vLLM's `stop_reason` is a stop string, a token, or null for the model's own end."""

    finish_reason: str | None = None
    index: int = 0
    message: Message | None = None
    text: str | None = None
    logprobs: Logprobs | None = None
    stop_reason: str | int | msgspec.UnsetType | None = msgspec.UNSET


class Reply(msgspec.Struct):
    """A whole answer of the server."""

    choices: list[Choice]
    usage: WireUsage | None = None


class TokenCounts(NamedTuple):
    """Tokens of a reply: prompt, cached part, one output count per choice, and whether the usage fell
    short."""

    prompt: int
    cached: int
    output: tuple[int, ...]
    usage_fell_short: bool


_FINISH: Final[dict[str, FinishReason]] = {
    "stop": "stop",
    "eos": "stop",
    "tool_calls": "stop",
    "function_call": "stop",
    "length": "length",
    "abort": "cancelled",
}


def read_reply(content: bytes, *, n: int) -> Reply:
    """Read a reply of up to `n` choices.

    Raises
    ------
    InvalidResponseError
        When it is not the JSON that the protocol prescribes, has more choices than asked, or impossible
        counts.

    Examples
    --------
    >>> reply = read_reply(b'{"choices": [{"text": "4", "finish_reason": "stop"}]}', n=1)
    >>> reply.choices[0].text
    '4'
    """
    try:
        reply = msgspec.json.decode(content, type=Reply)
    except msgspec.DecodeError as error:
        start = content[:80].decode("utf-8", "replace")
        raise InvalidResponseError(f"the reply is not a completion ({error}); it begins {start!r}") from error
    if len(reply.choices) > n:
        raise InvalidResponseError(f"the server sent {len(reply.choices)} choices where {n} were asked for")
    usage = reply.usage
    if usage is not None and min(usage.prompt_tokens, usage.completion_tokens) < 0:
        raise InvalidResponseError(
            f"the server counts {usage.prompt_tokens} prompt and {usage.completion_tokens} output tokens"
        )
    reply.choices.sort(key=lambda choice: choice.index)
    return reply


def logprobs_of(choice: Choice) -> Sequence[float] | None:
    """Return the log-probability of each token of a choice, in nats, or None when not sent."""
    if choice.logprobs is None:
        return None
    if choice.logprobs.content is not None:
        return [token.logprob for token in choice.logprobs.content]
    if choice.logprobs.token_logprobs is not None:
        return [value for value in choice.logprobs.token_logprobs if value is not None]
    return None


def texts_of(choice: Choice) -> tuple[str, str | None]:
    """Return the text of a choice and its thinking text, where that is apart."""
    if choice.message is None:
        return choice.text or "", None
    return choice.message.content or "", choice.message.reasoning_content or choice.message.reasoning


def stop_string_of(choice: Choice) -> str | None:
    """Return the stop string that ended a choice, ``""`` for the model's own end, None where not said."""
    if choice.finish_reason != "stop" or isinstance(choice.stop_reason, msgspec.UnsetType):
        return None
    return choice.stop_reason if isinstance(choice.stop_reason, str) else ""


def count_tokens(reply: Reply, *, prompt: str, counter: Callable[[str], int] | None) -> TokenCounts:
    """Count the tokens of a reply, exactly or not at all.

    Parameters
    ----------
    reply : Reply
        With at least one choice.
    prompt : str
        Text of the prompt, for `counter`.
    counter : callable, optional
        Counts the tokens of a text where the server sends no usage.

    Notes
    -----
    The sum is the server's usage. How it splits over several choices is read off their log-probabilities;
    what those leave over (end tokens, hidden thinking) is spread evenly. Where the usage is less than the
    log-probabilities show, these count.

    Raises
    ------
    InvalidResponseError
        When the tokens cannot be known.
    """
    shown = [logprobs_of(choice) for choice in reply.choices]
    seen = [0 if values is None else len(values) for values in shown]
    written = ["".join(part or "" for part in texts_of(choice)) for choice in reply.choices]
    usage = reply.usage
    if usage is None:
        if counter is None:
            raise InvalidResponseError(
                "the server sends no usage, so the tokens cannot be known; give the backend a token_counter"
            )
        counts = [count or counter(text) for count, text in zip(seen, written, strict=True)]
        return TokenCounts(counter(prompt), 0, tuple(counts), False)
    if not seen:
        return TokenCounts(usage.prompt_tokens, 0, (), usage.completion_tokens > 0)
    left = usage.completion_tokens - sum(seen)
    if left >= 0 and len(seen) == 1:
        seen = [usage.completion_tokens]
    elif left >= 0:
        each, more = divmod(left, len(seen))
        seen = [count + each + (index < more) for index, count in enumerate(seen)]
    if any(text and not count for text, count in zip(written, seen, strict=True)):
        raise InvalidResponseError(
            f"the server counts {usage.completion_tokens} output tokens for {len(seen)} choices with text"
        )
    details = usage.prompt_tokens_details
    cached = min(usage.prompt_tokens, (details.cached_tokens or 0) if details else 0)
    return TokenCounts(usage.prompt_tokens, cached, tuple(seen), left < 0)


def to_completion(
    choice: Choice,
    *,
    prompt_tokens: int,
    cached: int,
    output_tokens: int,
    failed_requests: int,
    echo: str = "",
) -> Completion:
    """Turn a choice into a completion; an unknown finish reason is a failed one, never an answer.

    `echo` is what the server may repeat at the beginning: llama.cpp sends a continued answer whole.
    """
    text, reasoning = texts_of(choice)
    text = text.removeprefix(echo)
    logprobs = logprobs_of(choice)
    finish: FinishReason = _FINISH.get(choice.finish_reason or "", "error")
    reason = f"InvalidResponseError: the server ended the choice with {choice.finish_reason!r}"
    return Completion(
        text=text,
        prompt_tokens=prompt_tokens,
        cached_prompt_tokens=cached,
        output_tokens=output_tokens,
        finish_reason=finish,
        mean_logprob=sum(logprobs) / len(logprobs) if logprobs else None,
        reasoning=reasoning,
        error=reason if finish == "error" else None,
        failed_requests=failed_requests,
        stop_string=stop_string_of(choice),
    )
