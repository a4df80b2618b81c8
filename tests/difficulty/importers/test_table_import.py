"""Tables of any columns become sample logs: CSV, TSV, Parquet, JSON Lines and JSON."""

from __future__ import annotations

import csv
import gzip
import json
from pathlib import Path
from typing import Any

import pandas
import pytest

from difficulty import Generator, SampleLog
from difficulty.errors import InvalidInputError, InvalidLogError
from difficulty.importers.tables import read_table

TEXT = 'What is "1, 2"\nor 3?'
FIELDS = ("id", "question", "pred", "is_correct", "tokens", "model")
ROWS: list[dict[str, Any]] = [
    dict(zip(FIELDS, cells, strict=True))
    for cells in (
        (1, TEXT, "2", True, 12, "m"),
        (1, TEXT, None, False, None, "m"),
        (2, "2 + 2?", "4", None, 7, "m"),
    )
]


def separated(path: Path, delimiter: str) -> Path:
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, list(ROWS[0]), delimiter=delimiter)
        writer.writeheader()
        writer.writerows(ROWS)
    return path


def packed(path: Path) -> Path:
    path.write_bytes(gzip.compress(separated(path.with_suffix(""), ",").read_bytes()))
    return path


def written(path: Path, text: str) -> Path:
    path.write_text(text)
    return path


WRITERS = {
    "csv": lambda folder: separated(folder / "a.csv", ","),
    "tsv": lambda folder: separated(folder / "a.tsv", "\t"),
    "semicolons": lambda folder: separated(folder / "a.txt", ";"),
    "gzip": lambda folder: packed(folder / "a.csv.gz"),
    "jsonl": lambda folder: written(folder / "a.jsonl", "".join(json.dumps(row) + "\n" for row in ROWS)),
    "json": lambda folder: written(folder / "a.json", json.dumps(ROWS, indent=1)),
    "json of one line": lambda folder: written(folder / "a.json", json.dumps(ROWS)),
    "json object": lambda folder: written(folder / "a.json", json.dumps({"by": "us", "results": ROWS})),
}


def check(path: Path) -> None:
    log = read_table(path)
    assert [(prompt.id, prompt.text) for prompt in log.prompts] == [
        ("1", TEXT),
        ("2", "2 + 2?"),
    ]
    pool = log.pool("m")
    assert pool.correct.tolist() == [[1, 0], [-1, -1]]
    assert pool.answer.tolist() == [[0, -1], [0, -2]]
    assert pool.output_tokens[:, 0].tolist() == [12, 7]
    assert log.about["files"] == [path.name]


@pytest.mark.parametrize("form", WRITERS)
def test_one_table_in_all_forms_gives_one_log(form: str, tmp_path: Path) -> None:
    check(WRITERS[form](tmp_path))


