"""Features of prompts that a function of yours computes: embeddings, ratings, whatever tells what is hard.

It assumes that the function gives a prompt the same numbers in training and in planning, whatever prompts
come with it. Reducing many columns to a few is left to `prompt_features`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol, final

import numpy as np
from numpy.typing import ArrayLike, NDArray

from difficulty.errors import InvalidInputError
from difficulty.prompt import Prompt

__all__ = ["OwnFeatures", "PromptReader"]


class PromptReader(Protocol):
    """Turns prompts into numbers before anything is planned: `HiddenStates` of a model, or `OwnFeatures`."""

    def transform(self, prompts: Sequence[Prompt]) -> NDArray[np.float32]:
        """Return the numbers of P prompts, shape (P, H); a row of NaN where there are none."""
        ...

    def n_tokens(self, prompts: Sequence[Prompt]) -> NDArray[np.int64]:
        """Return the tokens that a model reads of each of P prompts, which plans and outcomes charge."""
        ...

    def description(self) -> str:
        """Return all that determines the numbers besides the prompts."""
        ...


@final
@dataclass(frozen=True, kw_only=True, slots=True)
class OwnFeatures:
    """Features by a function; takes the place of `HiddenStates` in training, evaluation and planning.

    Parameters
    ----------
    name : str
        Changes with what the function computes, so that a search that was stopped goes on only with the same.
    function : callable
        Takes P prompts and returns an array_like of shape (P, H). A row that holds a NaN says nothing. At
        most 16 directions of it are used, those in which prompts differ most, so that columns should be of
        one scale. What it costs is not counted.

    Raises
    ------
    InvalidInputError
        When the name is empty, or `function` cannot be called.

    Examples
    --------
    >>> own = OwnFeatures(name="length", function=lambda prompts: [[len(one.text or "")] for one in prompts])
    >>> own.transform([Prompt(text="1 + 1?")]).tolist()
    [[6.0]]
    """

    name: str
    function: Callable[[Sequence[Prompt]], ArrayLike]

    def __post_init__(self) -> None:
        if not self.name or not callable(self.function):
            raise InvalidInputError("own features need a name and a function from prompts to numbers")

    def transform(self, prompts: Sequence[Prompt]) -> NDArray[np.float32]:
        """Return the numbers of P prompts, shape (P, H).

        Raises
        ------
        InvalidInputError
            When the function returns something else, or infinite numbers.
        """
        values = self.function(prompts)
        try:
            found = np.asarray(values, dtype=np.float32)
        except (TypeError, ValueError) as error:
            raise InvalidInputError(f"features {self.name!r}: {error}") from error
        if found.ndim != 2 or len(found) != len(prompts) or np.isinf(found).any():
            raise InvalidInputError(
                f"features {self.name!r} must be finite or NaN, one row for each of {len(prompts)} prompts; "
                f"got {found.shape}"
            )
        return found

    def n_tokens(self, prompts: Sequence[Prompt]) -> NDArray[np.int64]:
        """Return 0 for each prompt."""
        return np.zeros(len(prompts), dtype=np.int64)

    def description(self) -> str:
        """Return the name."""
        return self.name
