"""From a reply to completions: names of ends, echoes of the prompt and of the key, and what is on whose bill.

It assumes counts that were checked (`planner.backends.openai.counting`). A choice that cannot be used becomes
a completion that says so and keeps its tokens; the other choices are left alone.
"""

from __future__ import annotations

from planner.answers.tool_calls import calls_text
from planner.backends.openai.calls import sent_call
from planner.backends.openai.counting import Counts
from planner.backends.openai.ends import finish_of
from planner.backends.openai.secret import Secret
from planner.backends.openai.wire import Reply
from planner.ports.ports import Completion


def completions_of(
    reply: Reply,
    counts: Counts,
    *,
    failed_requests: int,
    lost: tuple[int, int],
    remarks: tuple[str, ...],
    echo: str,
    secret: Secret,
) -> list[Completion]:
    """Return the completions of a reply, the first of which carries what all of them share.

    Parameters
    ----------
    reply : Reply
        With at least as many choices as `counts.output` has counts.
    counts : Counts
        Tokens.
    failed_requests, lost : int, tuple of int
        Tries before this reply, and the prompt and output tokens that they and surplus choices have used.
    remarks : tuple of str
        For the books.
    echo : str
        What the server may repeat at the beginning: llama.cpp sends a continued answer whole.
    secret : Secret
        The server's key, which no text may hold.
    """
    completions = []
    # A server counts the thinking of all choices together.
    thought = max(reply.stated.reasoning or 0, 0)
    for place, tokens in enumerate(counts.output):
        choice, first = reply.choices[place], place == 0
        finish = finish_of(choice.finish)
        error = choice.error
        if error is None and finish == "error":
            error = f"InvalidResponseError: the server ended the choice with {choice.finish!r}"
        text, calls = choice.text.removeprefix(echo), choice.calls
        if calls:
            text = "\n".join(filter(None, (text, calls_text(calls))))
        completions.append(
            Completion(
                text="" if choice.error else secret.removed_from(text),
                prompt_tokens=counts.prompt if first else 0,
                output_tokens=tokens,
                finish_reason="error" if error else finish,
                mean_logprob=sum(choice.logprobs) / len(choice.logprobs) if choice.logprobs else None,
                cached_prompt_tokens=counts.cached if first else 0,
                reasoning=secret.removed_from(choice.reasoning) if choice.thoughts else None,
                error=secret.removed_from(error) if error else None,
                failed_requests=failed_requests if first else 0,
                # "" for the model's own end, None where it is not said.
                stop_string=choice.stop_string if choice.stop_stated and finish == "stop" else None,
                lost_prompt_tokens=lost[0] if first else 0,
                lost_output_tokens=lost[1] if first else 0,
                remarks=remarks if first else (),
                reasoning_tokens=min(thought, tokens),
                tool_calls=tuple(sent_call(call, secret) for call in calls)
                if calls and not choice.error
                else (),
            )
        )
        thought -= completions[-1].reasoning_tokens
    return completions
