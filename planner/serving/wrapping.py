"""Wrap what people already have: the same object type and calls, with plans behind them.

Below a client's library a transport is slipped in, so that every way to call it goes through the same handler
as the proxy's. The client that is given is not changed, and its HTTP client is used and never closed; engines
in this process are left to the modules beside this one.
"""

from __future__ import annotations

from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any, Final, TypeVar

from difficulty.arguments import check_number, check_whole
from difficulty.errors import InvalidBudgetError, InvalidInputError
from planner.answers.rules import extractor_named
from planner.backends.openai.own_client import library_of
from planner.planner import Planner
from planner.ports.ports import AnswerExtractor, Verifier
from planner.serving.client_origin import ClientOrigin
from planner.serving.doors import Doors
from planner.serving.engines import Engine
from planner.serving.handler import Handler
from planner.serving.origin import Source
from planner.serving.planning import Planning
from planner.serving.route import Route
from planner.serving.route_settings import JudgeSettings
from planner.serving.selecting import Selecting, SelectName, votes_of
from planner.serving.selection_settings import judge_of
from planner.serving.settings import EVERY_MODEL, Limits
from planner.serving.transports import asynchronous, synchronous
from planner.serving.wrapped_llm import is_llm, wrap_llm
from planner.serving.wrapped_pipeline import is_pipeline, wrap_pipeline
from policies.cost.budget import Budget

Client = TypeVar("Client")

_CLIENTS: Final = ("OpenAI", "AsyncOpenAI")
_THREADS: Final = 256


def wrap(
    client: Client,
    *,
    price: float | None = None,
    budget: Budget | None = None,
    planner: Planner | None = None,
    models: Mapping[str, str] | None = None,
    extractor: AnswerExtractor | str | None = None,
    verifiers: Mapping[str, Verifier] | None = None,
    select: SelectName = "plan",
    judge: str | JudgeSettings | None = None,
    max_per_request: float | None = None,
    max_samples: int = 64,
    seed: int = 0,
) -> Client:
    """Return an object of the same type whose requests for completions are planned.

    Parameters
    ----------
    client : openai.OpenAI, openai.AsyncOpenAI or one of Azure's, vllm.LLM, or a text-generation pipeline
        Clients of the official package, 1.x to 3.x; engines in this process. It is left as it is.
    price : float, optional
        Value that a unit of cost must bring, at least 0, in the unit of the planner's bundle.
    budget : Budget, optional
        In place of the price, for engines only: each call's batch is planned within it, at one price.
    planner : Planner, optional
        Plans; by default one that knows nothing of your prompts.
    models : mapping of str to str, optional
        Model of each generator of the bundle; by default the model of each request. For clients only.
    extractor : AnswerExtractor or str, optional
        Finds the answer in a text, or the name of a way to: ``"last_number"``, ``"boxed"``, ``"math"``,
        ``"multiple_choice"``, ``"json"``, ``"json:FIELD"``, ``"tool_calls"``, ``"clusters"``,
        ``"regex:PATTERN"``, ``"whole_text"``. Without it samples cannot vote.
    verifiers : mapping of str to Verifier, optional
        By the name that plans ask for.
    select : {"plan", "logprob", "learned", "verifier", "judge"}
        As the plan says; the sample that the model thinks likeliest; by the bundle's learned verifier; by
        `verifiers` (``"score"``); by `judge`.
    judge : str or JudgeSettings, optional
        Model that marks answers, or all its settings; its tokens are charged. For an engine, put a
        `JudgeModel` into `verifiers` as ``"judge"``.
    max_per_request : float, optional
        The most that one request, or one prompt of a batch, may cost.
    max_samples : int
        The most samples of one request, or of one prompt, at least 1.
    seed : int
        Seed of plans and ties of engines.

    Raises
    ------
    InvalidInputError
        When the client is none of these, or a name is not known.
    InvalidBudgetError
        When a price, budget or cap cannot be meant.

    Notes
    -----
    Tools, images, several choices, log-probabilities and other endpoints pass through with one call. The
    answer's field ``planner`` and the headers ``x-planner-…`` say what was spent; of engines, the attribute
    ``planner`` of an output, or the key ``planner`` of a record.
    """
    if (price is None) == (budget is None):
        raise InvalidBudgetError("give either a price, or for an engine a budget")
    check_number("price", price, ">= 0", optional=True, error=InvalidBudgetError)
    check_whole("max_samples", max_samples, least=1)
    asked = JudgeSettings(model=judge) if isinstance(judge, str) else judge
    known = dict(verifiers or {})
    judged = asked is not None or "judge" in known
    if (select == "judge") != judged or (select == "verifier" and "score" not in known):
        raise InvalidInputError(
            "select='judge' and a judge go together, and select='verifier' needs a verifier 'score'"
        )
    found = extractor_named(extractor) if isinstance(extractor, str) else extractor
    planning = Planning(
        planner=Planner.untrained() if planner is None else planner,
        sources={},
        price=price,
        max_per_request=max_per_request,
        selecting=Selecting(extractor=found, select=select, verifiers=known),
        max_samples=max_samples,
    )
    engine = wrap_llm if is_llm(client) else wrap_pipeline if is_pipeline(client) else None
    wrapped: Client
    if engine is not None:
        if models or asked is not None:
            raise InvalidInputError(
                "an engine holds one model: leave models out, and give a judge as verifiers={'judge': "
                "JudgeModel(...)}"
            )
        wrapped = engine(client, Engine(planning=planning, budget=budget, seed=seed))
        return wrapped
    if budget is not None:
        raise InvalidBudgetError(
            "a client plans one request at a time: give a price, and with it max_per_request"
        )
    wrapped = _wrap_client(client, planning, dict(models or {}), asked)
    return wrapped


