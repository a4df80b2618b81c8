"""Turn the rows of a table into the lines of a sample log: one row a sample, or one row a prompt with lists.

It assumes rows in memory, with a place each that errors can name. Rows with nothing in them are left out and
counted; verdicts, tokens and answers may be missing anywhere. Reading cells is left to
`difficulty.log.tables.cells`, choosing columns to `difficulty.log.tables.choice_by_cells`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Final, NamedTuple

from difficulty.errors import InvalidInputError, InvalidLogError, InvalidPromptError
from difficulty.generator import Generator, check_by_name
from difficulty.log.tables.cells import Row, as_count, as_list, as_text, is_missing, is_records, plain
from difficulty.log.tables.choice import FAMILY, SAMPLE_FIELDS, ColumnChoice
from difficulty.log.tables.choice_by_cells import choose_by_cells, samples_in
from difficulty.log.tables.habits import Habits, habits_of, refuse_repeated
from difficulty.log.tables.judged import find_answers, judge
from difficulty.log.tables.sample_cells import of_sample, read_sample, share_prompt_tokens
from difficulty.log.tables.wide import as_long, opened
from difficulty.prompt import Prompt
from difficulty.scale import check_threshold

_UNNAMED: Final = "model"
# Cells of these hold no "[" unless they are lists.
_TELLING: Final = ("correct", "output_tokens", "score", "mean_logprob", "reward")


class Table(NamedTuple):
    """What a table holds as a log.

    Attributes
    ----------
    records : list of dict
        Lines of the log, as `SampleLog.from_records` takes them.
    generators : dict of str to Generator
        All that the records name.
    about : dict
        Which column was taken for what, which were not, and how many rows were left out.
    rows : list of Row
        The first row of each record.
    """

    records: list[dict[str, Any]]
    generators: dict[str, Generator]
    about: dict[str, object]
    rows: list[Row]

    def placed(self, error: InvalidLogError, *, path: str) -> InvalidLogError:
        """Return an error about one of the records as one about its first row."""
        row = self.rows[error.line - 1] if error.line is not None else None
        if row is None:
            return InvalidLogError(error.reason, path=path)
        return InvalidLogError(error.reason, path=row.path or path, line=row.place)


def lines_of_rows(
    rows: Sequence[Row],
    *,
    columns: Mapping[str, str] | None = None,
    generators: Mapping[str, Generator] | None = None,
    threshold: float | None = None,
    extract: Callable[[str], str | None] | None = None,
    grade: Callable[[str, str], bool] | None = None,
) -> Table:
    """Turn rows into lines.

    Parameters
    ----------
    rows : sequence of Row
    columns : mapping of str to str, optional
        Column of each field, where its name does not say it.
    generators : mapping of str to Generator, optional
        What is known of the generators by name; one alone has drawn all rows of a table that names none.
    threshold : float, optional
        The least mark that counts as right; see `difficulty.log.tables.cells.as_verdict`.
    extract, grade : callable, optional
        Find answers in texts, and compare them with the right ones; see `difficulty.log.tables.judged`.

    Raises
    ------
    InvalidInputError
        When a column that is named is not there, or no sample is of the generators that are given.
    InvalidLogError
        When the table tells nothing about samples, or a row cannot be read; with the place of the row.

    Examples
    --------
    >>> cells = [{"id": 7, "pred": "4", "correct": 1}, {"id": 7, "pred": 5.0, "correct": "false"}]
    >>> (record,) = lines_of_rows([Row(place, each) for place, each in enumerate(cells, start=1)]).records
    >>> record["prompt_id"], record["samples"]
    ('7', [{'answer': '4', 'correct': True}, {'answer': '5', 'correct': False}])
    """
    check_threshold(threshold)
    known = check_by_name(generators or {})
    if not rows:
        raise InvalidLogError("there are no rows; there is nothing to read")
    rows, parts, columns = as_long(opened(rows), columns)
    choice, nested = choose_by_cells(rows, columns)
    refuse_repeated(rows, choice)
    habits = habits_of(rows, choice, threshold=threshold)
    column = choice.columns.get("generator")
    some_named = column is not None and any(not is_missing(plain(row.cells.get(column))) for row in rows)
    reader = _Reader(choice, nested, known, threshold, habits, some_named)
    for row in rows:
        try:
            reader.add(row)
        except (InvalidLogError, InvalidPromptError) as error:
            reason = error.reason if isinstance(error, InvalidLogError) else str(error)
            raise InvalidLogError(reason, path=row.path, line=row.place) from error
    records = reader.records()
    if not records:
        raise InvalidLogError("all rows are empty; there is nothing to read")
    if known and not known.keys() & reader.generators.keys():
        raise InvalidInputError(
            f"generators tells of {', '.join(known)}, and the samples are of {', '.join(reader.generators)}; "
            "name them alike"
        )
    if extract is not None:
        find_answers(records, extract)
    if grade is not None:
        judge(records, grade)
    about: dict[str, object] = {"columns": dict(choice.columns)}
    if nested is not None:
        about["sample_fields"] = dict(nested.columns)
    if parts:
        about["one_column_each"] = list(parts)
    unused = [
        name for name in choice.unused if any(not is_missing(plain(row.cells.get(name))) for row in rows)
    ]
    unused += [f"{choice.columns['samples']}: {name}" for name in (nested.unused if nested else ())]
    if unused:
        about["unused_columns"] = unused
    if reader.n_empty:
        about["empty_rows_left_out"] = reader.n_empty
    return Table(records, reader.generators, about, reader.rows)


class _Reader:
    """Collect the samples of rows by prompt and generator, in the order in which they come."""

    def __init__(
        self,
        choice: ColumnChoice,
        nested: ColumnChoice | None,
        known: Mapping[str, Generator],
        threshold: float | None,
        habits: Habits,
        some_named: bool,
    ) -> None:
        self.generators: dict[str, Generator] = {}
        self.n_empty = 0
        self.rows: list[Row] = []
        self._columns = choice.columns
        self._sample_columns = {f: c for f, c in choice.columns.items() if f in SAMPLE_FIELDS}
        self._nested = None if nested is None else nested.columns
        self._known = known
        self._alone = next(iter(known)) if len(known) == 1 else _UNNAMED
        self._some_named = self._alone == _UNNAMED and some_named
        self._threshold = threshold
        self._habits = habits
        self._lines: dict[tuple[str, ...], dict[str, Any]] = {}
        self._places: dict[str, tuple[Row, dict[str, Any]]] = {}

    def add(self, row: Row) -> None:
        """Add the samples of one row."""
        if all(is_missing(plain(cell)) for cell in row.cells.values()):
            self.n_empty += 1
            return
        line = self._line(row)
        if "n_correct" in self._columns and not is_missing(plain(row.cells.get(self._columns["n_correct"]))):
            counts = {name: as_count(self._cell(row, name), name) for name in ("n", "n_correct")}
            self._lines[(*self._key(line), str(row.place))] = line | counts
            self.rows.append(row)
            return
        samples = [
            read_sample(cells, self._habits, threshold=self._threshold, name=self._sample_name)
            for cells in self._samples(row)
        ]
        if samples:
            if self._key(line) not in self._lines:
                self._lines[self._key(line)] = line | {"samples": []}
                self.rows.append(row)
            self._lines[self._key(line)]["samples"].extend(samples)
        else:  # nothing was drawn
            self.n_empty += 1

    def records(self) -> list[dict[str, Any]]:
        """Return one record per prompt × generator, with the prompt's length where all samples agree."""
        for line in self._lines.values():
            share_prompt_tokens(line)
        return list(self._lines.values())

    def _key(self, line: Mapping[str, Any]) -> tuple[str, ...]:
        return tuple(str(line.get(name)) for name in ("prompt_id", "generator", "strategy", "params"))

    def _cell(self, row: Row, field: str) -> Any:
        column = self._columns.get(field)
        return None if column is None else plain(row.cells.get(column))

    def _text(self, row: Row, field: str) -> str | None:
        return self._habits.text(field, self._cell(row, field))

    def _line(self, row: Row) -> dict[str, Any]:
        """Return the prompt's fields of a row, which must agree with those of earlier rows."""
        fields: dict[str, Any] = {name: self._text(row, name) for name in ("group", "gold", FAMILY)}
        content, messages = self._cell(row, "prompt"), as_list(self._cell(row, "messages"))
        if is_records(content):
            content, messages = None, content
        fields["prompt"] = self._habits.text("prompt", content)
        fields["messages"] = messages if is_records(messages) else None
        prompt_id = self._text(row, "prompt_id")
        if prompt_id is None:
            if fields["prompt"] is None and fields["messages"] is None:
                there = ", ".join(name for name, cell in row.cells.items() if not is_missing(plain(cell)))
                raise InvalidLogError(
                    f"the row has neither an id nor a prompt, but {there}; give it one of them, or import "
                    "tables with other columns one at a time"
                )
            prompt_id = Prompt(text=fields["prompt"], messages=tuple(fields["messages"] or ())).id
        first, earlier = self._places.setdefault(prompt_id, (row, fields))
        for name, value in fields.items():
            if value is None or earlier[name] == value:
                continue
            if earlier[name] is not None:
                where = f"line {first.place}" + ("" if first.path == row.path else f" of {first.path}")
                raise InvalidLogError(
                    f"prompt {prompt_id!r} has another {name} here than on {where}; one id stands for "
                    "one prompt: name another column as the id, or none, so that texts tell prompts apart"
                )
            earlier[name] = value
        named = self._text(row, "generator")
        if named is None and self._some_named and self._columns["generator"] in row.cells:
            raise InvalidLogError(
                "the row names no generator, and other rows do; name its own, or leave the row out"
            )
        generator = named or self._alone
        if generator not in self.generators:
            self.generators[generator] = self._known.get(generator) or Generator(name=generator)
        line = {"prompt_id": prompt_id, "generator": generator, **fields}
        line["strategy"] = as_text(self._cell(row, "strategy"))
        line |= {name: _object(self._cell(row, name), name) for name in ("params", "meta")}
        family = line.pop(FAMILY)
        if family is not None:
            line["meta"] = (line["meta"] or {}) | {FAMILY: family}
        return {name: value for name, value in line.items() if value is not None}

    def _samples(self, row: Row) -> Iterable[Mapping[str, Any]]:
        """Return the cells of each sample of a row, by field."""
        cells = {field: plain(row.cells.get(column)) for field, column in self._sample_columns.items()}
        if self._nested is not None:
            inner = self._nested
            found = samples_in(row, self._columns["samples"])
            self._refuse_one_verdict(cells, len(found))
            return [
                of_sample(cells, place, len(found)) | {f: plain(one.get(name)) for f, name in inner.items()}
                for place, one in enumerate(found)
            ]
        if any(_begins_list(cells.get(field)) for field in _TELLING):
            cells = {field: as_list(cell) for field, cell in cells.items()}
        lists = {f: cell for f, cell in cells.items() if isinstance(cell, list) and f != "step_scores"}
        if not lists:
            return [cells]
        sizes = {field: len(cell) for field, cell in lists.items()}
        if len(set(sizes.values())) > 1:
            listed = ", ".join(f"{size} of {field}" for field, size in sizes.items())
            raise InvalidLogError(
                f"the lists of the row differ in length ({listed}): nobody knows which belong together"
            )
        n = next(iter(sizes.values()))
        self._refuse_one_verdict(cells, n)
        return [of_sample(cells, place, n) for place in range(n)]

    def _refuse_one_verdict(self, cells: Mapping[str, Any], n: int) -> None:
        verdict = cells.get("correct")
        if n > 1 and not isinstance(verdict, list) and not is_missing(verdict):
            raise InvalidLogError(
                f"{self._columns['correct']} holds one verdict and the row {n} samples: nobody knows of "
                "which; name a column with a list of verdicts, or none and --grade"
            )

    def _sample_name(self, field: str) -> str:
        return (self._nested or {}).get(field) or self._columns.get(field, field)


def _begins_list(cell: Any) -> bool:
    return isinstance(cell, str) and cell.lstrip().startswith("[")


def _object(cell: Any, name: str) -> dict[str, Any] | None:
    if is_missing(cell):
        return None
    found = as_list(f"[{cell}]")[0] if isinstance(cell, str) else cell
    if not isinstance(found, Mapping):
        raise InvalidLogError(f"{name} must be an object, got {str(cell)[:60]!r}")
    return dict(found) or None
