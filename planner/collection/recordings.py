"""Read what to record of every prompt from a JSON or TOML file: chains and runs of searches, several at once.

Each entry names a strategy and its sizes, as the options of ``planner collect`` do for one strategy. What a
recording means is left to `planner.collection.plan`.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

import msgspec

from difficulty.arguments import check_choice
from difficulty.errors import InvalidInputError
from planner.collection.plan import Recording
from planner.files.settings import read_settings
from policies.course.allocation import ParameterValue
from policies.course.strategies import STRATEGIES, TRAITS, StrategyName

_CHAIN_STEPS: Final = 4


class Entry(msgspec.Struct, forbid_unknown_fields=True):
    """One entry of the file."""

    strategy: str
    widths: list[int]
    depth: int | None = None
    runs: int = 1
    params: dict[str, ParameterValue] = {}


def read_recordings(path: str | os.PathLike[str]) -> tuple[Recording, ...]:
    """Read recordings.

    Parameters
    ----------
    path : str or path
        A ``.toml`` or ``.json`` file with a list ``recordings``; each entry has ``strategy``, ``widths``
        (sizes of a search, or one number of chains), and perhaps ``depth`` (attempts per chain, by default
        4), ``runs`` and ``params``.

    Raises
    ------
    InvalidInputError
        When the file cannot be read, an entry is wrong, or there is none.

    Examples
    --------
    >>> import tempfile
    >>> file = Path(tempfile.mkdtemp()) / "recordings.toml"
    >>> _ = file.write_text('[[recordings]]\\nstrategy = "dvts"\\nwidths = [4, 8]')
    >>> [str(recording) for recording in read_recordings(file)]
    ['dvts N=4', 'dvts N=8']
    """
    path = Path(path)
    found = read_settings(path)
    if not isinstance(found, dict) or set(found) != {"recordings"} or not found["recordings"]:
        raise InvalidInputError(
            f"{path}: must hold a list of recordings, such as [[recordings]] with "
            'strategy = "beam_search" and widths = [4, 16]'
        )
    try:
        entries = msgspec.convert(found["recordings"], list[Entry])
    except msgspec.ValidationError as error:
        raise InvalidInputError(f"{path}: {error}") from error
    recordings: list[Recording] = []
    for place, entry in enumerate(entries, start=1):
        try:
            recordings += grid(entry)
        except InvalidInputError as error:
            raise InvalidInputError(f"{path}, recording {place}: {error}") from error
    return tuple(recordings)


def grid(entry: Entry) -> list[Recording]:
    """Return the recordings of one entry."""
    check_choice("strategy", entry.strategy, STRATEGIES)
    strategy: StrategyName = msgspec.convert(entry.strategy, StrategyName)
    chains = TRAITS[strategy].kind == "revision"
    if chains and len(entry.widths) != 1:
        raise InvalidInputError(
            "chains are resampled: give widths the largest number of chains alone, and depth their length"
        )
    return Recording.grid(
        strategy,
        widths=entry.widths,
        depth=entry.depth or (_CHAIN_STEPS if chains else 1),
        runs=entry.runs,
        params=entry.params,
    )
