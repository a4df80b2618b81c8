"""From settings to an application: upstreams, routes with their planners, doors, and the watch.

Bundles are loaded and plan once before the server says that it is ready, since the first plan is the slowest.
It assumes settings that were checked.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from planner.answers.rules import extractor_named
from planner.serving.asgi import Application, Opened
from planner.serving.doors import Doors
from planner.serving.handler import Handler
from planner.serving.loading import Loading
from planner.serving.route import Route
from planner.serving.route_settings import RouteSettings
from planner.serving.selecting import votes_of
from planner.serving.settings import ServeSettings
from planner.serving.shadow import Shadow
from planner.serving.upstream import Upstream
from planner.serving.watch import Watch


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
    upstreams = {
        name: Upstream(name, one, sends_clients_keys=not settings.keys)
        for name, one in settings.upstreams.items()
    }
    routes = {name: _route(name, one, settings, upstreams) for name, one in settings.routes.items()}
    doors = Doors({name: one.key() for name, one in settings.keys.items()})
    watch = Watch()
    for name, one in settings.routes.items():
        if one.mode == "shadow":
            routes[name].shadow = Shadow(
                share=one.shadow_share, draw_share=one.shadow_draw_share, watch=watch
            )
    handler = Handler(routes, limits=settings.limits, doors=doors, watch=watch)
    opened: tuple[Opened, ...] = (Loading(settings, routes, upstreams), *upstreams.values())
    application = Application(handler, opened, limits=settings.limits)
    return Service(application=application, handler=handler, routes=routes, opened=opened)


def _route(
    name: str, one: RouteSettings, settings: ServeSettings, upstreams: Mapping[str, Upstream]
) -> Route:
    return Route(
        name=name,
        origin=upstreams[one.upstream],
        model=one.model,
        limits=settings.limits,
        votes=votes_of(None if one.extract is None else extractor_named(one.extract)),
        ready=one.mode == "off",
        when_spent=one.when_spent,
        most_choices=settings.limits.max_samples,
    )
