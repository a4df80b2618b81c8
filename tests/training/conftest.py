"""What tests share: one thread for torch, the lab's tokenizer and its language model."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest


@pytest.fixture(scope="module")
def one_thread() -> Iterator[None]:
    """Keep torch on one thread: small models gain nothing from two, and results stay the same to the bit."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="session")
def tokenizer() -> Any:
    """Return the lab's tokenizer."""
    from transformers import AutoTokenizer

    from training.lab import LANGUAGE_MODEL

    return AutoTokenizer.from_pretrained(LANGUAGE_MODEL)


@pytest.fixture(scope="session")
def language() -> Any:
    """Return the lab's language model."""
    from transformers import AutoModelForCausalLM

    from training.lab import LANGUAGE_MODEL

    return AutoModelForCausalLM.from_pretrained(LANGUAGE_MODEL).eval()
