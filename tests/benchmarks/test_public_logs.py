"""Clones of public repositories become sample logs, and the suite's table says what the reports say."""

from __future__ import annotations

import json
from pathlib import Path

import msgspec
import pytest

from benchmarks import public_logs
from benchmarks.public import crux_eval, reasoning_gym
from benchmarks.public.prices import LIST_PRICES, Price, read_prices
from benchmarks.public.source import Options
from benchmarks.public.suite import Line, Number, geometric, mean, summary
from benchmarks.public.table import overall, work_words
from difficulty.errors import InvalidInputError
from difficulty.log.sample_log import SampleLog
from training.simulated.log import simulated_log

RUNS = Path("reasoninggym-paper-experiments/zero-shot/easy")


def write_json(path: Path, content: object) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(msgspec.json.encode(content))


def completion(answer: str | None, score: float, **more: object) -> dict[str, object]:
    return {"model_answer": answer, "full_model_response": f"It is {answer}.", "score": score, **more}


def gym_run(clone: Path, run: str, questions: dict[str, list[dict[str, object]]], gold: str = "3") -> None:
    """Write a run of one task as the source has them."""
    write_json(
        clone / RUNS / run / "arithmetic" / "sums.json",
        {
            "name": "sums",
            "category": "arithmetic",
            "system_prompt": "Answer.",
            "results": [
                {"question": text, "expected_answer": gold, "completions": completions}
                for text, completions in questions.items()
            ],
        },
    )
    write_json(
        clone / RUNS / run / "summary.json", {"model": "maker/small", "temperature": 0.6, "max_tokens": 99}
    )


def test_gym_reads_samples_verdicts_settings_and_prices(tmp_path: Path) -> None:
    failed = completion(None, 0.0, error="timeout")
    gym_run(
        tmp_path,
        "maker_small-1b_20250101_000000",
        {"1 + 2?": [completion("3", 1.0), completion(None, 0.0), failed], "2 + 1?": [failed]},
    )
    gym_run(
        tmp_path,
        "maker_big-9b_20250101_000000",
        {"1 + 2?": [completion("4", 0.5)] * 2, "2 + 1?": [completion("3", 1.0)]},
        gold="3.0",
    )
    prices = {"small-1b": Price(0.1, 0.2)}
    log = reasoning_gym.convert(tmp_path, Options(models=("all",), prices=prices))
    # The other question has no sample of one of the models: a failed request is none.
    assert [prompt.content for prompt in log.prompts] == ["1 + 2?"]
    assert "1 questions were left out" in str(log.about["note"])
    small, big = log.pool("small-1b"), log.pool("big-9b")
    assert small.correct[0].tolist() == [1, 0]
    # Partial credit is not right.
    assert big.correct[0].tolist() == [0, 0]
    assert small.output_tokens[0, 0] == reasoning_gym.estimated_tokens("It is 3.") == 4
    assert log.generators["small-1b"].usd_per_mtok_out == 0.2
    assert log.generators["small-1b"].temperature == 0.6
    assert log.generators["big-9b"].usd_per_mtok_out is None


def test_gym_takes_the_latest_run_of_a_model(tmp_path: Path) -> None:
    gym_run(tmp_path, "maker_small-1b_20250301_000000", {"1 + 2?": [completion("3", 1.0)]})
    gym_run(tmp_path, "maker_small-1b_20250102_000000", {"1 + 2?": [completion("4", 0.0)]})
    log = reasoning_gym.convert(tmp_path, Options(models=("small-1b",)))
    assert log.pool("small-1b").correct[0].tolist() == [1]


def test_gym_keeps_equal_questions_apart_in_one_group(tmp_path: Path) -> None:
    path = tmp_path / RUNS / "maker_small-1b_20250301_000000" / "arithmetic" / "sums.json"
    row = {"question": "1 + 2?", "expected_answer": "3", "completions": [completion("3", 1.0)]}
    write_json(path, {"name": "sums", "category": "x", "system_prompt": "", "results": [row, row]})
    log = reasoning_gym.convert(tmp_path, Options(models=("all",)))
    assert len(log.prompts) == 2
    assert len({prompt.group for prompt in log.prompts}) == 1


