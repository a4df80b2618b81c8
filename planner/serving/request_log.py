"""Keep what planned requests drew, as a sample log that ``planner train`` reads; only where it is asked for.

One line per request and generator, appended whole, in files that begin anew at a size. Answers are marked by
whether they agree with the selected one, where that is wanted: traffic has no other labels. Patterns are
taken out of prompts and texts before anything is written.
"""

from __future__ import annotations

import re
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final, Literal, TypeAlias

import msgspec

from difficulty.generator import Generator
from difficulty.log.lines import encode_header
from difficulty.log.redaction import REMOVED, SERVER
from difficulty.log.wire import LineWire, SampleWire
from difficulty.logger import logger_of
from difficulty.prompt import Prompt
from planner.files.append import AppendFile
from planner.ports.outcome import Outcome
from planner.ports.ports import AnswerExtractor, Completion

_LOG: Final = logger_of("planner.serving")
Labels: TypeAlias = Literal["none", "agreement"]


class _OtherHeader(Exception):
    """The file was begun with another header."""


class RequestLog:
    """A log of requests; it opens its file with the first line.

    Parameters
    ----------
    path : Path
        File to append to; full ones are moved aside with the time in their name.
    generators : mapping of str to Generator
        For the header.
    max_bytes : int
        Size at which a file is full.
    labels : {"none", "agreement"}
        Whether a sample is marked as correct where it agrees with at least one other and the selected answer.
    texts : bool
        Whether the texts of samples are kept, beside their answers.
    removed : sequence of str
        Regular expressions of what is taken out of prompts and texts.
    """

    def __init__(
        self,
        path: Path,
        generators: Mapping[str, Generator],
        *,
        max_bytes: int = 256 * 2**20,
        labels: Labels = "none",
        texts: bool = False,
        removed: Sequence[str] = (),
    ) -> None:
        self._path, self._generators = path, dict(generators)
        self._most, self._labels, self._texts = max_bytes, labels, texts
        self._removed = [re.compile(pattern) for pattern in removed]
        self._file: AppendFile | None = None
        self._size = self._n = 0

    def add(
        self,
        prompt: Prompt,
        outcome: Outcome,
        drawn: Mapping[str, Sequence[Completion]],
        *,
        extractor: AnswerExtractor,
        plan_id: str,
    ) -> None:
        """Append what one request drew; a disk that is full costs the line and a warning, not the answer."""
        right = outcome.answer if self._labels == "agreement" else None
        answers = {
            name: [extractor.extract(one.text, one.finish_reason) for one in completions]
            for name, completions in drawn.items()
        }
        votes = [answer for each in answers.values() for answer in each if answer is not None]
        if right is None or votes.count(right) < 2:
            right = None
        lines = b""
        for name, completions in drawn.items():
            samples = [
                self._sample(one, answer, right)
                for one, answer in zip(completions, answers[name], strict=True)
                if one.finish_reason in ("stop", "length")
            ]
            if not samples:
                continue
            line = LineWire(
                prompt_id=f"{prompt.id}/{plan_id}",
                generator=name,
                prompt=self._clean(prompt.content or ""),
                group=prompt.id,
                prompt_tokens=next((one.prompt_tokens for one in completions if one.prompt_tokens), None),
                samples=samples,
            )
            lines += msgspec.json.encode(line) + b"\n"
        if lines:
            try:
                self._append(lines)
            except OSError as error:
                _LOG.warning("the request log %s cannot be written: %s", self._path, error.strerror)

    def take(self, generators: Mapping[str, Generator]) -> None:
        """Log the samples of a new bundle's generators, too; those of requests in flight stay known."""
        self.close()
        self._generators |= generators

    def close(self) -> None:
        """Close the file."""
        if self._file is not None:
            self._file.close()
            self._file = None

    def _sample(self, one: Completion, answer: str | None, right: str | None) -> SampleWire:
        return SampleWire(
            answer=None if answer is None else self._clean(answer),
            correct=None if right is None else answer == right,
            output_tokens=one.output_tokens,
            mean_logprob=one.mean_logprob,
            finish=one.finish_reason,
            text=self._clean(one.text) if self._texts else None,
        )

    def _clean(self, text: str) -> str:
        for pattern in self._removed:
            text = pattern.sub(REMOVED, text)
        return text

    def _append(self, lines: bytes) -> None:
        if self._file is not None and self._size + len(lines) > self._most:
            self.close()
            self._move_aside()
        if self._file is None:
            header = encode_header(self._generators, {"source": SERVER, "labels": self._labels}) + b"\n"
            self._file = self._opened(header)
            self._size = self._path.stat().st_size
        self._file.append(lines)
        self._size += len(lines)

    def _opened(self, header: bytes) -> AppendFile:
        """Open the file; one whose header names other generators is full, too."""

        def check(line: bytes, number: int) -> None:
            if number == 1 and line != header:
                raise _OtherHeader

        try:
            return AppendFile.open(self._path, user="server", header=header, read_line=check)
        except _OtherHeader:
            self._move_aside()
            return AppendFile.open(self._path, user="server", header=header)

    def _move_aside(self) -> None:
        self._n += 1
        stamp = time.strftime("%Y%m%dT%H%M%S", time.gmtime())
        self._path.rename(self._path.with_name(f"{self._path.stem}-{stamp}-{self._n}{self._path.suffix}"))
