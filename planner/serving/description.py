"""The server described for programs (OpenAPI 3.1) and for people (one page without scripts).

Both are made from what the server reads: the options of a request, the units, and the statuses of refusals.
Bodies of completions are those of the protocol, of which only what the server itself looks at is described.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from functools import cache
from html import escape
from typing import Any, Final

import msgspec

from planner.serving.options import Options
from policies.cost.budget import UNITS

_JSON: Final = "application/json"
_REFUSALS: Final = {
    400: "A field is wrong; `param` names it.",
    401: "No key, or an unknown one.",
    402: "A budget does not reach for one sample, or is spent for good.",
    404: "No such model, or no such endpoint.",
    405: "Another method is needed.",
    408: "The request came too slowly.",
    413: "The body is too large.",
    429: "The budget of a window is spent; `retry-after` says when to come again. Or the upstream says so.",
    431: "The headers are too many or too large.",
    502: "The upstream failed.",
    503: "The upstream does not answer, or too much is in flight; try again later.",
    504: "Nothing came in time.",
}
_OPTIONS: Final[dict[str, tuple[str, dict[str, Any]]]] = {
    "mode": ("Plan the request, or pass it through.", {"type": "string", "enum": ["plan", "off"]}),
    "budget": ("The most that the request may cost.", {"type": "number", "exclusiveMinimum": 0}),
    "unit": ("Unit of the budget; by default that of the route.", {"type": "string", "enum": list(UNITS)}),
    "price": ("Value that a unit of cost must bring.", {"type": "number", "minimum": 0}),
    "target_accuracy": (
        "Expected accuracy to be reached at least cost.",
        {"type": "number", "exclusiveMinimum": 0, "maximum": 1},
    ),
    "max_samples": ("The most samples.", {"type": "integer", "minimum": 1}),
    "deadline_seconds": (
        "Seconds after which the best answer so far is sent.",
        {"type": "number", "exclusiveMinimum": 0, "maximum": 1e6},
    ),
    "explain": ("Give the reason of the plan in words.", {"type": "boolean"}),
}
_TEXT: Final = {"type": "string"}
_MESSAGES: Final = {
    "type": "array",
    "minItems": 1,
    "items": {
        "type": "object",
        "required": ["role", "content"],
        "properties": {
            "role": {"type": "string", "enum": ["system", "developer", "user", "assistant"]},
            "content": _TEXT,
        },
    },
}
_PROMPT: Final = {"type": ["string", "array"]}
_SETTINGS: Final[dict[str, Any]] = {
    "model": {"type": "string", "description": "A route; `GET /v1/models` lists them."},
    "stream": {"type": "boolean"},
    "n": {"type": "integer", "minimum": 1, "description": "More than one passes through."},
    "max_tokens": {"type": "integer", "minimum": 1},
    "temperature": {"type": "number", "minimum": 0, "maximum": 2},
    "top_p": {"type": "number", "minimum": 0, "maximum": 1},
    "seed": {"type": "integer", "minimum": -(2**63), "maximum": 2**63 - 1},
    "reasoning_effort": {"type": "string", "description": "`auto` leaves it to the plan."},
    "planner": {"$ref": "#/components/schemas/Options"},
}


@cache
def openapi() -> bytes:
    """Return the description as JSON.

    Examples
    --------
    >>> b'"/v1/chat/completions"' in openapi()
    True
    """
    return msgspec.json.format(msgspec.json.encode(_described()), indent=1)


@cache
def page() -> bytes:
    """Return the description as one page of HTML."""
    described = _described()
    rows = [
        (f"{method.upper()} {path}", one["summary"])
        for path, methods in described["paths"].items()
        for method, one in methods.items()
    ]
    sections = [
        ("Endpoints", rows),
        ("Options of a request, in the body's field planner", [(n, _OPTIONS[n][0]) for n in _OPTIONS]),
        ("Refusals", [(str(status), words) for status, words in _REFUSALS.items()]),
    ]
    tables = "".join(
        f"<h2>{escape(title)}</h2><table>"
        + "".join(f"<tr><td><code>{escape(a)}</code><td>{escape(b)}" for a, b in lines)
        + "</table>"
        for title, lines in sections
    )
    style = "body{font:16px sans-serif;max-width:60em;margin:2em auto}td{padding:.2em 1em .2em 0}"
    return (
        f"<!doctype html><html lang=en><meta charset=utf-8><title>planner serve</title><style>{style}</style>"
        f"<h1>planner serve</h1><p>{escape(described['info']['description'])} "
        f"<a href=openapi.json>openapi.json</a></p>{tables}"
    ).encode()


def _described() -> dict[str, Any]:
    planned = {"x-planner-samples": "integer", "x-planner-cost": "number", "x-planner-plan-id": "string"}
    completion = {
        "description": "One completion, with the usage of everything that was spent; or its stream.",
        "headers": {name: {"schema": {"type": kind}} for name, kind in planned.items()},
        "content": {_JSON: {"schema": {"type": "object"}}, "text/event-stream": {}},
    }
    anything = {
        "description": "What the upstream answers, byte for byte.",
        "content": {"*/*": {}},
    }
    chat = _schema({"messages": _MESSAGES}, "messages")
    prompt = _schema({"prompt": _PROMPT}, "prompt")
    either = {"anyOf": [chat, prompt]}
    named = {"type": "object", "properties": {"model": _TEXT}}
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "planner serve",
            "version": "1",
            "description": "An OpenAI-compatible server that plans how much compute each request gets.",
        },
        "paths": {
            "/v1/chat/completions": {"post": _asks("Answer messages, planned.", chat, completion)},
            "/v1/completions": {"post": _asks("Complete a prompt, planned.", prompt, completion)},
            "/v1/responses": {
                "post": _asks("Planned where the input is plain, else passed through.", named, anything)
            },
            "/v1/messages": {"post": _asks("Passed through.", named, anything)},
            "/v1/embeddings": {"post": _asks("Passed through.", named, anything)},
            "/v1/models": {"get": _tells("The routes, or the upstream's list.", anything)},
            "/v1/plan": {"post": _asks("The plan of a request; nothing is spent.", either, _json("A plan."))},
            "/health": {"get": _open("Whether the server lives.", _json("It does."))},
            "/ready": {"get": _open("Whether what it plans with is loaded.", _json("It is."))},
            "/metrics": {"get": _tells("Numbers for Prometheus.", _text("text/plain"))},
            "/openapi.json": {"get": _open("This description.", _json("It."))},
            "/docs": {"get": _open("The same for people.", _text("text/html"))},
        },
        "components": {
            "schemas": {
                "Options": {
                    "type": "object",
                    "additionalProperties": False,
                    "properties": {
                        one.name: _OPTIONS[one.name][1] | {"description": _OPTIONS[one.name][0]}
                        for one in fields(Options)
                    },
                },
                "Error": {
                    "type": "object",
                    "required": ["error"],
                    "properties": {
                        "error": {
                            "type": "object",
                            "required": ["message"],
                            "properties": {
                                "message": _TEXT,
                                "type": _TEXT,
                                "param": {"type": ["string", "null"]},
                                "code": {"type": ["string", "integer", "null"]},
                            },
                        }
                    },
                },
            },
            "securitySchemes": {"key": {"type": "http", "scheme": "bearer"}},
        },
        "security": [{"key": []}, {}],
    }


def _schema(own: Mapping[str, Any], required: str) -> dict[str, Any]:
    return {"type": "object", "required": ["model", required], "properties": {**own, **_SETTINGS}}


def _asks(summary: str, schema: Mapping[str, Any], answer: Mapping[str, Any]) -> dict[str, Any]:
    body = {"required": True, "content": {_JSON: {"schema": schema}}}
    return {"requestBody": body, **_tells(summary, answer)}


def _tells(summary: str, answer: Mapping[str, Any]) -> dict[str, Any]:
    error = {"content": {_JSON: {"schema": {"$ref": "#/components/schemas/Error"}}}}
    refusals = {str(status): {"description": words, **error} for status, words in _REFUSALS.items()}
    other = {"description": "What the upstream refuses, in its own words.", "content": {"*/*": {}}}
    return {"summary": summary, "responses": {"200": answer, **refusals, "default": other}}


def _open(summary: str, answer: Mapping[str, Any]) -> dict[str, Any]:
    return {**_tells(summary, answer), "security": []}


def _json(words: str) -> dict[str, Any]:
    return {"description": words, "content": {_JSON: {"schema": {"type": "object"}}}}


def _text(kind: str) -> dict[str, Any]:
    return {"description": "A text.", "content": {kind: {"schema": _TEXT}}}
