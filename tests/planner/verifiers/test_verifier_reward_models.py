"""Outcome and process reward models: tiny ones built here, whose scores can be computed by hand."""

from __future__ import annotations

from functools import cache
from typing import Any

import pytest
from tiny_model import LETTERS

from difficulty.errors import InvalidInputError, VerifierError
from difficulty.prompt import Prompt
from planner.ports.ports import ScoreRequest
from planner.verifiers.outcome_reward import OutcomeRewardModel
from planner.verifiers.process_reward import ProcessRewardModel, aggregate
from planner.verifiers.step_formats import STEP_FORMATS, encode_steps, step_format

torch = pytest.importorskip("torch", reason="extra 'local' is not installed")
transformers = pytest.importorskip("transformers", reason="extra 'local' is not installed")

SPECIAL = ["</s>", "<extra_0>", "ки", "<u>", "<a>", "<e>"]
TEMPLATE = (
    "{% for m in messages %}{{ '<a>' if m.role == 'assistant' else '<u>' }}{{ m.content }}<e>{% endfor %}"
    "{% if add_generation_prompt %}<a>{% endif %}"
)
PROMPT = Prompt(id="p1", text="what is 1+2*3")
STEPS = ("2*3 = 6\n", "1+6 = 7\n", "so 7")


@cache
def tokenizer(template: str | None = TEMPLATE) -> Any:
    from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers

    letters = dict.fromkeys([*SPECIAL, *LETTERS, "R", "\\", "{", "}", "P"])
    made = Tokenizer(models.WordLevel({token: at for at, token in enumerate(letters)}, unk_token="?"))
    made.pre_tokenizer = pre_tokenizers.Split(Regex(r"[\s\S]"), "isolated")
    made.decoder = decoders.Fuse()
    made.add_special_tokens(SPECIAL)
    return transformers.PreTrainedTokenizerFast(
        tokenizer_object=made, eos_token="</s>", chat_template=template
    )


def config(**options: Any) -> Any:
    return transformers.LlamaConfig(
        vocab_size=len(tokenizer()),
        hidden_size=16,
        intermediate_size=32,
        num_hidden_layers=2,
        num_attention_heads=2,
        max_position_embeddings=512,
        bos_token_id=None,
        eos_token_id=0,
        initializer_range=0.5,
        **options,
    )


@cache
def model(kind: str) -> Any:
    torch.manual_seed(0)
    if kind == "tokens":
        return transformers.LlamaForCausalLM(config()).eval()
    if kind == "labels":
        return transformers.LlamaForTokenClassification(config(num_labels=2)).eval()
    if kind == "value":
        return transformers.LlamaForTokenClassification(config(num_labels=1)).eval()
    if kind == "outcome":
        return transformers.LlamaForSequenceClassification(config(num_labels=1, pad_token_id=0)).eval()
    return transformers.LlamaForSequenceClassification(config(num_labels=2)).eval()


def request(*completions: tuple[str, ...], prompt: Prompt = PROMPT) -> ScoreRequest:
    return ScoreRequest(prompt=prompt, completions=completions)


@pytest.mark.parametrize("family", sorted(STEP_FORMATS))
async def test_each_family_gives_one_score_per_step_whatever_the_batch(family: str) -> None:
    form = STEP_FORMATS[family]
    verifier = ProcessRewardModel(model=model(form.head), tokenizer=tokenizer(), form=form)
    requests = [request(STEPS, STEPS[:1]), request(("x = 3",), prompt=Prompt(id="p2", text="what is x"))]
    [first, second] = await verifier.step_scores(requests)
    assert [len(scores) for scores in first] == [3, 1] and [len(scores) for scores in second] == [1]
    assert all(0 <= score <= 1 for scores in (*first, *second) for score in scores)
    [alone] = await ProcessRewardModel(
        model=model(form.head), tokenizer=tokenizer(), form=form, max_batch_tokens=1
    ).step_scores([request(STEPS)])
    assert alone[0] == pytest.approx(first[0], abs=1e-5)
    # A causal model's score of a step does not change when further steps follow.
    assert first[1][0] == pytest.approx(first[0][0], abs=1e-5)


@pytest.mark.parametrize(
    ("family", "text", "read"),
    [
        ("qwen2.5-math-prm", None, "<extra_0>"),
        ("skywork-prm", "what is 1+2*3\n2*3 = 6\n1+6 = 7\nso 7\n", "\n"),
        ("rlhflow", "<u>what is 1+2*3 2*3 = 6<e><a>+<e><u>1+6 = 7<e><a>+<e><u>so 7<e><a>", "<a>"),
        ("math-shepherd", "what is 1+2*3 2*3 = 6 ки\n1+6 = 7 ки\nso 7 ки", "ки"),
        ("step-end", "<u>what is 1+2*3<e><a>2*3 = 6\n1+6 = 7\nso 7\n", "\n"),
    ],
)
def test_the_text_that_each_family_reads(family: str, text: str | None, read: str) -> None:
    encoded = encode_steps(tokenizer(), step_format(family), question="what is 1+2*3", steps=STEPS)
    assert [tokenizer().decode([encoded.tokens[place]]) for place in encoded.positions] == [read] * 3
    if text is not None:
        assert tokenizer().decode(encoded.tokens) == text