def _wrap_client(
    client: Any, planning: Planning, models: Mapping[str, str], judge: JudgeSettings | None
) -> Any:
    """Return a client of the same type whose transport is a handler of its own."""
    is_async = _kind_of(client)
    inner = client._client
    library = library_of(inner, "Client", "AsyncClient")
    executor = None if is_async else ThreadPoolExecutor(_THREADS, thread_name_prefix="planner-wrap")
    origin = ClientOrigin(inner, library, executor=executor)
    generators = planning.planner.bundle.generators
    unknown = sorted(set(models) - set(generators))
    if unknown:
        raise InvalidInputError(
            f"models names the generators {', '.join(unknown)}; the bundle has {', '.join(generators)}"
        )
    if judge is not None and judge.upstream is not None:
        raise InvalidInputError("a wrapped client has no upstreams; give the judge's model alone")
    sources = {name: Source(origin, models.get(name)) for name in generators}
    selecting = planning.selecting
    if judge is not None:
        way = judge_of(judge, generators, sources, lambda _, model: Source(origin, model))
        selecting = replace(selecting, judge=way)
    planning = replace(planning, sources=sources, selecting=selecting)
    origin.logprobs = planning.reads_logprobs
    limits = Limits(max_samples=planning.max_samples)
    votes = votes_of(selecting.extractor)
    route = Route(name=EVERY_MODEL, origin=origin, planning=planning, limits=limits, votes=votes)
    handler = Handler({EVERY_MODEL: route}, limits=limits, doors=Doors({}))
    make = asynchronous if executor is None else synchronous
    return client.with_options(http_client=make(library, handler, origin, inner))


def _kind_of(client: object) -> bool:
    """Return whether a client is asynchronous.

    Raises
    ------
    InvalidInputError
        When it is none of the official package.
    """
    for base in type(client).__mro__:
        if base.__module__.partition(".")[0] == "openai" and base.__name__ in _CLIENTS:
            return base.__name__ == "AsyncOpenAI"
    raise InvalidInputError(
        "wrap takes openai.OpenAI, openai.AsyncOpenAI and those of Azure, vllm.LLM, and text-generation "
        f"pipelines of transformers; got {type(client).__name__}"
    )
