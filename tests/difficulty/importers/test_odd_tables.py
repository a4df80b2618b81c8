"""Tables as spreadsheets, scripts and frames leave them: what they mean is read, what cannot be is said."""

from __future__ import annotations

import json
import random
import zipfile
from pathlib import Path
from typing import Any

import pandas
import polars
import pytest

from difficulty import SampleLog, read_table
from difficulty.errors import InvalidInputError, InvalidLogError
from difficulty.importers.kind import files_of, kind_of

Seen = list[tuple[str, str, list[tuple[str | None, bool | None, int | None]]]]


def seen(log: SampleLog) -> Seen:
    """Return what came of each line: answer, verdict and tokens of its samples."""
    return [
        (prompt.id, name, [(s.answer, s.correct, s.output_tokens) for s in samples])
        for prompt in log.prompts
        for name in log.generators
        if (samples := log.samples(prompt.id, name))
    ]


def read(folder: Path, name: str, content: str | bytes, **options: Any) -> SampleLog:
    path = folder / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return read_table(path, **options)


PLAIN: Seen = [("1", "model", [("4", True, 12), ("5", False, 1024)])]
LINES = ("id,pred,correct,tokens", "1,4,1,12", "1,5,0,1024")


@pytest.mark.parametrize(
    "content",
    [
        "\ufeff" + "\n".join(LINES),
        "sep=;\r\n" + "\r\n".join(LINES).replace(",", ";"),
        '"sep=\t"\r\n' + "\r\n".join(LINES).replace(",", "\t"),
        "\r\n".join(LINES).replace(",", "\t").encode("utf-16"),
        "\r".join(LINES),
        "\n".join(line + "," for line in LINES),
        "\n".join((LINES[0], LINES[1] + ",,", LINES[2] + ", ,")),
        "\n".join("," + line for line in LINES),
        "id;pred;correct;tokens\n1;4;WAHR;12\n1;5;FALSCH;1.024",
        "id;pred;correct;tokens\n1.0;4;1,0;12\n1.0;5;0,0;1024",
        'id,pred,correct,tokens\n1.0,4,pass,12.0\n1,5,FAIL,"1,024"',
        "id,pred,correct,tokens\n1,4, Yes ,12\n1,5,failed: timed out,1 024",
        "id,pred,correct,tokens\n1,4,\u2713,12\n1,5,\u2717,1\u202f024",
        "id,pred,correct,tokens\n1,4.0,1.0,12\n1,5.0,0.0,1024",
    ],
)
def test_one_table_as_spreadsheets_write_it(content: str | bytes, tmp_path: Path) -> None:
    assert seen(read(tmp_path, "a.csv", content)) == PLAIN


def test_decimal_commas_are_told_by_the_column_and_never_guessed(tmp_path: Path) -> None:
    log = read(tmp_path, "a.csv", 'id,correct,score\na,1,"0,83"\na,0,"1.024,5"\n')
    assert log.pool("model").score.tolist() == [[pytest.approx(0.83), 1024.5]]
    with pytest.raises(InvalidLogError, match=r"line 3: score must be a number, got '0,83'"):
        read(tmp_path, "b.csv", 'id,correct,score\na,1,0.83\na,0,"0,83"\n')
    with pytest.raises(InvalidLogError, match=r"tokens must be a whole number, got '12\.500'"):
        read(tmp_path, "c.csv", "id,correct,tokens\na,1,12.500\na,0,13.000\n")


def test_words_for_nothing_are_nothing_unless_they_were_right(tmp_path: Path) -> None:
    text = "id,pred,correct,tokens\na,N/A,?,NA\na,NA,0,-\na,7,n/a,none\n"
    assert seen(read(tmp_path, "a.csv", text)) == [
        ("a", "model", [(None, None, None), (None, False, None), ("7", None, None)])
    ]
    said = read(tmp_path, "b.csv", "id,pred,correct\na,None,1\na,None,0\na,,0\n")
    assert [sample[:2] for sample in seen(said)[0][2]] == [("None", True), ("None", False), (None, False)]


def test_a_row_that_is_there_twice_is_refused_where_samples_are_numbered(tmp_path: Path) -> None:
    text = "id,sample_idx,pred,correct\na,0,4,1\na,1,4,1\n"
    assert read(tmp_path, "a.csv", text).n_samples == 2
    with pytest.raises(InvalidLogError, match=r"line 4: the row is that of line 2 again, sample_idx '0'"):
        read(tmp_path, "b.csv", text + "a,0,4,1\n")
    assert read(tmp_path, "c.csv", "id,pred,correct\na,4,1\na,4,1\n").n_samples == 2


