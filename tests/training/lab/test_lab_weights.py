"""The shipped lab model: small, standard, harder where the prompt says so, with a useful reward model."""

import numpy as np
import pytest
import torch
from safetensors import safe_open
from transformers import AutoModelForTokenClassification

from difficulty.estimators.best_of_n import best_of_n_accuracy
from difficulty.estimators.majority_vote import majority_vote_accuracy
from difficulty.estimators.weighted_vote import weighted_vote_accuracy
from training.lab import LANGUAGE_MODEL, REVISION_REQUEST, REWARD_MODEL, STEPS_TEMPLATE
from training.lab.measure import LabModels, pass_at_1_table, revision_table, step_auc
from training.lab.prompts import N_PARAMS, lab_generators, lab_prompts
from training.lab.rewards import score_steps, split_steps
from training.lab.sampling import solutions
from training.lab.tasks import draw_problems, grade
from training.lab.tokenizer import build_tokenizer

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture(scope="module")
def reward():
    return AutoModelForTokenClassification.from_pretrained(REWARD_MODEL).eval()


@pytest.fixture(scope="module")
def models(language, reward, tokenizer):
    return LabModels(language, reward, tokenizer)


def test_weights_are_small_and_standard(language, reward):
    for folder in (LANGUAGE_MODEL, REWARD_MODEL):
        assert sum(file.stat().st_size for file in folder.iterdir()) < 6_000_000
    assert language.config.model_type == reward.config.model_type == "llama"
    assert language.num_parameters() == N_PARAMS
    assert language.dtype == torch.float32  # stored as float16, computed in single precision
    assert reward.config.id2label == {0: "wrong", 1: "right"}
    with safe_open(LANGUAGE_MODEL / "model.safetensors", framework="pt") as weights:
        assert {weights.get_slice(name).get_dtype() for name in weights.keys()} == {"F16"}  # noqa: SIM118


def test_shipped_tokenizer_is_the_one_the_script_builds(tokenizer):
    from training.lab import DIRECT_TEMPLATE

    built = build_tokenizer(instructions=(DIRECT_TEMPLATE, STEPS_TEMPLATE, REVISION_REQUEST))
    assert built.get_vocab() == tokenizer.get_vocab()
    assert built.chat_template == tokenizer.chat_template


def test_generate_answers_an_easy_problem(language, tokenizer):
    problems = draw_problems(n=20, seed=77, n_steps=1, n_digits=1)
    right = 0
    for problem in problems:
        messages = [{"role": "user", "content": STEPS_TEMPLATE.format(prompt=problem.text)}]
        inputs = tokenizer.apply_chat_template(
            messages, add_generation_prompt=True, return_tensors="pt", return_dict=True
        )
        tokens = language.generate(**inputs, do_sample=False, max_new_tokens=32)[
            0, inputs["input_ids"].shape[1] :
        ]
        right += grade(problem, tokenizer.decode(tokens, skip_special_tokens=True))
    assert right >= 19


def test_difficulty_shows_in_the_prompt(language, tokenizer):
    easy, hard = (
        np.mean(
            [
                grade(problem, text)
                for problem, texts in _drawn(language, tokenizer, n_steps=steps, n_digits=digits)
                for text in texts
            ]
        )
        for steps, digits in ((1, 1), (5, 3))
    )
    assert easy > 0.8
    assert hard < 0.3


def test_measurements_have_the_shape_they_claim(models):
    problems = draw_problems(n=6, seed=1, n_steps=(1, 2), n_digits=1)
    rows = pass_at_1_table(models, template=STEPS_TEMPLATE, n_problems=2, n=2, temperature=1.0, seed=0)
    assert [(row["n_digits"], row["n_steps"]) for row in rows[:2]] == [(1, 1), (1, 2)]
    assert all(0 <= row["pass_at_1"] <= 1 for row in rows)
    for as_chat in (True, False):
        chain = revision_table(models, problems, as_chat=as_chat, depth=3, seed=0)
        assert [row["attempt"] for row in chain] == [0, 1, 2]
        assert np.isnan(chain[0]["mended"])
    found = step_auc(models, problems, n=4, seed=0)
    assert 0 <= found["share_right"] <= 1


def test_the_reward_model_tells_right_from_wrong_steps_of_one_problem(models):
    # 30 problems of all sizes; the README tells of more
    problems = draw_problems(n=30, seed=31)
    found = step_auc(models, problems, n=6, seed=4)
    assert found["within"] > 0.9
    assert found["all"] > 0.85


@pytest.mark.slow
def test_choosing_by_the_reward_model_helps(models):
    problems = draw_problems(n=60, seed=32, n_steps=(3, 4, 5), n_digits=(2, 3))
    drawn = solutions(models.language, models.tokenizer, problems, n=8, seed=5)
    steps = [split_steps(text) for texts in drawn for text in texts]
    questions = [problem.text for problem in problems for _ in range(8)]
    read = score_steps(models.reward, models.tokenizer, list(zip(questions, steps, strict=True)))
    score = np.array([values[-1] if len(values) else 0.0 for values in read]).reshape(60, 8)
    answer = np.unique([one[-1] if one else "" for one in steps], return_inverse=True)[1].reshape(60, 8)
    right = np.array([[grade(p, text) for text in texts] for p, texts in zip(problems, drawn, strict=True)])
    one, best = best_of_n_accuracy(score, right, [1, 8]).mean(axis=0)
    weighted = weighted_vote_accuracy(answer, score, right, [8], seed=5).mean.mean()
    assert best > one + 0.15
    assert weighted > majority_vote_accuracy(answer, right, [8]).mean()


def test_prompts_and_generators_use_the_projects_words():
    problems = draw_problems(n=3, seed=0)
    assert [prompt.gold for prompt in lab_prompts(problems)] == [str(problem.answer) for problem in problems]
    assert len({prompt.id for prompt in lab_prompts(problems)}) == 3
    assert all("{prompt}" in generator.prompt_template for generator in lab_generators())


def _drawn(language, tokenizer, *, n_steps, n_digits):
    problems = draw_problems(n=12, seed=3, n_steps=n_steps, n_digits=n_digits)
    return list(zip(problems, solutions(language, tokenizer, problems, n=2, seed=0), strict=True))
