"""Say what is right by the verdicts of a log that is replayed, and by another grader where it has none.

It assumes samples that the replay has drawn. Which log that is, and who judges the rest, is left to the
caller.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import final

from difficulty.errors import VerifierError
from difficulty.prompt import Prompt
from planner.backends.replay import ReplayBackend
from planner.ports.ports import Grader, ScoreRequest


@final
@dataclass(frozen=True, kw_only=True, slots=True)
class RecordedVerdicts:
    """Accepts and grades by recorded verdicts; implements the ports `Verifier` and `Grader`.

    Parameters
    ----------
    replay : ReplayBackend
        Draws from a log whose samples were judged.
    otherwise : Grader
        Judges answers that the log has no verdict for.
    """

    replay: ReplayBackend
    otherwise: Grader

    async def score(self, requests: Sequence[ScoreRequest]) -> list[list[float]]:
        """Return 1 for completions that were right and 0 for others.

        Raises
        ------
        VerifierError
            When a completion was not drawn from the log, or nobody knows whether it is right.
        """
        return [self._marks(request) for request in requests]

    def _marks(self, request: ScoreRequest) -> list[float]:
        marks = []
        for sample in self.replay.recorded(request):
            right = sample.correct
            if right is None:
                right = self.otherwise.grade(request.prompt, sample.answer)
            if right is None:
                raise VerifierError(
                    f"prompt {request.prompt.id!r}: nobody says whether its samples are right"
                )
            marks.append(float(right))
        return marks

    def grade(self, prompt: Prompt, answer: str | None) -> bool | None:
        """Return whether most samples with this answer were right; else what `otherwise` says.

        No answer is wrong, unless samples without one were right: then the log holds no answers. Where it
        holds none at all, `otherwise` says so of what was not found in texts, and without texts nobody.
        """
        judged = [
            sample
            for name in self.replay.log.generators
            for sample in self.replay.log.samples(prompt.id, name)
            if sample.correct is not None
        ]
        same = [bool(sample.correct) for sample in judged if sample.answer == answer]
        if answer is None and judged:
            if self.replay.has_answers:
                return None if any(same) else False
            return self.otherwise.grade(prompt, answer) if any(sample.text for sample in judged) else None
        if not same or 2 * sum(same) == len(same):
            return self.otherwise.grade(prompt, answer)
        return 2 * sum(same) > len(same)
