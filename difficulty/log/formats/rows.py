"""Put the rows of an Arrow table together to the lines of a log.

Rows are checked one by one, in order, by the same code as lines of JSON, which names the first bad one and
the reason. Their samples are columns already, and stay so.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from difficulty.errors import InvalidLogError
from difficulty.generator import Generator
from difficulty.log.columns import LogColumns, SampleColumns
from difficulty.log.formats.arrow import ArrowReader, Coded
from difficulty.log.line_table import LineTable, name_chains
from difficulty.log.wire import LineWire, ParameterScalar, SampleWire, contradiction

TEXT_COLUMNS: Final = ("prompt_id", "generator", "prompt", "group", "gold", "strategy")
JSON_COLUMNS: Final[dict[str, Any]] = {
    "messages": tuple[dict[str, Any], ...],
    "params": dict[str, ParameterScalar],
    "meta": dict[str, Any],
}
COUNT_COLUMNS: Final = ("prompt_tokens", "n", "n_correct")
_ONE_SAMPLE: Final = [SampleWire()]


def read_rows(
    reader: ArrowReader,
    generators: Mapping[str, Generator],
    *,
    sizes: NDArray[np.int64],
    samples: SampleColumns,
    keep_first: bool,
) -> tuple[LogColumns, int]:
    """Read all columns but those of samples, and check rows against one another.

    Parameters
    ----------
    reader : ArrowReader
    generators : mapping
        By name, from the header.
    sizes : ndarray of int64, shape (R,)
        Samples of each row.
    samples : SampleColumns
        All samples, row after row.
    keep_first : bool
        Leave out rows that repeat an earlier one, instead of refusing them.

    Returns
    -------
    columns : LogColumns
    n_left_out : int
        Rows left out as repeats.

    Raises
    ------
    InvalidLogError
        When a column is not of its form, or a row does not belong in a log; it names the first such row.
    """
    columns = {name: _decoded(reader.strings(name)) for name in TEXT_COLUMNS}
    columns |= {name: _decoded(reader.documents(name, kind)) for name, kind in JSON_COLUMNS.items()}
    for name in COUNT_COLUMNS:
        columns[name] = [None if count != count else int(count) for count in reader.counts(name).tolist()]
    for name in ("prompt_id", "generator"):
        if None in columns[name]:
            raise InvalidLogError(f"{name} is null", line=columns[name].index(None) + 1)
    chained = np.zeros(sizes.shape[0], dtype=np.bool_)
    chained[sizes > 0] = samples.chain[(np.cumsum(sizes) - sizes)[sizes > 0]] >= 0
    lines = LineTable(generators, keep_first=keep_first)
    kept = []
    for row, (values, size, in_chain) in enumerate(
        zip(zip(*columns.values(), strict=True), sizes.tolist(), chained.tolist(), strict=True), start=1
    ):
        line = LineWire(**dict(zip(columns, values, strict=True)), samples=_ONE_SAMPLE if size else None)
        try:
            reason = contradiction(line)
            if reason is not None:
                raise InvalidLogError(reason)
            if in_chain:
                name_chains(line)
            kept.append(lines.add(line, n_samples=size, place=row))
        except InvalidLogError as error:
            raise InvalidLogError(error.reason, line=row) from error
    if lines.n_left_out:
        samples = samples.take(np.flatnonzero(np.repeat(kept, sizes)))
    return lines.finish(samples), lines.n_left_out


def _decoded(column: Coded) -> list[Any]:
    """Return the values of a column, None where there is none."""
    distinct = [*column.table, None]
    return [distinct[code] for code in column.codes.tolist()]
