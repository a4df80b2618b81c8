"""What a reply costs: the server's counts where they can be, counted again where they cannot.

A server's usage is believed as long as it keeps the bounds of the request itself. Otherwise each count is
taken from log-probabilities, a token counter, or the bytes of the text (a token has at least one), never
above the request's cap; the books then say so. Reading replies is left to `planner.backends.openai.wire`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Final, NamedTuple

from difficulty.errors import InvalidResponseError
from planner.answers.tool_calls import calls_text
from planner.backends.openai.ends import finish_of
from planner.backends.openai.wire import Choice, Reply
from policies.cost.usage import Usage

# No model reads or writes more at a time; what a request does not bound is bounded by this.
_MOST: Final = 10_000_000
# Templates and instructions that a server puts around a prompt.
_AROUND_A_PROMPT: Final = 4096


class UsageMissing(Exception):
    """A server states no output tokens and nothing here can count them: `prompt` and `output` are bounds."""

    def __init__(self, prompt: int, output: int) -> None:
        self.prompt, self.output = prompt, output
        super().__init__()

    def error(self) -> InvalidResponseError:
        """Return the error that a caller sees."""
        return InvalidResponseError(
            "the server sends no usage, so the tokens cannot be known; give the backend a token_counter",
            prompt_tokens=self.prompt,
            output_tokens=self.output,
        )


class Asked(NamedTuple):
    """The bounds that a request sets on its own usage.

    `n` choices of at most `most_output` tokens each (None: not capped); `prompt` is the text that the server
    reads, `only_text` whether that is all it reads; `counter` counts the tokens of a text.
    """

    n: int
    prompt: str
    most_output: int | None = None
    only_text: bool = True
    counter: Callable[[str], int] | None = None

    @property
    def most_each(self) -> int:
        """Output tokens of a choice above which a count is not believed."""
        return _MOST if self.most_output is None else self.most_output

    @property
    def most_prompt(self) -> int:
        """Prompt tokens above which a count is not believed."""
        return len(self.prompt.encode("utf-8", "replace")) + _AROUND_A_PROMPT if self.only_text else _MOST

    def tokens_of_prompt(self) -> int:
        """Return the prompt tokens where the server does not state them."""
        return (
            len(self.prompt.encode("utf-8", "replace")) if self.counter is None else self.counter(self.prompt)
        )

    def tokens_of(self, choice: Choice) -> int:
        """Return the output tokens of a choice where the server's count is not believed."""
        most = self.most_each
        text = choice.reasoning + choice.text + calls_text(choice.calls)
        if choice.logprobs:
            return min(len(choice.logprobs), most)
        if self.counter is not None and text:
            return min(self.counter(text), most)
        if not text and finish_of(choice.finish) == "length" and self.most_output is not None:
            return self.most_output
        return min(len(text.encode("utf-8", "replace")) + 1, most)

    def bounded(self, used: Usage) -> Usage:
        """Return the running counts of a stream within these bounds."""
        prompt = used.prompt_tokens if used.prompt_tokens <= self.most_prompt else self.tokens_of_prompt()
        return replace(
            used,
            prompt_tokens=prompt,
            cached_prompt_tokens=min(used.cached_prompt_tokens, prompt),
            output_tokens=min(used.output_tokens, self.most_each * self.n),
        )


class Counts(NamedTuple):
    """Tokens of a reply: prompt, cached part, output of each choice asked for and of surplus ones together.

    `fell_short` says that the usage counts fewer tokens than the choices have; `remarks` are for the books.
    """

    prompt: int
    cached: int
    output: tuple[int, ...]
    surplus: int
    fell_short: bool
    remarks: tuple[str, ...]


def count_tokens(reply: Reply, asked: Asked) -> Counts:
    """Count the tokens of a reply.

    Parameters
    ----------
    reply : Reply
        With at least one choice; those after the first `n` are surplus.
    asked : Asked
        The bounds.

    Notes
    -----
    The sum is the server's usage. How it splits over several choices is read off their log-probabilities;
    what those leave over (end tokens, hidden thinking) is spread evenly. Where the usage is less than the
    log-probabilities show, these count.

    Raises
    ------
    UsageMissing
        When the server states no output tokens and there is no token counter.

    Examples
    --------
    >>> from planner.backends.openai.wire import read_reply
    >>> usage = b'{"prompt_tokens": 1, "completion_tokens": 999}'
    >>> liar = read_reply(b'{"choices": [{"text": "4"}], "usage": ' + usage + b"}")
    >>> count_tokens(liar, Asked(n=1, prompt="2+2?", most_output=50)).output
    (2,)
    """
    stated, choices, remarks = reply.stated, reply.choices, []
    prompt, cached = stated.prompt, stated.cached or 0
    if prompt is None:
        prompt = asked.tokens_of_prompt()
        if asked.counter is None:
            remarks.append(f"UsageMissing: the server states no prompt tokens; {prompt} at most are charged")
    elif not 0 <= prompt <= asked.most_prompt:
        prompt = asked.tokens_of_prompt()
        remarks.append(
            f"UsageRefused: {_shown(stated.prompt)} prompt tokens are stated for at most "
            f"{asked.most_prompt}; {prompt} are charged"
        )
    if not 0 <= cached <= prompt:
        remarks.append(
            f"UsageRefused: {_shown(cached)} of {prompt} prompt tokens are said to be cached; none is"
        )
        cached = 0
    if stated.output is None and asked.counter is None:
        raise UsageMissing(prompt, sum(asked.tokens_of(choice) for choice in choices))
    seen = [len(choice.logprobs) for choice in choices]
    most = asked.most_each * len(choices)
    total, fell_short = stated.output, False
    if total is None or not 0 <= total <= most:
        each = [asked.tokens_of(choice) for choice in choices]
        if total is not None:
            remarks.append(
                f"UsageRefused: {_shown(total)} output tokens are stated for at most {most}; "
                f"{sum(each)} are charged"
            )
    else:
        each = seen if total < sum(seen) else _split(total, seen)
        written = [bool(choice.texts or choice.thoughts) for choice in choices]
        fell_short = total < sum(seen) or any(text and not n for text, n in zip(written, each, strict=True))
        if fell_short:
            each = [asked.tokens_of(choice) for choice in choices]
            remarks.append(
                f"UsageRefused: {total} output tokens are stated for {len(choices)} choices that have more; "
                f"{sum(each)} are charged"
            )
    if len(choices) > asked.n:
        remarks.append(
            f"SurplusChoices: {len(choices)} choices came where {asked.n} were asked for; "
            "the others are paid for and dropped"
        )
    return Counts(prompt, cached, tuple(each[: asked.n]), sum(each[asked.n :]), fell_short, tuple(remarks))


def plausible(error: InvalidResponseError, asked: Asked) -> tuple[int, int]:
    """Return the prompt and output tokens of a reply that cannot be read, as far as they can be believed."""
    prompt, output = error.prompt_tokens, error.output_tokens
    most = asked.most_each * asked.n
    return prompt if 0 <= prompt <= asked.most_prompt else 0, min(output, most) if output >= 0 else 0


def _split(total: int, seen: list[int]) -> list[int]:
    """Spread what log-probabilities do not show evenly."""
    each, more = divmod(total - sum(seen), len(seen))
    return [count + each + (index < more) for index, count in enumerate(seen)]


def _shown(count: int | None) -> str:
    """Write a count that may have hundreds of digits."""
    return str(count) if count is not None and abs(count) < 10**15 else "more than 10^15"
