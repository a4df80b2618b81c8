"""The layers that compare what was written with what the lab's language model expected."""

import numpy as np
import pytest
import torch
from transformers import AutoModelForTokenClassification

from difficulty.errors import InvalidInputError
from training.lab import LANGUAGE_MODEL, REWARD_MODEL
from training.lab.comparison import LOOK_BACK, set_up_comparison
from training.lab.rewards import reward_model, score_steps
from training.lab.tasks import draw_problems

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture(scope="module")
def untrained():
    return reward_model(LANGUAGE_MODEL).eval()


def test_the_head_looks_one_token_back_and_nowhere_else():
    frequencies = 10_000.0 ** (-np.arange(16) / 16)
    distance = np.arange(200)
    found = np.cos((distance[:, None] - 1) * frequencies) @ np.array(LOOK_BACK)
    assert found[1] == pytest.approx(0.12)
    assert np.delete(found, 1).max() <= 0


def test_the_widened_backbone_computes_what_the_language_model_computes(language, untrained, tokenizer):
    (problem,) = draw_problems(n=1, seed=3, n_steps=4, n_digits=2)
    tokens = tokenizer(problem.text + problem.solution, return_tensors="pt")["input_ids"]
    seen = []
    hooks = [
        model.layers[3].register_forward_hook(lambda *given: seen.append(given[-1]))
        for model in (language.model, untrained.model)
    ]
    with torch.inference_mode():
        language(input_ids=tokens)
        untrained(input_ids=tokens)
    for hook in hooks:
        hook.remove()
    narrow, wide = (found[0] if isinstance(found, tuple) else found for found in seen)
    wide = wide.reshape(tokens.shape[1], -1)[:, : language.config.hidden_size]
    narrow = narrow.reshape(tokens.shape[1], -1)
    # the marks in the new places change the root mean square by about 1 % in the first layer
    assert (wide - narrow).norm() < 0.03 * narrow.norm()


def test_doubt_falls_on_the_step_with_a_wrong_digit_and_stays(untrained, tokenizer):
    problems = draw_problems(n=30, seed=12, n_steps=4, n_digits=2)
    spoiled = []
    for problem in problems:
        steps = list(problem.steps)
        steps[1] = steps[1][:-1] + str((int(steps[1][-1]) + 5) % 10)
        spoiled.append((problem.text, tuple(steps)))
    right = np.array(score_steps(untrained, tokenizer, [(p.text, p.steps) for p in problems]))
    wrong = np.array(score_steps(untrained, tokenizer, spoiled))
    assert np.median(right) > 0.45  # no doubt: one half
    np.testing.assert_allclose(wrong[:, 0], right[:, 0], atol=1e-5)  # what comes later is not seen
    assert np.mean(wrong[:, 1:] < 0.2) > 0.9  # from the spoiled step to the end


def test_what_stands_in_the_question_is_not_judged(untrained, tokenizer):
    wrong = "buys 4: 4+4=3"
    with torch.inference_mode():
        asked, answered = (
            torch.softmax(
                untrained(**tokenizer(text, return_tensors="pt", add_special_tokens=False)).logits[0], -1
            )[:, 1].min()
            for text in (
                f"<bos><user>Emma has 4 pens. She buys 4. How many now?{wrong}",
                f"<bos><user>Emma has 4 pens. She buys 4. How many now?<assistant>{wrong}",
            )
        )
    assert asked > 0.4
    assert answered < 0.2


def test_only_the_layer_above_the_comparison_learns(untrained):
    learns = {name for name, weight in untrained.named_parameters() if weight.requires_grad}
    assert {name.split(".")[2] for name in learns if ".layers." in name} == {"6"}
    assert {name for name in learns if ".layers." not in name} == {
        "model.norm.weight",
        "score.weight",
        "score.bias",
    }


def test_the_shipped_reward_model_holds_what_is_written_here(untrained):
    shipped = AutoModelForTokenClassification.from_pretrained(REWARD_MODEL).state_dict()
    for name, weight in untrained.named_parameters():
        if not weight.requires_grad:
            torch.testing.assert_close(
                shipped[name], weight.data.half().float(), rtol=1e-3, atol=1e-6, msg=name
            )


def test_more_tokens_than_fit_are_refused(language, untrained):
    with pytest.raises(InvalidInputError, match="do not fit"):
        set_up_comparison(
            untrained.model, language, written=range(30), expected=range(31), opener=4, size=1.0
        )