async def test_scores_are_what_the_model_says_at_the_step() -> None:
    form = step_format("math-shepherd")
    [[scores]] = await ProcessRewardModel(
        model=model("tokens"), tokenizer=tokenizer(), form=form
    ).step_scores([request(STEPS)])
    tokens = tokenizer().encode("what is 1+2*3 2*3 = 6 ки\n1+6 = 7 ки\nso 7 ки")
    with torch.inference_mode():
        logits = model("tokens")(torch.tensor([tokens])).logits[0]
    good, bad = tokenizer().encode("+")[0], tokenizer().encode("-")[0]
    expected = [
        logits[at, [good, bad]].softmax(-1)[0].item() for at, token in enumerate(tokens) if token == 2
    ]
    assert scores == pytest.approx(expected, abs=1e-5)


async def test_the_score_of_a_completion_is_its_aggregate_and_its_tokens_are_counted() -> None:
    form = step_format("step-end")
    for how in ("last", "min", "product", "mean"):
        verifier = ProcessRewardModel(
            model=model("labels"), tokenizer=tokenizer(), form=form, aggregation=how
        )
        [steps] = await verifier.step_scores([request(STEPS, STEPS[:2])])
        [scores] = await verifier.score([request(STEPS, STEPS[:2])])
        assert list(scores) == pytest.approx([aggregate(one, how) for one in steps])
        expected = [
            encode_steps(tokenizer(), form, question="what is 1+2*3", steps=s) for s in (STEPS, STEPS[:2])
        ]
        assert scores.tokens_each == tuple(len(one.tokens) for one in expected)
        assert scores.verifier_tokens == sum(scores.tokens_each)


@pytest.mark.parametrize("steps", [(), ("2*3 = 6", " "), ("an ки inside", "7")], ids=["none", "blank", "tag"])
async def test_steps_that_cannot_be_matched_are_an_error(steps: tuple[str, ...]) -> None:
    form = step_format("math-shepherd")
    with pytest.raises(VerifierError):
        await ProcessRewardModel(model=model("tokens"), tokenizer=tokenizer(), form=form).score(
            [request(steps)]
        )


async def test_a_model_that_does_not_fit_the_format_is_an_error() -> None:
    for family, kind in (("step-end", "value"), ("skywork-prm", "labels"), ("math-shepherd", "labels")):
        verifier = ProcessRewardModel(model=model(kind), tokenizer=tokenizer(), form=step_format(family))
        with pytest.raises(VerifierError, match="does not fit"):
            await verifier.score([request(STEPS)])


async def test_a_missing_chat_template_or_prompt_text_is_an_error() -> None:
    verifier = ProcessRewardModel(
        model=model("labels"), tokenizer=tokenizer(None), form=step_format("step-end")
    )
    with pytest.raises(VerifierError, match="chat template"):
        await verifier.score([request(STEPS)])
    with pytest.raises(VerifierError, match="no text"):
        await OutcomeRewardModel(model=model("outcome"), tokenizer=tokenizer()).score(
            [request(STEPS, prompt=Prompt(id="p1"))]
        )


def test_unknown_names_are_refused() -> None:
    with pytest.raises(InvalidInputError, match="math-shepherd"):
        step_format("shepherd")
    with pytest.raises(InvalidInputError, match="aggregation"):
        ProcessRewardModel(
            model=None,
            tokenizer=None,
            form=step_format("step-end"),
            aggregation="max",  # type: ignore[arg-type]
        )


@pytest.mark.parametrize("kind", ["outcome", "two classes"])
async def test_outcome_scores_do_not_depend_on_the_batch(kind: str) -> None:
    verifier = OutcomeRewardModel(model=model(kind), tokenizer=tokenizer())
    [scores] = await verifier.score([request(STEPS, ("6",), ("1+6 = 7",))])
    for index, steps in enumerate((STEPS, ("6",), ("1+6 = 7",))):
        [[alone]] = await verifier.score([request(steps)])
        assert alone == pytest.approx(scores[index], abs=1e-5)
    assert len(set(scores)) == 3
    lengths = [
        len(tokenizer().encode(f"<u>{PROMPT.text}<e><a>{''.join(s)}<e>"))
        for s in (STEPS, ("6",), ("1+6 = 7",))
    ]
    assert scores.tokens_each == tuple(lengths)
    assert scores.verifier_tokens == sum(lengths)


async def test_outcome_score_is_the_models_own() -> None:
    [[score]] = await OutcomeRewardModel(model=model("outcome"), tokenizer=tokenizer()).score(
        [request(("7",))]
    )
    tokens = torch.tensor([tokenizer().encode(f"<u>{PROMPT.text}<e><a>7<e>")])
    with torch.inference_mode():
        assert score == pytest.approx(model("outcome")(tokens).logits.item(), abs=1e-5)


@pytest.mark.parametrize("family", ["qwen2.5-math-prm", "step-end"])
async def test_a_whole_text_is_scored_as_the_same_text_in_steps(family: str) -> None:
    form = step_format(family)
    verifier = ProcessRewardModel(
        model=model(form.head), tokenizer=tokenizer(), form=form, aggregation="product"
    )
    steps = tuple(step.rstrip() + form.delimiter for step in STEPS)
    [whole] = await verifier.score([request(("".join(steps),))])
    [split] = await verifier.score([request(steps)])
    assert len(whole.steps[0]) == 3 and whole.steps == split.steps
    assert list(whole) == list(split) == pytest.approx([aggregate(whole.steps[0], "product")])
    [given] = await verifier.step_scores([request(steps)])
    assert tuple(given[0]) == pytest.approx(whole.steps[0])
