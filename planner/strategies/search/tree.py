"""What the tree searches share: paths of steps, their extension by one step, and their scores.

A path is an answer so far, split into steps that each end with the delimiter. Extending asks for
continuations of the path that stop at the delimiter; scoring asks a process reward model for the value of the
path. How many paths live on is left to each search. Pruned and duplicated paths cost what their requests
cost: the driver meters requests, not paths.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

import numpy as np

from difficulty.arguments import check_whole
from difficulty.errors import InvalidInputError
from planner.ports.outcome import Candidate, CandidateStatus, Outcome
from planner.ports.ports import Completion, ScoreRequest
from planner.strategies.conclude import conclude
from planner.strategies.flow import Failure, Flow, draw, score
from planner.strategies.selection import SelectionRule, select
from planner.strategies.task import Task

# Settings of some of the searches, each at least 1.
_COUNTS: Final = ("beam_width", "lookahead")


@dataclass(frozen=True, kw_only=True, slots=True)
class TreeSettings:
    """How a tree search cuts an answer into steps and picks at the end.

    Parameters
    ----------
    max_steps : int
        Steps after which a path that has not ended is given up as truncated, at least 1.
    delimiter : str
        String that ends a step.
    max_step_tokens : int, optional
        Cap on the output tokens of one step; by default the generator's own cap.
    verifier : str
        Name of the process reward model.
    selection : {"weighted_best_of_n", "best_of_n", "majority_vote"}
        Rule that picks among the finished paths.

    Raises
    ------
    InvalidInputError
        When `max_steps`, or a count of a search's own, is below 1, or `delimiter` is empty.
    """

    max_steps: int = 40
    delimiter: str = "\n\n"
    max_step_tokens: int | None = None
    verifier: str = "score"
    selection: SelectionRule = "weighted_best_of_n"

    def __post_init__(self) -> None:
        if not self.delimiter:
            raise InvalidInputError("delimiter must not be empty")
        for name in ("max_steps", *_COUNTS):
            if hasattr(self, name):
                check_whole(name, getattr(self, name), least=1)

    @property
    def verifiers(self) -> tuple[str, ...]:
        """Names of the verifiers needed."""
        return (self.verifier,)


@dataclass(frozen=True, kw_only=True, slots=True)
class Path:
    """An answer so far.

    Parameters
    ----------
    steps : tuple of str
        Steps, each with its delimiter except for the last one of an ended path.
    ended : {"ok", "truncated", "failed", "cancelled"}, optional
        How the path ended; None while it can be extended. ``"cancelled"``: a cap refused the step.
    score : float, optional
        The process reward model's value of the path, where scored.
    mean_logprob : float, optional
        Of the last step.
    output_tokens : int
        Tokens generated along the path, each ancestor counted in every descendant.
    """

    steps: tuple[str, ...] = ()
    ended: CandidateStatus | None = None
    score: float | None = None
    mean_logprob: float | None = None
    output_tokens: int = 0

    @property
    def lost(self) -> bool:
        """Whether the last step never came."""
        return self.ended in ("failed", "cancelled")


@dataclass(frozen=True, kw_only=True, slots=True)
class Growth:
    """Extend `path` by one step, `width` times."""

    path: Path
    width: int


def grow(
    task: Task,
    settings: TreeSettings,
    growths: Sequence[Growth],
    *,
    offset: int,
    temperature: float | None = None,
) -> Flow[list[Path]]:
    """Ask for one more step of each path and return the children in order.

    Parameters
    ----------
    task : Task
        The prompt and its allocation.
    settings : TreeSettings
        Delimiter and caps.
    growths : sequence of Growth
        Paths that have not ended, with the number of children of each, at least 1.
    offset : int
        Samples that the search has asked for before: children have seeds of their own.
    temperature : float, optional
        In place of the generator's.
    """
    requests = []
    for growth in growths:
        requests.append(
            task.request(
                n=growth.width,
                offset=offset,
                prefix=growth.path.steps,
                stop=(settings.delimiter,),
                max_output_tokens=settings.max_step_tokens,
                temperature=temperature,
            )
        )
        offset += growth.width
    rows = yield from draw(requests)
    return [
        _child(growth.path, reply, settings.delimiter)
        for growth, row in zip(growths, rows, strict=True)
        for reply in row
    ]


def score_paths(task: Task, settings: TreeSettings, paths: Sequence[Path]) -> Flow[list[Path]]:
    """Return `paths` with their scores; failed ones are not sent, unscorable ones keep None."""
    live = [index for index, path in enumerate(paths) if not path.lost]
    request = ScoreRequest(
        prompt=task.prompt,
        completions=tuple(paths[index].steps for index in live),
        mean_logprobs=tuple(paths[index].mean_logprob for index in live),
        verifier=settings.verifier,
    )
    scores = yield from score(request)
    result = list(paths)
    for index, value in zip(live, scores, strict=True):
        result[index] = replace(result[index], score=value)
    return result


def rank(paths: Sequence[Path], rng: np.random.Generator) -> list[Path]:
    """Return the scored paths that can be extended, best first; ties in random order."""
    live = [(path.score, path) for path in paths if path.ended is None and path.score is not None]
    order = rng.permutation(len(live))
    return [path for _, path in sorted((live[i] for i in order), key=lambda scored: -scored[0])]


def spread(total: int, parts: int) -> list[int]:
    """Split `total` into `parts` whole numbers that differ by at most 1, larger ones first.

    Examples
    --------
    >>> spread(7, 3)
    [3, 2, 2]
    """
    share, rest = divmod(total, parts)
    return [share + (part < rest) for part in range(parts)]


def conclude_search(
    task: Task, settings: TreeSettings, paths: Sequence[tuple[int, Path]], rng: np.random.Generator
) -> Outcome:
    """Return the outcome over paths, given with their subtree; a path still open counts as truncated."""
    candidates = [_candidate(task, path, chain) for chain, path in paths]
    return conclude(task, candidates, select(settings.selection, candidates, rng))


def _child(parent: Path, reply: Completion | Failure, delimiter: str) -> Path:
    if isinstance(reply, Failure):
        ended: CandidateStatus = "cancelled" if reply.refused else "failed"
        return replace(parent, ended=ended, score=None, mean_logprob=None)
    tokens = parent.output_tokens + reply.output_tokens
    # An engine that does not name its stop string still shows the end: nothing comes after the last step.
    at_end = reply.stop_string == "" or (reply.stop_string is None and not reply.text.strip())
    ending: CandidateStatus | None = (
        "truncated" if reply.finish_reason == "length" else "ok" if at_end else None
    )
    text = reply.text if ending is not None else reply.text + delimiter
    steps = (*parent.steps, text) if text.strip() or ending is None else parent.steps
    return Path(steps=steps, ended=ending, mean_logprob=reply.mean_logprob, output_tokens=tokens)


def _candidate(task: Task, path: Path, chain: int) -> Candidate:
    status = path.ended or "truncated"
    text = "" if path.lost else "".join(path.steps)
    answer = None
    if not path.lost:
        answer = task.extractor.extract(text, "length" if status == "truncated" else "stop")
    return Candidate(
        text=text,
        answer=answer,
        status=status,
        score=path.score,
        mean_logprob=path.mean_logprob,
        output_tokens=path.output_tokens,
        chain=chain,
        step=len(path.steps),
        steps=() if path.lost else path.steps,
    )
