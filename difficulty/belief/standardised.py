"""Coordinates in standard deviations of the reference prompts: the form in which stop rules see difficulty.

Training and running share this one function, so that a rule sees at run time what it was fitted on. It
assumes coordinates of the same predictor; predicting them is left to
`difficulty.predictor.difficulty_predictor`.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

__all__ = ["standardised"]


def standardised(coordinates: NDArray[np.float64], references: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return coordinates in standard deviations of the references'.

    Parameters
    ----------
    coordinates : ndarray of float64, shape (P, 1 + D)
        Predicted coordinates of P prompts.
    references : ndarray of float64, shape (T, 1 + D)
        Those of the T reference prompts.

    Returns
    -------
    ndarray of float64, shape (P, V)
        V of the columns: those that vary over the references.

    Examples
    --------
    >>> standardised(np.array([[3.0, 5.0]]), np.array([[1.0, 5.0], [-1.0, 5.0]]))
    array([[3.]])
    """
    deviation = references.std(axis=0)
    varies = deviation > 1e-9
    centred = coordinates[:, varies] - references.mean(axis=0)[varies]
    return np.asarray(centred / deviation[varies], dtype=np.float64)
