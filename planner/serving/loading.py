"""Load what routes plan with, before the first call and again when a bundle changes on disk.

Loading happens beside the event loop, and each planner plans once before it is used, since the first plan is
the slowest. Requests in flight keep the planner that they began with.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from difficulty.errors import InvalidInputError, PlannerError
from difficulty.logger import logger_of
from difficulty.prompt import Prompt
from planner.backends.openai.nested import merged
from planner.bundle.restriction import restrict
from planner.files.prompts import read_prompts
from planner.planner import Planner
from planner.running.till import Till
from planner.serving.doubts import doubts_of
from planner.serving.options import Options
from planner.serving.origin import Source
from planner.serving.payment import KeyLimit, KeyPurses, Prices
from planner.serving.planning import EXAMPLE, Planning
from planner.serving.request_log import RequestLog
from planner.serving.route import Route
from planner.serving.route_settings import GeneratorSettings, RouteSettings
from planner.serving.selection_settings import selecting_of
from planner.serving.settings import EVERY_MODEL, ServeSettings
from planner.serving.upstream import Upstream
from policies.cost.usage import Usage

_LOG: Final = logger_of("planner.serving")
_UNTRAINED: Final = "default"
_N_POINTS: Final = 40


def planning_of(
    name: str, one: RouteSettings, settings: ServeSettings, upstreams: Mapping[str, Upstream]
) -> Planning:
    """Load what a route plans with, and plan once.

    Raises
    ------
    InvalidInputError
        When the bundle is wrong, a generator is named that it does not have, or one model would draw for
        generators that are different ones.
    """
    own = one.model or (None if name == EVERY_MODEL else name)
    planner = Planner.untrained([_UNTRAINED]) if one.bundle is None else Planner.load(one.bundle)
    features, known = planner.bundle.features, planner.bundle.generators
    if features is not None and features.needs_hidden_states:
        raise InvalidInputError(
            f"route {name!r}: the bundle {one.bundle} chooses by hidden states of a language model, or by "
            "features of your own, which no server reads here; train one without hidden_states, or "
            "plan in Python"
        )
    unknown = sorted(set(one.generators) - set(known))
    if unknown:
        raise InvalidInputError(
            f"route {name!r} names the generators {', '.join(unknown)}; the bundle has {', '.join(known)}"
        )
    if one.generators and one.bundle:
        planner = Planner(bundle=restrict(planner.bundle, {key: known[key] for key in one.generators}))
    sources, drawing = {}, set[Upstream]()
    for key, generator in planner.bundle.generators.items():
        given = one.generators.get(key, GeneratorSettings())
        upstream = upstreams[given.upstream or one.upstream]
        drawing.add(upstream)
        model = given.model or one.model or generator.model or own
        sources[key] = _source(upstream, model, given.fields)
    _check_models(name, planner, sources)
    planning = Planning(
        planner=planner,
        sources=sources,
        price=one.price,
        target_risk=one.target_risk,
        max_per_request=one.max_per_request,
        selecting=selecting_of(
            one,
            planner.bundle.generators,
            sources,
            lambda upstream, model: _source(upstreams[upstream or one.upstream], model, {}),
        ),
        max_samples=settings.limits.max_samples,
    )
    if one.select == "learned" and not planner.bundle.verifiers:
        raise InvalidInputError(f"route {name!r}: the bundle has no learned verifier to select by")
    for way in (planning.selecting.judge, planning.selecting.embedding):
        if way is not None:
            # What its tokens cost must be known before any is spent.
            planning.cost_model.price(Usage(prompt_tokens=1, output_tokens=1), way.generator.name)
    planning.plan(EXAMPLE, Options(), price=None)
    for upstream in drawing:
        upstream.logprobs |= planning.reads_logprobs
    return planning


def _check_models(name: str, planner: Planner, sources: Mapping[str, Source]) -> None:
    """Refuse to draw from one model what plans expect, and budgets charge, as several."""
    bundle = planner.bundle
    used = {one for at in bundle.deployed.nonzero()[0] for one in bundle.table.courses[at].generators}
    drawn: dict[tuple[int, str | None], str] = {}
    for key in sorted(used):
        source, model = sources[key], bundle.generators[key].model
        other = drawn.setdefault((id(source.origin), source.model), key)
        if model is not None and bundle.generators[other].model not in (model, None):
            raise InvalidInputError(
                f"route {name!r}: {other} and {key} of its bundle are different models, and both would be "
                f"drawn from {source.model!r}; name one for each under generators, or leave the route's out"
            )


def _source(upstream: Upstream, model: str | None, fields: Mapping[str, Any]) -> Source:
    settings = upstream.settings
    return Source(upstream, model, merged(settings.fields, fields), settings.thinking_field)


def _till_of(one: RouteSettings, planning: Planning, prices: Prices) -> Till | None:
    """Return a route's budget per window, None where it has a price."""
    if one.limit is None or one.window is None:
        return None
    # What is believed of a prompt without a text is the mean of all that training saw.
    typical = [Prompt(id="typical")]
    if one.typical is not None:
        typical = list(read_prompts(one.typical).prompts)
    points, dearer = planning.planner.frontier(typical, n_points=_N_POINTS), planning.dearer
    return Till.of(
        [(point.price / dearer, point.expected_cost * dearer) for point in points],
        prices,
        limit=one.limit,
        window=one.window,
        unit=planning.unit,
        clock=one.clock,
        path=None if one.state is None else Path(one.state),
    )


