"""Keep hidden states between runs, one small file per state, named by a hash of all that determines it.

Files are npz without pickle and appear whole or not at all, so that several processes may share a folder. It
assumes that a model's weights are told apart by its hub commit, its files' sizes and times, or a fingerprint
of a loaded model's parameters. Computing the states is left to `hidden_states`.
"""

from __future__ import annotations

import os
import tempfile
import zipfile
from hashlib import sha256
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from difficulty.errors import InvalidInputError

if TYPE_CHECKING:
    from transformers import PreTrainedModel

# So many values of each parameter enter the fingerprint of a loaded model: enough to tell any two trainings
# apart.
_VALUES_PER_PARAMETER = 64


class HiddenCache:
    """A folder of hidden states.

    Parameters
    ----------
    folder : str
        Created on the first `put`.

    Examples
    --------
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     cache = HiddenCache(folder)
    ...     cache.put(state_key("model", "text"), np.ones(2, dtype=np.float32))
    ...     cache.get(state_key("model", "text")), cache.get(state_key("model", "other"))
    (array([1., 1.], dtype=float32), None)
    """

    def __init__(self, folder: str) -> None:
        self._folder = Path(folder)

    def get(self, key: str) -> NDArray[np.float32] | None:
        """Return the state of `key`, or None when it is not kept.

        Raises
        ------
        InvalidInputError
            When the file cannot be read.
        """
        path = self._path(key)
        try:
            with np.load(BytesIO(path.read_bytes()), allow_pickle=False) as arrays:
                return np.asarray(arrays["state"], dtype=np.float32)
        except FileNotFoundError:
            return None
        except (ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
            raise InvalidInputError(
                f"{path} is no readable hidden state ({error}); delete the file"
            ) from error

    def put(self, key: str, state: NDArray[np.float32]) -> None:
        """Keep a state of shape (H,) under `key`."""
        path = self._path(key)
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=path.parent, suffix=".part", delete=False) as file:
            np.savez(file, state=state)
        os.replace(file.name, path)

    def _path(self, key: str) -> Path:
        """Return the file of `key`; two levels keep folders small."""
        return self._folder / key[:2] / f"{key}.npz"


def state_key(description: str, text: str) -> str:
    """Return the name of a state: a hash of what computes it and what it is computed from.

    Examples
    --------
    >>> len(state_key("model", "text")), state_key("a", "bc") == state_key("ab", "c")
    (64, False)
    """
    inner = sha256(description.encode()).digest() + sha256(text.encode("utf-8", "surrogatepass")).digest()
    return sha256(inner).hexdigest()


def fingerprint_files(folder: str) -> str:
    """Return a hash of the names, sizes and times of a model folder's files; "" when it is no folder."""
    path = Path(folder)
    if not path.is_dir():
        return ""
    facts = [(file.name, file.stat()) for file in sorted(path.iterdir()) if file.is_file()]
    listing = [f"{name} {stat.st_size} {stat.st_mtime_ns}" for name, stat in facts]
    return sha256("\n".join(listing).encode()).hexdigest()


def fingerprint_weights(model: PreTrainedModel) -> str:
    """Return a hash over some values of every parameter of a loaded model."""
    digest = sha256()
    for name, parameter in model.named_parameters():
        values = parameter.detach().reshape(-1)
        some = values[:: max(1, values.numel() // _VALUES_PER_PARAMETER)][:_VALUES_PER_PARAMETER]
        digest.update(f"{name} {tuple(parameter.shape)} {parameter.dtype}".encode())
        digest.update(some.float().cpu().numpy().tobytes())
    return digest.hexdigest()
