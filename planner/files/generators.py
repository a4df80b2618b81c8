"""Read generators from a JSON or TOML file: an object of names, each with the fields of a `Generator`.

The form is that of the header of a sample log, so that either can be copied into the other. What a field
means is left to `difficulty.generator`.
"""

from __future__ import annotations

import os
from pathlib import Path

from difficulty.errors import InvalidInputError, InvalidLogError
from difficulty.generator import Generator
from difficulty.log.wire import FORMAT_VERSION, decode_header, encode_record
from planner.files.settings import read_settings


def read_generators(path: str | os.PathLike[str]) -> dict[str, Generator]:
    """Read generators by name.

    Parameters
    ----------
    path : str or path
        A ``.json`` or ``.toml`` file: ``{"qwen/cot": {"model": "Qwen/Qwen2.5-1.5B-Instruct", "temperature":
        0.8, "max_output_tokens": 512}}``; also under a key ``"generators"``.

    Raises
    ------
    InvalidInputError
        When the file cannot be read, a field is unknown or wrong, or there is no generator in it.

    Examples
    --------
    >>> import tempfile
    >>> file = Path(tempfile.mkdtemp()) / "generators.toml"
    >>> _ = file.write_text('["tiny/cot"]\\nmodel = "tiny"\\ntemperature = 0.8\\n')
    >>> read_generators(file)["tiny/cot"].temperature
    0.8
    """
    path = Path(path)
    found = read_settings(path)
    if isinstance(found, dict) and set(found) == {"generators"}:
        found = found["generators"]
    if not isinstance(found, dict) or not found:
        raise InvalidInputError(
            f'{path}: must be an object of generators by name, such as {{"tiny": {{"model": "tiny"}}}}'
        )
    try:
        generators, _ = decode_header(encode_record({"sample_log": FORMAT_VERSION, "generators": found}))
    except InvalidLogError as error:
        raise InvalidInputError(f"{path}: {error.reason}") from error
    return generators
