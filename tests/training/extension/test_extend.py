from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from difficulty.arithmetic.rows import row_mean
from difficulty.errors import InvalidInputError, UnknownGeneratorError
from difficulty.generator import Generator
from difficulty.log.sample_log import SampleLog
from difficulty.prompt import Prompt
from planner import Budget, Planner
from planner.bundle.policy_bundle import PolicyBundle
from planner.cli import main
from training import train
from training.extension import next_prompts as naming
from training.extension.agreement import fit_with_agreement, self_agreement, worth_reading
from training.extension.extend import extend
from training.extension.factors import Factors, fit_process
from training.extension.known_answers import with_known_answers
from training.extension.next_prompts import next_prompts
from training.simulated.log import simulated_log

NEW = "model-1"


class Bed:
    """A bundle of one generator, and a log of another one."""

    def __init__(self, folder: Path) -> None:
        self.left, self.right = simulated_log(500, n_samples=8, seed=3).split(test_fraction=0.5, seed=0)
        self.folder = folder / "policy"
        self.bundle = train(
            self.left.select_generators(["model-0"]), out=self.folder, n_trials=1, unit="samples"
        )

    def labelled(self, n: int, log: SampleLog | None = None, seed: int = 0) -> SampleLog:
        log = self.left if log is None else log
        rows = np.random.default_rng(seed).permutation(len(log.prompts))[:n]
        return log.select([log.prompts[row].id for row in rows]).select_generators([NEW])


@pytest.fixture(scope="module")
def bed(tmp_path_factory: pytest.TempPathFactory) -> Bed:
    return Bed(tmp_path_factory.mktemp("extension"))


def truth(log: SampleLog) -> np.ndarray:
    pool = log.pool(NEW)
    return np.asarray(pool.n_correct / pool.n)


def test_few_labels_foretell_more_through_the_others_than_alone(bed: Bed) -> None:
    labelled = bed.labelled(40)
    factors = Factors.of(bed.bundle)
    fit = fit_process(factors, factors.place(labelled.prompts))
    told = fit.predict(factors.place(bed.right.prompts), truth(labelled)[:, None])[:, 0]
    rates = truth(bed.right)
    assert ((told - rates) ** 2).mean() < 0.6 * rates.var()
    alone = ((rates - truth(labelled).mean()) ** 2).mean()
    assert ((told - rates) ** 2).mean() < 0.6 * alone


def test_says_how_far_off_it_may_be(bed: Bed) -> None:
    labelled = bed.labelled(80)
    factors = Factors.of(bed.bundle)
    fit = fit_process(factors, factors.place(labelled.prompts))
    places = factors.place(bed.right.prompts)
    told = fit.predict(places, truth(labelled)[:, None])[:, 0]
    deviation = fit.deviation(places, truth(labelled))
    rates = truth(bed.right)
    noise = (rates * (1 - rates) / 7).mean()
    error = ((told - rates) ** 2).mean() - noise
    assert 0.3 < np.sqrt((deviation**2).mean() / error) < 3


def test_left_out_is_a_refit_without_the_prompt(bed: Bed) -> None:
    labelled = bed.labelled(30)
    factors = Factors.of(bed.bundle)
    places = factors.place(labelled.prompts)
    target = truth(labelled)
    found = fit_process(factors, places)
    rest = np.arange(1, 30)
    kernel = factors.kernel(places, places)
    # With the mean held, as the closed form has it.
    inverse = np.linalg.inv(kernel[np.ix_(rest, rest)] + np.eye(29))
    expected = target.mean() + kernel[0, rest] @ inverse @ (target[rest] - target.mean())
    assert found.left_out(target[:, None])[0, 0] == pytest.approx(expected)


