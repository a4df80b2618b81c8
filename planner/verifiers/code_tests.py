"""Check a program that a model wrote by running it with tests.

Only on explicit request, in a process with limits (`planner.verifiers.sandbox` says what they do not protect
from). Finding the program in the completion is done here; writing the tests is left to the user.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Final, final

from difficulty.errors import InvalidInputError
from difficulty.prompt import Prompt
from planner.ports.ports import ScoreRequest
from planner.verifiers.sandbox import Limits, run_python

__all__ = ["CodeTests", "program_of"]

_FENCE: Final = re.compile(r"```(?:python|py)?[^\S\n]*\n(.*?)(?:```|\Z)", re.DOTALL | re.IGNORECASE)


def program_of(text: str) -> str:
    """Return the last fenced block of a completion, or the whole text where there is none.

    Examples
    --------
    >>> program_of("Sure:\\n```python\\ndef f():\\n    return 42\\n```\\nDone.")
    'def f():\\n    return 42\\n'
    """
    blocks = _FENCE.findall(text)
    return str(blocks[-1]) if blocks else text


@final
@dataclass(frozen=True, kw_only=True, slots=True)
class CodeTests:
    """Scores 1 where the program passes its tests, else 0 (a timeout too).

    Parameters
    ----------
    tests : callable
        Gives for a prompt the test program, which is appended to the candidate's and raises where it is
        wrong.
    allow_execution : bool
        Must be True: programs that a model wrote will run on this machine.
    limits : Limits
        Of each run.
    max_concurrency : int
        Programs at once, at least 1.

    Raises
    ------
    InvalidInputError
        When execution is not allowed.

    Examples
    --------
    >>> checker = CodeTests(tests=lambda prompt: "assert f() == 42", allow_execution=True)
    >>> programs = (("def f(): return 42",), ("f = 1",))
    >>> asyncio.run(checker.score([ScoreRequest(prompt=Prompt(text="write f"), completions=programs)]))
    [[1.0, 0.0]]
    """

    tests: Callable[[Prompt], str]
    allow_execution: bool = False
    limits: Limits = field(default_factory=Limits)
    max_concurrency: int = 4

    def __post_init__(self) -> None:
        if not self.allow_execution:
            raise InvalidInputError(
                "CodeTests runs programs that a model wrote on this machine; if that is meant, pass "
                "allow_execution=True"
            )
        if self.max_concurrency < 1:
            raise InvalidInputError(f"max_concurrency must be at least 1, got {self.max_concurrency}")

    async def score(self, requests: Sequence[ScoreRequest]) -> list[list[float]]:
        """Return 1 or 0 for each completion.

        Raises
        ------
        VerifierError
            When a program could not be run at all.
        """
        slots = asyncio.Semaphore(self.max_concurrency)

        async def run(program: str) -> float:
            async with slots:
                return float(await asyncio.to_thread(run_python, program, limits=self.limits) == "passed")

        async def one(request: ScoreRequest) -> list[float]:
            tests = self.tests(request.prompt)
            programs = [f"{program_of(''.join(steps))}\n\n{tests}\n" for steps in request.completions]
            return list(await asyncio.gather(*map(run, programs)))

        return list(await asyncio.gather(*map(one, requests)))
