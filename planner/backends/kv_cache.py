"""The key-value cache of a forward pass, under the name that the model knows it by.

transformers called the cache ``past_key_values`` until version 5.23 and calls it ``cache`` since; models with
code of their own may go either way in any version. So the model and its output are asked, once per batch.
What the cache can do (select rows, repeat them) has not changed and is left to its users.
"""

from __future__ import annotations

import inspect
from typing import Any

_NEW, _OLD = "cache", "past_key_values"


def cache_argument(model: Any) -> str:
    """Return the name of the argument that takes the cache.

    Parameters
    ----------
    model
        A causal language model of transformers.

    Returns
    -------
    str
        ``"cache"`` or ``"past_key_values"``.
    """
    return _NEW if _NEW in inspect.signature(model.forward).parameters else _OLD


def cache_of(output: Any) -> Any:
    """Return the cache that a forward pass left in its output."""
    return output[_NEW] if _NEW in output else output[_OLD]
