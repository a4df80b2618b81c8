"""From what the operator sets to how a route selects: rules, verifiers, a judge, an embedding endpoint.

Reward models are loaded here. It assumes settings that were checked by themselves; what depends on the bundle
is checked here.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from difficulty.errors import InvalidInputError
from difficulty.generator import Generator
from planner.answers.rules import WholeText, extractor_named
from planner.collection.grade import GoldGrader
from planner.ports.ports import Verifier
from planner.serving.origin import Source
from planner.serving.route_settings import ClusterSettings, JudgeSettings, RouteSettings
from planner.serving.selecting import EmbeddingWay, JudgeWay, Selecting
from planner.verifiers.specs import open_verifier

SourceOf = Callable[[str | None, str | None], Source]


def selecting_of(
    one: RouteSettings, generators: Mapping[str, Generator], sources: Mapping[str, Source], at: SourceOf
) -> Selecting:
    """Return how a route selects.

    Parameters
    ----------
    one : RouteSettings
        The route's settings.
    generators : mapping of str to Generator
        Of the bundle.
    sources : mapping of str to Source
        Who draws for them.
    at : callable
        Returns the source of an upstream, None for the route's own, and a model there.

    Raises
    ------
    InvalidInputError
        When the judge is a generator that the bundle does not have.
    MissingDependencyError
        When the packages of a reward model are not installed.
    """
    extractor = None if one.extract is None else extractor_named(one.extract)
    verifiers: dict[str, Verifier] = {}
    if one.verifier is not None:
        rule = extractor or WholeText()
        verifiers["score"] = open_verifier(one.verifier, extractor=rule, grader=GoldGrader(extractor=rule))
    return Selecting(
        extractor=extractor,
        select=one.select,
        verifiers=verifiers,
        judge=None if one.judge is None else judge_of(one.judge, generators, sources, at),
        embedding=None if one.clusters is None else _embedding_of(one.clusters, at),
    )


def judge_of(
    judge: JudgeSettings, generators: Mapping[str, Generator], sources: Mapping[str, Source], at: SourceOf
) -> JudgeWay:
    """Return who judges, with its prices; see `selecting_of`."""
    if judge.generator is not None:
        if judge.generator not in generators:
            raise InvalidInputError(
                f"the judge is the generator {judge.generator!r}; the bundle has {', '.join(generators)}"
            )
        known = generators[judge.generator]
        source = sources[judge.generator]
    else:
        known = Generator(
            name=f"judge/{judge.model}",
            usd_per_mtok_in=judge.usd_per_mtok_in,
            usd_per_mtok_out=judge.usd_per_mtok_out,
            params=judge.params,
        )
        source = at(judge.upstream, judge.model)
    asked = Generator(
        name=known.name,
        temperature=judge.temperature,
        max_output_tokens=judge.max_output_tokens,
        params=known.params,
        active_params=known.active_params,
        usd_per_mtok_in=known.usd_per_mtok_in,
        usd_per_mtok_out=known.usd_per_mtok_out,
    )
    return JudgeWay(source=source, generator=asked, prompt=judge.prompt, best=judge.best)


def _embedding_of(clusters: ClusterSettings, at: SourceOf) -> EmbeddingWay:
    generator = Generator(
        name=f"embedding/{clusters.model}",
        max_output_tokens=1,
        usd_per_mtok_in=clusters.usd_per_mtok,
        usd_per_mtok_out=clusters.usd_per_mtok,
        params=clusters.params,
    )
    source = at(clusters.upstream, clusters.model)
    return EmbeddingWay(source=source, generator=generator, threshold=clusters.threshold)
