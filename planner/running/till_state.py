"""The file that a budget per window is kept in, so that a restart goes on from it.

It holds the few numbers of the control (`policies.control.stream`), and is written whole or not at all.
"""

from __future__ import annotations

from dataclasses import asdict, replace
from pathlib import Path
from typing import Final

import msgspec

from difficulty.errors import InvalidInputError
from difficulty.files.whole import written_whole
from policies.control.state import StreamState
from policies.control.stream import StreamControl
from policies.cost.budget import Unit

_SCHEMA: Final = 2
_EARLIER: Final = 1


class _Saved(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """The file; `stale` was reserved by a dead process, which earlier versions kept."""

    stream: int
    unit: str
    clock: str
    state: dict[str, float]
    stale: float = 0.0
    stale_window: float = 0.0


def write_state(path: Path, control: StreamControl, unit: Unit) -> None:
    """Write the state of a control."""
    saved = _Saved(stream=_SCHEMA, unit=unit, clock=control.clock, state=asdict(control.state))
    with written_whole(path) as part:
        part.write_bytes(msgspec.json.encode(saved))


def resumed(path: Path, control: StreamControl, unit: Unit) -> StreamControl:
    """Return a control that goes on where the one in the file was; what was in flight is booked as expected.

    Raises
    ------
    InvalidInputError
        When the file is not the state of such a control.
    """
    try:
        saved = msgspec.json.decode(path.read_bytes(), type=_Saved)
    except msgspec.MsgspecError as error:
        raise InvalidInputError(f"{path} is not the state of a stream: {error}; take another path") from error
    if saved.stream not in (_SCHEMA, _EARLIER) or (unit, control.clock) != (saved.unit, saved.clock):
        raise InvalidInputError(
            f"{path} is the state of another stream: schema, unit and clock are {saved.stream}, "
            f"{saved.unit}, {saved.clock}, here {_SCHEMA}, {unit}, {control.clock}; take another path"
        )
    return replace(control, state=StreamState.resumed(saved.state))