def test_missing_models_and_folders_are_named(tmp_path: Path) -> None:
    with pytest.raises(InvalidInputError, match="folder of a clone"):
        reasoning_gym.convert(tmp_path, Options())
    gym_run(tmp_path, "maker_small-1b_20250301_000000", {"1 + 2?": [completion("3", 1.0)]})
    with pytest.raises(InvalidInputError, match=r"no samples of gemma-3-27b-it.* it has small-1b"):
        reasoning_gym.convert(tmp_path, Options(models=("gemma-3-27b-it",)))
    with pytest.raises(InvalidInputError, match="cannot read the problems"):
        crux_eval.convert(tmp_path, Options())
    with pytest.raises(InvalidInputError, match="the part must be one of output, input"):
        crux_eval.convert(tmp_path, Options(part="both"))


def crux_clone(clone: Path) -> None:
    problem = {"id": "sample_0", "code": "def f(x):\n    return x + 'a'", "input": "'b'", "output": "'ba'"}
    clone.mkdir(exist_ok=True)
    (clone / "cruxeval.js").write_text(
        f"var DATA = [\n{json.dumps(problem)} \n];\nfunction show() {{ return []; }}\n", "utf-8"
    )
    for style, answers in {"": ['"ba"', "'ba'\nassert f(1)", "f("], "+cot": ["'b'", "'ba'", "[1,2]"]}.items():
        write_json(
            clone / "evaluation_results" / f"small{style}_temp0.8_output.json",
            {
                "raw_generations": {"sample_0": answers},
                "raw_scored_generations": {"sample_0": [answer.strip("\"'") == "ba" for answer in answers]},
            },
        )


def test_crux_spells_answers_alike_and_keeps_the_verdicts_of_the_source(tmp_path: Path) -> None:
    crux_clone(tmp_path)
    log = crux_eval.convert(tmp_path, Options(models=("all",)))
    assert list(log.generators) == ["small/direct", "small/cot"]
    pool = log.pool("small/direct")
    assert pool.correct[0].tolist() == [1, 0, 0]
    # Two spellings of one answer, cut before a second line of code; what is no expression stays as it is.
    answers = [sample.answer for sample in log.samples("cruxeval/output/sample_0", "small/direct")]
    assert answers == ["'ba'", "'ba'", "f("]
    (prompt,) = log.prompts
    assert prompt.content is not None
    assert prompt.content.endswith("return x + 'a'\nassert f('b') == ??")


def test_converting_from_the_command_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    crux_clone(tmp_path / "clone")
    prices = tmp_path / "prices.toml"
    prices.write_text("[small]\nusd_per_mtok_in = 1\nusd_per_mtok_out = 2.5\n", "utf-8")
    out = tmp_path / "log.jsonl.gz"
    arguments = ["convert", "crux-eval", str(tmp_path / "clone"), "--out", str(out), "--models", "small"]
    public_logs.main([*arguments, "--prices", str(prices)])
    assert SampleLog.read(out).generators["small/direct"].usd_per_mtok_out == 2.5
    assert "Without a price" not in capsys.readouterr().err
    public_logs.main(arguments)
    assert "Without a price: small/direct" in capsys.readouterr().err


def test_prices_of_a_file_replace_and_complete_the_list(tmp_path: Path) -> None:
    path = tmp_path / "prices.toml"
    path.write_text('["gemma-3-27b-it"]\nusd_per_mtok_in = 0.5\nusd_per_mtok_out = 1\n', "utf-8")
    assert read_prices(path) == {**LIST_PRICES, "gemma-3-27b-it": Price(0.5, 1)}
    for wrong in (
        "[a]\nusd_per_mtok_in = 1\n",
        "a = 1\n",
        "[a",
        "[a]\nusd_per_mtok_in = 1\nusd_per_mtok_out = 'x'\n",
    ):
        path.write_text(wrong, "utf-8")
        with pytest.raises(InvalidInputError, match="prices"):
            read_prices(path)