def test_another_text_under_an_id_names_the_line_in_the_file(tmp_path: Path) -> None:
    with pytest.raises(InvalidLogError, match=r"b\.csv, line 4: .* than on line 2;"):
        read(tmp_path, "b.csv", "id,prompt,correct\na,x,1\nb,y,1\na,z,1\n")


@pytest.mark.parametrize(
    ("header", "rows", "expected"),
    [
        ("id,big,small", "a,1,0", [("big", None, True, None), ("small", None, False, None)]),
        (
            "id,answer,big,small 8B",
            "a,4,yes,\nb,5,no,1",
            [("big", None, True, None), ("big", None, False, None), ("small 8B", None, True, None)],
        ),
        (
            "id,big_correct,big_completion_tokens,small_correct,small_answer",
            "a,1,30,0,5",
            [("big", None, True, 30), ("small", "5", False, None)],
        ),
        ("id,correct.big,correct.m-2", "a,1,0", [("big", None, True, None), ("m-2", None, False, None)]),
        (
            "id,answer_0,answer_1,is_correct_0,is_correct_1",
            "a,4,5,1,0",
            [("model", "4", True, None), ("model", "5", False, None)],
        ),
        ("id,run1,run2,run 3", "a,1,0,1", [("model", None, right, None) for right in (True, False, True)]),
        (
            "id,gpt-4 run1,gpt-4 run2,gpt-3 run1",
            "a,1,0,1",
            [("gpt-4", None, True, None), ("gpt-4", None, False, None), ("gpt-3", None, True, None)],
        ),
        (
            "id,gpt-4_correct_0,gpt-4_tokens_0,gpt-4_correct_1,gpt-3_correct_0",
            "a,1,9,0,1",
            [("gpt-4", None, True, 9), ("gpt-4", None, False, None), ("gpt-3", None, True, None)],
        ),
        (
            "id,big 8b result,small result,big 8b completion_tokens",
            "a,pass,fail,3\nb,failed: late,,",
            [("big 8b", None, True, 3), ("small", None, False, None), ("big 8b", None, False, None)],
        ),
        ("id,gpt-4,gpt-3", "a,1,0", [("gpt-4", None, True, None), ("gpt-3", None, False, None)]),
    ],
)
def test_a_column_for_each_generator_or_sample(
    header: str, rows: str, expected: list[tuple[object, ...]], tmp_path: Path
) -> None:
    log = read(tmp_path, "a.csv", f"{header}\n{rows}\n")
    found = [(name, *sample) for _, name, samples in seen(log) for sample in samples]
    assert found == expected
    assert log.about["one_column_each"]


def test_columns_of_models_are_named_by_what_their_names_share(tmp_path: Path) -> None:
    """Nothing could name them: `--correct mark` was no column, nor was `big mark` any more."""
    path = tmp_path / "a.csv"
    path.write_text("id,big mark,small mark,big size,small size\na,1,0,30,9\n")
    log = read_table(path, columns={"correct": "mark", "output_tokens": "size"})
    found = [(name, *sample) for _, name, samples in seen(log) for sample in samples]
    assert found == [("big", None, True, 30), ("small", None, False, 9)]


def test_words_that_can_only_be_verdicts_are_taken_for_them_whatever_the_column_is_called(
    tmp_path: Path,
) -> None:
    text = "id,pred,how it went\na,4,pass\na,5,FAILED: timed out\na,6,\n"
    assert [sample[1] for sample in seen(read(tmp_path, "a.csv", text))[0][2]] == [True, False, None]
    for other in (text.replace("pass", "yes").replace("FAILED", "no"), text.replace("pass", "FAILED")):
        assert read(tmp_path, "b.csv", other).about["unused_columns"] == ["how it went"]
    two = text.replace("went", "went,again").replace("pass", "pass,fail").replace("out", "out,pass")
    assert read(tmp_path, "c.csv", two).about["unused_columns"] == ["how it went", "again"]


def test_what_a_log_refuses_names_the_row_of_the_file(tmp_path: Path) -> None:
    text = "id,prompt,correct,tokens\na,x,1,5\na,x,1,6\nb,y,1,7\nb,y,1,{}\n"
    with pytest.raises(InvalidLogError, match=r"a\.csv, line 5: tokens must be at most 2\*\*53"):
        read(tmp_path, "a.csv", text.format(10**20))
    with pytest.raises(InvalidLogError, match=r"b\.csv, line 4: .*n_correct"):
        read(tmp_path, "b.csv", "id,n,n_correct\na,4,1\nb,4,2\nc,4,5\n")


