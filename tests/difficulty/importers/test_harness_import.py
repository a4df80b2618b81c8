"""Files as lm-evaluation-harness 0.4.13 writes them: chats, several filters, one answer kept of all."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from difficulty import Generator, SampleLog
from difficulty.errors import InvalidLogError
from difficulty.importers.lm_eval import read_lm_eval
from planner.cli import main

DATE = "2026-11-29T08-35-34.073915"
TINY = Generator(name="tiny")
STRICT = {"function": "regex", "regex_pattern": r"#### (\-?[0-9\.\,]+)"}
LOOSE = {"function": "regex", "group_select": -1, "regex_pattern": r"(-?[$0-9.,]{2,})|(-?[0-9]+)"}
FIRST = {"function": "take_first"}
VOTE = [{"function": "take_first_k", "k": 3}, STRICT, {"function": "majority_vote"}, FIRST]
TEXTS = ["So it is 6.\n#### 6", "That makes 7 in all", "#### 1,006 "]


def chat(question: str) -> list[str]:
    shots = [{"role": "user", "content": "Question: 1 + 1?"}, {"role": "assistant", "content": "#### 2"}]
    return [json.dumps([*shots, {"role": "user", "content": question}])]


def row(doc_id: int, name: str, kept: Any, score: float, **fields: Any) -> dict[str, Any]:
    return {
        "doc_id": doc_id,
        "doc": {"question": f"{doc_id} + 6?", "answer": "6"},
        "target": "6",
        "arguments": {"gen_args_0": {"arg_0": chat(f"Question: {doc_id} + 6?"), "arg_1": {"until": []}}},
        "resps": [TEXTS],
        "filtered_resps": [kept],
        "filter": name,
        "metrics": ["exact_match"],
        "doc_hash": f"h{doc_id}",
        "exact_match": score,
    } | fields


def written(folder: Path, rows: list[dict[str, Any]], **metric: Any) -> Path:
    folder.mkdir(exist_ok=True)
    path = folder / f"samples_sums_{DATE}.jsonl"
    path.write_text("".join(json.dumps(each) + "\n" for each in rows))
    filters = [
        {"name": "strict-match", "filter": [STRICT, FIRST]},
        {"name": "flexible-extract", "filter": [LOOSE, FIRST]},
        {"name": "maj@3", "filter": VOTE},
    ]
    config = {"metric_list": [{"metric": "exact_match", **metric}], "filter_list": filters}
    results = {"results": {}, "configs": {"sums": config}, "model_name": "m"}
    (folder / f"results_{DATE}.json").write_text(json.dumps(results))
    return path


def all_filters(doc_id: int) -> list[dict[str, Any]]:
    return [
        row(doc_id, "strict-match", "6", 1.0),
        row(doc_id, "flexible-extract", "6", 1.0),
        row(doc_id, "maj@3", "6", 1.0),
    ]


@pytest.mark.parametrize(
    ("name", "answers", "verdicts"),
    [
        ("strict-match", [["6", None, "1,006"]], [[1, 0, 0]]),
        ("flexible-extract", [["6", "7", "1,006"]], [[1, 0, 0]]),
        ("maj@3", [["6", None, "1,006"]], [[1, 0, 0]]),
    ],
)
def test_every_repeat_is_found_and_judged_by_the_patterns_of_the_task(
    name: str, answers: list[list[str | None]], verdicts: list[list[int]], tmp_path: Path
) -> None:
    log = read_lm_eval(written(tmp_path, all_filters(0)), generator=TINY, filter=name)
    samples = log.samples("sums/0", "tiny")
    assert [[sample.answer for sample in samples]] == answers
    assert log.pool("tiny").correct.tolist() == verdicts
    assert [sample.text for sample in samples] == TEXTS


def test_the_settings_of_exact_match_are_used(tmp_path: Path) -> None:
    rows = [row(0, "flexible-extract", "6", 0.0, target="1006.")]
    path = written(tmp_path, rows, regexes_to_ignore=[",", r"\.$"], ignore_case=True)
    log = read_lm_eval(path, generator=TINY)
    assert log.pool("tiny").correct.tolist() == [[0, 0, 1]]


def test_chat_prompts_come_without_the_worked_examples(tmp_path: Path) -> None:
    log = read_lm_eval(written(tmp_path, all_filters(0)), generator=TINY, filter="maj@3")
    assert log.prompts[0].messages == ({"role": "user", "content": "Question: 0 + 6?"},)
    assert log.has_text
    by_field = read_lm_eval(
        tmp_path / f"samples_sums_{DATE}.jsonl", generator=TINY, filter="maj@3", prompt_field="question"
    )
    assert by_field.prompts[0].text == "0 + 6?"
    with pytest.raises(InvalidLogError, match="no text under 'task'; there is: question, answer"):
        read_lm_eval(
            tmp_path / f"samples_sums_{DATE}.jsonl", generator=TINY, filter="maj@3", prompt_field="task"
        )


def test_paragraphs_that_all_texts_begin_with_are_no_part_of_the_prompt(tmp_path: Path) -> None:
    shots = "Q: 1 + 1?\nA: 2\n\nQ: 2 + 2?\nA: 4\n\n"
    rows = [row(n, "strict-match", "6", 1.0, arguments=[[f"{shots}Q: {n} + 6?\nA:", {}]]) for n in range(2)]
    log = read_lm_eval(written(tmp_path, rows), generator=TINY)
    assert [prompt.text for prompt in log.prompts] == ["Q: 0 + 6?\nA:", "Q: 1 + 6?\nA:"]


def test_what_the_patterns_do_not_explain_is_refused(tmp_path: Path) -> None:
    other = written(tmp_path, [row(0, "strict-match", "9", 0.0)])
    with pytest.raises(
        InvalidLogError, match="line 1: the filter left '9', which the task's patterns do not"
    ):
        read_lm_eval(other, generator=TINY)
    judged = written(tmp_path, [row(0, "strict-match", "6", 0.0)])
    with pytest.raises(InvalidLogError, match=r"exact_match is 0\.0 for '6' and target '6'"):
        read_lm_eval(judged, generator=TINY)
    (tmp_path / f"results_{DATE}.json").unlink()
    with pytest.raises(InvalidLogError, match=r"kept 1 of 3 repeats, and no results_\*\.json"):
        read_lm_eval(judged, generator=TINY)


def test_the_same_samples_twice_are_noticed(tmp_path: Path) -> None:
    one, two = (written(tmp_path / name, all_filters(0)) for name in "ab")
    with pytest.raises(InvalidLogError, match=r"holds the same samples as .*, which would count twice"):
        read_lm_eval(one, two, generator=TINY, filter="maj@3")


def test_a_folder_of_the_harness_is_imported(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "out").mkdir()
    path = written(tmp_path / "out" / "tiny", all_filters(0) + all_filters(1))
    assert main(["import", "out"]) == 2
    assert "which filter? There are: 'strict-match', 'flexible-extract', 'maj@3'" in capsys.readouterr().err
    for given in ("out", str(path), f"out/tiny/results_{DATE}.json"):
        assert main(["import", given, "--filter", "strict-match"]) == 0
        log = SampleLog.read("samples.jsonl.gz")
        assert list(log.generators) == ["m"] and log.n_samples == 6
    assert main(["import", "out", "--answer", "x"]) == 2
    assert "a log of lm-evaluation-harness, for which --answer means nothing" in capsys.readouterr().err
