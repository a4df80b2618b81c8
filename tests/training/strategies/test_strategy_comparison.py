"""Strategies by difficulty: what was planted is found, nothing scores the samples that told difficulty, and
equal cost is equal."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_allclose

from difficulty import Generator, SampleLog
from difficulty.errors import InvalidInputError, UnknownUnitError
from planner.cli import main
from policies.cost.cost_model import CostModel
from training import StrategyComparison, compare_strategies
from training.frontier import bootstrap_weights
from training.simulated.log import simulated_log
from training.simulated.strategies import simulated_strategies
from training.strategies.bed import StrategyBed, measure_strategies
from training.strategies.group import PromptGroup
from training.strategies.sequential_share import shapes_of, share_at_equal_n
from training.strategies.tables import winner_shares

TOKENS = CostModel(unit="total_tokens", verifier_params=0.0)


@pytest.fixture(scope="module")
def log() -> SampleLog:
    return simulated_strategies(160, n_samples=24, seed=3)


@pytest.fixture(scope="module")
def report(log: SampleLog, tmp_path_factory: pytest.TempPathFactory) -> StrategyComparison:
    folder = tmp_path_factory.mktemp("strategies")
    report = compare_strategies(
        log, folder, unit="output_tokens", bins=3, n_bootstrap=200, figures=("pdf",), seed=0
    )
    assert (folder / "strategies.json").read_bytes() == report.to_json()
    assert (folder / "strategies.md").read_text(encoding="utf-8") == report.to_markdown()
    assert (folder / "strategies.png").read_bytes().startswith(b"\x89PNG")
    assert (folder / "strategies.pdf").read_bytes().startswith(b"%PDF")
    return report


def bed_of(log: SampleLog, **options: Any) -> StrategyBed:
    settings: dict[str, Any] = {
        "cost_model": TOKENS, "n_bins": 3, "difficulty": "observed", "prefix_cache": False, "seed": 0
    }  # fmt: skip
    return measure_strategies(log, "model", **(settings | options))


def lines_of(log: SampleLog) -> list[dict[str, Any]]:
    """Return the records of a log."""
    with tempfile.TemporaryDirectory() as folder:
        log.write(Path(folder) / "log.jsonl")
        return [json.loads(line) for line in (Path(folder) / "log.jsonl").read_text().splitlines()[1:]]


def last(report: StrategyComparison, group: int, kind: str) -> dict[str, Any]:
    found: dict[str, Any] = report.groups[group]["kinds"][-1]["kinds"][kind]
    return found


def test_a_planted_search_wins_where_prompts_are_hard(report: StrategyComparison) -> None:
    hardest = last(report, -1, "search")
    assert hardest["over_parallel_interval"][0] > 0.05
    assert hardest["over_parallel"] > last(report, 1, "search")["over_parallel"] + 0.1
    assert "On the hardest prompts search wins" in " ".join(report.findings)


def test_search_that_is_worth_a_single_sample_loses() -> None:
    log = simulated_strategies(120, n_samples=24, n_chains=0, search_odds=1.0, seed=4)
    report = compare_strategies(log, unit="output_tokens", bins=2, n_bootstrap=200)
    assert last(report, 1, "search")["over_parallel_interval"][1] < 0
    assert last(report, 1, "best of all")["over_parallel_interval"][1] <= 0.05
    assert "revision" not in report.groups[0]["kinds"][-1]["kinds"]


def test_revisions_that_change_nothing_are_worth_their_first_attempts() -> None:
    log = simulated_strategies(80, n_samples=24, mended=0.0, spoiled=0.0, sizes=(), seed=5)
    report = compare_strategies(log, bins=2, n_bootstrap=100)
    for row in report.groups[0]["shapes"][0]["at_equal_n"]:
        for shape in row["shapes"]:
            if shape["depth"] > 1 and shape["width"] == 1:
                assert shape["value"] == pytest.approx(report.groups[0]["one_sample"], abs=0.08)
    assert last(report, 1, "revision")["over_parallel_interval"][1] < 0


def test_samples_that_tell_difficulty_score_nothing(log: SampleLog) -> None:
    bed, pool = bed_of(log), log.pool("model")
    assert_allclose(bed.easiness, pool.correct[:, ::2].mean(axis=1))
    single = bed.columns[bed.families[0].allocations[0]]
    assert_allclose(bed.value[:, single], pool.correct[:, 1::2].mean(axis=1))
    assert bed.families[0].allocations[-1].width <= 12


def test_bins_hold_every_prompt_once_from_easy_to_hard_and_keep_equals_together(log: SampleLog) -> None:
    bed = bed_of(log)
    assert sorted(np.concatenate(bed.bins).tolist()) == list(range(len(bed.prompt_ids)))
    for easier, harder in zip(bed.bins, bed.bins[1:], strict=False):
        assert bed.easiness[easier].min() > bed.easiness[harder].max()


def test_difficulty_by_score_reads_no_label(log: SampleLog) -> None:
    bed = bed_of(log, difficulty="score")
    assert_allclose(bed.easiness, log.pool("model").score[:, ::2].mean(axis=1))


def test_cost_counts_resent_prompts_and_what_a_reward_model_reads(log: SampleLog) -> None:
    bed = bed_of(log)
    by_name = {family.name: family for family in bed.families}

    def cost(name: str, width: int, depth: int = 1) -> float:
        (found,) = {a for a in by_name[name].allocations if (a.width, a.depth) == (width, depth)}
        return float(bed.cost[0, bed.columns[found]])

    # The question has 20 tokens and every completion 50.
    assert cost("majority vote", 5) == 20 + 5 * 50
    assert cost("best-of-N by score", 4) == 20 + 4 * 50 + 4 * (20 + 50)
    assert cost("revision by vote, one chain", 1, 2) == 20 + 70 + 2 * 50
    assert cost("revision by vote, chains of 2", 4, 2) == 20 + 4 * 70 + 8 * 50
    assert cost("revision by score, one chain", 1, 2) == 20 + 70 + 2 * 50 + 2 * (20 + 50)
    assert cost("beam search (beam_width=4)", 8) == 8 * 20 + 8 * 50 + 8 * (20 + 50)


def recorded(log: SampleLog, folder: Path, read: int) -> SampleLog:
    """Return the log with what its larger searches had a reward model read."""
    log.write(folder / "plain.jsonl")
    lines = [json.loads(text) for text in (folder / "plain.jsonl").read_text().splitlines()]
    for record in lines[1:]:
        if record.get("params", {}).get("n") == 8:
            record["samples"] = [sample | {"verifier_tokens": read} for sample in record["samples"]]
    (folder / "recorded.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    return SampleLog.read(folder / "recorded.jsonl")


def test_a_search_is_charged_for_what_was_recorded_unless_its_cache_is_kept(
    log: SampleLog, tmp_path: Path
) -> None:
    known = recorded(log, tmp_path, 5000)
    search = "beam search (beam_width=4)"
    for prefix_cache, extra in ((False, 5000 - 8 * (20 + 50)), (True, 0)):
        before, after = (bed_of(one, prefix_cache=prefix_cache) for one in (log, known))
        (family,) = (family for family in after.families if family.name == search)
        change = (after.cost - before.cost)[:, after.places(family.allocations)]
        assert_allclose(change, [[0, extra]] * len(change))
        assert_allclose((after.cost - before.cost).sum(), extra * len(change))
        assert set(before.scoring.values()) == {"estimated"}
        assert after.scoring[search] == ("estimated" if prefix_cache else "partly recorded")
        assert bed_of(known, cost_model=CostModel(unit="output_tokens")).scoring == {}


def test_the_report_says_for_whom_scoring_was_recorded(log: SampleLog, tmp_path: Path) -> None:
    known = recorded(log, tmp_path, 5000)
    report = compare_strategies(known, bins=2, n_bootstrap=100)
    assert report.data["scoring"]["beam search (beam_width=4)"] == "partly recorded"
    assert report.data["scoring"]["best-of-N by score"] == "estimated"
    assert "majority vote" not in report.data["scoring"]
    assert "partly recorded for beam search (beam_width=4)" in report.to_markdown()
    assert "estimated for best-of-N by score" in report.to_markdown()


def test_a_prefix_cache_reads_the_question_once_and_nothing_again(log: SampleLog) -> None:
    bed = bed_of(log, prefix_cache=True)
    output = bed_of(log, cost_model=CostModel(unit="output_tokens"))
    for family in bed.families:
        places = bed.places(family.allocations)
        scored = family.kind == "search" or "by score" in family.name
        read = np.where([scored and a.n > 1 for a in family.allocations], 2, 1)
        assert_allclose(bed.cost[:, places], 20 + read * output.cost[:, places])


def test_a_search_led_by_log_probability_has_its_own_name_and_free_scores() -> None:
    run = {"answer": "1", "correct": True, "output_tokens": 50, "prompt_tokens": 20}
    kinds: list[dict[str, object]] = [{"samples": [run] * 16, "prompt_tokens": 20}]
    for verifier in ({}, {"verifier": "mean_logprob"}):
        params = {"n": 4, "beam_width": 2, "delimiter": "+"} | verifier
        kinds.append({"samples": [run], "strategy": "beam_search", "params": params})
    records = [
        {"prompt_id": str(n), "prompt": f"{n}?", "generator": "model"} | kind
        for n in range(8)
        for kind in kinds
    ]
    bed = bed_of(SampleLog.from_records(records, {"model": Generator(name="model")}), n_bins=1)
    searches = [family for family in bed.families if family.kind == "search"]
    assert [family.name for family in searches] == [
        "beam search (beam_width=2)",
        "beam search (beam_width=2, by mean_logprob)",
    ]
    costs = [float(bed.cost[0, bed.places(family.allocations)][0]) for family in searches]
    assert costs == [20 + 50 + 4 * 20 + 50, 20 + 50]


def test_budgets_are_the_cost_of_that_many_votes(log: SampleLog) -> None:
    bed = bed_of(log)
    weights = bootstrap_weights(len(bed.prompt_ids), n_replicates=3, seed=0)
    group = PromptGroup.whole(bed, weights).part(bed.bins[0])
    assert_allclose(group.budgets([1, 2, 8]), [[70, 120, 420]] * 4)
    assert_allclose(group.weights.sum(axis=1), 1)


def test_equal_n_compares_all_shapes_with_parallel_samples(log: SampleLog) -> None:
    bed = bed_of(log)
    group = PromptGroup.whole(bed, bootstrap_weights(len(bed.prompt_ids), n_replicates=100, seed=0))
    majority, by_score = shapes_of(bed)
    table = {row["n"]: row for row in share_at_equal_n(group, majority)}
    assert [(s["width"], s["depth"]) for s in table[4]["shapes"]] == [(4, 1), (2, 2), (1, 4)]
    assert [s["share"] for s in table[4]["shapes"]] == [0.25, 0.5, 1.0]
    assert sum(s["wins"] for s in table[4]["shapes"]) == pytest.approx(1, abs=1e-3)
    assert table[4]["shapes"][0]["over_parallel"] == 0
    assert [s["width"] for s in share_at_equal_n(group, by_score)[0]["shapes"]] == [2, 1]


def test_ties_share_a_win_and_unknown_rows_never_win() -> None:
    value = np.array([[9, 1.0, 1.0], [0, 1.0, 0.0], [np.nan] * 3])
    assert winner_shares(value).tolist() == [0.75, 0.25, 0.0]


def test_prompts_that_lack_something_are_left_out_and_counted() -> None:
    whole = simulated_strategies(60, n_samples=12, seed=6)
    part = simulated_log(5, n_samples=12, n_generators=1, seed=1)
    renamed = SampleLog.from_records(
        [
            {
                "prompt_id": prompt.id,
                "prompt": prompt.text,
                "generator": "model",
                "prompt_tokens": 20,
                "samples": [{"answer": "1", "correct": True, "output_tokens": 50, "score": 0.5}] * 12,
            }
            for prompt in part.prompts
        ],
        whole.generators,
    )
    report = compare_strategies(SampleLog.merge([whole, renamed]), bins=2, n_bootstrap=100)
    assert (report.data["n_prompts"], report.data["n_left_out"]) == (60, 5)


def test_the_same_arguments_give_the_same_bytes(log: SampleLog) -> None:
    first, second = (compare_strategies(log, bins=2, n_bootstrap=100, seed=1).to_json() for _ in range(2))
    assert first == second
    assert first != compare_strategies(log, bins=2, n_bootstrap=100, seed=2).to_json()


def test_json_holds_no_nan_and_every_difference_an_interval(report: StrategyComparison) -> None:
    content = json.loads(report.to_json(), parse_constant=lambda name: pytest.fail(f"{name} in JSON"))
    assert content["strategy_comparison"] == 1 and content["findings"] == report.findings
    for group in content["groups"]:
        for row in group["at_equal_cost"]:
            for found in row["strategies"].values():
                assert len(found["over_vote_interval"]) == len(found["over_parallel_interval"]) == 2
            total = sum(found["wins"] for found in row["strategies"].values())
            assert total == pytest.approx(1, abs=1e-3)


def test_markdown_names_every_family_and_bin(report: StrategyComparison) -> None:
    text = report.to_markdown()
    assert all(family["name"] in text for family in report.families)
    assert all(f"| {group['name']} |" in text for group in report.groups)
    assert "nan" not in text and "None" not in text


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"bins": 0}, "bins must be between 1 and 10"),
        ({"n_bootstrap": 10}, "at least 100"),
        ({"generator": "other"}, "generator must be one of model; got"),
        ({"difficulty": "guess"}, "difficulty must be one of observed, score"),
        ({"bins": 10}, "leave fewer than 4"),
    ],
)
def test_bad_arguments_are_named(options: dict[str, Any], message: str) -> None:
    small = simulated_strategies(30, n_samples=8, seed=1)
    with pytest.raises(InvalidInputError, match=message):
        compare_strategies(small, **({"n_bootstrap": 100} | options))


def test_logs_without_what_is_needed_say_what_to_record() -> None:
    with pytest.raises(InvalidInputError, match="neither revision chains nor runs"):
        compare_strategies(simulated_log(20, n_samples=8, n_generators=1))
    with pytest.raises(InvalidInputError, match="'model-0', 'model-1' could be meant"):
        compare_strategies(simulated_log(20, n_samples=8))
    with pytest.raises(InvalidInputError, match="at least 3 labelled samples"):
        compare_strategies(simulated_strategies(20, n_samples=4))
    with pytest.raises(InvalidInputError, match="difficulty by score needs a score"):
        compare_strategies(simulated_strategies(20, n_samples=12, scores=False), difficulty="score")


def test_a_unit_that_was_not_recorded_is_an_error() -> None:
    run = {"answer": "1", "correct": True}
    kinds: list[dict[str, object]] = [
        {"samples": [run] * 16},
        {"samples": [run], "strategy": "dvts", "params": {"n": 4}},
    ]
    records = [
        {"prompt_id": str(n), "prompt": f"{n}?", "generator": "m"} | kind for n in range(8) for kind in kinds
    ]
    log = SampleLog.from_records(records, {"m": Generator(name="m")})
    with pytest.raises(UnknownUnitError, match="prompt_tokens were not recorded"):
        compare_strategies(log, bins=1, n_bootstrap=100)
    by_samples = compare_strategies(log, unit="samples", bins=1, n_bootstrap=100)
    assert last(by_samples, 0, "search")["over_parallel"] == 0


def test_the_command_writes_the_report_and_prints_json(
    tmp_path: Path, log: SampleLog, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "log.jsonl.gz"
    log.select([prompt.id for prompt in log.prompts[:60]]).write(path)
    arguments = ["compare", str(path), "--out", str(tmp_path / "out"), "--bins", "2", "--bootstrap", "100"]
    assert main([*arguments, "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert document == json.loads((tmp_path / "out" / "strategies.json").read_bytes())
    assert main(arguments) == 0
    shown = capsys.readouterr().out
    assert "Difference to the best parallel strategy" in shown and "strategies.md" in shown


def test_the_command_refuses_a_log_without_chains_or_runs(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "plain.jsonl"
    simulated_log(12, n_samples=8, n_generators=1).write(path)
    assert main(["compare", str(path), "--out", str(tmp_path / "out")]) == 2
    assert "neither revision chains nor runs" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_a_strategy_per_bin_pays_where_bins_want_different_ones() -> None:
    # Search is free of charge in samples and wins where a vote fails; a vote wins where search is no better
    # than one sample of an easy prompt.
    easy, hard = (
        simulated_strategies(60, n_samples=32, n_chains=0, sizes=(4, 8), search_odds=odds, seed=seed)
        for odds, seed in ((0.8, 1), (40.0, 2))
    )
    kept = [keep(easy, "easy", above=True), keep(hard, "hard", above=False)]
    log = SampleLog.from_records([record for part in kept for record in part], easy.generators)
    rows = compare_strategies(log, unit="samples", bins=2, n_bootstrap=200).choice
    eight = {row["n"]: row for row in rows}[8]
    assert eight["over_single_interval"][0] > 0.02
    assert eight["over_parallel_interval"][0] > 0.1
    assert eight["per_bin"] == pytest.approx(eight["single"] + eight["over_single"], abs=1e-5)


def keep(log: SampleLog, name: str, *, above: bool) -> list[dict[str, Any]]:
    """Return the lines of the prompts that one sample gets right more often than not, or less often."""
    rate = log.pool("model").correct.mean(axis=1)
    records: list[dict[str, Any]] = []
    for prompt, share in zip(log.prompts, rate, strict=True):
        if (share > 0.5) != above:
            continue
        line = {"prompt_id": f"{name}-{prompt.id}", "prompt": f"{name} {prompt.text}", "generator": "model"}
        samples = log.samples(prompt.id, "model")
        records.append(line | {"samples": [{"answer": s.answer, "correct": s.correct} for s in samples]})
        place = log.prompts.index(prompt)
        for run in log.runs():
            right = [{"answer": None, "correct": bool(c)} for c in run.correct[place]]
            records.append(line | {"strategy": run.strategy, "params": dict(run.params), "samples": right})
    return records


def test_copies_of_a_question_tell_no_more_than_one() -> None:
    """Every question four times: intervals as wide as for the questions alone, and no copy in both halves."""
    few = simulated_strategies(40, seed=3)
    copies = [
        SampleLog.from_records(
            [
                record | {"prompt_id": f"{record['prompt_id']}-{copy}", "group": record["prompt_id"]}
                for record in lines_of(few)
            ],
            few.generators,
        )
        for copy in range(4)
    ]
    once, four = (
        compare_strategies(each, unit="samples", bins=1, n_bootstrap=1000, seed=0).groups[0]
        for each in (few, SampleLog.merge(copies))
    )
    (low, high), (lower, upper) = once["one_sample_interval"], four["one_sample_interval"]
    assert upper - lower == pytest.approx(high - low, rel=0.15)
    alone, together = (table["kinds"][2]["kinds"] for table in (once, four))
    for kind, row in together.items():
        assert row["value"] == pytest.approx(alone[kind]["value"], abs=1e-6)


@pytest.mark.parametrize("sample", [0, 1])
def test_a_prompt_with_a_sample_that_nobody_graded_is_left_out(sample: int) -> None:
    records = lines_of(simulated_strategies(30, seed=3))
    del records[0]["samples"][sample]["correct"]
    log = SampleLog.from_records(records, {"model": Generator(name="model")})
    assert compare_strategies(log, bins=2, n_bootstrap=100).data["n_left_out"] == 1


def test_samples_that_cost_nothing_are_refused_in_words() -> None:
    records = lines_of(simulated_strategies(20, seed=3))
    for sample in (sample for record in records for sample in record["samples"]):
        sample["output_tokens"] = 0
    free = SampleLog.from_records(records, {"model": Generator(name="model")})
    with pytest.raises(InvalidInputError, match="a second sample costs nothing"):
        compare_strategies(free, bins=1, n_bootstrap=100)


def test_copies_of_three_questions_give_no_interval() -> None:
    records = [
        record | {"prompt_id": f"p{copy}", "group": f"g{copy % 3}"}
        for copy in range(12)
        for record in lines_of(simulated_strategies(1, seed=3))
    ]
    with pytest.raises(InvalidInputError, match="fewer than 4 that differ"):
        compare_strategies(
            SampleLog.from_records(records, {"model": Generator(name="model")}), bins=1, n_bootstrap=100
        )


def test_strategies_that_no_budget_buys_are_named() -> None:
    few = compare_strategies(simulated_strategies(40, n_samples=8, seed=1), bins=2, n_bootstrap=100)
    said = "In no table, as they cost more total tokens than every budget (420 at most): "
    assert few.answers[-1].startswith(said) and "beam search (beam_width=4) (560)" in few.answers[-1]
    shown = {name for row in few.groups[0]["at_equal_cost"] for name in row["strategies"]}
    assert shown and not any(name in few.answers[-1] for name in shown)
    many = compare_strategies(simulated_strategies(40, n_samples=40, seed=1), bins=2, n_bootstrap=100)
    assert "In no table" not in " ".join(many.answers)