class Loading:
    """Loads the bundles of all routes, beside the loop, before the first call."""

    def __init__(
        self, settings: ServeSettings, routes: Mapping[str, Route], upstreams: Mapping[str, Upstream]
    ) -> None:
        self._settings, self._routes, self._upstreams = settings, routes, upstreams
        self._versions: dict[str, tuple[tuple[str, int, int], ...] | None] = {}
        self._prices: dict[str, Prices] = {}
        self._looking: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Load them, and go on looking for new versions."""
        for name, one in self._settings.routes.items():
            if one.mode == "off":
                continue
            self._versions[name] = _version(one)
            planning = await asyncio.to_thread(planning_of, name, one, self._settings, self._upstreams)
            route = self._routes[name]
            prices = self._prices[name] = Prices(planning.cost_model)
            route.till = await asyncio.to_thread(_till_of, one, planning, prices)
            limits = _key_limits(self._settings)
            route.keys = KeyPurses(limits, prices)
            deadline = self._settings.limits.deadline_seconds
            for doubt in doubts_of(one, planning, route.till, limits, deadline_seconds=deadline):
                _LOG.warning("route %s: %s", name, doubt)
            if one.log is not None:
                route.log = RequestLog(
                    Path(one.log),
                    planning.planner.bundle.generators,
                    max_bytes=one.log_max_bytes,
                    labels=one.log_labels,
                    texts=one.log_texts,
                    removed=one.log_removes,
                )
            route.planning = planning
            route.ready = True
        if self._settings.reload_seconds and any(one.bundle for one in self._settings.routes.values()):
            self._looking = asyncio.create_task(self._look())

    async def close(self) -> None:
        """Stop looking, and close what the routes have opened."""
        if self._looking is not None:
            self._looking.cancel()
            await asyncio.gather(self._looking, return_exceptions=True)
        for route in self._routes.values():
            if route.shadow is not None:
                await route.shadow.close()
            if route.log is not None:
                route.log.close()

    async def reload(self) -> list[str]:
        """Take new versions of bundles; requests in flight keep the old ones. Return the routes concerned.

        A version that cannot be loaded, or has another unit than the route's price and limits were meant in,
        is warned of and left: the old one goes on, and files that change are looked at again.
        """
        taken = []
        for name, one in self._settings.routes.items():
            version = _version(one)
            if one.mode == "off" or version is None or version == self._versions[name]:
                continue
            self._versions[name] = version
            try:
                planning = await asyncio.to_thread(planning_of, name, one, self._settings, self._upstreams)
            except (PlannerError, OSError) as error:
                _LOG.warning("the new bundle of route %s is not taken: %s", name, error)
                continue
            route = self._routes[name]
            if route.planning is not None and planning.unit != route.planning.unit:
                _LOG.warning(
                    "the new bundle of route %s is not taken: its unit is %s, and that of the route %s",
                    name, planning.unit, route.planning.unit,
                )  # fmt: skip
                continue
            self._prices[name].take(planning.cost_model)
            if route.log is not None:
                route.log.take(planning.planner.bundle.generators)
            route.planning = planning
            taken.append(name)
            _LOG.info("route %s plans with a new bundle", name)
        return taken

    async def _look(self) -> None:
        while True:
            await asyncio.sleep(self._settings.reload_seconds)
            await self.reload()


def _version(one: RouteSettings) -> tuple[tuple[str, int, int], ...] | None:
    """Return what tells a route's bundle from another: names, times and sizes of its files, without a folder
    none; None where the route has no bundle.
    """
    if one.bundle is None:
        return None
    try:
        with os.scandir(one.bundle) as entries:
            stats = [(entry.name, entry.stat()) for entry in entries if entry.is_file()]
    except OSError:
        return ()
    return tuple(sorted((name, stat.st_mtime_ns, stat.st_size) for name, stat in stats))


def _key_limits(settings: ServeSettings) -> dict[str, KeyLimit]:
    return {
        name: KeyLimit(limit=one.limit, window_seconds=one.window_seconds)
        for name, one in settings.keys.items()
        if one.limit is not None
    }
