"""Small files that inspect_ai 0.3.285 and lm-evaluation-harness 0.4.13 wrote, asking a scripted server."""

from __future__ import annotations

import json
import shutil
import warnings
from pathlib import Path

import pytest

from difficulty import Generator, SampleLog
from difficulty.errors import InvalidLogError
from difficulty.importers.inspect_ai import read_inspect
from difficulty.importers.lm_eval import read_lm_eval
from planner.cli import main

RECORDED = Path(__file__).parent / "recorded"
MODEL = "openai-api/tiny/tiny"
TINY = Generator(name="tiny")


def samples_of(folder: str, task: str = "mysums") -> Path:
    (path,) = (RECORDED / "lm_eval" / folder / "tiny").glob(f"samples_{task}_*.jsonl")
    return path


def test_a_scorer_that_asks_the_same_model_is_not_charged_to_the_sample() -> None:
    log = read_inspect(RECORDED / "inspect_ai" / "graded.eval")
    pool = log.pool(MODEL)
    assert log.n_samples == 4
    assert pool.prompt_tokens.tolist() == [5, 5]  # the grader read 155 more
    assert pool.output_tokens.tolist() == [[28, 28], [27, 11]]  # reasoning included, the 5 of a grade not


def test_samples_at_a_limit_of_tokens_have_their_tokens_and_are_cut() -> None:
    pool = read_inspect(RECORDED / "inspect_ai" / "limits.eval").pool(MODEL)
    assert pool.truncated.tolist() == [[True, True], [True, True]]
    assert pool.output_tokens.tolist() == [[25, 23], [25, 22]]
    assert pool.correct.tolist() == [[0, 0], [0, 0]]


def test_multiple_choice_comes_with_its_choices_and_letters() -> None:
    log = read_inspect(RECORDED / "inspect_ai" / "choice.eval")
    assert log.prompts[0].text == "Which is largest, case 0?\nA) 10\nB) 20\nC) 30\nD) 40"
    assert {sample.answer for prompt in log.prompts for sample in log.samples(prompt.id, MODEL)} <= set(
        "ABCD"
    )


def test_logs_of_several_scorers_come_together_with_those_of_one() -> None:
    several, one = RECORDED / "inspect_ai" / "several.eval", RECORDED / "inspect_ai" / "graded.eval"
    log = read_inspect(several, one, scorer="match")
    assert len(log) == 4 and log.counts().n.tolist() == [[2], [2], [2], [2]]
    assert read_inspect(several, scorer="parts.form").pool(MODEL).correct.tolist() == [[1, 1], [1, 1]]
    with pytest.raises(InvalidLogError, match=r"which scorer\? .*'match', 'near', .* \(--scorer\)"):
        read_inspect(several, one)
    with pytest.raises(InvalidLogError, match=r"graded\.eval: scorer 'match' is not there; there is: 'model"):
        read_inspect(one, scorer="match")


@pytest.mark.parametrize("folder", ["completions", "chat"])
@pytest.mark.parametrize("name", ["strict-match", "flexible-extract"])
def test_every_repeat_of_the_harness_is_judged_as_it_judges(folder: str, name: str) -> None:
    path = samples_of(folder)
    log = read_lm_eval(path, generator=TINY, filter=name)
    assert log.n_samples == 12 and log.has_text
    for line in path.read_text().splitlines():
        row = json.loads(line)
        samples = log.samples(f"mysums/{row['doc_id']}", "tiny")
        assert [sample.text for sample in samples] == row["resps"][0]
        if row["filter"] == name:
            assert samples[0].correct == bool(row["exact_match"])


def test_worked_examples_that_differ_between_prompts_are_no_part_of_them() -> None:
    log = read_lm_eval(samples_of("completions"), generator=TINY, filter="strict-match")
    asked = "Question: Ann has 15 apples and gets 27 more. What is 15 + 27?\nAnswer:"
    assert log.prompts[0].text == asked
    chats = read_lm_eval(samples_of("chat"), generator=TINY, filter="strict-match")
    assert chats.prompts[0].messages == ({"role": "user", "content": asked},)


