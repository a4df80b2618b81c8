"""From settings to an application: upstreams, routes with their planners, doors, and the watch.

Bundles are loaded and plan once before the server says that it is ready, since the first plan is the slowest.
It assumes settings that were checked.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from difficulty.errors import InvalidInputError
from difficulty.prompt import Prompt
from planner.answers.rules import extractor_named
from planner.files.prompts import read_prompts
from planner.planner import Planner
from planner.running.till import Till
from planner.serving.asgi import Application, Opened
from planner.serving.doors import Doors
from planner.serving.handler import Handler
from planner.serving.options import Options
from planner.serving.payment import KeyLimit, KeyPurses
from planner.serving.planning import Planning, Source
from planner.serving.route import Route
from planner.serving.settings import EVERY_MODEL, RouteSettings, ServeSettings
from planner.serving.upstream import Upstream
from planner.serving.watch import Watch

__all__ = ["Service", "build"]

_UNTRAINED: Final = "default"
_EXAMPLE: Final = Prompt(text="What is 6 times 7?")
_N_POINTS: Final = 40


@dataclass(kw_only=True, slots=True)
class Service:
    """A server's parts.

    Parameters
    ----------
    application : Application
        For an ASGI server.
    handler : Handler
        Answers calls.
    routes : mapping of str to Route
        By name.
    opened : tuple of Opened
        What is opened before the first call, in order.
    """

    application: Application
    handler: Handler
    routes: Mapping[str, Route]
    opened: tuple[Opened, ...] = ()


def build(settings: ServeSettings) -> Service:
    """Return what the settings describe.

    Raises
    ------
    InvalidInputError
        When a key's variable is not set, or a bundle or extractor is wrong.
    MissingDependencyError
        When the extra ``serve`` is not installed.
    """
    by_logprob = {one.upstream for one in settings.routes.values() if one.select == "logprob"}
    upstreams = {
        name: Upstream(name, one, logprobs=name in by_logprob, sends_clients_keys=not settings.keys)
        for name, one in settings.upstreams.items()
    }
    routes = {name: _route(name, one, settings, upstreams) for name, one in settings.routes.items()}
    doors = Doors({name: one.key() for name, one in settings.keys.items()})
    handler = Handler(routes, limits=settings.limits, doors=doors, watch=Watch())
    opened: tuple[Opened, ...] = (*upstreams.values(), _Loading(settings, routes, upstreams))
    application = Application(handler, opened, max_body_bytes=settings.limits.max_body_bytes)
    return Service(application=application, handler=handler, routes=routes, opened=opened)


def _route(
    name: str, one: RouteSettings, settings: ServeSettings, upstreams: Mapping[str, Upstream]
) -> Route:
    if one.extract is not None:
        extractor_named(one.extract)
    return Route(
        name=name,
        origin=upstreams[one.upstream],
        model=one.model,
        limits=settings.limits,
        votes_on_json=one.extract is not None and one.extract.partition(":")[0] in ("json", "whole_text"),
        ready=one.mode == "off",
        when_spent=one.when_spent,
    )


def planning_of(
    name: str, one: RouteSettings, settings: ServeSettings, upstreams: Mapping[str, Upstream]
) -> Planning:
    """Load what a route plans with, and plan once.

    Raises
    ------
    InvalidInputError
        When the bundle is wrong, or a generator is named that it does not have.
    """
    own = one.model or (None if name == EVERY_MODEL else name)
    planner = Planner.untrained([_UNTRAINED]) if one.bundle is None else Planner.load(one.bundle)
    known = planner.bundle.generators
    unknown = sorted(set(one.generators) - set(known))
    if unknown:
        raise InvalidInputError(
            f"route {name!r} names the generators {', '.join(unknown)}; the bundle has {', '.join(known)}"
        )
    if one.generators:
        planner = (
            Planner.load(one.bundle or "", generators={key: known[key] for key in one.generators})
            if one.bundle
            else planner
        )
    sources = {}
    for key, generator in planner.bundle.generators.items():
        given = one.generators.get(key)
        upstream = one.upstream if given is None or given.upstream is None else given.upstream
        model = (given.model if given is not None else None) or one.model or generator.model or own
        sources[key] = Source(upstreams[upstream], model)
    planning = Planning(
        planner=planner,
        sources=sources,
        price=one.price,
        max_per_request=one.max_per_request,
        extractor=None if one.extract is None else extractor_named(one.extract),
        by_logprob=one.select == "logprob",
        max_samples=settings.limits.max_samples,
    )
    planning.plan(_EXAMPLE, Options(), price=None)
    return planning


def _till_of(one: RouteSettings, planning: Planning) -> Till | None:
    """Return a route's budget per window, None where it has a price."""
    if one.limit is None or one.window is None:
        return None
    typical: list[Prompt] = [_EXAMPLE]
    if one.typical is not None:
        typical = list(read_prompts(one.typical).prompts)
    points = planning.planner.frontier(typical, n_points=_N_POINTS)
    return Till.of(
        [(point.price, point.expected_cost) for point in points],
        planning.cost_model.price,
        limit=one.limit,
        window=one.window,
        unit=planning.unit,
        clock=one.clock,
        path=None if one.state is None else Path(one.state),
    )


class _Loading:
    """Loads the bundles of all routes, beside the loop, before the first call."""

    def __init__(
        self, settings: ServeSettings, routes: Mapping[str, Route], upstreams: Mapping[str, Upstream]
    ) -> None:
        self._settings, self._routes, self._upstreams = settings, routes, upstreams

    async def start(self) -> None:
        """Load them."""
        for name, one in self._settings.routes.items():
            if one.mode == "off":
                continue
            planning = await asyncio.to_thread(planning_of, name, one, self._settings, self._upstreams)
            route = self._routes[name]
            price = planning.cost_model.price
            route.till = await asyncio.to_thread(_till_of, one, planning)
            route.keys = KeyPurses(
                {
                    key: KeyLimit(limit=own.limit, window_seconds=own.window_seconds)
                    for key, own in self._settings.keys.items()
                    if own.limit is not None
                },
                price,
            )
            route.planning = planning
            route.ready = True

    async def close(self) -> None:
        """Leave everything as it is."""