def test_left_out_knows_nothing_of_a_prompts_own_samples(bed: Bed) -> None:
    found = fit_with_agreement(Factors.of(bed.bundle), bed.labelled(30), NEW)
    assert not np.allclose(found.unseen.agreement, found.places.agreement)
    target = truth(bed.labelled(30))
    rest = np.arange(1, 30)
    inverse = np.linalg.inv(found.factors.kernel(found.places, found.places)[np.ix_(rest, rest)] + np.eye(29))
    cross = found.factors.kernel(found.unseen, found.places)[0, rest]
    expected = target.mean() + cross @ inverse @ (target[rest] - target.mean())
    assert found.left_out(target[:, None])[0, 0] == pytest.approx(expected)


def test_samples_that_nobody_graded_tell_by_their_agreement(bed: Bed) -> None:
    chosen = {prompt.id for prompt in bed.labelled(30).prompts}
    few = bed.left.select([p.id for p in bed.left.prompts if p.id in chosen]).select_generators([NEW])
    everything = bed.left.select_generators([NEW]).without_verdicts([prompt.id for prompt in few.prompts])
    places = Factors.of(bed.bundle).place(bed.right.prompts)

    def error(log: SampleLog) -> float:
        found = fit_with_agreement(Factors.of(bed.bundle), log, NEW)
        told = found.predict(found.factors.references, truth(few)[:, None])[:, 0].clip(0, 1)
        return float(np.mean((np.square(places.leaves) @ told - truth(bed.right)) ** 2))

    assert error(everything) < error(few) - 0.005
    found = extend(bed.bundle, everything)
    assert found.n_labelled == 30 and found.n_drawn == len(bed.left.prompts)
    # What was drawn was learned from, graded or not.
    assert all(found.bundle.was_trained_on(prompt) for prompt in everything.prompts)


