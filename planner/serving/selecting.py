"""How a route selects one of several samples, without knowing the task: what votes, and what scores.

It says whether anything can select at all, and rewrites the selection of a course where the operator has
chosen one. Who is asked on the way (a judge, an embedding endpoint) is named here and asked by
`planner.serving.carrying`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Final, Literal, NamedTuple, TypeAlias

from difficulty.generator import Generator
from planner.answers.clusters import SemanticAnswer
from planner.answers.rules import FirstOf, JsonField, JsonFields, JsonValue, ToolCalls, WholeText
from planner.ports.ports import AnswerExtractor, FinishReason, Verifier
from planner.serving.origin import Source
from planner.verifiers.judge import JUDGE_PROMPT
from policies.course.course import Course, waves
from policies.course.selection import LOGPROB, Selection, SelectionName
from policies.course.stop import BestScore, Never, Success
from policies.verifier.learned_verifier import LEARNED

SelectName: TypeAlias = Literal["plan", "logprob", "learned", "verifier", "judge"]

JUDGE = "judge"
_NO_WAY = (
    "one sample: nothing can select among several; the route has no way to extract answers, and no verifier "
    "or judge"
)
_SCORE = "score"


class Votes(NamedTuple):
    """Of which kinds of answers a rule lets samples vote."""

    json: bool
    calls: bool


def votes_of(extractor: AnswerExtractor | None) -> Votes:
    """Return what kinds of answers an extractor can compare.

    Examples
    --------
    >>> votes_of(ToolCalls()), votes_of(None)
    (Votes(json=False, calls=True), Votes(json=False, calls=False))
    """
    if isinstance(extractor, FirstOf):
        parts = [votes_of(rule) for rule in extractor.rules]
        return Votes(any(one.json for one in parts), any(one.calls for one in parts))
    json = isinstance(extractor, JsonField | JsonFields | JsonValue | WholeText | SemanticAnswer)
    return Votes(json, isinstance(extractor, ToolCalls))


class JudgeWay(NamedTuple):
    """Who judges, and how it is asked; see `planner.verifiers.judge.JudgeModel`."""

    source: Source
    generator: Generator
    prompt: str = JUDGE_PROMPT
    best: float = 10.0


class EmbeddingWay(NamedTuple):
    """Who embeds texts, at whose prices, and the least cosine of two that say the same."""

    source: Source
    generator: Generator
    threshold: float


@dataclass(frozen=True, kw_only=True, slots=True)
class Selecting:
    """How one of several samples is selected.

    Parameters
    ----------
    extractor : AnswerExtractor, optional
        Finds answers, so that samples can vote.
    select : {"plan", "logprob", "learned", "verifier", "judge"}
        As the plan says; the sample that the model thinks likeliest; by the learned verifier; by the route's
        verifier; by the judge.
    verifiers : mapping of str to Verifier
        By the name that courses ask for.
    judge : JudgeWay, optional
        Who judges.
    embedding : EmbeddingWay, optional
        Who tells whether texts in open words say the same; by default their words do.
    """

    extractor: AnswerExtractor | None = None
    select: SelectName = "plan"
    verifiers: Mapping[str, Verifier] = field(default_factory=dict)
    judge: JudgeWay | None = None
    embedding: EmbeddingWay | None = None

    @property
    def signal(self) -> str | None:
        """What every selection reads here, None where plans say."""
        signals = {"logprob": LOGPROB, "learned": LEARNED, "verifier": _SCORE, "judge": JUDGE}
        return signals.get(self.select)

    @property
    def why_not(self) -> str:
        """Why nothing can select among several samples; empty where something can."""
        if self.extractor is not None or self.select in ("logprob", "verifier", "judge"):
            return ""
        return _NO_WAY

    @property
    def scorers(self) -> set[str]:
        """Names of what can score samples, beside the learned verifier."""
        return {LOGPROB, *self.verifiers, *({JUDGE} if self.judge is not None else ())}

    @property
    def at_once(self) -> bool:
        """Whether no rule stops between samples here: only plans of one wave cost what they say."""
        return self.signal is not None and (self.select == "logprob" or self.extractor is None)

    def chosen(self, course: Course) -> Course:
        """Return a course that selects as the operator has chosen; searches select by themselves.

        A rule that stops by votes stays where samples can vote. Where they cannot, or the rule reads another
        signal, all samples are drawn at once.
        """
        signal = self.signal
        if signal is None or course.n == 1 or course.steps[-1].kind == "search":
            return course
        if self.select == "logprob" and all(step.kind == "sample" for step in course.steps):
            # Those of different generators do not compare.
            steps = waves(course.steps[0].generator, (course.n,))
            return Course(steps=steps, selection=Selection(by="best", signal=signal))
        stop = course.stop
        if self.extractor is None or isinstance(stop, BestScore | Success):
            stop = Never()
        # Marks of a judge lie in [0, 1], so that those of one answer add up; rewards and log-probabilities
        # need not.
        by: SelectionName = "vote" if self.select == "judge" and self.extractor is not None else "best"
        known = course.selection
        of_chain = known.of_chain if any(step.kind == "revise" for step in course.steps) else "all"
        return replace(course, selection=Selection(by=by, signal=signal, of_chain=of_chain), stop=stop)


class _WholeText:
    """Every text that came to its end is its own answer."""

    def extract(self, text: str, finish_reason: FinishReason) -> str | None:
        """Return the text, None where it is cut or empty."""
        return text if finish_reason == "stop" and text else None


WHOLE: Final = _WholeText()
"""Where nothing else is known of answers."""
