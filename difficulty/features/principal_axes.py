"""The directions in which rows of numbers vary most, as far as they are more than rounding errors.

Texts of one template vary in few ways. A decomposition gives as many directions as it is asked for; those
that are left over are noise, another one on every machine. Features are standardised later, which would make
that noise as large as what tells something. What rows stand for is left to the callers.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

# Singular values below this share of the largest are rounding errors.
_LEAST: Final = 1e-5


def principal_axes(
    rows: NDArray[np.float64], n_axes: int, *, seed: int
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return singular values (D,), the largest first, and right singular vectors (D, F) of rows (P, F).

    Parameters
    ----------
    rows : ndarray of float64, shape (P, F)
        P >= 1 rows.
    n_axes : int
        Directions at most; D is smaller where the rows vary in fewer ways, and at least 1.
    seed : int
        Of the randomised decomposition.

    References
    ----------
    Halko, Martinsson, Tropp 2011, arXiv:0909.4061 (randomised SVD; scikit-learn's).
    """
    from sklearn.utils.extmath import randomized_svd

    _, sizes, axes = randomized_svd(rows, n_axes, n_iter=4, random_state=seed)
    n_kept = max(1, int((sizes > _LEAST * sizes[0]).sum()))
    return sizes[:n_kept], axes[:n_kept]
