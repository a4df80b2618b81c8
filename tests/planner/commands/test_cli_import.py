"""``planner import`` makes logs of what people have, and says what it took."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from difficulty import SampleLog
from planner.cli import main


def csv_file(path: Path) -> Path:
    rows = ["qid,question,model,pred,ok,tokens,seed"]
    rows += [
        f"{i},What is {i} + 1?,small,{i + j},{int(j == 1)},{10 + j},{j}" for i in range(4) for j in (1, 2)
    ]
    path.write_text("\n".join(rows) + "\n3,What is 3 + 1?,small,,,,3\n")
    return path


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_a_table_becomes_a_log_and_what_was_taken_is_told(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    csv_file(folder / "r.csv")
    assert main(["import", "r.csv", "--correct", "ok", "--out", "log.parquet"]) == 0
    told = capsys.readouterr()
    assert told.out == "wrote log.parquet: SampleLog(4 prompts, 1 generator, 9 samples; with text, answers)\n"
    assert "  prompt_id      <- qid\n" in told.err and "  correct        <- ok\n" in told.err
    assert "note: not used: seed\n" in told.err
    assert "note: 1 of 9 samples have no verdict\n" in told.err
    assert "note: 1 of 9 samples have no tokens; costs in tokens take the mean" in told.err
    assert "note: ragged: 2 to 3 samples" in told.err
    log = SampleLog.read("log.parquet")
    assert log.counts().n_correct.ravel().tolist() == [1, 1, 1, 1] and log.about["files"] == ["r.csv"]


def test_columns_that_are_left_may_be_verdicts(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "r.csv").write_text("id,pred,gold,ok?\na,4,4,yes\n")
    assert main(["import", "r.csv"]) == 0
    assert "answers with the right ones, --correct COLUMN names verdicts\n" in capsys.readouterr().err


def test_a_column_of_costs_leads_to_prices(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "r.csv").write_text("id,correct,tokens,cost_usd\na,1,9,$0.01\n")
    (folder / "g.toml").write_text("[model]\nusd_per_mtok_in = 1\nusd_per_mtok_out = 4\n")
    assert main(["import", "r.csv"]) == 0
    assert "--generators FILE, with usd_per_mtok_in and _out" in capsys.readouterr().err
    assert main(["import", "r.csv", "--generators", "g.toml"]) == 0
    assert "--generators" not in capsys.readouterr().err


def test_a_generator_is_a_column_or_a_name(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    csv_file(folder / "r.csv")
    (folder / "g.toml").write_text("[small]\nparams = 1e9\n")
    assert main(["import", "r.csv", "--correct", "ok", "--generator", "seed", "--out", "a.jsonl"]) == 0
    assert sorted(SampleLog.read("a.jsonl").generators) == ["1", "2", "3"]
    (folder / "s.csv").write_text("id,correct\na,1\n")
    assert (
        main(["import", "s.csv", "--generator", "small", "--generators", "g.toml", "--out", "b.jsonl"]) == 0
    )
    assert SampleLog.read("b.jsonl").generators["small"].params == 1e9
    assert main(["import", "s.csv", "--json", "--out", "c.jsonl"]) == 0
    found = json.loads(capsys.readouterr().out.split("wrote b.jsonl")[1].partition("\n")[2])
    assert (found["n_prompts"], found["n_samples"], found["kind"]) == (1, 1, "table")
    assert found["about"]["columns"] == {"prompt_id": "id", "correct": "correct"}


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["r.csv", "--answer", "reply"], "no column 'reply' for answer; the table has: qid, question"),
        (["r.csv", "--correct", "tokens"], "r.csv, line 2: tokens must be 0 or 1"),
        (["r.csv", "log.jsonl"], "the files are of several kinds: r.csv (table), log.jsonl (sample_log)"),
        (["log.jsonl"], "log.jsonl: the log has a header and no lines"),
        (
            ["log.jsonl", "--answer", "a", "--grade", "math"],
            "is a sample log, for which --grade, --answer mean",
        ),
        (["r.csv", "--filter", "none"], "r.csv is a table, for which --filter means nothing; leave it out"),
        (["r.csv", "--extract", "number"], "no column holds the texts of completions"),
        (["r.csv", "--grade", "number"], "no column holds the right answers"),
        (["empty"], "empty: the folder holds no file of samples"),
        (["results_2026-01-02T03.json"], "no samples beside these results; evaluate with --log_samples"),
    ],
)
def test_what_cannot_be_imported_says_why(
    arguments: list[str], said: str, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    csv_file(folder / "r.csv")
    (folder / "log.jsonl").write_text('{"sample_log": 1, "generators": {}}\n')
    (folder / "results_2026-01-02T03.json").write_text("{}")
    (folder / "empty").mkdir()
    assert main(["import", *arguments]) == 2
    assert said in capsys.readouterr().err
    assert not (folder / "samples.jsonl.gz").exists()


def test_a_folder_of_tables_is_read_whole(folder: Path) -> None:
    (folder / "runs").mkdir()
    csv_file(folder / "runs" / "a.csv")
    (folder / "runs" / "b.jsonl").write_text('{"qid": 9, "pred": "1", "ok": false}\n')
    (folder / "runs" / "notes.txt").write_text("nothing")
    assert main(["import", "runs", "--correct", "ok"]) == 0
    assert len(SampleLog.read("samples.jsonl.gz")) == 5


@pytest.mark.parametrize(
    ("columns", "remedy"),
    [
        ("completion,accuracy_reward", "--correct COLUMN names verdicts"),
        ("pred,gold", "--grade HOW compares answers with the right ones"),
        ("pred", "name the right answers (--gold) and --grade, or train with --labels agreement"),
        ("rm_score", "train with --objective reward --reward score, or with --labels verifier"),
        ("reward", "--threshold 1 takes rewards from 1 on as right, or train with --objective reward"),
    ],
)
def test_without_verdicts_it_says_what_this_log_is_good_for(
    columns: str, remedy: str, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    cells = ",".join("0.5" for _ in columns.split(","))
    (folder / "t.csv").write_text(f"id,question,{columns}\na,1 + 1?,{cells}\n")
    assert main(["import", "t.csv", "--out", "log.jsonl"]) == 0
    assert f"1 of 1 samples have no verdict; {remedy}\n" in capsys.readouterr().err


def test_completions_without_answers_are_said_to_need_an_extraction(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / "t.csv").write_text("id,question,response,correct\na,1 + 1?,It is 2.,1\n")
    assert main(["import", "t.csv", "--out", "log.jsonl"]) == 0
    assert "note: no answers, by which votes are counted: --extract HOW" in capsys.readouterr().err
    assert main(["import", "t.csv", "--extract", "number", "--out", "log.jsonl"]) == 0
    assert "no answers" not in capsys.readouterr().err


def test_generators_of_which_a_file_says_nothing_are_named(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / "t.csv").write_text("question,model,correct\n1 + 1?,gpt-4o,1\n1 + 1?,gpt-4o-mini,0\n")
    (folder / "prices.toml").write_text('["gpt-4o"]\nusd_per_mtok_out = 10.0\n["gpt4o-mini"]\nparams = 1e9\n')
    assert main(["import", "t.csv", "--generators", "prices.toml"]) == 0
    assert "note: prices.toml says nothing of gpt-4o-mini\n" in capsys.readouterr().err


def test_rewards_without_verdicts_are_said_where_training_needs_verdicts(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = [f"Write about {n},{n / 9}" for n in range(30) for _ in range(3)]
    (folder / "t.csv").write_text("\n".join(["prompt,reward", *rows]) + "\n")
    assert main(["import", "t.csv", "--out", "log.jsonl"]) == 0
    capsys.readouterr()
    assert main(["train", "log.jsonl", "--out", "policy"]) == 2
    said = capsys.readouterr().err
    assert "train for rewards (--objective reward), or say from which reward on" in said
    assert "coverage" not in said
    assert (
        main(["import", "log.jsonl", "--reward-from", "reward", "--threshold", "1", "--out", "b.jsonl"]) == 0
    )
    assert SampleLog.read("b.jsonl").counts().n_correct.sum() == 63