def test_features_of_prompts_are_no_generators(tmp_path: Path) -> None:
    log = read(tmp_path, "a.csv", "id,answer,is_math,hard\na,4,1,0\na,5,1,0\n")
    assert list(log.generators) == ["model"] and log.about["unused_columns"] == ["is_math", "hard"]


@pytest.mark.parametrize(
    "row",
    [
        {"q": 1, "usage": {"completion_tokens": 7}, "response": "x", "correct": True},
        {"doc.id": 1, "result/is correct": "yes", "usage.completion_tokens": 7},
        {"id": 1, "completions": [{"role": "assistant", "content": "x"}], "corrects": [1], "n_tokens": [7]},
        {"id": 1, "response": {"model": "m", "choices": [{"message": {"content": "x"}}]}, "correct": [True]},
        {"id": 1, "pred": ["x"], "score": [True]},
        {"id": 1, "response": {"content": "x", "usage": {"completion_tokens": 7}}, "passed": True},
        {"id": 1, "responses": {"m": [{"text": "x", "passed": 1}]}},
    ],
)
def test_objects_in_cells_are_opened(row: dict[str, Any], tmp_path: Path) -> None:
    log = read(tmp_path, "a.json", json.dumps([{"question": "1 + 1?", **row}]))
    (name,) = log.generators
    assert log.pool(name).correct.ravel().tolist()[:1] == [1]
    assert "okens" not in str(row) or log.pool(name).output_tokens.tolist() == [[7]]
    assert {sample.text for sample in log.samples(log.prompts[0].id, name)} <= {"x", None}


def test_objects_inside_prompts_and_samples_are_opened_at_any_depth(tmp_path: Path) -> None:
    sample = {"pred": "4", "passed": True, "usage": {"completion_tokens": 7}, "debug": {"gpu": 1}}
    row = {
        "problem": {"id": "a", "text": "2 + 2?", "level": 3},
        "run": {"setup": {"model": "m"}},
        "responses": [sample, {**sample, "pred": "5", "passed": False}],
    }
    log = read(tmp_path, "a.json", json.dumps([row]))
    assert seen(log) == [("a", "m", [("4", True, 7), ("5", False, 7)])]
    assert log.prompts[0].text == "2 + 2?"
    assert log.about["unused_columns"] == ["problem.level", "responses: debug.gpu"]


FAMILIES = "id,question,pred,correct,subject\n" + "".join(
    f"q{i},{i} + 1?,{j},{j},{('sums', 'dates')[i % 2]}\n" for i in range(4) for j in (0, 1)
)


@pytest.mark.parametrize("column", ["task", "Category", "subject", "topic"])
def test_a_column_of_families_is_kept_under_any_usual_name(column: str, tmp_path: Path) -> None:
    log = read(tmp_path, "a.csv", FAMILIES.replace("subject", column))
    families = log.families()
    assert families is not None and families.names == ("sums", "dates", "sums", "dates")
    columns = log.about["columns"]
    assert isinstance(columns, dict) and columns["family"] == column


def test_what_names_no_families_is_not_taken_for_such(tmp_path: Path) -> None:
    two = FAMILIES.replace("q0,0 + 1?,1,1,sums", "q0,0 + 1?,1,1,dates")
    own = FAMILIES.replace("sums", "q0's").replace("q2,2 + 1?,0,0,q0's", "q2,2 + 1?,0,0,q2's")
    for content in (two, own, FAMILIES.replace("dates", "sums")):
        log = read(tmp_path, "a.csv", content)
        assert log.families() is None and log.about["unused_columns"] == ["subject"]
    with pytest.raises(InvalidLogError, match=r"a\.csv, line 3: prompt 'q0' has another family here than on"):
        read(tmp_path, "a.csv", two, columns={"family": "subject"})


def test_families_that_are_named_join_what_meta_says(tmp_path: Path) -> None:
    rows = [
        {"id": f"q{i}", "pred": "1", "correct": 1, "area": f"a{i}", "meta": {"task": "x"}} for i in range(2)
    ]
    log = read(tmp_path, "a.json", json.dumps(rows), columns={"family": "area"})
    families, tasks = log.families(), log.families("task")
    assert families is not None and families.names == ("a0", "a1")
    assert tasks is not None and tasks.names == ("x", "x")


