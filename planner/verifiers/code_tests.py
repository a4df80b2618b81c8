"""Check a program that a model wrote by running it with tests.

Only on explicit request, in a process with few rights (``docs/code.md`` says what that does not protect
from). The program is found by `planner.answers.programs`; writing the tests is left to the user.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, final

from difficulty.arguments import check_whole
from difficulty.errors import InvalidInputError
from difficulty.prompt import Prompt
from planner.answers.programs import names_called_by, program_of
from planner.ports.ports import ScoreRequest
from planner.verifiers.sandbox import Limits, run_python

__all__ = ["CodeTests"]


@final
@dataclass(frozen=True, kw_only=True, slots=True)
class CodeTests:
    """Scores 1 where the program passes its tests, else 0 (a timeout too).

    Parameters
    ----------
    tests : callable
        Gives for a prompt the test program, which runs after the candidate's in the same module and raises
        where it is wrong.
    allow_execution : bool
        Must be True: programs that a model wrote will run on this machine.
    limits : Limits
        Of each run.
    max_concurrency : int
        Programs at once, at least 1.
    wrapper : sequence of str
        A command of yours that isolates each run, before the interpreter's: ``("bwrap", ...)``.
    python : str, optional
        The interpreter where the wrapper leads, 3.11 or later.

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
    wrapper: Sequence[str] = ()
    python: str | None = None

    def __post_init__(self) -> None:
        if not self.allow_execution:
            raise InvalidInputError(
                "CodeTests runs programs that a model wrote on this machine; if that is meant, pass "
                "allow_execution=True"
            )
        check_whole("max_concurrency", self.max_concurrency, least=1)
        if isinstance(self.wrapper, str):
            raise InvalidInputError(f"wrapper must be the parts of a command, not one text: {self.wrapper!r}")

    async def score(self, requests: Sequence[ScoreRequest]) -> list[list[float]]:
        """Return 1 or 0 for each completion.

        Raises
        ------
        VerifierError
            When a program could not be run at all.
        """
        slots = asyncio.Semaphore(self.max_concurrency)

        def check(completion: str, tests: str, names: frozenset[str]) -> float:
            verdict = run_python(
                program_of(completion, names=names),
                tests=tests,
                limits=self.limits,
                wrapper=self.wrapper,
                python=self.python,
            )
            return float(verdict == "passed")

        async def run(*arguments: Any) -> float:
            async with slots:
                return await asyncio.to_thread(check, *arguments)

        async def one(request: ScoreRequest) -> list[float]:
            tests = self.tests(request.prompt)
            names = names_called_by(tests)
            texts = ("".join(steps) for steps in request.completions)
            return list(await asyncio.gather(*(run(text, tests, names) for text in texts)))

        return list(await asyncio.gather(*map(one, requests)))
