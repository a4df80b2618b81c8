"""What a collection says of itself: how far it is, and what it came to.

Both are values for whoever started it; nothing here draws, counts or writes.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

from difficulty.log.sample_log import SampleLog
from policies.cost.usage import Usage


@dataclass(frozen=True, kw_only=True, slots=True)
class CollectProgress:
    """How far a collection is.

    Parameters
    ----------
    n_done, n_pieces : int
        Pieces done, and all; those of earlier sessions are among the done ones.
    n_failures : int
        Requests that failed in this session, retries included.
    usage : Usage
        Spent in this session.
    seconds : float
        Of this session.
    """

    n_done: int
    n_pieces: int
    n_failures: int
    usage: Usage
    seconds: float


OnCollect: TypeAlias = Callable[[CollectProgress], None]


@dataclass(frozen=True, kw_only=True, slots=True)
class Collected:
    """What a collection came to.

    Parameters
    ----------
    path : Path
        Where the log is, or would be.
    log : SampleLog, optional
        The log; None where pieces are missing and a partial log was not asked for.
    n_pieces, n_missing : int
        Pieces in all, and those that are not recorded.
    n_samples : int
        Samples recorded, earlier sessions included.
    failures : mapping of str to int
        Samples and scores that failed for good in recorded pieces, by kind of error.
    missing : mapping of str to int
        Why pieces are missing, by kind of error or cap.
    usage : Usage
        What the recorded pieces cost, earlier sessions included, and what the missing ones did in this one.
    seconds : float
        Of this session.
    declined : bool
        Whether `approve` said no.
    """

    path: Path
    log: SampleLog | None
    n_pieces: int
    n_missing: int
    n_samples: int
    failures: Mapping[str, int]
    missing: Mapping[str, int]
    usage: Usage
    seconds: float
    declined: bool = False
