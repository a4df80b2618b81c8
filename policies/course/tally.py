"""What is known of one live prompt between two steps: the evidence of its course, in plain numbers.

It counts as replays of logs do, draw by draw, so that a rule sees at run time what it was
chosen on. Samples that failed are not added: they tell nothing. Who wins is left to `policies.course.decide`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field

from policies.course.selection import Selection
from policies.course.stop import Evidence


@dataclass(slots=True, eq=False)
class Tally:
    """Counts of one prompt.

    Parameters
    ----------
    selection : Selection
        Says whether generators pool.

    Examples
    --------
    >>> tally = Tally(Selection())
    >>> for answer in ("41", "42", "42", None):
    ...     tally.add("tiny", answer)
    >>> tally.evidence().leader, tally.evidence().n_votes, tally.evidence().n_drawn
    (2, 3, 4)
    """

    selection: Selection
    _counts: dict[str, int] = field(default_factory=dict)
    _generator: str = ""
    _n_drawn: int = 0
    _n_votes: int = 0
    _n_correct: int = 0
    _streak: int = 0
    _last: str | None = None

    def add(self, generator: str, answer: str | None, *, accepted: bool = False) -> None:
        """Add one sample that came back; an answer of None abstains."""
        self.turn_to(generator)
        self._n_drawn += 1
        self._n_correct += accepted
        if answer is None:
            self._streak, self._last = 0, None
            return
        self._n_votes += 1
        self._counts[answer] = self._counts.get(answer, 0) + 1
        self._streak = self._streak + 1 if answer == self._last else 1
        self._last = answer

    def turn_to(self, generator: str) -> None:
        """Say whose samples come next: where answers are not pooled, votes begin anew with each generator."""
        if not self.selection.pooled and generator != self._generator:
            self._counts, self._n_votes = {}, 0
        self._generator = generator

    def evidence(self, *, best: float = -math.inf) -> Evidence:
        """Return what is known now; `best` is the best signal so far, for rules that read it."""
        leader = runner_up = 0
        for count in self._counts.values():
            if count > leader:
                leader, runner_up = count, leader
            elif count > runner_up:
                runner_up = count
        return Evidence(self._n_drawn, self._n_votes, leader, runner_up, self._streak, self._n_correct, best)
