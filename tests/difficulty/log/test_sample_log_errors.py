"""Every way in which a log can be wrong is refused with file, line, reason and remedy."""

from __future__ import annotations

import gzip
import json
import re
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from difficulty import Generator, SampleLog
from difficulty.errors import InvalidInputError, InvalidLogError
from difficulty.files.lines import MAX_LINE_BYTES

HEADER = '{"sample_log": 1, "generators": {"g": {"temperature": 0.8}}}'
GOOD = '{"prompt_id": "a", "prompt": "Why?", "generator": "g", "samples": [{"answer": "1", "correct": true}]}'


def line(**fields: object) -> str:
    record = {"prompt_id": "b", "prompt": "Why not?", "generator": "g", "samples": [{"answer": "1"}]}
    return json.dumps({key: value for key, value in (record | fields).items() if value != "absent"})


def sample(**fields: object) -> str:
    return line(samples=[{"answer": "1"}, {"answer": "2"} | fields])


def refusal(path: Path) -> InvalidLogError:
    with pytest.raises(InvalidLogError) as caught:
        SampleLog.read(path)
    return caught.value


def log_file(folder: Path, *lines: str, header: str = HEADER) -> Path:
    path = folder / "log.jsonl"
    path.write_text("\n".join([header, *lines]) + "\n", encoding="utf-8")
    return path


BAD_LINES = {
    "broken JSON": ('{"prompt_id": "b", ', "broken JSON"),
    "not an object": ("[1, 2]", "Expected 'object', got 'array'"),
    "NaN": (sample().replace('"2"', '"2", "score": NaN'), "write null where a number is unknown"),
    "Infinity": (sample().replace('"2"', '"2", "score": Infinity'), "write null where a number is unknown"),
    "overflow": (sample().replace('"2"', '"2", "score": 1e999'), "out of range"),
    "unknown line field": (
        line(colour="red"),
        "unknown field 'colour'; allowed here: prompt_id, generator, prompt,",
    ),
    "unknown sample field": (sample(colour="red"), "unknown field 'colour'; allowed here: answer, correct,"),
    "negative tokens": (sample(output_tokens=-1), ">= 0"),
    "fractional tokens": (sample(output_tokens=1.5), "Expected 'int | null', got 'float'"),
    "answer is a number": (sample(answer=4), "Expected 'str | null', got 'int'"),
    "no prompt_id": (line(prompt_id="absent"), "missing required field 'prompt_id'"),
    "empty prompt_id": (line(prompt_id=""), "prompt_id is empty"),
    "blank prompt": (line(prompt=" \n"), "the prompt is blank"),
    "empty group": (line(group=""), "group is empty"),
    "empty samples": (line(samples=[]), "samples is empty"),
    "no samples, no counts": (line(samples="absent"), "neither 'samples' nor both"),
    "half the counts": (line(samples="absent", n=3), "neither 'samples' nor both"),
    "samples and counts": (line(n=3, n_correct=1), "keep one of them"),
    "too many correct": (line(samples="absent", n=3, n_correct=4), "n_correct must be at most n = 3, got 4"),
    "too many counted": (line(samples="absent", n=10**12, n_correct=4), "<= 1000000"),
    "nested too deeply": (
        line(meta={}).replace("{}", '{"a": ' + "[" * 50_000 + "]" * 50_000 + "}"),
        "broken JSON",
    ),
    "nothing counted": (line(samples="absent", n=0, n_correct=0), "n must be at least 1"),
    "unknown generator": (line(generator="h"), "generator 'h' is not in the header (there: 'g')"),
    "params without strategy": (line(params={"n": 4}), "params without strategy"),
    "nested params": (line(strategy="dvts", params={"n": [4]}), "got 'array'"),
    "empty strategy": (line(strategy=""), "strategy is empty"),
    "duplicate": (GOOD, "duplicate: prompt 'a' x generator 'g' (independent samples) is on line 2 already"),
    "another text": (line(prompt_id="a", strategy="dvts"), "prompt 'a' has another text here"),
    "chain without step": (line(samples=[{"chain": 0}]), "'chain' without 'step'"),
    "step without chain": (line(samples=[{"step": 0}]), "'step' without 'chain'"),
    "step repeated": (
        line(samples=[{"chain": 0, "step": 0}] * 2),
        "the steps of chain 0 must be 0, 1, 2, ...",
    ),
    "step missing": (line(samples=[{"chain": 7, "step": 1}]), "the steps of chain 7 must be 0, 1, 2, ..."),
    "half in chains": (
        line(samples=[{"chain": 0, "step": 0}, {}]),
        "some samples have 'chain' and some do not",
    ),
    "chains of a search": (line(strategy="dvts", samples=[{"chain": 0, "step": 0}]), "sequential_revision"),
    "lone surrogate": (line(prompt="absent").replace('"1"', '"\\ud800"'), "broken JSON"),
}


