"""Training the lab model: batches, sampling, labels, and the whole script in miniature."""

from itertools import islice

import numpy as np
import pytest
import torch
from scipy import stats

from training.lab import DIRECT_TEMPLATE, LANGUAGE_MODEL, REVISION_REQUEST, STEPS_TEMPLATE
from training.lab.examples import Example, base_examples, batches, chat
from training.lab.fit import FitConfig, fit, language_model, next_token_loss
from training.lab.revisions import revision_examples
from training.lab.rewards import LabelledSteps, label_steps, reward_batches, reward_loss, reward_model
from training.lab.sampling import sample
from training.lab.tasks import draw_problems
from training.lab.tokenizer import build_tokenizer
from training.lab.train import LabConfig, train_lab

pytestmark = pytest.mark.usefixtures("one_thread")

_TOKENIZER = build_tokenizer(instructions=(DIRECT_TEMPLATE, STEPS_TEMPLATE, REVISION_REQUEST))


def _model(seed=0):
    return language_model(vocab_size=len(_TOKENIZER), eos=2, bos=1, pad=0, seed=seed).eval()


def _shards(index):
    rng = np.random.default_rng(index)
    return base_examples(draw_problems(n=64, seed=index), rng), rng


def test_batches_learn_the_completion_and_its_end_and_nothing_else():
    example = Example(prompt=chat("Emma has 4."), completion="4+5=9")
    (batch,) = islice(
        batches(lambda _: ([example], np.random.default_rng(0)), _TOKENIZER, batch_tokens=64), 1
    )
    learned = batch.targets[0] >= 0
    assert _TOKENIZER.decode(batch.targets[0][learned]) == "4+5=9<eos>"
    # each target is the token that comes next
    places = np.flatnonzero(learned)
    assert (batch.input_ids[0, places + 1] == batch.targets[0, places]).all()


def test_drills_learn_the_results_alone():
    example = Example(prompt=chat(""), completion="4+5=9\n9*3=27\n", results_only=True)
    (batch,) = islice(
        batches(lambda _: ([example], np.random.default_rng(0)), _TOKENIZER, batch_tokens=64), 1
    )
    assert _TOKENIZER.decode(batch.targets[0][batch.targets[0] >= 0]) == "9\n27\n"


def test_batches_hold_every_example_once_and_keep_their_size():
    found = list(islice(batches(_shards, _TOKENIZER, batch_tokens=1024), 200))
    assert all(batch.input_ids.size <= 1024 for batch in found)
    rows = 0
    n_batches = 0
    for batch in found:
        n_batches += 1
        rows += len(batch.input_ids)
        if rows >= 64:
            break
    assert rows == 64
    prompts = {_TOKENIZER.decode(row) for batch in found[:n_batches] for row in batch.input_ids}
    assert len(prompts) >= 60


def test_training_lowers_the_loss():
    model = _model()
    batch = next(batches(_shards, _TOKENIZER, batch_tokens=512))
    before = next_token_loss(model, batch).item()
    config = FitConfig(n_steps=10, learning_rate=3e-3, batch_tokens=512)
    fit(model, iter([batch] * 10), config, loss=next_token_loss)
    assert next_token_loss(model, batch).item() < before - 1
    assert not model.training


def test_sampling_follows_the_model():
    # Chi-square over the first token, seed fixed; false alarm at most 1e-6.
    model, prompt, n = _model(), chat("Emma has 4."), 4000
    with torch.no_grad():
        model.lm_head.weight[5:].mul_(0.05)  # leave mass on few tokens by making the rest alike
        model.lm_head.weight[:5].mul_(8.0)
        logits = model(input_ids=torch.tensor([_TOKENIZER(prompt)["input_ids"]])).logits[0, -1]
    chances = torch.softmax(logits / 0.7, dim=-1).double().numpy()
    texts = sample(model, _TOKENIZER, [prompt], n=n, seed=0, temperature=0.7, max_new_tokens=1)[0]
    counts = np.zeros(len(chances))
    for text in texts:
        ids = _TOKENIZER(text, add_special_tokens=False)["input_ids"] or [_TOKENIZER.eos_token_id]
        counts[ids[0]] += 1
    big = chances * n > 20
    observed = np.append(counts[big], counts[~big].sum())
    expected = np.append(chances[big], chances[~big].sum()) * n
    assert stats.chisquare(observed, expected * observed.sum() / expected.sum()).pvalue > 1e-6


