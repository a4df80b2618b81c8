"""Equal prompts get equal numbers, wherever they stand in the batch."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.testing import assert_allclose

from difficulty.arithmetic.row_product import row_product


@pytest.mark.parametrize("n_prompts", [1, 6, 30, 257])
@pytest.mark.parametrize("n_allocations", [1, 20, 33])
def test_equal_rows_have_equal_products(n_prompts: int, n_allocations: int) -> None:
    rng = np.random.default_rng(0)
    row = rng.dirichlet(np.ones(156)).astype(np.float32)
    matrix = rng.random((156, n_allocations))
    product = row_product(np.tile(row, (n_prompts, 1)), matrix)
    assert product.dtype == np.float32
    assert np.array_equal(product, np.tile(product[0], (n_prompts, 1)))
    assert_allclose(product[0], row.astype(np.float64) @ matrix, rtol=1e-6)
