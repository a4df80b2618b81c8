"""The replay backend: without replacement, seeded, and loud when it runs out."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest
from backend_contract import BackendContract, MakeBackend, request

from difficulty import SampleLog
from difficulty.errors import (
    InvalidInputError,
    InvalidPromptError,
    PoolExhaustedError,
    UnknownGeneratorError,
    UnknownUnitError,
    VerifierError,
)
from difficulty.generator import Generator
from difficulty.prompt import Prompt
from planner.answers.rules import RecordedAnswer
from planner.backends.recorded_verdicts import RecordedVerdicts
from planner.backends.replay import ReplayBackend
from planner.collection.grade import GoldGrader
from planner.planner import Planner
from planner.ports.ports import SampleRequest, ScoreRequest
from planner.running.run_plans import run_plans
from policies.cost.cost_model import CostModel
from policies.course.allocate import summary_of
from policies.course.course import Course, waves

TINY = Generator(name="tiny", model="tiny", temperature=1.0, max_output_tokens=16)


def make_log(*, tokens: bool = True, text: bool = False, finish: str = "stop") -> SampleLog:
    records = []
    for prompt_id, prompt in (("p1", "what is 1+2"), ("p2", "what is 2+2, really"), ("p3", "what")):
        samples = []
        for index in range(6):
            sample: dict[str, object] = {
                "answer": f"{prompt_id}-{index}",
                "correct": index == 0,
                "finish": finish,
            }
            sample |= {"score": index / 10, "mean_logprob": -float(index)}
            if tokens:
                sample["output_tokens"] = index + 1
            if text:
                sample["text"] = f"it is {prompt_id}-{index}"
            samples.append(sample)
        records.append(
            {
                "prompt_id": prompt_id,
                "prompt": prompt,
                "generator": "tiny",
                "prompt_tokens": 11,
                "samples": samples,
            }
        )
    return SampleLog.from_records(records, {"tiny": TINY})


class TestContract(BackendContract):
    @pytest.fixture
    def make(self) -> MakeBackend:
        return lambda: ReplayBackend(make_log())


async def test_every_sample_comes_once() -> None:
    replay = ReplayBackend(make_log(), seed=4)
    [first] = await replay.sample([request(n=2, seed=100)])
    [second] = await replay.sample([request(n=4, seed=102)])
    texts = [completion.text for completion in (*first, *second)]
    assert sorted(texts) == [f"p1-{index}" for index in range(6)]
    assert texts != sorted(texts)


async def test_a_resumed_run_draws_what_the_killed_one_would_have() -> None:
    whole = await ReplayBackend(make_log()).sample([request(n=6, seed=100)])
    [rest] = await ReplayBackend(make_log()).sample([request(n=3, seed=103)])
    assert [c.text for c in rest] == [c.text for c in whole[0][3:]]


async def test_the_same_seed_brings_the_same_sample_again() -> None:
    replay = ReplayBackend(make_log())
    assert await replay.sample([request(n=2)]) == await replay.sample([request(n=2)])


async def test_seeds_far_apart_still_never_share_a_sample() -> None:
    replay = ReplayBackend(make_log())
    results = [await replay.sample([request(seed=seed)]) for seed in (0, 6, 12, 18, 24, 30)]
    assert len({result[0][0].text for result in results}) == 6


async def test_running_out_is_a_typed_error() -> None:
    replay = ReplayBackend(make_log())
    await replay.sample([request(n=6, seed=0)])
    with pytest.raises(PoolExhaustedError) as caught:
        await replay.sample([request(n=2, seed=6)])
    assert (caught.value.prompt_id, caught.value.generator, caught.value.asked) == ("p1", "tiny", 2)


async def test_running_out_halfway_keeps_what_there_is() -> None:
    [completions] = await ReplayBackend(make_log()).sample([request(n=8, seed=0)])
    assert [c.finish_reason for c in completions] == ["stop"] * 6 + ["error"] * 2
    assert completions[-1].error is not None and completions[-1].error.startswith("PoolExhaustedError")


async def test_recorded_fields_come_back() -> None:
    [completions] = await ReplayBackend(make_log()).sample([request(n=6)])
    for completion in completions:
        index = int(completion.text.split("-")[1])
        assert (completion.output_tokens, completion.mean_logprob) == (index + 1, -float(index))
    assert [c.prompt_tokens for c in completions] == [11, 0, 0, 0, 0, 0]


async def test_texts_where_the_log_has_them() -> None:
    [[one]] = await ReplayBackend(make_log(text=True)).sample([request()])
    assert one.text.startswith("it is p1-")
    [[one]] = await ReplayBackend(make_log(text=True), texts=False).sample([request()])
    assert ReplayBackend.extractor.extract(one.text, one.finish_reason) == one.text
    with pytest.raises(InvalidInputError, match="texts=False"):
        await ReplayBackend(make_log(), texts=True).sample([request()])


async def test_truncated_stays_truncated() -> None:
    [[one]] = await ReplayBackend(make_log(finish="length")).sample([request()])
    assert one.finish_reason == "length"


async def test_recorded_scores_follow_their_samples() -> None:
    replay = ReplayBackend(make_log())
    [completions] = await replay.sample([request(n=4)])
    asked = request()
    [scores] = await replay.score(
        [ScoreRequest(prompt=asked.prompt, completions=tuple((c.text,) for c in completions))]
    )
    assert scores == [int(c.text.split("-")[1]) / 10 for c in completions]
    with pytest.raises(VerifierError, match="not drawn"):
        await replay.score([ScoreRequest(prompt=asked.prompt, completions=(("never",),))])


async def test_unknown_prompt_generator_and_prefix_are_refused() -> None:
    replay = ReplayBackend(make_log())
    with pytest.raises(InvalidPromptError, match="p9"):
        await replay.sample([request(id="p9")])
    with pytest.raises(UnknownGeneratorError, match="tiny"):
        await replay.sample([request(generator=Generator(name="other"))])
    with pytest.raises(InvalidInputError, match="prefix"):
        await replay.sample([request(prefix=("so",))])


def test_missing_tokens_are_never_a_guess() -> None:
    with pytest.raises(UnknownUnitError, match="without_tokens"):
        ReplayBackend(make_log(tokens=False))
    samples = [{"answer": "1", "correct": True, "output_tokens": tokens} for tokens in (4, None, 6)]
    record = {"prompt_id": "p", "generator": "tiny", "samples": samples}
    with pytest.raises(UnknownUnitError, match=r"^1 of 3 samples of the log have no output tokens"):
        ReplayBackend(SampleLog.from_records([record], {"tiny": TINY}))
    ReplayBackend(make_log(tokens=False), without_tokens=True)


async def test_a_cap_on_output_cuts_a_recorded_sample_as_a_model_would_be_cut() -> None:
    samples = [{"answer": "42", "correct": True, "output_tokens": 10, "text": "it is surely 42"}]
    record = {"prompt_id": "a", "prompt": "?", "generator": "tiny", "samples": samples}
    log = SampleLog.from_records([record], {"tiny": Generator(name="tiny")})
    asked = SampleRequest(prompt=log.prompts[0], generator=log.generators["tiny"], n=1, seed=0)
    for cap, tokens, finish in ((9, 9, "length"), (10, 10, "stop"), (None, 10, "stop")):
        [[one]] = await ReplayBackend(log).sample([replace(asked, max_output_tokens=cap)])
        assert (one.output_tokens, one.finish_reason) == (tokens, finish)
        assert (one.text == "it is surely 42") == (finish == "stop")


async def test_prompts_that_samples_sent_themselves_come_with_them() -> None:
    samples = [
        {"answer": "1", "correct": True, "output_tokens": 5, "prompt_tokens": 100 * at} for at in (1, 2, 6)
    ]
    samples[1]["cached_prompt_tokens"] = 150
    record = {"prompt_id": "p1", "prompt": "what", "generator": "tiny", "samples": samples}
    replay = ReplayBackend(SampleLog.from_records([record], {"tiny": TINY}))
    assert replay.draws_singly
    assert not ReplayBackend(make_log()).draws_singly
    (completions,) = await replay.sample([replace(request(n=3), prompt=Prompt(id="p1", text="what"))])
    sent = sorted((one.prompt_tokens, one.cached_prompt_tokens) for one in completions)
    assert sent == [(100, 0), (200, 150), (600, 0)]


async def test_samples_of_one_text_have_their_own_scores_also_when_scored_one_by_one() -> None:
    samples = [{"answer": "1", "correct": True, "output_tokens": 5, "score": at / 10} for at in range(4)]
    record = {"prompt_id": "p1", "prompt": "what", "generator": "tiny", "samples": samples}
    replay = ReplayBackend(SampleLog.from_records([record], {"tiny": TINY}))
    prompt, found = Prompt(id="p1", text="what"), list[float]()
    for seed in range(4):
        [[completion]] = await replay.sample([replace(request(n=1, seed=seed), prompt=prompt)])
        [[score]] = await replay.score([ScoreRequest(prompt=prompt, completions=((completion.text,),))])
        found.append(score)
    assert sorted(found) == [0.0, 0.1, 0.2, 0.3]
    # Whoever judges all of them anew gets each score once more.
    [again] = await replay.score([ScoreRequest(prompt=prompt, completions=(("1",),) * 4)])
    assert sorted(again) == [0.0, 0.1, 0.2, 0.3]


def verdicts(samples: list[dict[str, object]], *, gold: str | None = None) -> RecordedVerdicts:
    record = {"prompt_id": "p1", "prompt": "what", "generator": "tiny", "gold": gold, "samples": samples}
    replay = ReplayBackend(SampleLog.from_records([record], {"tiny": TINY}), without_tokens=True)
    return RecordedVerdicts(replay=replay, otherwise=GoldGrader(extractor=RecordedAnswer()))


async def test_recorded_verdicts_accept_the_very_samples_that_were_right() -> None:
    found = verdicts([{"answer": None, "correct": at == 2} for at in range(4)])
    prompt = Prompt(id="p1", text="what")
    await found.replay.sample([replace(request(n=4), prompt=prompt)])
    [marks] = await found.score([ScoreRequest(prompt=prompt, completions=(("",),) * 4)])
    assert sorted(marks) == [0.0, 0.0, 0.0, 1.0]
    unjudged = verdicts([{"answer": "4"}, {"answer": "5", "correct": False}])
    await unjudged.replay.sample([replace(request(n=2), prompt=prompt)])
    with pytest.raises(VerifierError, match="nobody says whether"):
        await unjudged.score([ScoreRequest(prompt=prompt, completions=(("4",),))])


def test_answers_are_graded_by_what_most_samples_with_them_were() -> None:
    asked = Prompt(id="p1", text="what", gold="7")
    judged: list[dict[str, object]] = [
        *({"answer": "0.5", "correct": right} for right in (True, True, False)),
        *({"answer": "7", "correct": right} for right in (True, False)),  # the reference decides
        {"answer": "8"},
        {"answer": None, "correct": False},
    ]
    found = verdicts(judged, gold="7")
    assert [found.grade(asked, answer) for answer in ("0.5", "7", "8", None)] == [True, True, False, False]
    # Right samples without an answer: the log holds no answers, and nobody knows what none of them means.
    assert verdicts([{"correct": True}, {"correct": False}]).grade(asked, None) is None


def test_a_log_of_counts_alone_has_nothing_to_draw() -> None:
    record = {"prompt_id": "p1", "prompt": "what", "generator": "tiny", "n": 4, "n_correct": 2}
    with pytest.raises(InvalidInputError, match="no single samples, only counts"):
        ReplayBackend(SampleLog.from_records([record], {"tiny": TINY}), without_tokens=True)


def test_completions_with_words_around_them_vote_by_the_answers_that_their_log_records() -> None:
    """Whole texts voted, and were compared with the right answers: a replayed batch was never right."""
    said = {"so it is 42": "42", "42, I think": "42", "41": "41", "perhaps": None}
    samples = [{"answer": answer, "text": text, "output_tokens": 9} for text, answer in said.items()]
    record = {"prompt_id": "a", "prompt": "6 * 7?", "generator": "tiny", "samples": samples}
    log = SampleLog.from_records([record], {"tiny": TINY})
    course = Course(steps=waves("tiny", (4,)))
    (plan,) = Planner.untrained(["tiny"]).plan(log.prompts, price=1e-9, one_shot=True)
    (outcome,) = asyncio.run(
        run_plans(
            [replace(plan, allocation=summary_of(course), course=course)],
            log.prompts,
            backend=ReplayBackend(log),
            generators={"tiny": TINY},
            cost_model=CostModel(unit="output_tokens"),
        )
    )
    assert outcome.answer == "42" and outcome.text in said
    assert sorted(str(one.answer) for one in outcome.candidates) == ["41", "42", "42", "None"]