def test_one_number_or_verdict_of_a_row_is_not_that_of_each_of_its_samples(tmp_path: Path) -> None:
    row = {"id": 1, "gold": "x", "completions": ["x", "y"], "tokens": 100, "passed": True, "reward": 0.5}
    log = read(tmp_path, "a.jsonl", json.dumps(row) + "\n" + json.dumps({**row, "id": 2}))
    assert not log.has_tokens and not log.has_rewards and not log.counts().n.any()
    assert log.about["unused_columns"] == ["tokens", "passed", "reward"]
    named = read(tmp_path, "a.jsonl", json.dumps(row) + "\n", columns={"output_tokens": "tokens"})
    assert named.pool("model").output_tokens.tolist() == [[100, 100]]
    with pytest.raises(InvalidLogError, match=r"passed holds one verdict and the row 2 samples: .*--grade"):
        read(tmp_path, "a.jsonl", json.dumps(row) + "\n", columns={"correct": "passed"})
    nested = {"id": 1, "samples": [{"text": "x"}, {"text": "y"}], "passed": True}
    assert not read(tmp_path, "a.json", json.dumps([nested])).counts().n.any()
    alone = read(tmp_path, "a.jsonl", json.dumps({**row, "completions": ["x"]}) + "\n")
    assert alone.pool("model").output_tokens.tolist() == [[100]]
    assert alone.pool("model").correct.tolist() == [[1]]


def test_a_worked_solution_is_not_taken_for_the_right_answer_beside_it(tmp_path: Path) -> None:
    row = {
        "problem": "x?",
        "solution": "so 4",
        "answer": "4",
        "generated_responses": ["a"],
        "correctness": [1],
    }
    (prompt,) = read(tmp_path, "a.json", json.dumps([row])).prompts
    assert prompt.gold == "4"


@pytest.mark.parametrize("orient", ["columns", "index", "split", "records", "table"])
def test_json_as_pandas_writes_it(orient: Any, tmp_path: Path) -> None:
    frame = pandas.DataFrame({"id": ["a", "b"], "pred": ["4", None], "correct": [True, False]})
    frame.to_json(tmp_path / "a.json", orient=orient)
    assert [line[2][0][:2] for line in seen(read_table(tmp_path / "a.json"))] == [("4", True), (None, False)]


def test_samples_stand_under_the_ids_of_their_prompts(tmp_path: Path) -> None:
    status = [{"solution": "x", "plus_status": "pass"}, {"solution": "y", "plus_status": "fail"}]
    document = {"date": "2026-11-29", "eval": {"HumanEval/0": status, "HumanEval/1": status[:1]}}
    for content in (document, document["eval"]):
        columns = {"correct": "plus_status", "text": "solution"}
        log = read(tmp_path, "a.json", json.dumps(content), columns=columns)
        assert [prompt.id for prompt in log.prompts] == ["HumanEval/0", "HumanEval/1"]
        assert log.pool("model").correct.tolist() == [[1, 0], [1, -1]]


def test_lists_of_samples_may_be_missing_or_written_as_text(tmp_path: Path) -> None:
    listed = json.dumps([{"text": "x", "correct": 1}]).replace('"', '""')
    assert read(tmp_path, "a.csv", f'id,samples\na,"{listed}"\nb,\n').n_samples == 1
    frame = [{"id": "a", "samples": [{"correct": True}]}, {"id": "b", "samples": float("nan")}]
    assert SampleLog.from_frame(frame).n_samples == 1
    with pytest.raises(InvalidLogError, match="line 2: 'samples' must hold a list of objects"):
        SampleLog.from_frame([frame[0], {"id": "b", "samples": 7}])


def test_scores_of_nothing_but_0_and_1_are_verdicts(tmp_path: Path) -> None:
    text = "input,output,gts,score\nx?,4,4,1.0\nx?,5,4,0.0\n"
    log = read(tmp_path, "a.csv", text)
    assert log.pool("model").correct.tolist() == [[1, 0]] and not log.has_scores
    assert read(tmp_path, "b.csv", text.replace("0.0", "0.5")).has_scores
    assert read(tmp_path, "c.csv", "id,correct,score\na,1,1\na,0,0\n").has_scores


@pytest.mark.parametrize(
    ("name", "head", "reason"),
    [
        ("a.xlsx", b"PK\x03\x04", "workbook of a spreadsheet; save it as CSV in UTF-8"),
        ("a.xls", b"\xd0\xcf\x11\xe0", "workbook"),
        ("a.db", b"SQLite format 3\x00", "a database"),
        ("a.pkl", b"\x80\x04\x95", "a pickle"),
        ("a.feather", b"ARROW1\x00\x00", "an Arrow file; write it as Parquet"),
    ],
)
def test_other_forms_are_named_with_the_way_out(name: str, head: bytes, reason: str, tmp_path: Path) -> None:
    with pytest.raises(InvalidLogError, match=reason):
        read(tmp_path, name, head + b"\x00" * 64)