def test_sampling_in_batches_agrees_with_one_prompt_at_a_time():
    model = _model(seed=3)
    prompts = [chat(problem.text) for problem in draw_problems(n=6, seed=2)]
    drawn = sample(model, _TOKENIZER, prompts, n=2, seed=0, temperature=1e-6, max_new_tokens=12)
    for prompt, texts in zip(prompts, drawn, strict=True):
        ids = torch.tensor([_TOKENIZER(prompt)["input_ids"]])
        mask = torch.ones_like(ids)
        greedy = model.generate(ids, attention_mask=mask, do_sample=False, max_new_tokens=12)[
            0, ids.shape[1] :
        ]
        expected = _TOKENIZER.decode(greedy).removesuffix("<eos>")
        assert texts == [expected, expected]


def test_revisions_show_attempts_as_often_wrong_as_they_were_and_get_more_careful():
    problems = draw_problems(n=30, seed=4, n_steps=6, n_digits=3)
    pool = [(p, (p.solution, p.solution, "#### x")) for p in problems]
    examples, _ = revision_examples(pool, seed=0, shard=0, size=4000)
    revisions = [e for e in examples if REVISION_REQUEST in e.prompt or "\n\n" in e.prompt]
    assert len(revisions) == 2000  # the rest are first answers and drills
    ends = ("#### x\n\n", f"#### x<eos><user>{REVISION_REQUEST}<assistant>")
    last_wrong = np.mean([e.prompt.endswith(ends) for e in revisions])
    assert abs(last_wrong - 1 / 3) < 5 * np.sqrt(2 / 9 / 2000)  # five standard errors
    solutions = {p.solution for p in problems}
    right = {
        n: np.mean([e.completion in solutions for e in revisions if e.prompt.count("####") == n])
        for n in (1, 2, 3)
    }
    # each attempt in sight halves the slips: about (1 - 0.2 / 2 ** n) ** 6, 400 examples or more each
    assert right[1] + 0.1 < right[2]
    assert right[2] < right[3]


def test_results_and_line_ends_have_values_and_what_leads_to_them_has_none():
    steps, values = ("adds 5: 4+5=9", "grows 2: 9*2=19", "#### 19"), (0.75, 0.25, 0.0)
    item = LabelledSteps(question="Emma has 4.", steps=steps, values=values)
    batch = next(reward_batches([item], _TOKENIZER, batch_tokens=64, seed=0))
    assert _TOKENIZER.decode(batch.input_ids[0][batch.targets[0] >= 0]) == "9\n19\n19\n"


def test_the_reward_model_comes_out_the_same_in_every_run(tokenizer):
    item = LabelledSteps(question="Emma has 4.", steps=("adds 5: 4+5=9", "#### 9"), values=(0.75, 0.25))
    config = FitConfig(n_steps=2, learning_rate=1e-2, batch_tokens=64)
    weights = []
    for _ in range(2):
        model = reward_model(LANGUAGE_MODEL)
        steps = reward_batches([item], tokenizer, batch_tokens=64, seed=0)
        fit(model, steps, config, loss=reward_loss)
        weights.append(model.score.weight)
    assert torch.equal(*weights)


@pytest.mark.parametrize("n_rollouts", [0, 1])
def test_labels_of_a_model_that_knows_nothing_are_zero(n_rollouts):
    labelled = label_steps(
        _model(),
        _TOKENIZER,
        draw_problems(n=2, seed=0),
        n_solutions=1,
        n_rollouts=n_rollouts,
        seed=0,
    )
    assert all(set(item.values) <= {0.0} for item in labelled)
    assert all(len(item.values) == len(item.steps) for item in labelled)


def test_the_script_in_miniature(tmp_path):
    tiny = FitConfig(n_steps=2, learning_rate=1e-3, batch_tokens=512)
    config = LabConfig(
        base=tiny,
        revise=tiny,
        reward=tiny,
        shard_size=100,
        n_attempt_problems=2,
        n_attempts=1,
        n_label_problems=2,
        n_solutions=1,
        n_rollouts=1,
        n_short_label_problems=2,
        n_measure_problems=0,
    )
    weights = tmp_path / "out" / "language_model" / "model.safetensors"
    written = []
    for _ in range(2):
        train_lab(tmp_path / "out", config)
        written.append(weights.read_bytes())
    assert len(written[0]) < 2_500_000
    assert written[0] == written[1]
