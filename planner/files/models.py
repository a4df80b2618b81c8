"""Models of transformers and their tokenizers, loaded from a folder or by a name on the hub.

Weights are read from safetensors, which hold numbers alone. What a model is asked is left to the backend or
the verifier that it serves.
"""

from __future__ import annotations

from os import PathLike
from typing import Any, NamedTuple

from difficulty.errors import InvalidInputError, require


class LocalModel(NamedTuple):
    """A model, ready to be asked, and its tokenizer."""

    model: Any
    tokenizer: Any


def load_model(
    path: str | PathLike[str], kind: str, *, device: str | None, trust_remote_code: bool = False
) -> LocalModel:
    """Load a model by a class of transformers.

    Parameters
    ----------
    path : str or path
        Folder, or name on the hub.
    kind : str
        Name of the class, such as ``AutoModelForCausalLM``.
    device : str, optional
        Where it runs; by default a GPU where there is one. Single precision on a CPU, else bfloat16.
    trust_remote_code : bool
        Whether code that comes with the model may run.

    Raises
    ------
    MissingDependencyError
        When torch or transformers is not installed.
    InvalidInputError
        When there is no such model, or its files are damaged.
    """
    torch, transformers = require("torch", extra="local"), require("transformers", extra="local")
    damaged = require("safetensors", extra="local").SafetensorError
    place = device or ("cuda" if torch.cuda.is_available() else "cpu")
    try:
        model = getattr(transformers, kind).from_pretrained(
            path,
            dtype=torch.float32 if place == "cpu" else torch.bfloat16,
            trust_remote_code=trust_remote_code,
            use_safetensors=True,
        )
        tokenizer = transformers.AutoTokenizer.from_pretrained(path)
    except (OSError, ValueError, damaged) as error:
        raise InvalidInputError(
            f"no model can be loaded from {str(path)!r}; give its folder or its name on the hub: {error}"
        ) from error
    return LocalModel(model.to(place).eval(), tokenizer)
