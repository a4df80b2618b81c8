"""The posterior of a duel has its closed form, is symmetric, and grows with the lead."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from difficulty.belief.posterior import leads


def test_leads_has_the_closed_form_of_unanimous_votes() -> None:
    n = np.arange(10)
    np.testing.assert_allclose(leads(n, 0), 1 - 0.5 ** (n + 1))


@given(st.integers(0, 40), st.integers(0, 40))
def test_leads_is_symmetric_and_grows_with_the_lead(first: int, second: int) -> None:
    assert leads(first, second) == pytest.approx(1 - leads(second, first))
    assert leads(first + 1, second) > leads(first, second)
