"""The lab model's tokenizer: lossless, words are tokens, a chat template that agrees with training."""

import re

from hypothesis import given, settings
from hypothesis import strategies as st
from transformers import AutoTokenizer

from training.lab import DIRECT_TEMPLATE, REVISION_REQUEST, STEPS_TEMPLATE
from training.lab.examples import chat, revision_example
from training.lab.tasks import draw_problems
from training.lab.tokenizer import build_tokenizer

_TOKENIZER = build_tokenizer(instructions=(DIRECT_TEMPLATE, STEPS_TEMPLATE, REVISION_REQUEST))


def _ids(text):
    return _TOKENIZER(text, add_special_tokens=False)["input_ids"]


@settings(max_examples=100, deadline=None)
@given(text=st.text(max_size=40))
def test_any_text_comes_back_unchanged(text):
    if not any(token in text for token in _TOKENIZER.all_special_tokens):
        assert _TOKENIZER.decode(_ids(text)) == text


def test_words_digits_and_line_ends_are_single_tokens():
    for problem in draw_problems(n=200, seed=0):
        text = STEPS_TEMPLATE.format(prompt=problem.text)
        pieces = re.findall(r"[A-Za-z]+ ?|[.:?] ?|[^A-Za-z]", text)
        assert len(_ids(text)) == len(pieces)
        assert all(len(_ids(equation)) == len(equation) for equation in problem.equations)
        assert len(_ids(problem.direct)) == 1 + len(str(problem.answer))


def test_steps_can_be_joined_as_text_or_as_tokens():
    (problem,) = draw_problems(n=1, seed=1, n_steps=4, n_digits=2)
    joined = [token for step in problem.steps for token in _ids(step + "\n")]
    assert joined == _ids(problem.solution + "\n")


def test_chat_template_writes_what_training_wrote():
    first = [{"role": "user", "content": "How many?"}]
    opened = _TOKENIZER.apply_chat_template(first, tokenize=False, add_generation_prompt=True)
    assert opened == chat("How many?")
    request = {"role": "user", "content": REVISION_REQUEST}
    again = [*first, {"role": "assistant", "content": "#### 4"}, request]
    trained = revision_example("How many?", ["#### 4"], "", as_chat=True).prompt
    assert _TOKENIZER.apply_chat_template(again, tokenize=False, add_generation_prompt=True) == trained
    started = [*first, {"role": "assistant", "content": "4+5="}]
    continued = _TOKENIZER.apply_chat_template(started, tokenize=False, continue_final_message=True)
    assert continued == chat("How many?") + "4+5="


def test_a_saved_tokenizer_is_the_same(tmp_path):
    _TOKENIZER.save_pretrained(tmp_path)
    loaded = AutoTokenizer.from_pretrained(tmp_path)
    text = chat("Emma has 12 books.") + "12+3=15\n#### 15"
    assert loaded(text)["input_ids"] == _ids(text)
    assert loaded.chat_template == _TOKENIZER.chat_template
    assert (loaded.eos_token, loaded.pad_token) == ("<eos>", "<pad>")


def test_building_twice_gives_the_same_vocabulary():
    again = build_tokenizer(instructions=(DIRECT_TEMPLATE, STEPS_TEMPLATE, REVISION_REQUEST))
    assert again.get_vocab() == _TOKENIZER.get_vocab()
