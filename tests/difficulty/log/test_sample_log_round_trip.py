"""Any log reads back as it was written, in every file form, and equal logs are equal bytes."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from difficulty import Generator, SampleLog

SUFFIXES = (".jsonl", ".jsonl.gz", ".parquet")

TEXT = st.text(st.characters(codec="utf-8"), max_size=8)
NAME = st.text(st.characters(codec="utf-8"), min_size=1, max_size=5)
NUMBER = st.floats(allow_nan=False, allow_infinity=False)
COUNT = st.integers(0, 2**53)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | NUMBER | TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=5,
)
META = st.none() | st.dictionaries(TEXT, JSON, max_size=3)
SAMPLE = st.fixed_dictionaries(
    {},
    optional={
        "answer": st.none() | TEXT,
        "correct": st.none() | st.booleans(),
        "output_tokens": st.none() | COUNT,
        "prompt_tokens": st.none() | COUNT,
        "score": st.none() | NUMBER,
        "mean_logprob": st.none() | NUMBER,
        "finish": st.sampled_from([None, "stop", "length"]),
        "text": st.none() | TEXT,
        "step_scores": st.none() | st.lists(NUMBER, max_size=3),
        "verifier_tokens": st.none() | COUNT,
        "cached_prompt_tokens": st.none() | COUNT,
        "reward": st.none() | NUMBER,
    },
).map(
    lambda sample: (
        sample | {"cached_prompt_tokens": None}
        if (sample.get("cached_prompt_tokens") or 0) > (sample.get("prompt_tokens") or 0)
        else sample
    )
)
GENERATORS = {
    "a": Generator(name="a", model="m", params=1.5e9, temperature=0.8, max_output_tokens=256),
    "b": Generator(name="b", reasoning_effort="high", usd_per_mtok_in=0.25),
}


@st.composite
def chains(draw: st.DrawFn) -> list[dict[str, Any]]:
    samples = [
        draw(SAMPLE) | {"chain": number, "step": step}
        for number in draw(st.sets(st.integers(0, 9), min_size=1, max_size=3))
        for step in range(draw(st.integers(1, 3)))
    ]
    return draw(st.permutations(samples))


@st.composite
def records(draw: st.DrawFn) -> list[dict[str, Any]]:
    lines: list[dict[str, Any]] = []
    for prompt_id in draw(st.lists(NAME, min_size=1, max_size=4, unique=True)):
        prompt = {
            "prompt_id": prompt_id,
            "prompt": draw(st.none() | TEXT.filter(str.strip)),
            "messages": draw(st.none() | st.just([{"role": "user", "content": "Why?"}])),
            "group": draw(st.none() | NAME),
            "gold": draw(st.none() | TEXT),
        }
        for generator in draw(st.lists(st.sampled_from("ab"), min_size=1, max_size=2, unique=True)):
            for strategy in draw(
                st.lists(st.sampled_from([None, "dvts", "chain"]), min_size=1, max_size=3, unique=True)
            ):
                line = prompt | {
                    "generator": generator,
                    "meta": draw(META),
                    "prompt_tokens": draw(st.none() | COUNT),
                }
                if strategy == "chain":
                    line["samples"] = draw(chains())
                elif draw(st.booleans()):
                    line["n"] = draw(st.integers(1, 9))
                    line["n_correct"] = draw(st.integers(0, line["n"]))
                else:
                    line["samples"] = draw(st.lists(SAMPLE, min_size=1, max_size=4))
                if strategy == "dvts":
                    scalars = st.booleans() | st.integers(-(2**53), 2**53) | NUMBER | TEXT
                    line |= {"strategy": "dvts", "params": draw(st.dictionaries(TEXT, scalars, max_size=3))}
                lines.append(line)
    return draw(st.permutations(lines))


@given(lines=records(), about=st.dictionaries(TEXT, JSON, max_size=3))
@settings(deadline=None, max_examples=30, derandomize=True)
def test_every_form_round_trips(lines: list[dict[str, Any]], about: dict[str, Any]) -> None:
    log = SampleLog.from_records(lines, GENERATORS, about=about)
    with tempfile.TemporaryDirectory() as folder:
        for suffix in SUFFIXES:
            path = Path(folder, f"log{suffix}")
            log.write(path)
            again = SampleLog.read(path)
            assert again == log
            assert again.prompts == log.prompts
            assert again.generators == log.generators
            first = path.read_bytes()
            again.write(path)
            assert path.read_bytes() == first


@given(lines=records(), seed=st.integers(0, 5), fraction=st.floats(0.05, 0.95))
@settings(deadline=None, max_examples=30, derandomize=True)
def test_a_split_never_separates_a_group(lines: list[dict[str, Any]], seed: int, fraction: float) -> None:
    log = SampleLog.from_records(lines, GENERATORS)
    groups = {prompt.group for prompt in log.prompts}
    if len(set(log.near_duplicates().groups)) < 2:
        return
    train, test = log.split(test_fraction=fraction, seed=seed)
    sides = [{prompt.group for prompt in side.prompts} for side in (train, test)]
    assert not sides[0] & sides[1]
    assert sides[0] | sides[1] == groups
    assert train.n_samples + test.n_samples == log.n_samples
    joined = SampleLog.merge([train, test]).select([prompt.id for prompt in log.prompts])
    for one, two in zip(joined.counts(), log.counts(), strict=True):
        assert one.tolist() == two.tolist()


@given(lines=records())
@settings(deadline=None, max_examples=25, derandomize=True)
def test_pools_count_what_the_lines_say(lines: list[dict[str, Any]]) -> None:
    log = SampleLog.from_records(lines, GENERATORS)
    counts = log.counts()
    place = {prompt.id: row for row, prompt in enumerate(log.prompts)}
    for line in lines:
        samples = line.get("samples", [])
        if line.get("strategy") or any("chain" in sample for sample in samples):
            continue
        row, column = place[line["prompt_id"]], "ab".index(line["generator"])
        assert log.n_recorded()[row, column] == line.get("n", len(samples))
        verdicts = [sample.get("correct") for sample in samples if sample.get("correct") is not None]
        assert counts.n[row, column] == line.get("n", len(verdicts))
        assert counts.n_correct[row, column] == line.get("n_correct", sum(verdicts))
        pool = log.pool(line["generator"])
        answers = [sample.get("answer") for sample in samples]
        codes = pool.answer[row, : len(answers)].tolist()
        assert [code == -1 for code in codes] == [answer is None for answer in answers]
        for one, code_one in zip(answers, codes, strict=True):
            for two, code_two in zip(answers, codes, strict=True):
                assert (one == two) == (code_one == code_two)


def test_several_files_of_different_form_read_as_one(tmp_path: Path) -> None:
    records = [{"prompt_id": f"p{i}", "generator": "a", "n": 4, "n_correct": i} for i in range(4)]
    whole = SampleLog.from_records(records, GENERATORS)
    paths = []
    for suffix, part in zip((".jsonl.gz", ".parquet"), (records[:2], records[2:]), strict=True):
        paths.append(tmp_path / f"part{suffix}")
        SampleLog.from_records(part, GENERATORS).write(paths[-1])
    assert SampleLog.read(*paths) == whole
    assert SampleLog.read(*map(str, paths)) == whole


def test_gzip_is_recognised_by_content(tmp_path: Path) -> None:
    log = SampleLog.from_records([{"prompt_id": "p", "generator": "a", "n": 4, "n_correct": 1}], GENERATORS)
    log.write(tmp_path / "log.jsonl.gz")
    (tmp_path / "log.jsonl.gz").rename(tmp_path / "log.dat")
    assert SampleLog.read(tmp_path / "log.dat") == log


def test_a_log_of_many_blocks_reads_back(tmp_path: Path) -> None:
    samples = [{"answer": str(i), "text": "x" * 100, "output_tokens": i} for i in range(700)]
    records = [{"prompt_id": f"p{i}", "generator": "a", "samples": samples} for i in range(100)]
    log = SampleLog.from_records(records, GENERATORS)  # 70,000 samples and 9 MB: several batches and blocks
    log.write(tmp_path / "log.jsonl")
    assert SampleLog.read(tmp_path / "log.jsonl") == log


def test_parquet_rows_that_are_unusual_but_right(tmp_path: Path) -> None:
    rows: dict[str, list[object]] = {
        "prompt_id": ["p", "q", "p"],
        "generator": ["a", "a", "b"],
        "messages": ['[{"role":"user","content":"Why?"}]', None, '[{"content": "Why?", "role": "user"}]'],
        "group": [None, "g", "h"],
        "strategy": ["dvts", "dvts", "dvts"],
        "params": ['{"n": 4, "m": 1}', '{"m":1,"n":4}', "{}"],
        "answer": [["1"], ["2"], ["1"]],
    }
    header = '{"sample_log": 1, "generators": {"a": {}, "b": {}}}'
    path = tmp_path / "log.parquet"
    pq.write_table(pa.table(rows).replace_schema_metadata({"sample_log": header}), path)
    log = SampleLog.read(path)
    assert [(run.generator, run.params) for run in log.runs()] == [("a", (("m", 1), ("n", 4))), ("b", ())]
    assert [run.n.tolist() for run in log.runs()] == [[1, 1], [1, 0]]
    assert [(prompt.content, prompt.group) for prompt in log.prompts] == [("Why?", "h"), (None, "g")]
    log.write(tmp_path / "again.jsonl")
    assert SampleLog.read(tmp_path / "again.jsonl") == log


@pytest.mark.parametrize("kind", ["chunks", "large", "dictionary"])
def test_parquet_of_other_writers(kind: str, tmp_path: Path) -> None:
    records = [
        {
            "prompt_id": f"p{i}",
            "generator": "a",
            "prompt": "Why?",
            "samples": [{"answer": str(i), "text": "t"}] * (i + 1),
        }
        for i in range(6)
    ]
    log = SampleLog.from_records(records, GENERATORS)
    path = tmp_path / "log.parquet"
    log.write(path)
    table = pq.read_table(path)
    if kind == "large":
        table = table.cast(
            pa.schema(
                [
                    (
                        f.name,
                        pa.large_list(pa.large_string()) if pa.types.is_list(f.type) else pa.large_string(),
                    )
                    for f in table.schema
                ],
                metadata=table.schema.metadata,
            )
        )
    if kind == "dictionary":
        place = table.column_names.index("generator")
        table = table.set_column(place, "generator", table.column("generator").dictionary_encode())
    pq.write_table(table, path, row_group_size=2 if kind == "chunks" else 100)
    assert SampleLog.read(path) == log
