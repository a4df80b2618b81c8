"""What the one call of a plan of one sample is sent with: the client's body and the generator's settings.

Settings of the client's own stay, and caps of both hold. It assumes that the generator's cap is at most the
client's. Samples of larger plans are written by `planner.backends.openai.request`.
"""

from __future__ import annotations

from typing import Any

from difficulty.generator import Generator
from planner.serving.plannable import Asked


def with_settings(
    body: dict[str, Any], generator: Generator, asked: Asked, *, responses: bool
) -> dict[str, Any]:
    """Return a body with the generator's settings where the client has none of its own.

    `responses` says that it goes to the endpoint for responses, else to one for completions.
    """
    body["model"] = generator.model
    if asked.temperature is None and generator.temperature is not None:
        body["temperature"] = generator.temperature
    if asked.top_p is None and generator.top_p is not None:
        body["top_p"] = generator.top_p
    if generator.max_output_tokens is not None:
        with_cap(body, generator.max_output_tokens, responses=responses)
    if asked.reasoning_effort is None:
        field = "reasoning" if responses else "reasoning_effort"
        effort = generator.reasoning_effort
        body.pop(field, None)
        if effort is not None:
            body[field] = {"effort": effort} if responses else effort
    return body


def with_cap(body: dict[str, Any], cap: int, *, responses: bool) -> None:
    """Set the cap on output tokens of a body, under the name that the client has used, or the usual one."""
    if responses:
        body["max_output_tokens"] = cap
    else:
        body["max_completion_tokens" if "max_completion_tokens" in body else "max_tokens"] = cap
