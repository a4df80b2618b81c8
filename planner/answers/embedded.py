"""Whether texts say the same by what an embedding model makes of them; by their words where it said nothing.

Vectors are put in by whoever asks the model, before texts are compared. It assumes vectors of one model.
Asking an endpoint is left to `planner.serving.embedding`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import final

import numpy as np
from numpy.typing import NDArray

from difficulty.arguments import check_number
from difficulty.errors import InvalidInputError
from planner.answers.likeness import LexicalLikeness, Likeness


@final
@dataclass(kw_only=True, slots=True)
class EmbeddedLikeness:
    """Texts are alike where the cosine of their vectors is high enough.

    Parameters
    ----------
    threshold : float
        Least cosine, in (0, 1].
    words : Likeness
        Decides where a text has no vector.

    Examples
    --------
    >>> likeness = EmbeddedLikeness(threshold=0.9)
    >>> likeness.add("big", [1.0, 0.1])
    >>> likeness.add("large", [1.0, 0.2])
    >>> likeness.alike("big", "large"), likeness.alike("big", "small")
    (True, False)
    """

    threshold: float
    words: Likeness = field(default_factory=LexicalLikeness)
    _vectors: dict[str, NDArray[np.float64]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        check_number("threshold", self.threshold, "in (0, 1]")

    def knows(self, text: str) -> bool:
        """Return whether a text has a vector."""
        return text in self._vectors

    def add(self, text: str, vector: Sequence[float]) -> None:
        """Put in the vector of a text.

        Raises
        ------
        InvalidInputError
            When it has no direction, is not finite, or is not as long as the others.
        """
        values = np.asarray(vector, dtype=np.float64)
        norm = float(np.linalg.norm(values)) if values.ndim == 1 else float("nan")
        length = next((len(one) for one in self._vectors.values()), len(values) if values.ndim else 0)
        if not 0 < norm < float("inf") or len(values) != length:
            raise InvalidInputError("an embedding must be finite numbers, not all 0, as many as of others")
        self._vectors[text] = values / norm

    def alike(self, first: str, second: str) -> bool:
        """Return whether two texts say the same."""
        one, other = self._vectors.get(first), self._vectors.get(second)
        if one is None or other is None:
            return self.words.alike(first, second)
        return float(one @ other) >= self.threshold