def test_ungraded_prompts_are_as_many_as_can_be_weighed(bed: Bed, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("training.extension.agreement._MOST_UNGRADED", 40)
    both = bed.right.select([p.id for p in bed.right.prompts[:60]])
    log = SampleLog.merge([both, bed.left]).select_generators([NEW])
    graded = [prompt.id for prompt in bed.right.prompts[:25]]
    kept = worth_reading(bed.bundle, log.without_verdicts(graded), NEW)
    assert len(kept.prompts) == 65 and {prompt.id for prompt in kept.prompts} > set(graded)
    assert sum(bed.bundle.was_trained_on(prompt) for prompt in kept.prompts) == 40


def test_agreement_is_the_chance_that_two_samples_meet() -> None:
    answers: list[list[str | None]] = [["a", "a", "b"], ["a", None, None], ["a"]]
    records: list[dict[str, object]] = [
        {
            "prompt_id": str(at),
            "prompt": str(at),
            "generator": "other",
            "samples": [{"answer": answer, "correct": None} for answer in row],
        }
        for at, row in enumerate(answers)
    ]
    pool = SampleLog.from_records(records, {"other": Generator(name="other", model="m")}).pool("other")
    assert self_agreement(pool) == pytest.approx([1 / 3, 0.0, np.nan], nan_ok=True)


def test_plans_use_the_new_generator_where_it_pays(bed: Bed, tmp_path: Path) -> None:
    found = extend(bed.bundle, bed.labelled(100))
    assert found.generator == NEW and found.n_labelled == 100
    assert found.skill > 0.3
    assert found.rate == pytest.approx(truth(bed.left).mean(), abs=0.06)
    assert found.offered > 0
    found.bundle.save(tmp_path / "grown")
    before, after = Planner(bundle=bed.bundle), Planner.load(tmp_path / "grown")
    budget = Budget(limit=3, unit="samples")
    plans = after.plan(bed.right.prompts, budget=budget)
    assert any(plan.course is not None and NEW in plan.course.generators for plan in plans)

    def worth(planner: Planner) -> float:
        from training.evaluation.measured import measure_courses

        chosen = planner.plan(bed.right.prompts, budget=budget)
        courses = list(dict.fromkeys(plan.course for plan in chosen if plan.course is not None))
        value = measure_courses(bed.right, courses).value
        return float(
            np.mean([value[row, courses.index(p.course)] for row, p in enumerate(chosen) if p.course])
        )

    # The new one is the better one (.68 against .48 of single samples).
    assert worth(after) > worth(before) + 0.05


def test_prompts_are_as_long_for_it_as_their_text_says(bed: Bed) -> None:
    grown = extend(bed.bundle, bed.labelled(100)).bundle
    intercept, slope = grown.prompt_token_fit[NEW]
    pool = bed.right.pool(NEW)
    texts = np.array([len(prompt.content or "") for prompt in bed.right.prompts])
    assert intercept + slope * texts.mean() == pytest.approx(float(pool.prompt_tokens.mean()), rel=0.05)


def test_samples_that_were_drawn_are_as_long_as_they_were(bed: Bed) -> None:
    table = _grown(bed, bed.left.select_generators([NEW])).table
    one = [course.generators == (NEW,) and course.n == 1 for course in table.courses].index(True)
    # References are the prompts of the training log, in its order.
    length = (table.output_tokens / table.samples)[:, table.slots.of(one)[0]]
    assert length == pytest.approx(row_mean(bed.left.pool(NEW).output_tokens), rel=1e-4)


def test_prompts_that_were_never_trained_on_will_do(bed: Bed) -> None:
    found = extend(bed.bundle, bed.labelled(60, bed.right))
    assert found.skill > 0.2
    assert found.bundle.was_trained_on(bed.labelled(60, bed.right).prompts[0])


def relabelled(bed: Bed, right: list[list[bool]]) -> SampleLog:
    """A log of a new generator whose samples of the first training prompts are right or wrong as given."""
    records = [
        {
            "prompt_id": prompt.id,
            "prompt": prompt.text,
            "generator": "other",
            "samples": [{"answer": "a" if ok else "b", "correct": ok, "output_tokens": 20} for ok in row],
        }
        for prompt, row in zip(bed.left.prompts, right, strict=False)
    ]
    generator = next(iter(bed.left.generators.values()))
    return SampleLog.from_records(records, {"other": replace(generator, name="other")})


def test_a_generator_that_is_never_right_is_not_used(bed: Bed) -> None:
    found = extend(bed.bundle, relabelled(bed, [[False] * 6] * 100))
    assert found.skill == 0.0
    # Not even at very high prices, where it may be the cheaper way to be wrong.
    assert found.offered == 0


def test_labels_dealt_to_wrong_prompts_foretell_nothing(bed: Bed) -> None:
    pool, rng = bed.left.pool(NEW), np.random.default_rng(4)
    rows = [[bool(ok) for ok in pool.correct[row]] for row in rng.permutation(len(bed.left.prompts))[:100]]
    assert extend(bed.bundle, relabelled(bed, rows)).skill < 0.1


def test_single_samples_do_not_lower_the_skill(bed: Bed, tmp_path: Path) -> None:
    """Their noise is not known; prompts with eight samples beside them tell what they would tell alone."""
    correct = [[bool(ok) for ok in row] for row in bed.left.pool(NEW).correct[:200]]
    mixed = relabelled(bed, [row[: 1 if number % 2 else 8] for number, row in enumerate(correct)])
    whole = extend(bed.bundle, relabelled(bed, correct)).skill
    assert extend(bed.bundle, mixed).skill > whole - 0.1
    single = relabelled(bed, [row[:1] for row in correct])
    assert np.isnan(extend(bed.bundle, single).skill)
    single.write(tmp_path / "single.jsonl")
    assert (
        main(["extend", str(bed.folder), str(tmp_path / "single.jsonl"), "--out", str(tmp_path / "x")]) == 0
    )
    assert PolicyBundle.load(tmp_path / "x").training["extended"][-1]["skill"] is None


def test_next_prompts_tell_most_of_the_rest(bed: Bed) -> None:
    labelled = bed.labelled(20)
    factors = Factors.of(bed.bundle)
    fit = fit_process(factors, factors.place(labelled.prompts))
    pool = factors.place(bed.right.prompts)
    chosen = next_prompts(fit, pool, 20)
    assert len(set(chosen)) == 20
    by_lot = np.random.default_rng(0).permutation(len(bed.right.prompts))[:20].tolist()

    def left(rows: list[int]) -> float:
        both = factors.place([*labelled.prompts, *(bed.right.prompts[row] for row in rows)])
        grown = fit_process(factors, both)
        cross = factors.kernel(pool, grown.places)
        return float((factors.own(pool) - np.einsum("nl,lm,nm->n", cross, grown.inverse, cross)).sum())

    assert left(chosen) < left(by_lot)


def test_of_very_many_candidates_some_in_even_steps_are_weighed(
    bed: Bed, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(naming, "_MOST_ASKED", 10)
    many = [Prompt(id=f"new {at}", text=f"What is {at} plus {at * at}?") for at in range(40)]
    found = extend(bed.bundle, bed.labelled(30), candidates=many, n_next=20).next_prompts
    steps = {f"new {int(at)}" for at in np.linspace(0, 39, 10)}
    assert set(found) == steps and len(found) == 10


def test_next_prompts_are_named_once_and_none_that_is_labelled(bed: Bed) -> None:
    labelled = bed.labelled(30)
    twice = [*labelled.prompts, *bed.right.prompts[:4], *bed.right.prompts[:4]]
    found = extend(bed.bundle, labelled, candidates=twice, n_next=20).next_prompts
    assert sorted(found) == sorted(prompt.id for prompt in bed.right.prompts[:4])
    # Without candidates it is what was drawn and nobody graded.
    ungraded = bed.left.select_generators([NEW]).without_verdicts([prompt.id for prompt in labelled.prompts])
    found = extend(bed.bundle, ungraded, n_next=5).next_prompts
    assert len(set(found)) == 5
    assert not set(found) & {prompt.id for prompt in labelled.prompts}
    assert set(found) <= {prompt.id for prompt in bed.left.prompts}
    with pytest.raises(InvalidInputError, match="at least 0"):
        extend(bed.bundle, labelled, n_next=-1)


def test_labels_on_prompts_of_another_kind_are_refused(bed: Bed) -> None:
    records = [
        {
            "prompt_id": f"other {at}",
            "prompt": f"Translate sentence {at} into Latin, and mind the metre: {'la ' * (at % 7)}",
            "generator": "other",
            "samples": [{"answer": "x", "correct": at % 3 == 0, "output_tokens": 20}],
        }
        for at in range(60)
    ]
    log = SampleLog.from_records(records, {"other": Generator(name="other")})
    with pytest.raises(
        InvalidInputError, match="60 of the 60 labelled prompts of 'other' are of another kind"
    ):
        extend(bed.bundle, log)


def test_what_cannot_be_is_refused(bed: Bed) -> None:
    with pytest.raises(InvalidInputError, match="20 are needed"):
        extend(bed.bundle, bed.labelled(10))
    with pytest.raises(UnknownGeneratorError, match="already"):
        extend(bed.bundle, bed.left, generator="model-0")
    with pytest.raises(UnknownGeneratorError, match="generator must be one of"):
        extend(bed.bundle, bed.left, generator="nobody")
    with pytest.raises(UnknownGeneratorError, match="has none"):
        extend(bed.bundle, bed.left.select_generators(["model-0"]))
    with pytest.raises(InvalidInputError, match="tells this bundle nothing"):
        extend(Planner.untrained().bundle, bed.labelled(40))
    with pytest.raises(InvalidInputError, match="not for contrast"):
        extend(replace(bed.bundle, objective="contrast"), bed.labelled(40))


def test_the_command_line_extends(bed: Bed, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    bed.labelled(60).write(tmp_path / "new.jsonl.gz")
    bed.right.select_generators(["model-0"]).write(tmp_path / "others.jsonl.gz")
    arguments = ["extend", str(bed.folder), str(tmp_path / "new.jsonl.gz"), "--out", str(tmp_path / "out")]
    more = ["--candidates", str(tmp_path / "others.jsonl.gz"), "--next", "3"]
    assert main([*arguments, *more]) == 0
    told = capsys.readouterr().out
    assert "60 labelled prompts" in told and "Label next: " in told
    assert NEW in PolicyBundle.load(tmp_path / "out").generators
    assert main(["inspect", str(tmp_path / "out")]) == 0
    graded = [prompt.id for prompt in bed.labelled(60).prompts]
    bed.left.select_generators([NEW]).without_verdicts(graded).write(tmp_path / "more.jsonl.gz")
    arguments[2] = str(tmp_path / "more.jsonl.gz")
    capsys.readouterr()
    assert main(arguments) == 0
    assert "60 labelled prompts and 190 that nobody graded" in capsys.readouterr().out.replace("\n", " ")
    bed.left.select_generators(["model-0"]).write(tmp_path / "old.jsonl.gz")
    assert main([*arguments[:3], str(tmp_path / "old.jsonl.gz"), *arguments[3:]]) == 0
    told = capsys.readouterr().out.replace("\n", " ")
    assert "190 that nobody graded (190 told by graded answers of others)" in told
    assert main([*arguments, "--generator", "nobody"]) == 2


def test_answers_that_were_graded_of_others_need_no_grading_again(bed: Bed) -> None:
    few = [prompt.id for prompt in bed.labelled(30).prompts]
    ungraded = bed.left.select_generators([NEW]).without_verdicts(few)
    old = bed.left.select_generators(["model-0"])
    both = SampleLog.merge([ungraded, old])
    factors = Factors.of(bed.bundle)
    known = with_known_answers(factors, both, NEW)
    assert known.n_told == len(bed.left.prompts) - 30
    by_id = dict(zip([prompt.id for prompt in bed.left.prompts], truth(bed.left), strict=True))
    real = np.array([by_id[prompt.id] for prompt in known.log.prompts])
    told = row_mean(known.log.pool(NEW).value)
    assert np.corrcoef(told, real)[0, 1] > 0.95 and abs(told.mean() - real.mean()) < 0.03
    # Verdicts of its own stay; without the old log, or where it was not graded, nothing is told.
    graded = np.array([prompt.id in few for prompt in known.log.prompts])
    assert told[graded] == pytest.approx(real[graded])
    assert with_known_answers(factors, ungraded, NEW).n_told == 0
    blind = SampleLog.merge([ungraded, old.without_verdicts()])
    assert with_known_answers(factors, blind, NEW).n_told == 0

    places = factors.place(bed.right.prompts)
    column = [course.generators == (NEW,) and course.n == 1 for course in _grown(bed, both).table.courses]

    def error(log: SampleLog) -> float:
        value = _grown(bed, log).table.value[:, column.index(True)]
        return float(np.mean((np.square(places.leaves) @ value - truth(bed.right)) ** 2))

    assert error(both) < error(ungraded)


def test_with_graded_answers_of_others_nothing_need_be_graded_at_first(bed: Bed) -> None:
    new, old = bed.left.select_generators([NEW]), bed.left.select_generators(["model-0"])
    found = extend(bed.bundle, SampleLog.merge([new.without_verdicts(), old]), n_next=20)
    assert found.n_labelled == 0 and found.n_told == len(bed.left.prompts)
    assert 0.3 < found.skill <= 1.0 and found.offered > 0
    # Named are prompts to which it gave answers that the other did not give.
    mine, others = (bed.left.pool(name).answer for name in (NEW, "model-0"))
    rows = {prompt.id: row for row, prompt in enumerate(bed.left.prompts)}
    assert len(set(found.next_prompts)) == 20
    assert all(set(mine[rows[each]]) - {-1, *others[rows[each]]} for each in found.next_prompts)
    few = [prompt.id for prompt in bed.left.prompts[:50]]
    with pytest.raises(InvalidInputError, match="or graded answers of the other generators to 100 prompts"):
        extend(bed.bundle, SampleLog.merge([new.without_verdicts(), old.select(few)]))


def _grown(bed: Bed, log: SampleLog) -> PolicyBundle:
    return extend(bed.bundle, log, generator=NEW).bundle
