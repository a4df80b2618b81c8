"""Programs vote by what they do: those whose outputs agree on generated inputs are one answer.

Only on explicit request, in a process with few rights (``docs/code.md`` says what that does not protect
from). Inputs come from the examples and the annotations of the prompt, else of the program, and are equal for
equal prompts. Whether agreement means being right, nobody can tell from it: tests can
(`planner.verifiers.code_tests`).
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final, final

from difficulty.errors import InvalidInputError
from difficulty.prompt import Prompt
from planner.answers.programs import program_of
from planner.answers.rule import AnswerRule
from planner.answers.signatures import AskedFunction, asked_function
from planner.verifiers.sandbox import Limits, hear_python

__all__ = ["ProgramOutputs"]

_KEY: Final = re.compile(r"outputs [0-9a-f]{24} \(\d+ of \d+ inputs\)")
_SAID: Final = re.compile(r"([0-9a-f]{24}) (\d{1,4}) (\d{1,4})")
_CODE: Final = re.compile(r"\bdef\s+\w|\blambda\b")
# In names of its own, so that it puts nothing into the program's module but what it says.
_PROBE: Final = (
    "SAID = (lambda own: (exec({source!r}, own), own['said_of'](globals(), {told!r}))[1])"
    "({{'__name__': 'output_probe'}})"
)
# Of the inputs, the share that must bring an output.
_LEAST: Final = 0.25


@final
@dataclass(frozen=True, kw_only=True, slots=True)
class ProgramOutputs(AnswerRule):
    """The outputs of a program as its answer; implements the port `AnswerExtractor`.

    Parameters
    ----------
    allow_execution : bool
        Must be True: programs that a model wrote will run on this machine.
    n_inputs : int
        Inputs of each program, 1 to 64.
    limits : Limits
        Of each run; one call has half a second of processor time besides.
    wrapper, python
        As of `planner.verifiers.code_tests.CodeTests`.
    asked : AskedFunction, optional
        What the prompt shows of the function, once `fresh` has read it.

    Raises
    ------
    InvalidInputError
        When execution is not allowed, or there are no inputs.

    Examples
    --------
    >>> prompt = Prompt(text="def double(n: int) -> int:\\n    ...")
    >>> rule = ProgramOutputs(allow_execution=True).fresh(prompt)
    >>> texts = ("def double(n): return n + n", "def double(x): return 2 * x", "def double(n): return n")
    >>> first, second, third = (rule.extract(text, "stop") for text in texts)
    >>> first == second, first == third
    (True, False)
    """

    allow_execution: bool = False
    n_inputs: int = 12
    limits: Limits = field(default_factory=lambda: Limits(seconds=20.0))
    wrapper: Sequence[str] = ()
    python: str | None = None
    asked: AskedFunction | None = None
    _known: dict[str, str | None] = field(default_factory=dict, repr=False, compare=False)

    def __post_init__(self) -> None:
        if not self.allow_execution:
            raise InvalidInputError(
                "ProgramOutputs runs programs that a model wrote on this machine; if that is meant, pass "
                "allow_execution=True"
            )
        if not 1 <= self.n_inputs <= 64:
            raise InvalidInputError(f"n_inputs must be 1 to 64, got {self.n_inputs}")

    @property
    def blocks(self) -> bool:
        """Whether extraction may take seconds: it runs programs."""
        return True

    def fresh(self, prompt: Prompt | None = None) -> ProgramOutputs:
        """Return the rule for one prompt, whose function and examples it has read."""
        asked = None if prompt is None else asked_function(prompt.content or "")
        return replace(self, asked=asked, _known={})

    def find(self, text: str) -> str | None:
        """Return the program in a text, or None where there is no function."""
        names = () if self.asked is None else (self.asked.name,)
        program = program_of(text, names=names)
        return program if _CODE.search(program) else None

    def final_part(self, text: str) -> str:
        """Return the text: finding the program passes thought over."""
        return text

    def canonicalise(self, answer: str) -> str | None:
        """Return what a program's outputs are called; None where it brings too few."""
        if _KEY.fullmatch(answer):
            return answer
        if answer not in self._known:
            self._known[answer] = self._run(answer)
        return self._known[answer]

    def _run(self, program: str) -> str | None:
        asked = self.asked or AskedFunction("")
        told = {
            "name": asked.name,
            "hints": list(asked.hints) or None,
            "examples": list(asked.examples),
            "n": self.n_inputs,
        }
        said = hear_python(
            program,
            probe=_PROBE.format(source=_probe(), told=told),
            limits=self.limits,
            wrapper=self.wrapper,
            python=self.python,
        )
        found = _SAID.fullmatch(said or "")
        if found is None or int(found[2]) < max(_LEAST * int(found[3]), 1):
            return None
        return f"outputs {found[1]} ({int(found[2])} of {int(found[3])} inputs)"


def _probe() -> str:
    return Path(__file__).with_name("output_probe.py").read_text(encoding="utf-8")