def test_frames_bring_their_index_and_names_with_accents(tmp_path: Path) -> None:
    frame = pandas.DataFrame({"id": ["a", "a"], "Länge": [1, 2], "correct": [True, None]}).set_index("id")
    log = SampleLog.from_frame(frame, columns={"output_tokens": "La\u0308nge"})
    assert seen(log) == [("a", "model", [(None, True, 1), (None, None, 2)])]
    with pytest.raises(InvalidInputError, match="lazy; give what its collect"):
        SampleLog.from_frame(polars.DataFrame({"id": [1]}).lazy())
    with pytest.raises(InvalidInputError, match=r"Series is no (table of columns|dataframe)"):
        SampleLog.from_frame(pandas.Series([1]))


def test_folders_and_archives_that_hold_something_else_are_told_apart(tmp_path: Path) -> None:
    (tmp_path / "state.json").write_text("{}")
    with pytest.raises(InvalidLogError, match=r"a data set of Hugging Face's datasets: write it as Parquet"):
        files_of([tmp_path])
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr("a.csv", "id,correct\na,1\n")
    assert kind_of(tmp_path / "a.zip") == "table"
    with pytest.raises(InvalidLogError, match=r"the file is packed \(zip\); unpack it first"):
        read_table(tmp_path / "a.zip")


def test_tables_with_other_columns_are_not_read_as_one(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("question,correct\nx?,1\n")
    (tmp_path / "b.csv").write_text("prompt,correct\ny?,1\n")
    with pytest.raises(InvalidLogError, match=r"but question, correct; .* other columns one at a time"):
        read_table(tmp_path / "a.csv", tmp_path / "b.csv")


CELLS: tuple[Any, ...] = (
    None, "", "NaN", float("nan"), float("inf"), 0, 1, -1, 10**30, True, "yes", "4.0", "0,5", "1.024", "x?",
    [], [1, 0], "[1, 0]", {}, {"content": "x"}, {"m": [{"text": "x"}]}, [{"text": "x", "correct": 1}], [[1]],
)  # fmt: skip
NAMES = (
    "id", "question", "pred", "correct", "score", "reward", "tokens", "model", "gold", "completions",
    "samples", "messages", "usage", "run1", "run2", "n", "n_correct", "meta", "step_scores", "sample", "a.b",
    "gpt-4_correct",
)  # fmt: skip


def test_tables_of_anything_are_read_or_refused_in_words() -> None:
    rng = random.Random(0)
    n_read = 0
    for _ in range(600):
        names = rng.sample(NAMES, rng.randint(2, 7))
        rows = [{name: rng.choice(CELLS) for name in names} for _ in range(rng.randint(1, 4))]
        for number, row in enumerate(rows):
            row["id"] = number // 2
        try:
            n_read += SampleLog.from_frame(rows, threshold=rng.choice([None, 0.5])).n_samples > 0
        except InvalidInputError as error:
            assert str(error).startswith("frame") and len(str(error)) > 20
    assert n_read > 20


def test_bytes_are_texts_or_refused(tmp_path: Path) -> None:
    frame = polars.DataFrame({"prompt": [b"6 * 7?", "Größe?".encode()], "pred": ["42", "7"], "ok": [1, 0]})
    frame.write_parquet(tmp_path / "bytes.parquet")
    log = read_table(tmp_path / "bytes.parquet", columns={"correct": "ok"})
    assert [prompt.text for prompt in log.prompts] == ["6 * 7?", "Größe?"]
    polars.DataFrame({"prompt": [b"6 * 7?", b"\xff"], "pred": ["42", "7"], "ok": [1, 0]}).write_parquet(
        tmp_path / "broken.parquet"
    )
    with pytest.raises(InvalidLogError, match="line 2: a text is not UTF-8"):
        read_table(tmp_path / "broken.parquet", columns={"correct": "ok"})


def test_truth_is_no_count_of_tokens(tmp_path: Path) -> None:
    row = {"id": "1", "pred": "4", "correct": 1, "tokens": True}
    with pytest.raises(InvalidLogError, match="tokens must be a whole number, got True"):
        read(tmp_path, "table.json", json.dumps([row]))
