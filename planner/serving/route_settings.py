"""What the operator sets for one route: who draws, what may be spent, and how one sample is selected.

It is read from TOML with the rest of `planner.serving.settings`, and refuses what it does not know and what
contradicts itself.
"""

from __future__ import annotations

import math
import re
from typing import Any, Literal, TypeAlias

import msgspec

from difficulty.arguments import check_number, check_whole
from difficulty.errors import InvalidInputError
from planner.backends.openai.nested import check_fields
from planner.serving.selecting import SelectName
from planner.verifiers.judge import JUDGE_PROMPT
from policies.answering.risk import check_risk

Mode: TypeAlias = Literal["plan", "shadow", "off"]


class GeneratorSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Who draws for one generator of a bundle.

    Parameters
    ----------
    upstream, model : str, optional
        An upstream, by default the route's, and the model's name there.
    fields : mapping
        Request fields of its samples, merged into those of the upstream.
    """

    upstream: str | None = None
    model: str | None = None
    fields: dict[str, Any] = {}

    def __post_init__(self) -> None:
        check_fields(self.fields, where="fields of a generator")


class JudgeSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A model that marks answers: a generator of the bundle, or a model of an upstream.

    Parameters
    ----------
    generator : str, optional
        Generator of the bundle.
    upstream, model : str, optional
        An upstream, by default the route's, and the model's name there.
    prompt : str
        What it is asked, with ``{question}`` and ``{answer}``; it ends with ``Score: N``.
    best : float
        The highest score of the prompt's scale, above 0; the lowest is 0.
    max_output_tokens : int
        Cap on a reply, at least 1.
    temperature : float
        Of the judge, at least 0.
    usd_per_mtok_in, usd_per_mtok_out, params : float, optional
        Its prices and size, where it is no generator of the bundle and costs are in dollars or FLOPs.
    """

    generator: str | None = None
    upstream: str | None = None
    model: str | None = None
    prompt: str = JUDGE_PROMPT
    best: float = 10.0
    max_output_tokens: int = 512
    temperature: float = 0.0
    usd_per_mtok_in: float | None = None
    usd_per_mtok_out: float | None = None
    params: float | None = None

    def __post_init__(self) -> None:
        if (self.generator is None) == (self.model is None):
            raise InvalidInputError("a judge is either a generator of the bundle, or a model of an upstream")
        if self.generator is not None and self.upstream is not None:
            raise InvalidInputError("a generator of the bundle has its upstream; leave the judge's out")
        if "{question}" not in self.prompt or "{answer}" not in self.prompt:
            raise InvalidInputError("a judge's prompt must hold {question} and {answer}")
        if self.max_output_tokens < 1 or not 0 < self.best < math.inf or not 0 <= self.temperature <= 100:
            raise InvalidInputError(
                "a judge needs max_output_tokens of at least 1, best above 0 and a temperature of at least 0"
            )


class ClusterSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """An embedding endpoint that says which texts say the same, for ``extract = "clusters"``.

    Parameters
    ----------
    model : str
        The model's name there.
    upstream : str, optional
        By default the route's.
    threshold : float
        Least cosine of two texts that say the same, in (0, 1].
    usd_per_mtok, params : float, optional
        Its price and size, where costs are in dollars or FLOPs.
    """

    model: str
    upstream: str | None = None
    threshold: float = 0.85
    usd_per_mtok: float | None = None
    params: float | None = None

    def __post_init__(self) -> None:
        check_number("threshold of clusters", self.threshold, "in (0, 1]")


class RouteSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What is done with requests for one model.

    Parameters
    ----------
    upstream : str
        Name of the upstream that requests go to.
    model : str, optional
        The model's name there, also for what passes unplanned; by default the name that the client sent.
    mode : {"plan", "shadow", "off"}
        Plan requests; pass them through and only work out what planning would do; or pass them through.
    bundle : str, optional
        Folder that training left; without it plans rest on a broad prior.
    generators : mapping
        The generators of the bundle that plans may use, and who draws for each where that is not `upstream`
        and `model`; without it all of them, each from `model`, or else from the model that was recorded.
    price : float, optional
        Value that a unit of cost must bring; in place of `limit`.
    target_risk : float, optional
        Greatest share of errors among the answers that are given, in (0, 1), in place of price and limit: the
        others are withheld. It needs a bundle, and the extraction that the bundle was trained with.
    limit, window : float, optional
        Budget per window, and its length in `clock`.
    clock : {"seconds", "prompts"}
        What windows are made of.
    typical : str, optional
        File of prompts like those that will come: what a window's price starts from.
    state : str, optional
        File that the window's state is kept in, so that a restart goes on from it.
    max_per_request : float, optional
        The most that one request may cost, in the bundle's unit.
    log : str, optional
        Sample log that planned requests are kept in; without it nothing is kept.
    log_labels : {"none", "agreement"}
        Whether samples count as correct where they agree with the selected answer and another sample.
    log_texts : bool
        Whether the texts of samples are kept as well.
    log_removes : tuple of str
        Regular expressions of what is taken out of prompts and texts.
    log_max_bytes : int
        Size at which a new file is begun.
    shadow_share, shadow_draw_share : float
        In mode ``"shadow"``: the share of requests that are planned, and of those that are drawn as well.
    extract : str, optional
        How the answer is found in a text, so that samples can vote: ``last_number``, ``boxed``, ``math``,
        ``multiple_choice``, ``json``, ``json:FIELD``, ``json:FIELD,FIELD``, ``tool_calls``, ``clusters``,
        ``regex:PATTERN``, ``whole_text``, or several joined by ``|``. Without it nothing can vote.
    select : {"plan", "logprob", "learned", "verifier", "judge"}
        As the plan says; the sample that the model thinks likeliest; by the bundle's learned verifier; by
        `verifier`; by `judge`. Where nothing selects, plans are one sample.
    verifier : str, optional
        A reward model, ``reward:MODEL`` or ``process:FORM:MODEL``, that scores where plans ask for it.
    judge : JudgeSettings, optional
        Who judges.
    clusters : ClusterSettings, optional
        An embedding endpoint for ``extract = "clusters"``; by default texts are compared by their words.
    when_spent : {"pass", "refuse"}
        What comes of requests when the window's budget is spent: one sample as if nobody planned, or 429.
    """

    upstream: str
    model: str | None = None
    mode: Mode = "plan"
    bundle: str | None = None
    generators: dict[str, GeneratorSettings] = {}
    price: float | None = None
    target_risk: float | None = None
    limit: float | None = None
    window: float | None = None
    clock: Literal["seconds", "prompts"] = "seconds"
    typical: str | None = None
    state: str | None = None
    max_per_request: float | None = None
    log: str | None = None
    log_labels: Literal["none", "agreement"] = "none"
    log_texts: bool = False
    log_removes: tuple[str, ...] = ()
    log_max_bytes: int = 256 * 2**20
    shadow_share: float = 1.0
    shadow_draw_share: float = 0.0
    extract: str | None = None
    select: SelectName = "plan"
    verifier: str | None = None
    judge: JudgeSettings | None = None
    clusters: ClusterSettings | None = None
    when_spent: Literal["pass", "refuse"] = "pass"

    def __post_init__(self) -> None:
        for name in ("limit", "window", "max_per_request"):
            check_number(f"{name} of a route", getattr(self, name), "above 0", optional=True)
        for name in ("shadow_share", "shadow_draw_share"):
            check_number(f"{name} of a route", getattr(self, name), "in [0, 1]")
        check_whole("log_max_bytes", self.log_max_bytes, least=1)
        for pattern in self.log_removes:
            try:
                re.compile(pattern)
            except re.error as error:
                raise InvalidInputError(
                    f"log_removes: {pattern!r} is no regular expression: {error}"
                ) from None
        self._check_selection()
        check_number("price of a route", self.price, ">= 0", optional=True)
        if (self.limit is None) != (self.window is None):
            raise InvalidInputError("a route has both limit and window, or none of them")
        aims = sum(one is not None for one in (self.price, self.limit, self.target_risk))
        if self.mode != "off" and aims != 1:
            raise InvalidInputError(
                "a route that plans needs either a price, or a limit and a window, or a target_risk; or set "
                "mode = 'off'"
            )
        if self.target_risk is not None:
            self._check_risk(self.target_risk)

    def _check_risk(self, target_risk: float) -> None:
        check_risk(target_risk)
        if self.bundle is None or self.extract is None:
            raise InvalidInputError("target_risk needs a bundle, and extract as it was trained with")
        if self.mode != "plan" or self.select != "plan" or self.max_per_request is not None:
            raise InvalidInputError(
                "target_risk needs mode = 'plan' and select = 'plan', and no max_per_request: it holds for "
                "what the bundle's plans select"
            )

    def _check_selection(self) -> None:
        for name in ("judge", "verifier"):
            if self.select == name and getattr(self, name) is None:
                raise InvalidInputError(f"select = {name!r} needs the route's {name}")
        if self.judge is not None and self.select != "judge":
            raise InvalidInputError("a route's judge needs select = 'judge'")
        if self.select == "learned" and (self.bundle is None or self.extract is None):
            raise InvalidInputError("select = 'learned' needs a bundle, and extract: it reads agreement")
        if self.verifier is not None and self.verifier.partition(":")[0] not in ("reward", "process"):
            raise InvalidInputError(
                f"verifier must be reward:MODEL or process:FORM:MODEL, got {self.verifier!r}"
            )
        parts = "" if self.extract is None else self.extract.partition("regex:")[0]
        if self.clusters is not None and "clusters" not in parts.split("|"):
            raise InvalidInputError("clusters need extract = 'clusters'")