@pytest.mark.parametrize("name", BAD_LINES)
def test_a_bad_line_is_named(name: str, tmp_path: Path) -> None:
    bad, reason = BAD_LINES[name]
    path = log_file(tmp_path, GOOD, "", bad)  # the blank line counts, and holds nothing
    error = refusal(path)
    assert reason in error.reason
    assert (error.path, error.line) == (str(path), 4)
    assert str(error).startswith(f"{path}, line 4: ")


def test_records_get_the_same_checks() -> None:
    generators = {"g": Generator(name="g")}
    good = {"prompt_id": "a", "generator": "g", "n": 2, "n_correct": 1}
    for bad, reason in (
        ({**good, "prompt_id": "b", "n_correct": 3}, "n_correct must be at most n"),
        ({"prompt_id": "b", "generator": "g", "samples": [{"score": float("nan")}]}, "use None"),
        ({**good, "meta": {"when": object()}}, "object is not a JSON value"),
        (good, "duplicate"),
    ):
        with pytest.raises(InvalidLogError) as caught:
            SampleLog.from_records([good, bad], generators)
        assert reason in caught.value.reason
        assert caught.value.line == 2
    with pytest.raises(InvalidLogError, match="there are no records"):
        SampleLog.from_records([], generators)
    with pytest.raises(InvalidInputError, match="must agree"):
        SampleLog.from_records([good], {"g": Generator(name="other")})


def test_the_first_bad_line_is_reported_and_the_rest_counted(tmp_path: Path) -> None:
    path = log_file(tmp_path, GOOD, line(samples=[]), GOOD, line(), line(prompt_id="c", n=1))
    error = refusal(path)
    assert error.line == 3
    assert error.reason.endswith("(2 more bad lines follow)")


def test_a_broken_chain_comes_before_a_later_bad_line(tmp_path: Path) -> None:
    path = log_file(tmp_path, GOOD, line(samples=[{"chain": 0, "step": 1}]), "{")
    assert refusal(path).line == 3


BAD_HEADERS = {
    "a line instead": (GOOD, "the header is missing"),
    "not JSON": ("hello", "not a sample log: the first line is not JSON"),
    "a list": ("[]", "the header is missing"),
    "wrong version": ('{"sample_log": 2, "generators": {}}', "format version must be 1, got 2"),
    "version is true": ('{"sample_log": true, "generators": {}}', "format version must be 1, got True"),
    "no generators": ('{"sample_log": 1}', "missing required field 'generators'"),
    "unknown field": (
        '{"sample_log": 1, "generators": {}, "x": 1}',
        "unknown field 'x'; allowed here: sample_log,",
    ),
    "unknown generator field": (
        '{"sample_log": 1, "generators": {"g": {"size": 1}}}',
        "unknown field 'size'; allowed here: model, params,",
    ),
    "negative temperature": (
        '{"sample_log": 1, "generators": {"g": {"temperature": -1}}}',
        "temperature must be a finite number >= 0",
    ),
    "about is text": ('{"sample_log": 1, "generators": {}, "about": "x"}', "Expected 'object', got 'str'"),
}


@pytest.mark.parametrize("name", BAD_HEADERS)
def test_a_bad_header_is_named(name: str, tmp_path: Path) -> None:
    header, reason = BAD_HEADERS[name]
    error = refusal(log_file(tmp_path, GOOD, header=header))
    assert reason in error.reason
    assert error.line == 1


def test_null_and_free_header_fields_are_allowed(tmp_path: Path) -> None:
    settings = '{"params": null, "reasoning_effort": "high"}'
    header = '{"sample_log": 1, "about": {"x": [1]}, "generators": {"g": ' + settings + "}}"
    log = SampleLog.read(log_file(tmp_path, GOOD, header=header))
    assert log.about == {"x": [1]}
    assert log.generators["g"] == Generator(name="g", reasoning_effort="high")


