"""What is found out about a server, per model: which fields it refuses, what it honours.

Servers refuse a field in their own words and with their own statuses. A refusal is a guess about one field
only; it is learnt when the same request without that field is answered, and when no request with it was
answered before, so that what one prompt meets never changes how all others are sent. Sending is left to
`planner.backends.openai.asking`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import Any, Final, Literal, NamedTuple, TypeAlias, final

from planner.backends.openai.failure import Failed

Feature: TypeAlias = Literal["n", "logprobs", "seed", "streams", "running_usage", "limit"]

# What changes in requests that do without a feature, and what is told of it.
_REFUSED: Final[dict[Feature, tuple[dict[str, Any], str]]] = {
    "n": ({"native_n": False}, "one request per sample: n is refused"),
    "logprobs": ({"logprobs": False}, "log-probabilities are refused"),
    "seed": ({"seeds": False}, "seeds are refused, so samples cannot be drawn again"),
    "streams": ({"streams": False}, "streaming is refused"),
    "running_usage": ({"running_usage": False}, "running counts are refused"),
    "limit": ({"limit_field": "max_completion_tokens"}, "limit renamed"),
}
# In which order a request is tried without what it may be refused for.
_SEARCHED: Final[tuple[Feature, ...]] = ("n", "logprobs", "seed", "streams")
# Statuses about the key, the account or the server's load say nothing about a field.
_NOT_ABOUT_FIELDS: Final = frozenset({401, 402, 407, 408, 409, 413, 429, 502, 503, 504})
_MAY_HIDE_A_FIELD: Final = frozenset({400, 422, 501})

# The words by which servers name a feature, those first that are part of others.
_NAMED: Final[dict[Feature, re.Pattern[str]]] = {
    "running_usage": re.compile(r"continuous_usage_stats|stream_options|include_usage", re.I),
    "streams": re.compile(r"(?<![a-z])stream(ing|ed|_options)?(?![a-z])", re.I),
    "logprobs": re.compile(r"log[ _-]?prob", re.I),
    "seed": re.compile(r"(?<![a-z])seeds?(?![a-z])", re.I),
    # "n" as a word of its own; "\n" is none.
    "n": re.compile(
        r"(?<![a-z0-9_\\'’])n(?![a-z0-9_'’])|['\"`]n['\"`]|best_of|candidate|completion choice|\bchoices\b"
        r"|(multiple|several|more than one|only one|number of|one)"
        r" (completion|choice|generation|response|output|sample)",
        re.I,
    ),
}
_INSTEAD: Final = re.compile(
    r"instead|unsupported|not support|unrecogni|unknown|unexpected|deprecat|not permitted|not allowed|extra"
    r"|\buse\b",
    re.I,
)
_LENGTH: Final = re.compile(
    r"context.{0,3}(length|window|size)|too (long|large|many tokens)|(input|prompt) (tokens|length)"
    r"|exceeds? the",
    re.I,
)
# A refusal of what was said, of who says it or of the model: no field is at fault.
_ABOUT_THE_PROMPT: Final = re.compile(
    r"polic|safety|moderat|filter|harm|exceed|too long|too large|context|api.?key|quota|billing|balance"
    r"|unauthori|permission|model.{0,60}(not|unknown|exist)|(unknown|no such|invalid) model",
    re.I,
)


class ServerTraits(NamedTuple):
    """What was found out about a server.

    `native_n`: all samples of a prompt come from one request. `logprobs`: log-probabilities are sent.
    `limit_field`: name of the token limit. `streams`: replies can come in pieces; `running_usage`: with the
    counts in each. `seeds`: seeds are sent. `notes`: each finding in words. `proven`: what a request with it
    was answered for; `most_n`: most samples that came from one.
    """

    native_n: bool
    logprobs: bool
    limit_field: Literal["max_tokens", "max_completion_tokens"] = "max_tokens"
    streams: bool = True
    running_usage: bool = True
    notes: tuple[str, ...] = ()
    seeds: bool = True
    proven: frozenset[Feature] = frozenset()
    most_n: int = 1

    def without(self, feature: Feature) -> ServerTraits:
        """Return these traits for requests that do without a feature."""
        return self._replace(**_REFUSED[feature][0])

    def sent(self, *, streamed: bool) -> set[Feature]:
        """Return which features a request for one sample has in it."""
        fields: dict[Feature, bool] = {
            "logprobs": self.logprobs,
            "seed": self.seeds,
            "streams": streamed,
            "running_usage": streamed and self.running_usage,
        }
        return {feature for feature, is_sent in fields.items() if is_sent}

    def same_requests(self, other: ServerTraits) -> bool:
        """Whether requests are written alike."""
        return self._replace(notes=(), proven=frozenset(), most_n=1) == other._replace(
            notes=(), proven=frozenset(), most_n=1
        )


# Models that are remembered: behind a proxy anybody may make up names.
_MODELS: Final = 1000


@final
class Findings:
    """Traits by model.

    Parameters
    ----------
    first : ServerTraits
        What is assumed about a model that was not asked yet.

    Examples
    --------
    >>> findings = Findings(ServerTraits(True, True))
    >>> findings.learn("m", {"logprobs": ""})
    >>> findings.known("m").logprobs, findings.known("other").logprobs
    (False, True)
    """

    def __init__(self, first: ServerTraits) -> None:
        self._first = first
        self._known: dict[str, ServerTraits] = {}
        self.searches = 0

    def known(self, model: str) -> ServerTraits:
        """Return what is known of a model."""
        return self._known.get(model, self._first)

    def latest(self) -> ServerTraits:
        """Return what is known of the model that was last answered for."""
        return next(reversed(self._known.values()), self._first)

    def learn(self, model: str, refused: dict[Feature, str]) -> None:
        """Do without features from now on: each with its reason, or ``""`` for the usual one."""
        known = self.known(model)
        for feature, reason in refused.items():
            changed = known.without(feature)
            if changed != known and feature not in known.proven:
                known = changed._replace(notes=(*known.notes, reason or _REFUSED[feature][1]))
        self._set(model, known)

    def single(self, model: str, reason: str) -> None:
        """Send one request per sample from now on: replies have shown that it must be so."""
        known = self.known(model)
        if known.native_n:
            note = f"one request per sample: {reason}"
            self._set(model, known._replace(native_n=False, notes=(*known.notes, note)))

    def prove(self, model: str, used: ServerTraits, *, n: int, streamed: bool) -> None:
        """Note what a request that was answered had in it."""
        known = self.known(model)
        proven = known.proven | used.sent(streamed=streamed)
        if proven != known.proven or n > known.most_n:
            known = known._replace(proven=proven, most_n=max(n, known.most_n))
        self._set(model, known)

    def _set(self, model: str, traits: ServerTraits) -> None:
        self._known.pop(model, None)
        self._known[model] = traits
        if len(self._known) > _MODELS:
            del self._known[next(iter(self._known))]


def refused_feature(traits: ServerTraits, failure: Failed, *, n: int, streamed: bool) -> Feature | None:
    """Return the feature that a refusal names, None where it names none that was sent.

    Parameters
    ----------
    traits : ServerTraits
        What the request was written by.
    failure : Failed
        The refusal.
    n : int
        Samples asked for.
    streamed : bool
        Whether the reply was to come in pieces.

    Examples
    --------
    >>> from planner.backends.openai.failure import Way
    >>> def said(words, status=400):
    ...     failure = Failed(Way.REFUSED, words, status=status)
    ...     return refused_feature(ServerTraits(True, True), failure, n=4, streamed=True)
    >>> said("Only one completion choice is allowed", 500), said("n: Input should be less than 2", 422)
    ('n', 'n')
    >>> said("rejected by the upstream policy") is None
    True
    """
    status, words = failure.status or 0, failure.words
    if status < 400 or status in _NOT_ABOUT_FIELDS or _LENGTH.search(words):
        return None
    sent = traits.sent(streamed=streamed)
    if n > 1 and (status < 500 or n > traits.most_n):
        sent.add("n")
    for feature, pattern in _NAMED.items():
        # A server that fails once must not unlearn what has worked.
        if feature in sent and pattern.search(words) and (status < 500 or feature not in traits.proven):
            return feature
    renamed = traits.limit_field == "max_tokens" and "max_completion_tokens" in words
    return "limit" if renamed and _INSTEAD.search(words) else None


def searchable(failure: Failed) -> bool:
    """Whether a refusal may be about a field although it names none."""
    return failure.status in _MAY_HIDE_A_FIELD and not _ABOUT_THE_PROMPT.search(failure.words)


def suspects(traits: ServerTraits, *, n: int, streamed: bool) -> Iterator[Iterable[Feature]]:
    """Yield sets of features to try a refused request without: each alone, then all together."""
    unproven = traits.sent(streamed=streamed) - traits.proven
    if n > traits.most_n:
        unproven.add("n")
    features = [feature for feature in _SEARCHED if feature in unproven]
    yield from ([feature] for feature in features)
    if len(features) > 1:
        yield features
