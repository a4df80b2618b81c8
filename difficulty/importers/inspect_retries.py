"""Runs of inspect_ai that were tried again: their logs hold the samples that were finished before, too.

It assumes that a retry keeps the id of its task, and copies of samples their own, as `inspect eval-retry` and
`inspect log convert` do. What samples mean is left to `difficulty.importers.inspect_sample`.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

from difficulty.importers.inspect_wire import Header, Sample


class Log(NamedTuple):
    """One log: its file, header and samples."""

    path: Path
    header: Header
    samples: list[Sample]


class Runs(NamedTuple):
    """Logs without what others of them hold.

    Attributes
    ----------
    logs : list of Log
        Each sample once; without those that failed and came when they were tried again.
    n_copies : int
        How many samples are in an earlier log, too.
    unfinished : list of str
        Names of logs that were not finished, by themselves or when tried again.
    """

    logs: list[Log]
    n_copies: int
    unfinished: list[str]


def each_sample_once(logs: Iterable[Log]) -> Runs:
    """Return logs without samples that are copies, or that were tried again with success."""
    kept: list[Log] = []
    seen: set[str] = set()
    n_copies = 0
    for path, header, samples in logs:
        own = [sample for sample in samples if sample.uuid is None or sample.uuid not in seen]
        n_copies += len(samples) - len(own)
        seen.update(sample.uuid for sample in own if sample.uuid is not None)
        kept.append(Log(path, header, own))
    came = {
        (header.eval.task_id, sample.id, sample.epoch)
        for _, header, samples in kept
        for sample in samples
        if header.eval.task_id is not None and sample.error is None
    }
    finished = {header.eval.task_id for _, header, _ in kept if header.status == "success"} - {None}
    return Runs(
        logs=[
            log._replace(
                samples=[
                    sample
                    for sample in log.samples
                    if sample.error is None or (log.header.eval.task_id, sample.id, sample.epoch) not in came
                ]
            )
            for log in kept
        ],
        n_copies=n_copies,
        unfinished=[
            log.path.name
            for log in kept
            if log.header.status not in (None, "success") and log.header.eval.task_id not in finished
        ],
    )