def test_the_suite_reports_every_log_unit_and_seed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "toy.jsonl.gz"
    simulated_log(60, n_samples=4, n_generators=2).write(path)
    out = tmp_path / "kept"
    units = ["--unit", "samples", "--unit", "usd"]
    few = tmp_path / "few.jsonl.gz"
    simulated_log(12, n_samples=4).write(few)
    public_logs.main(
        [
            "report",
            str(few),
            str(path),
            *units,
            "--seeds",
            "0",
            "1",
            "--trials",
            "1",
            "--json",
            "--out",
            str(out),
        ]
    )
    captured = capsys.readouterr()
    told = json.loads(captured.out)
    # The log has no prices.
    assert "toy is left out in usd" in captured.err
    assert "few is left out in samples: only 7 prompts" in captured.err
    assert [(line["log"], line["unit"], line["n_splits"]) for line in told["lines"]] == [
        ("toy", "samples", 2)
    ]
    kept = json.loads((out / "toy" / "samples" / "seed-1" / "report" / "report.json").read_bytes())
    rows = kept["comparison"]["cost_multiples"]["learned policy"]
    expected = {str(row["way_to_plateau"]): [row["multiple"], *row["interval"]] for row in rows}
    del expected["0.25"]
    split = told["splits"]["toy, samples"][1]
    assert split["static"] == expected
    assert split["n_test"] == 24
    with pytest.raises(SystemExit):
        public_logs.main(["report", str(path), "--unit", "usd"])
    assert "every log was left out" in capsys.readouterr().err


def test_the_table_shows_means_and_what_did_the_work(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "toy.jsonl.gz"
    simulated_log(60, n_samples=4, n_generators=2).write(path)
    public_logs.main(["report", str(path), "--unit", "samples", "--trials", "1"])
    told = capsys.readouterr().out
    for part in ("toy, samples", "geometric mean", "36 + 24, 1×", "what did the work", "Worst budget"):
        assert part in told


def test_nothing_is_run_without_logs(capsys: pytest.CaptureFixture[str]) -> None:
    public_logs.main(["--quick"])
    assert "--help" in capsys.readouterr().out


def split_of(multiple: float | None, gain: float, low: float) -> Line:
    number = Number(multiple, multiple, multiple)
    return Line(
        log="seed 0",
        unit="usd",
        n_splits=1,
        n_train=6,
        n_test=4,
        static=dict.fromkeys((0.5, 0.75, 0.9), number),
        rule={},
        gain=Number(gain, gain, gain),
        work={"the text": Number(gain, low, gain), "reacting to samples": Number(2 * gain, -low, gain)},
        worst=Number(-gain, -gain, -gain),
        worst_to_rule=Number(None, None, None),
    )


def test_a_summary_is_the_mean_of_its_splits_and_the_worst_of_them() -> None:
    line = summary("log", [split_of(1.0, 0.1, 0.05), split_of(4.0, 0.3, 0.05)])
    assert line.static[0.75].value == pytest.approx(2.0)
    assert line.gain.value == pytest.approx(0.2)
    assert line.worst.value == -0.3
    assert line.worst_to_rule.value is None
    assert line.rule == {}
    assert work_words(line).startswith("the text (reacting to samples +0.400")


def test_never_reached_and_unknown_stay_so_in_means() -> None:
    assert geometric([Number(0.0, 0.0, 1.0), Number(2.0, 1.0, None)]) == Number(0.0, 0.0, None)
    assert mean([Number(None, None, None), Number(2.0, 1.0, 3.0)]) == Number(None, None, None)


def test_logs_without_rules_do_not_count_in_the_mean_over_rules() -> None:
    plain: Line = summary("log", [split_of(4.0, 0.1, 0.0)])
    ruled = plain._replace(rule={share: Number(9.0, 8.0, 10.0) for share in (0.5, 0.75, 0.9)})
    total = overall([plain, ruled])
    assert total["static 50%"] == pytest.approx(4.0)
    assert total["rule 75%"] == pytest.approx(9.0)
    assert "rule 75%" not in overall([plain])