def test_missing_files_folders_and_empty_files(tmp_path: Path) -> None:
    empty = tmp_path / "empty.jsonl"
    empty.touch()
    assert "there is no such file" in refusal(tmp_path / "none.jsonl").reason
    assert "not a file" in refusal(tmp_path).reason
    assert "the file is empty" in refusal(empty).reason
    assert "a header and no lines" in refusal(log_file(tmp_path)).reason
    with pytest.raises(InvalidInputError, match="at least one path"):
        SampleLog.read()


def test_something_else_than_a_log(tmp_path: Path) -> None:
    path = tmp_path / "picture.png"
    path.write_bytes(bytes(range(256)) * 10)
    assert "not a sample log" in refusal(path).reason


@pytest.mark.parametrize("cut", [3, 12, 25, 60])
def test_truncated_gzip(cut: int, tmp_path: Path) -> None:
    path = tmp_path / "log.jsonl.gz"
    data = gzip.compress("\n".join([HEADER, GOOD]).encode())
    path.write_bytes(data[:cut])
    error = refusal(path)
    assert "truncated or corrupt" in error.reason
    assert error.path == str(path)


def test_corrupt_gzip(tmp_path: Path) -> None:
    path = tmp_path / "log.jsonl.gz"
    data = bytearray(gzip.compress("\n".join([HEADER, GOOD]).encode()))
    data[-6] ^= 0xFF  # the checksum
    path.write_bytes(data)
    assert "truncated or corrupt" in refusal(path).reason


def test_a_truncated_file_is_reported_behind_its_first_bad_line(tmp_path: Path) -> None:
    path = tmp_path / "log.jsonl.gz"
    lines = [
        HEADER,
        line(samples=[]),
        *(line(prompt_id=f"p{i}", meta={"i": i * 7919 % 1013}) for i in range(2000)),
    ]
    path.write_bytes(gzip.compress("\n".join(lines).encode())[:-100])
    error = refusal(path)
    assert error.line == 2
    assert "samples is empty" in error.reason


def test_a_line_without_end_does_not_fill_memory(tmp_path: Path) -> None:
    path = tmp_path / "bomb.jsonl.gz"
    block = gzip.compress(b" " * (1 << 24), compresslevel=1)
    n_blocks = 2 * (MAX_LINE_BYTES >> 24)  # twice the limit, unpacked, in members of one file
    path.write_bytes(gzip.compress((HEADER + "\n").encode()) + block * n_blocks)
    # Newer versions of gzip read so far ahead that the end of the line is missed first.
    assert re.search("unpack to more than|longer than 64 MiB", refusal(path).reason)
    path.write_bytes((HEADER + "\n").encode() + b" " * (MAX_LINE_BYTES + 1))
    error = refusal(path)
    assert "longer than 64 MiB" in error.reason
    assert error.line == 2


def test_writing_to_another_suffix_or_place(tmp_path: Path) -> None:
    log = SampleLog.read(log_file(tmp_path, GOOD))
    with pytest.raises(InvalidLogError, match=r"must end in \.jsonl, \.jsonl\.gz or \.parquet"):
        log.write(tmp_path / "log.csv")
    for suffix in ("jsonl", "jsonl.gz", "parquet"):
        with pytest.raises(InvalidLogError, match="cannot write the file"):
            log.write(tmp_path / "nowhere" / f"log.{suffix}")


def test_an_interrupted_write_leaves_the_old_log(tmp_path: Path) -> None:
    path = tmp_path / "log.jsonl"
    log = SampleLog.read(log_file(tmp_path, GOOD))
    before = path.read_bytes()
    bad = SampleLog.from_records(
        [{"prompt_id": "a", "generator": "g", "n": 1, "n_correct": 0}], log.generators
    )
    object.__setattr__(bad._columns.lines, "meta", ({"not": object()},))  # fails while it is encoded
    with pytest.raises(TypeError):
        bad.write(path)
    assert path.read_bytes() == before
    assert [entry.name for entry in tmp_path.iterdir()] == ["log.jsonl"]