def test_tasks_with_other_filters_and_metrics_come_in_one_call(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.copytree(RECORDED / "lm_eval" / "completions", tmp_path / "out")
    monkeypatch.chdir(tmp_path)
    assert main(["import", "out", "--filter", "strict-match"]) == 2
    assert "which metric? There are: 'exact_match', 'bleu'; name one with metric=... (--scorer)" in (
        capsys.readouterr().err
    )
    assert main(["import", "out", "--filter", "strict-match", "--scorer", "exact_match"]) == 0
    log = SampleLog.read("samples.jsonl.gz")
    assert log.n_samples == 3 * 4 + 3 and len(log) == 6
    assert main(["import", "out", "--filter", "strict", "--scorer", "exact_match"]) == 2
    assert "filter 'strict' is not there; there are: 'strict-match', 'flexible" in capsys.readouterr().err


def test_whole_texts_of_one_sample_each_are_not_warned_of() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        log = read_lm_eval(samples_of("completions", "myplain"), generator=TINY, metric="exact_match")
    assert log.n_samples == 3


@pytest.mark.parametrize("size", [60, 4000, -1])
def test_truncated_archives_name_the_file_and_a_remedy(
    size: int, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "cut.eval"
    path.write_bytes((RECORDED / "inspect_ai" / "graded.eval").read_bytes()[:size])
    assert main(["import", str(path), "--out", str(tmp_path / "x.jsonl")]) == 2
    error = capsys.readouterr().err
    assert "cut.eval" in error and "copy it again if it was cut" in error


def test_a_truncated_file_of_the_harness_names_file_line_and_a_remedy(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / samples_of("chat").name
    path.write_bytes(samples_of("chat").read_bytes()[:-700])
    assert main(["import", str(path), "--filter", "strict-match", "--out", str(tmp_path / "x.jsonl")]) == 2
    error = capsys.readouterr().err
    assert f"{path.name}, line 9: broken JSON" in error and "evaluate again" in error


def test_runs_without_verdicts_have_their_answers_and_are_judged_when_asked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.copytree(RECORDED / "lm_eval" / "predicted", tmp_path / "predicted")
    shutil.copy(RECORDED / "inspect_ai" / "unscored.eval", tmp_path)
    monkeypatch.chdir(tmp_path)
    for name, options in (("predicted", ["--filter", "strict-match"]), ("unscored.eval", [])):
        assert main(["import", name, *options]) == 0
        assert "have no verdict; --grade HOW compares" in capsys.readouterr().err
        log = SampleLog.read("samples.jsonl.gz")
        assert log.has_answers and not log.counts().n.any()
        assert main(["import", name, *options, "--grade", "number"]) == 0
        graded = SampleLog.read("samples.jsonl.gz")
        for prompt in graded.prompts:
            for sample in graded.samples(prompt.id, next(iter(graded.generators))):
                assert sample.correct == (sample.answer == prompt.gold)
    assert main(["import", "predicted", "--extract", "number", "--grade", "number"]) == 0  # and no --filter


def test_tasks_of_log_likelihoods_are_left_out_and_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("choice", "completions"):
        shutil.copytree(RECORDED / "lm_eval" / name, tmp_path / "out" / name)
    monkeypatch.chdir(tmp_path)
    assert main(["import", "out", "--filter", "strict-match", "--scorer", "exact_match"]) == 0
    assert "left out, as log-likelihoods are no samples: samples_mychoice_" in capsys.readouterr().err
    assert SampleLog.read("samples.jsonl.gz").n_samples == 3 * 4 + 3
    assert main(["import", "out/choice"]) == 2
    assert "samples_mychoice_2026" in (error := capsys.readouterr().err)
    assert "tasks draw no samples; evaluate with a task that generates its answers" in error


def test_a_folder_of_several_models_has_a_generator_for_each(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.copytree(RECORDED / "lm_eval" / "chat", tmp_path / "out")
    other = shutil.copytree(tmp_path / "out" / "tiny", tmp_path / "out" / "org__other")
    (results,) = other.glob("results_*.json")
    results.write_text(results.read_text().replace('"model_name": "tiny"', '"model_name": "org/other"'))
    monkeypatch.chdir(tmp_path)
    (tmp_path / "sizes.json").write_text(json.dumps({"org/other": {"params": 1e9}, "x": {"params": 2e9}}))
    options = ["--filter", "maj@4", "--generators", "sizes.json"]
    assert main(["import", "out", *options]) == 0
    log = SampleLog.read("samples.jsonl.gz")
    assert log.n_recorded().tolist() == [[4, 4]] * 3
    assert {name: log.generators[name].params for name in log.generators} == {"org/other": 1e9, "tiny": None}
    assert main(["import", "out", *options, "--generator", "x"]) == 2
    assert "the files are of several models, org/other, tiny, which one" in capsys.readouterr().err


def test_a_run_that_did_not_finish_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    sample = {"id": 1, "input": "2 + 2?", "target": "4", "output": {"completion": "4"},
              "scores": {"match": {"value": "C", "answer": "4"}}}  # fmt: skip
    path = tmp_path / "log.json"
    evaluation = {"task": "sums", "model": "m"}
    path.write_text(
        json.dumps({"version": 2, "status": "cancelled", "eval": evaluation, "samples": [sample]})
    )
    assert main(["import", str(path), "--out", str(tmp_path / "x.jsonl")]) == 0
    assert "the run did not finish, so that samples may be missing: log.json" in capsys.readouterr().err


def test_a_run_that_was_tried_again_counts_its_samples_once(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def written(name: str, status: str, samples: list[dict[str, object]]) -> str:
        evaluation = {"task": "sums", "task_id": "T", "model": "m"}
        path = tmp_path / f"{name}.json"
        path.write_text(json.dumps({"version": 2, "status": status, "eval": evaluation, "samples": samples}))
        return str(path)

    def drawn(uuid: str, number: int, **fields: object) -> dict[str, object]:
        scores = {"match": {"value": "C", "answer": "4"}}
        return {"id": number, "uuid": uuid, "input": "2 + 2?", "target": "4", "scores": scores, **fields}

    first = written("a", "error", [drawn("u", 1), drawn("v", 2, error={"message": "no luck"})])
    again = written("b", "success", [drawn("u", 1), drawn("w", 2)])
    out = str(tmp_path / "x.jsonl")
    assert main(["import", first, again, "--out", out]) == 0  # and nothing failed for good
    assert SampleLog.read(out).n_recorded().tolist() == [[1], [1]]
    told = capsys.readouterr().err
    assert "samples that an earlier log of the same run holds, too, are left out: 1" in told
    assert "did not finish" not in told
    assert main(["import", first, "--out", out]) == 2
    assert "sample 2, epoch 1 ended in an error" in capsys.readouterr().err


def test_what_a_log_refuses_names_file_and_prompt(tmp_path: Path) -> None:
    usage = {"output_tokens": 9, "total_tokens": 4}  # fewer in all than were written
    sample = {"id": 7, "input": "2 + 2?", "output": {"completion": "4", "usage": usage}}
    path = tmp_path / "log.json"
    path.write_text(json.dumps({"version": 2, "eval": {"task": "sums", "model": "m"}, "samples": [sample]}))
    with pytest.raises(InvalidLogError, match=r"log\.json: prompt 'sums/7': .*prompt_tokens"):
        read_inspect(path)