def test_parquet_is_a_table(tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    pandas.DataFrame(ROWS).to_parquet(path)
    check(path)


def test_rows_without_a_column_and_short_rows_are_used_as_far_as_they_go(tmp_path: Path) -> None:
    lines = ['{"id": "a", "correct": 1}', '{"id": "a", "answer": "7"}', '{"id": "b", "correct": null}']
    pool = read_table(written(tmp_path / "a.jsonl", "\n".join(lines))).pool("model")
    assert pool.correct.tolist() == [[1, -1], [-1, -1]] and pool.answer.tolist() == [[-1, 0], [-1, -2]]
    log = read_table(written(tmp_path / "a.csv", "id,correct,answer\na,1\n\n,,\nb,true,7\n"))
    assert log.counts().n_correct.ravel().tolist() == [1, 1]
    assert log.about["empty_rows_left_out"] == 1


def test_cells_may_hold_lists_in_json_or_python(tmp_path: Path) -> None:
    text = 'id,answer,correct\na,"[\'4\', None]","[True, False]"\nb,"[""5""]",[null]\n'
    pool = read_table(written(tmp_path / "a.csv", text)).pool("model")
    assert pool.correct.tolist() == [[1, 0], [-1, -1]] and pool.answer.tolist() == [[0, -1], [0, -2]]
    single = read_table(written(tmp_path / "b.csv", 'id,answer,correct\na,"[1, 2]",1\n'))
    assert single.answers("a") == ("[1, 2]",)  # an interval, and no list of two samples


def test_several_files_are_one_table(tmp_path: Path) -> None:
    one = written(tmp_path / "a.csv", "id,correct\na,1\n")
    two = written(tmp_path / "b.csv", "id,correct\na,0\nb,1\n")
    log = read_table(one, two, generators={"g": Generator(name="g", temperature=0.5)})
    assert log.pool("g").correct.tolist() == [[1, 0], [1, -1]] and log.generators["g"].temperature == 0.5
    (tmp_path / "c.csv").write_bytes(one.read_bytes())
    with pytest.raises(InvalidInputError, match=r"c\.csv has the same content as .*a\.csv"):
        read_table(one, tmp_path / "c.csv")
    three = written(tmp_path / "d.csv", "id,correct\n\nx,maybe\n")
    with pytest.raises(InvalidLogError, match=r"d\.csv, line 3: correct must be 0 or 1"):
        read_table(one, three)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "the file is empty"),
        ("What is 1 + 1?\nWhat is 2 + 2?\n", "this is no table"),
        ("id,correct\na,1,x\n", "line 2: the row has 3 cells and the table 2 columns"),
        ("id,id\na,1\n", "line 1: the table has two columns 'id'"),
        ('id,correct\na,"1\n', "line 2: broken CSV"),
        ('{"id": 1}\n[1]\n', "line 2: must be a JSON object"),
        ('{"id": 1}\n{"id": \n', "line 2: broken JSON"),
        ("[1, 2]", "must be a list of objects"),
        ("id,correct\n", "no rows"),
        ("id,correct\na,caf\xe9\n", "not UTF-8"),
    ],
)
def test_broken_tables_name_file_and_line(text: str, reason: str, tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_bytes(text.encode("latin-1"))
    with pytest.raises(InvalidLogError, match=rf"a\.txt.*{reason}"):
        read_table(path)
    with pytest.raises(InvalidLogError, match="cannot read"):
        read_table(tmp_path / "missing.csv")
    with pytest.raises(InvalidInputError, match="at least one path"):
        read_table()


def test_a_broken_parquet_file_is_named(tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    path.write_bytes(b"PAR1 and nothing of it")
    with pytest.raises(InvalidLogError, match=r"a\.parquet: cannot read the Parquet file"):
        read_table(path)


@pytest.mark.parametrize("threshold", [float("nan"), float("inf")])
def test_a_threshold_that_is_no_number_is_refused_and_grades_nothing(threshold: float) -> None:
    frame = {"question": ["2 + 2?"], "prediction": ["4"], "mark": [0.7]}
    with pytest.raises(InvalidInputError, match="threshold must be a finite number"):
        SampleLog.from_frame(frame, columns={"correct": "mark"}, threshold=threshold)


def test_a_row_that_names_no_generator_among_rows_that_do_is_refused() -> None:
    frame = {"question": ["2 + 2?", "3 + 3?"], "model": ["tiny", None], "correct": [1, 0]}
    with pytest.raises(InvalidLogError, match="line 2: the row names no generator, and other rows do"):
        SampleLog.from_frame(frame)
    assert list(SampleLog.from_frame({**frame, "model": [None, None]}).generators) == ["model"]


@pytest.mark.parametrize("alone", ["step", "chain"])
def test_a_trainers_step_is_no_step_of_a_chain(alone: str) -> None:
    frame = {"input": ["2 + 2?", "2 + 2?"], "output": ["4", "5"], "score": [1.0, 0.0], alone: [7, 7]}
    log = SampleLog.from_frame(frame)
    assert log.about["unused_columns"] == [alone]
    assert log.counts().n.tolist() == [[2]]
    chains = SampleLog.from_frame({**frame, "chain": [0, 0], "step": [0, 1]})
    assert chains.chains("model") is not None


def test_generators_that_no_sample_is_of_are_refused(tmp_path: Path) -> None:
    frame = {"question": ["2 + 2?", "3 + 3?"], "model": ["tiny", "large"], "correct": [1, 0]}
    with pytest.raises(
        InvalidInputError, match=r"generators tells of Tiny, and the samples are of tiny, large"
    ):
        SampleLog.from_frame(frame, generators={"Tiny": Generator(name="Tiny")})
    known = {"tiny": Generator(name="tiny", params=1e9), "other": Generator(name="other")}
    assert SampleLog.from_frame(frame, generators=known).generators["tiny"].params == 1e9
    for read in (SampleLog.from_frame, SampleLog.from_records):
        with pytest.raises(InvalidInputError, match=r"generators must map names to Generators.* got list"):
            read(frame, generators=[Generator(name="tiny")])  # type: ignore[operator]
    with pytest.raises(InvalidInputError, match=r"files are read by read_table\(path\)"):
        SampleLog.from_frame(tmp_path / "a.csv")
