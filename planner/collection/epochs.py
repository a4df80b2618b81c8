"""Our stop rules as the ``EarlyStopping`` plug-in of inspect_ai: epochs of a sample end when a rule says so.

The answers that scorers found in a sample's epochs vote, and the rule is asked before each further epoch with
what it is asked in a run of ours. It assumes inspect_ai 0.3.285 or later; what epochs are worth is left to
`planner import` and training.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any, Final, final

from difficulty.errors import require
from policies.course.selection import Selection
from policies.course.stop import StopRule
from policies.course.tally import Tally

__all__ = ["StopEpochs"]

_RIGHT: Final = ("C", True, 1, 1.0)


@final
class StopEpochs:
    """An early stopping manager for ``inspect_ai.Task(early_stopping=…)``.

    Parameters
    ----------
    rule : StopRule
        Of `policies.course.stop`: asked between the epochs of a sample.
    scorer : str, optional
        Name of the score whose answers vote; by default the first one.

    Notes
    -----
    inspect_ai starts epochs of a sample side by side where ``max_samples`` allows it; what has been started
    is not stopped. The score of a stopped sample is reduced over the epochs that it had.

    Examples
    --------
    >>> from policies.course.stop import Agreement
    >>> str(StopEpochs(Agreement(count=3)).rule)  # doctest: +SKIP
    'until 3 agree'
    """

    def __init__(self, rule: StopRule, *, scorer: str | None = None) -> None:
        self.rule, self._scorer = rule, scorer
        self._stop: Any = require("inspect_ai.util", extra="inspect").EarlyStop
        self._tallies: dict[str | int, Tally] = {}
        self._n_stopped: defaultdict[str | int, int] = defaultdict(int)
        self._epochs = 0

    async def start_task(self, task: object, samples: Sequence[object], epochs: int) -> str:
        """Begin anew; returns this manager's name."""
        self._tallies, self._epochs = {}, epochs
        self._n_stopped.clear()
        return f"ttc-planner: {self.rule}"

    async def schedule_sample(self, id: str | int, epoch: int) -> Any:
        """Return why an epoch of a sample is not run, None where it is."""
        tally = self._tallies.get(id)
        if tally is None or not bool(self.rule.enough(tally.evidence())):
            return None
        self._n_stopped[id] += 1
        return self._stop(id=id, epoch=epoch, reason=str(self.rule))

    async def complete_sample(self, id: str | int, epoch: int, scores: Mapping[str, Any]) -> None:
        """Let the answer of an epoch vote; one without an answer abstains."""
        found = scores.get(self._scorer) if self._scorer else next(iter(scores.values()), None)
        if found is None:
            return  # it was not scored: it tells nothing
        score = found.score
        tally = self._tallies.setdefault(id, Tally(Selection()))
        accepted = not isinstance(score.value, Mapping | Sequence) or isinstance(score.value, str)
        tally.add("", score.answer, accepted=accepted and score.value in _RIGHT)

    async def complete_task(self) -> dict[str, Any]:
        """Return how many epochs were saved."""
        saved = sum(self._n_stopped.values())
        return {"rule": str(self.rule), "epochs_saved": saved, "samples_stopped": len(self._n_stopped)}
