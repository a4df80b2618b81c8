"""What a sample log says about itself, and how it is split, selected and merged."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest

from difficulty import Generator, SampleLog
from difficulty.errors import InvalidInputError, InvalidLogError, UnknownGeneratorError

GENERATORS = {"big": Generator(name="big", params=7e9), "small": Generator(name="small", temperature=0.8)}


def record(prompt_id: str, generator: str = "small", **fields: object) -> dict[str, object]:
    line: dict[str, object] = {
        "prompt_id": prompt_id,
        "generator": generator,
        "prompt": f"What is {prompt_id}?",
    }
    if "n" not in fields:
        line["samples"] = [{"answer": "1", "correct": True}, {"answer": "2", "correct": False}]
    return line | fields


def make(*records: dict[str, object]) -> SampleLog:
    return SampleLog.from_records(records, GENERATORS)


def test_from_records_accepts_numpy_scalars() -> None:
    samples = [
        {"answer": "1", "correct": np.bool_(True), "output_tokens": np.int64(7), "score": np.float64(0.5)}
    ]
    pool = make(record("a", samples=samples)).pool("small")
    assert pool.output_tokens.tolist() == [[7.0]]
    assert pool.n_correct.tolist() == [1]


def test_properties_tell_what_every_independent_sample_has() -> None:
    full = {"answer": "1", "correct": True, "output_tokens": 3, "score": 0.1, "mean_logprob": -0.5}
    log = make(record("a", samples=[full, full]), record("b", samples=[full]))
    assert log.has_text and log.has_answers and log.has_tokens and log.has_scores and log.has_logprobs
    assert not log.has_chains
    one_missing = make(record("a", samples=[full, {**full, "output_tokens": None, "score": None}]))
    assert not one_missing.has_tokens and not one_missing.has_scores and one_missing.has_logprobs
    counted = make(record("a", samples=[full]), record("b", n=4, n_correct=1))
    assert not counted.has_tokens
    assert not make(record("a", prompt=None)).has_text
    assert make(record("a", prompt=None, messages=[{"role": "user", "content": "Hi"}])).has_text
    assert not make(record("a", samples=[{"correct": True}])).has_answers


def test_search_runs_do_not_count_as_independent_samples() -> None:
    tokens = {"answer": "1", "correct": True, "output_tokens": 3}
    log = make(record("a", samples=[tokens]), record("a", strategy="dvts", params={"n": 4}))
    assert log.has_tokens
    assert log.n_samples == 3


def test_counts_follow_the_order_of_generators() -> None:
    log = make(
        record("a", n=10, n_correct=4), record("b", "big", n=5, n_correct=5), record("b", n=2, n_correct=0)
    )
    counts = log.counts()
    assert list(log.generators) == ["big", "small"]
    assert counts.n.tolist() == [[0, 10], [5, 2]]
    assert counts.n_correct.tolist() == [[0, 4], [5, 0]]


def test_later_lines_complete_a_prompt() -> None:
    log = make(record("a", prompt=None), record("a", "big", gold="1", group="g"))
    (prompt,) = log.prompts
    assert (prompt.text, prompt.gold, prompt.group) == ("What is a?", "1", "g")


def test_prompt_tokens_of_a_prompt_need_agreement() -> None:
    agreed = make(record("a", prompt_tokens=9), record("a", "big", prompt_tokens=9))
    disputed = make(record("a", prompt_tokens=9), record("a", "big", prompt_tokens=30))
    assert agreed.prompts[0].prompt_tokens == 9
    assert disputed.prompts[0].prompt_tokens is None
    assert disputed.pool("big").prompt_tokens.tolist() == [30.0]


def test_split_keeps_groups_together_and_is_recorded() -> None:
    log = make(*(record(f"p{i}", group=f"g{i // 3}") for i in range(30)))
    train, test = log.split(test_fraction=0.4, seed=3)
    assert len(train) == 18 and len(test) == 12
    assert not {p.group for p in train.prompts} & {p.group for p in test.prompts}
    record_of_it = {"side": "train", "test_fraction": 0.4, "seed": 3, "digest": log.digest}
    assert train.about["split"] == record_of_it | {"near_duplicates": True}
    assert {p.id for p in train.prompts} | {p.id for p in test.prompts} == {p.id for p in log.prompts}


def test_split_ignores_the_order_of_prompts_and_heeds_the_seed() -> None:
    records = [record(f"p{i}") for i in range(40)]
    sides = [
        {p.id for p in make(*order).split(seed=seed)[1].prompts}
        for order, seed in ((records, 0), (records[::-1], 0), (records, 1))
    ]
    assert sides[0] == sides[1]
    assert sides[0] != sides[2]


def test_samples_and_answers_of_one_prompt() -> None:
    runs = record("a", samples=[{"answer": "7"}], strategy="dvts")
    steps = record("a", samples=[{"answer": "8", "chain": 0, "step": 0}])
    plain = record("a", samples=[{"answer": "7", "text": "It is 7."}, {"answer": None}, {"answer": "9"}])
    log = make(record("b", n=3, n_correct=1), runs, steps, plain, record("b", "big"))
    assert [(sample.answer, sample.text) for sample in log.samples("a", "small")] == [
        ("7", "It is 7."),
        (None, None),
        ("9", None),
    ]
    assert (
        log.samples("b", "small") == [] and log.samples("a", "big") == [] and log.samples("zz", "big") == []
    )
    assert log.answers("a") == ("7", "8", "9")
    assert log.pool("small").answer[1].tolist() == [0, -1, 2]
    with pytest.raises(InvalidInputError, match="'zz' is not in the log"):
        log.answers("zz")


@pytest.mark.parametrize("fraction", [0.0, 1.0, -1.0, float("nan")])
def test_split_refuses_a_fraction_out_of_range(fraction: float) -> None:
    with pytest.raises(InvalidInputError, match="test_fraction"):
        make(record("a"), record("b")).split(test_fraction=fraction)


def test_split_refuses_a_single_group() -> None:
    with pytest.raises(InvalidInputError, match="at least 2 groups"):
        make(record("a", group="g"), record("b", group="g")).split()


def test_a_split_never_leaves_a_side_empty() -> None:
    log = make(record("a"), record("b"))
    for fraction in (0.01, 0.99):
        train, test = log.split(test_fraction=fraction)
        assert len(train) == 1 and len(test) == 1


def test_select_follows_the_given_order() -> None:
    log = make(*(record(f"p{i}", n=10, n_correct=i) for i in range(5)))
    chosen = log.select(["p3", "p1"])
    assert [prompt.id for prompt in chosen.prompts] == ["p3", "p1"]
    assert chosen.counts().n_correct[:, 1].tolist() == [3, 1]
    assert log.select([prompt.id for prompt in log.prompts]) == log


def test_select_keeps_the_answers_of_the_right_prompts() -> None:
    log = make(
        record("a", samples=[{"answer": "x"}, {"answer": "y"}]),
        record("b", samples=[{"answer": "y"}, {"answer": None}]),
    )
    assert log.select(["b"]).pool("small").answer.tolist() == [[0, -1]]
    assert log.select(["b"]) == make(record("b", samples=[{"answer": "y"}, {"answer": None}]))


@pytest.mark.parametrize(
    ("ids", "reason"), [(["zz"], "not in the log"), (["a", "a"], "twice"), ([], "at least one")]
)
def test_select_refuses_what_it_cannot_mean(ids: list[str], reason: str) -> None:
    with pytest.raises(InvalidInputError, match=reason):
        make(record("a")).select(ids)


def test_select_generators_drops_prompts_without_lines() -> None:
    log = make(record("a"), record("b"), record("b", "big"))
    assert [prompt.id for prompt in log.select_generators(["big"]).prompts] == ["b"]
    both = log.select_generators(["small", "big"])
    assert list(both.generators) == ["small", "big"]
    assert both.counts().n.tolist() == [[2, 0], [2, 2]]


def test_unknown_generators_are_named() -> None:
    log = make(record("a"))
    for call in (log.pool, log.chains, lambda name: log.select_generators([name])):
        with pytest.raises(UnknownGeneratorError, match="one of big, small; got 'huge'"):
            call("huge")


def test_merge_joins_and_renumbers() -> None:
    one = make(record("a", samples=[{"answer": "x"}, {"answer": "y"}]))
    two = make(record("b"), record("a", "big", samples=[{"answer": "y"}, {"answer": "z"}]))
    merged = SampleLog.merge([one, two])
    assert [prompt.id for prompt in merged.prompts] == ["a", "b"]
    assert merged.pool("big").answer.tolist() == [[1, 2], [-2, -2]]
    assert merged == make(
        record("a", samples=[{"answer": "x"}, {"answer": "y"}]),
        record("b"),
        record("a", "big", samples=[{"answer": "y"}, {"answer": "z"}]),
    )


def test_merge_refuses_contradictions() -> None:
    log = make(record("a"))
    other = SampleLog.from_records([record("b")], {"small": Generator(name="small", temperature=0.1)})
    with pytest.raises(InvalidLogError, match="'small' has different settings"):
        SampleLog.merge([log, other])
    with pytest.raises(InvalidLogError, match="another text"):
        SampleLog.merge([log, make(record("a", "big", prompt="Something else?"))])
    with pytest.raises(InvalidLogError, match="duplicate: prompt 'a' x generator 'small'"):
        SampleLog.merge([log, log])


def test_merging_a_split_back_keeps_every_sample() -> None:
    log = make(*(record(f"p{i}", n=10, n_correct=i) for i in range(9)))
    merged = SampleLog.merge(log.split())
    ids = [prompt.id for prompt in log.prompts]
    assert merged.select(ids).digest == log.digest


def test_digest_heeds_content_only() -> None:
    log = make(record("a", samples=[{"answer": "1", "score": 0.5}]))
    noted = SampleLog.from_records(
        [record("a", samples=[{"answer": "1", "score": 0.5}])], GENERATORS, about={"x": 1}
    )
    assert log.digest == noted.digest
    assert log != noted
    changed = [
        record("a", samples=[{"answer": "2", "score": 0.5}]),
        record("a", samples=[{"answer": "1", "score": 0.25}]),
        record("a", samples=[{"answer": "1", "score": 0.5}], gold="1"),
        record("a", samples=[{"answer": "1", "score": 0.5, "text": "It is 1."}]),
        record("a", samples=[{"answer": "1", "score": 0.5}], meta={"steps": 2}),
    ]
    assert len({log.digest, *(make(line).digest for line in changed)}) == 6


def test_digest_is_the_same_in_another_process() -> None:
    program = (
        "from difficulty import Generator, SampleLog\n"
        "print(SampleLog.from_records([{'prompt_id': 'a', 'generator': 'g', 'n': 3, 'n_correct': 1,"
        " 'meta': {'b': 1, 'a': [1, None]}}], {'g': Generator(name='g')}).digest)"
    )
    digests = {
        subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout
        for _ in range(2)
    }
    assert len(digests) == 1


def test_a_log_is_read_only() -> None:
    log = make(record("a"))
    with pytest.raises(ValueError, match="read-only"):
        log.pool("small").correct[0, 0] = 0
    with pytest.raises(TypeError):
        log.generators["new"] = GENERATORS["big"]  # type: ignore[index]


def test_repr_says_what_there_is() -> None:
    assert repr(make(record("a"))) == "SampleLog(1 prompt, 2 generators, 2 samples; with text, answers)"
    assert "counts only" in repr(make(record("a", prompt=None, n=1, n_correct=1)))
