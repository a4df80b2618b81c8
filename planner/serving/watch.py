"""What is counted of the calls, and the page that Prometheus reads.

Numbers only: neither content nor keys. It assumes prometheus-client; a wrapped client has no watch.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from difficulty.errors import require
from planner.serving.exchange import Answer

if TYPE_CHECKING:
    from policies.cost.usage import Usage

_SECONDS: Final = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300)
_FEW_SECONDS: Final = (0.0005, 0.001, 0.0015, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.5)
_SAMPLES: Final = (1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 64)


@dataclass(kw_only=True, slots=True)
class Seen:
    """What is known of one call in the end.

    Parameters
    ----------
    endpoint, route, mode : str
        Path of the endpoint, name of the route, and ``"plan"``, ``"one"``, ``"pass"`` or ``"shadow"``.
    status : int
        HTTP status.
    seconds, plan_seconds : float
        From the first byte in to the last one out, and what planning took.
    samples : int
        Drawn.
    stop_reason, unit : str
        Why a plan ended; unit of the costs.
    usage : Usage, optional
        What was spent.
    judge_tokens : tuple of int
        Prompt and output tokens of the judge, which are part of `usage`.
    judge_failures : int
        Judgements that came to nothing.
    thinking_ignored : int
        Samples whose server ignored a thinking budget.
    cost, expected_cost : float, optional
        In `unit`.
    familiarity, agreement : float, optional
        In [0, 1]: how much the prompt is like those of the training, and the share of the winning answer.
    expected_accuracy : float, optional
        What the plan expects.
    price : float, optional
        That the route planned at: its window's, or its own.
    """

    endpoint: str = "other"
    route: str = ""
    mode: str = "pass"
    status: int = 0
    seconds: float = 0.0
    plan_seconds: float | None = None
    samples: int = 0
    stop_reason: str = ""
    unit: str = ""
    usage: Usage | None = None
    judge_tokens: tuple[int, int] = (0, 0)
    judge_failures: int = 0
    thinking_ignored: int = 0
    cost: float | None = None
    expected_cost: float | None = None
    price: float | None = None
    familiarity: float | None = None
    agreement: float | None = None
    expected_accuracy: float | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Shadowed:
    """What planning would have done with a request that passed through, or did beside it.

    Parameters
    ----------
    expected_cost, expected_accuracy : float, optional
        Of the plan.
    drawn_cost : float, optional
        What it cost where it was drawn.
    agrees : bool, optional
        Whether its answer is the one that was sent, where both have one.
    """

    expected_cost: float | None = None
    expected_accuracy: float | None = None
    drawn_cost: float | None = None
    agrees: bool | None = None


class Watch:
    """Counts calls, in a registry of its own.

    Examples
    --------
    >>> watch = Watch()
    >>> watch.call(Seen(route="tiny", status=200, seconds=0.1))
    >>> b'planner_requests_total{endpoint="other",mode="pass",route="tiny",status="200"} 1.0' in watch.page(
    ...     in_flight=0
    ... ).body
    True
    """

    def __init__(self) -> None:
        self._library = library = require("prometheus_client", extra="serve")
        self._registry = registry = library.CollectorRegistry()

        def counter(name: str, text: str, *labels: str) -> Any:
            return library.Counter(name, text, labels, registry=registry)

        def histogram(name: str, text: str, buckets: tuple[float, ...], *labels: str) -> Any:
            return library.Histogram(name, text, labels, buckets=buckets, registry=registry)

        self._in_flight = library.Gauge("planner_in_flight", "Calls that are worked on.", registry=registry)
        self._price = library.Gauge("planner_price", "Price of the moment.", ["route"], registry=registry)
        self._requests: Any = counter("planner_requests", "Calls.", "endpoint", "route", "mode", "status")
        self._seconds: Any = histogram("planner_seconds", "Seconds of a call.", _SECONDS, "route", "mode")
        self._planning: Any = histogram("planner_plan_seconds", "Seconds to plan.", _FEW_SECONDS, "route")
        self._samples: Any = histogram("planner_samples", "Samples of a planned call.", _SAMPLES, "route")
        self._stops: Any = counter("planner_stops", "Why plans ended.", "route", "reason")
        self._tokens: Any = counter("planner_tokens", "Tokens spent.", "route", "kind")
        self._upstream: Any = counter("planner_upstream_calls", "Calls of servers behind.", "route", "kind")
        self._judge: Any = counter("planner_judge_tokens", "Tokens of judges.", "route", "kind")
        self._unjudged: Any = counter("planner_judge_failures", "Judgements that failed.", "route")
        self._thinking: Any = counter(
            "planner_thinking_ignored", "Samples whose server ignored a thinking budget.", "route"
        )
        self._cost: Any = counter("planner_cost", "Cost of planned calls.", "route", "unit", "kind")
        self._shadow: Any = counter(
            "planner_shadow", "Sums of what planning would have done beside the traffic.", "route", "what"
        )
        self._drift: Any = counter(
            "planner_drift", "Sums to compare expectation with: see the documentation.", "route", "what"
        )

    def shadow(self, route: str, shadowed: Shadowed, *, cost: float | None) -> None:
        """Count what planning would have done; `cost` is that of the answer that was sent."""
        for what, value in (
            ("sent_cost", cost),
            ("expected_cost", shadowed.expected_cost),
            ("expected_accuracy", shadowed.expected_accuracy),
            ("drawn_cost", shadowed.drawn_cost),
            ("agreements", None if shadowed.agrees is None else float(shadowed.agrees)),
        ):
            if value is not None:
                self._shadow.labels(route, what).inc(max(value, 0.0))
                self._shadow.labels(route, f"{what}_count").inc()

    def call(self, seen: Seen) -> None:
        """Count a call."""
        route = seen.route
        self._requests.labels(seen.endpoint, route, seen.mode, str(seen.status)).inc()
        self._seconds.labels(route, seen.mode).observe(seen.seconds)
        if seen.plan_seconds is not None:
            self._planning.labels(route).observe(seen.plan_seconds)
        if seen.usage is not None:
            usage = seen.usage
            for kind, tokens in (
                ("prompt", usage.prompt_tokens),
                ("cached", usage.cached_prompt_tokens),
                ("output", usage.output_tokens),
                ("wasted", usage.wasted_tokens),
                ("verifier", usage.verifier_tokens),
            ):
                self._tokens.labels(route, kind).inc(tokens)
            self._upstream.labels(route, "sent").inc(usage.requests)
            self._upstream.labels(route, "failed").inc(usage.failed_requests)
        elif seen.status == 200 and seen.endpoint != "other" and seen.mode != "plan":
            # The server was not asked what it used, or did not say.
            self._upstream.labels(route, "uncounted").inc()
        for kind, count in zip(("prompt", "output"), seen.judge_tokens, strict=True):
            if count:
                self._judge.labels(route, kind).inc(count)
        if seen.judge_failures:
            self._unjudged.labels(route).inc(seen.judge_failures)
        if seen.thinking_ignored:
            self._thinking.labels(route).inc(seen.thinking_ignored)
        if seen.price is not None:
            self._price.labels(route).set(seen.price)
        if seen.samples:
            self._samples.labels(route).observe(seen.samples)
        if seen.stop_reason:
            self._stops.labels(route, seen.stop_reason).inc()
        if seen.cost is not None:
            self._cost.labels(route, seen.unit, "actual").inc(max(seen.cost, 0.0))
            if seen.samples:  # of what nobody paid for, or no server answered, nothing was expected
                self._cost.labels(route, seen.unit, "expected").inc(seen.expected_cost or 0.0)
        for what, value in (
            ("familiarity", seen.familiarity),
            ("agreement", seen.agreement),
            ("expected_accuracy", seen.expected_accuracy),
        ):
            if value is not None:
                self._drift.labels(route, what).inc(value)
                self._drift.labels(route, f"{what}_count").inc()

    def page(self, *, in_flight: int) -> Answer:
        """Return the page of all numbers."""
        self._in_flight.set(in_flight)
        return Answer(
            headers=(("content-type", self._library.CONTENT_TYPE_LATEST),),
            body=self._library.generate_latest(self._registry),
        )
