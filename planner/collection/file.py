"""The working file of a collection: finished pieces, appended and forced to disk, batch by batch.

It lies beside the log that it becomes, and its first line holds the settings, so that a killed collection
goes on exactly where it was and never mixes two. A last line that the kill tore is cut off; a broken line
anywhere else is an error. Requests of unfinished pieces are left to `planner.collection.journal`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, Final, Self

import msgspec

from difficulty.errors import InvalidInputError
from difficulty.log.builder import LogBuilder
from difficulty.log.sample_log import SampleLog
from difficulty.log.wire import LineWire, SampleWire
from planner.collection.plan import CollectPlan
from planner.files.append import AppendFile
from policies.cost.usage import Usage

COLLECTION_SCHEMA: Final = 1


class PieceRecord(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """What came of one piece.

    Parameters
    ----------
    piece : int
        Its number in the plan.
    samples : list of SampleWire
        Samples, attempts of chains, or one run; failed ones are not among them.
    prompt_tokens : int, optional
        Length of the prompt, where the backend counted it.
    failures : dict of str to int
        What failed for good, by kind of error.
    usage : Usage
        What the piece cost, failed work included.
    """

    piece: int
    samples: list[SampleWire]
    prompt_tokens: int | None = None
    failures: dict[str, int] = {}
    usage: Usage = Usage()


class CollectFile:
    """The open working file of one collection; use `CollectFile.open`.

    Parameters
    ----------
    path : path
        Where it is.
    """

    _file: AppendFile

    def __init__(self, path: Path) -> None:
        self._path = path
        self._done: set[int] = set()
        self.usage = Usage()
        self.failures: dict[str, int] = {}
        self.n_samples = 0

    @classmethod
    def open(cls, path: Path, plan: CollectPlan) -> Self:
        """Open the working file of `plan`, new or to be continued.

        Raises
        ------
        InvalidInputError
            When the file is of another collection (the message says which settings differ), is broken before
            its end, or is in use by another process.
        """
        settings = {"collection": COLLECTION_SCHEMA, "settings": plan.settings()}
        file = cls(path)

        def read_line(line: bytes, number: int) -> None:
            where = f"{path}, line {number}"
            try:
                if number == 1:
                    _check_settings(msgspec.json.decode(line), settings, where)
                else:
                    file._take(msgspec.json.decode(line, type=PieceRecord), len(plan.pieces))
            except (msgspec.DecodeError, UnicodeDecodeError) as error:
                raise InvalidInputError(
                    f"{where}: a broken record before the end ({error}); restore the file or start anew"
                ) from error

        header = msgspec.json.encode(settings) + b"\n"
        file._file = AppendFile.open(path, user="collection", header=header, read_line=read_line)
        return file

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    @property
    def done(self) -> frozenset[int]:
        """Numbers of the pieces that are recorded."""
        return frozenset(self._done)

    def append(self, records: Iterable[PieceRecord]) -> None:
        """Record a batch of pieces and force it to disk; pieces that are there are not written again."""
        lines = bytearray()
        for record in records:
            if record.piece not in self._done:
                lines += msgspec.json.encode(record) + b"\n"
                self._count(record)
        self._file.append(lines)
        self._file.sync()

    def records(self) -> Iterator[PieceRecord]:
        """Yield what is recorded, in the order of writing."""
        with self._path.open("rb") as file:
            next(file, None)
            for line in file:
                yield msgspec.json.decode(line, type=PieceRecord)

    def log(self, plan: CollectPlan, *, about: Mapping[str, object]) -> SampleLog:
        """Return the sample log of all recorded pieces, in the order of the plan."""
        found = {record.piece: record for record in self.records()}
        builder = LogBuilder(plan.generators, path=str(self._path))
        lines: dict[tuple[int, str, int], LineWire] = {}
        for piece in plan.pieces:
            record = found.pop(piece.number, None)
            if record is None or not record.samples:
                continue
            key = (piece.prompt, piece.generator, piece.recording)
            line = lines.get(key)
            if line is None:
                lines[key] = _line(plan, *key, record)
            elif line.samples is not None:
                line.samples.extend(record.samples)
        for place, line in enumerate(lines.values(), start=1):
            builder.add(line, place=place)
        return SampleLog(builder.finish(), generators=plan.generators, about=about)

    def _count(self, record: PieceRecord) -> None:
        self._done.add(record.piece)
        self.usage += record.usage
        self.n_samples += len(record.samples)
        for kind, n in record.failures.items():
            self.failures[kind] = self.failures.get(kind, 0) + n

    def _take(self, record: PieceRecord, n_pieces: int) -> None:
        if not 0 <= record.piece < n_pieces or record.piece in self._done:
            raise msgspec.ValidationError(f"piece {record.piece} is repeated or not one of {n_pieces}")
        self._count(record)


def _line(plan: CollectPlan, prompt: int, generator: str, place: int, record: PieceRecord) -> LineWire:
    recording, asked = plan.recordings[place], plan.prompts[prompt]
    return LineWire(
        prompt_id=asked.id,
        generator=generator,
        prompt=asked.text,
        messages=tuple(dict(message) for message in asked.messages) or None,
        group=None if asked.group == asked.id else asked.group,
        gold=asked.gold,
        prompt_tokens=record.prompt_tokens,
        strategy=recording.strategy,
        params=recording.line_params(),
        samples=list(record.samples),
    )


def _check_settings(found: Any, wanted: Mapping[str, Any], where: str) -> None:
    """Refuse to continue a collection with other settings."""
    if not isinstance(found, dict) or found.get("collection") != COLLECTION_SCHEMA:
        raise InvalidInputError(
            f"{where}: not the working file of a collection of version {COLLECTION_SCHEMA}"
        )
    old, new = found.get("settings"), msgspec.json.decode(msgspec.json.encode(wanted["settings"]))
    if old == new:
        return
    differing = sorted(name for name in new if not isinstance(old, dict) or old.get(name) != new[name])
    raise InvalidInputError(
        f"{where}: an unfinished collection with other settings ({', '.join(differing)}); continue it with "
        "the settings it was started with, take another output, or remove the file to start anew"
    )
