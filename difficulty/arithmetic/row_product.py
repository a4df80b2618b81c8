"""A matrix product of float32 in which equal rows give equal results.

BLAS spreads the rows of a product over kernels that add up in different orders (OpenBLAS on AVX2: every
second group of six rows). Two equal prompts could then differ in the last digit by their place in the batch,
and that digit could decide a tie. The product is therefore taken in float64 and rounded: the orders still
differ, but far below the last digit that is kept.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def row_product(
    rows: NDArray[np.floating], matrix: NDArray[np.floating], *, weight: NDArray[np.floating] | None = None
) -> NDArray[np.float32]:
    """Return ``rows @ matrix``, rounded to float32; with `weight` the weighted mean of what it marks.

    Parameters
    ----------
    rows : ndarray, shape (P, T)
        One row per prompt.
    matrix : ndarray, shape (T, A)
        What every row is multiplied with.
    weight : ndarray, shape (T, A) or (T, 1), optional
        The products are divided by ``rows @ weight``; NaN where that is 0.

    Returns
    -------
    ndarray of float32, shape (P, A)

    Notes
    -----
    Results of equal rows can only differ where the exact result lies within some 1e-16 of half way between
    two numbers of float32, about once in 1e8 entries.

    Examples
    --------
    >>> product = row_product(np.full((30, 7), 1 / 7, np.float32), np.arange(14.0).reshape(7, 2) / 3)
    >>> bool((product == product[0]).all())
    True
    """
    rows = rows.astype(np.float64, copy=False)
    product = rows @ matrix.astype(np.float64, copy=False)
    if weight is not None:
        mass = rows @ weight.astype(np.float64, copy=False)
        product = np.divide(product, mass, out=np.full(product.shape, np.nan), where=mass > 0)
    return product.astype(np.float32)