ROWS: dict[str, list[object]] = {
    "prompt_id": ["a", "b"],
    "generator": ["g", "g"],
    "answer": [["1"], ["2", None]],
}
BAD_TABLES: dict[str, tuple[dict[str, object], str, int | None]] = {
    "unknown column": ({"colour": ["r", "b"]}, "unknown column 'colour'; allowed: prompt_id,", None),
    "ragged": ({"correct": [[True], [True]]}, "column 'correct' has 1 elements where another one has 2", 2),
    "not a list": ({"correct": [True, False]}, "column 'correct' must hold a list column", None),
    "ill-typed list": ({"score": [["x"], ["y", "z"]]}, "column 'score' must hold numbers", None),
    "ill-typed column": ({"prompt": [1, 2]}, "column 'prompt' must hold strings", None),
    "float tokens": (
        {"output_tokens": [[1.5], [2.0, 3.0]]},
        "column 'output_tokens' must hold integers",
        None,
    ),
    "NaN": ({"score": [[0.5], [0.5, float("nan")]]}, "column 'score' has NaN or infinite numbers", None),
    "infinite step score": ({"step_scores": [[[0.5]], [None, [float("inf")]]]}, "NaN or infinite", None),
    "null step score": ({"step_scores": [[[None]], [None, [0.5]]]}, "null inside", None),
    "negative tokens": ({"output_tokens": [None, [2, -3]]}, "output_tokens must be between 0", 2),
    "negative line tokens": ({"prompt_tokens": [None, -3]}, "prompt_tokens must be between 0", 2),
    "broken JSON": ({"meta": [None, "{"]}, "column 'meta' must hold JSON text", 2),
    "null id": ({"prompt_id": ["a", None]}, "prompt_id is null", 2),
    "blank prompt": ({"prompt": ["x", " "]}, "the prompt is blank", 2),
    "too many correct": (
        {"answer": [["1"], None], "n": [None, 3], "n_correct": [None, 4]},
        "n_correct must be",
        2,
    ),
    "too many counted": (
        {"answer": [["1"], None], "n": [None, 10**12], "n_correct": [None, 4]},
        "n must be",
        2,
    ),
    "nested too deeply": (
        {"meta": [None, '{"a":' + "[" * 50_000 + "]" * 50_000 + "}"]},
        "must hold JSON text",
        2,
    ),
    "samples and counts": ({"n": [None, 3], "n_correct": [None, 1]}, "keep one of them", 2),
    "neither": ({"answer": [["1"], None]}, "neither 'samples' nor both", 2),
    "empty list": ({"answer": [["1"], []]}, "neither 'samples' nor both", 2),
    "unknown generator": ({"generator": ["g", "h"]}, "generator 'h' is not in the header", 2),
    "duplicate": ({"prompt_id": ["a", "a"]}, "duplicate", 2),
    "another text": ({"prompt_id": ["a", "a"], "prompt": ["x", "y"]}, "another text", 2),
    "broken chain": ({"chain": [None, [0, 0]], "step": [None, [0, 2]]}, "the steps of chain 0", 2),
    "chains of a search": (
        {"chain": [[0], None], "step": [[0], None], "strategy": ["dvts", None]},
        "sequential_revision",
        1,
    ),
    "params without strategy": ({"params": [None, '{"n": 4}']}, "params without strategy", 2),
}


@pytest.mark.parametrize("name", BAD_TABLES)
def test_a_bad_parquet_row_is_named(name: str, tmp_path: Path) -> None:
    columns, reason, row = BAD_TABLES[name]
    path = tmp_path / "log.parquet"
    pq.write_table(pa.table(ROWS | columns).replace_schema_metadata({"sample_log": HEADER}), path)
    error = refusal(path)
    assert reason in error.reason
    assert (error.path, error.line) == (str(path), row)


def test_changed_bytes_in_parquet_are_noticed(tmp_path: Path) -> None:
    records = [{"prompt_id": f"p{i}", "generator": "g", "n": 9, "n_correct": i % 9} for i in range(300)]
    path = tmp_path / "log.parquet"
    SampleLog.from_records(records, {"g": Generator(name="g")}).write(path)
    good = path.read_bytes()
    for place in range(100, 1000, 90):  # within the pages, which come before the footer
        data = bytearray(good)
        data[place] ^= 0xFF
        path.write_bytes(data)
        with pytest.raises(InvalidLogError, match=r"log\.parquet"):
            SampleLog.read(path)


def test_parquet_that_is_no_log_or_broken(tmp_path: Path) -> None:
    path = tmp_path / "log.parquet"
    pq.write_table(pa.table(ROWS), path)
    assert "no 'sample_log' metadata" in refusal(path).reason
    pq.write_table(pa.table({"generator": ["g"]}).replace_schema_metadata({"sample_log": HEADER}), path)
    assert "the column 'prompt_id' is missing" in refusal(path).reason
    path.write_bytes(path.read_bytes()[:-20])
    assert "cannot be read" in refusal(path).reason
