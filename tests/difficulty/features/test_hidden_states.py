"""Hidden states: independent of the batch, of padding and of the cache; priced by the token."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from difficulty.errors import InvalidInputError
from difficulty.features.hidden_states import HiddenStates
from difficulty.prompt import Prompt

torch = pytest.importorskip("torch", reason="needs the extra [local]")
transformers = pytest.importorskip("transformers", reason="needs the extra [local]")

_TEXTS = ["one", "one two three", "two two", "three one two one two three one", "four"]


@pytest.fixture(scope="module")
def tokenizer() -> Any:
    """Return a word-level tokenizer with a chat template."""
    from tokenizers import Tokenizer, models, pre_tokenizers

    words = ["<unk>", "<user>", "<assistant>", "one", "two", "three", "four"]
    core = Tokenizer(models.WordLevel({word: index for index, word in enumerate(words)}, unk_token="<unk>"))
    core.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    fast = transformers.PreTrainedTokenizerFast(tokenizer_object=core, unk_token="<unk>")
    fast.chat_template = "{% for m in messages %}<user> {{ m.content }} {% endfor %}<assistant>"
    return fast


@pytest.fixture(scope="module")
def model() -> Any:
    """Return a Llama of a few thousand random parameters."""
    torch.manual_seed(0)
    config = transformers.LlamaConfig(
        vocab_size=8,
        hidden_size=16,
        intermediate_size=32,
        num_hidden_layers=3,
        num_attention_heads=2,
        num_key_value_heads=1,
        max_position_embeddings=64,
    )
    return transformers.LlamaForCausalLM(config).eval()


def _prompts() -> list[Prompt]:
    return [Prompt(text=text) for text in _TEXTS]


@pytest.mark.parametrize("pooling", ["last", "mean"])
@pytest.mark.parametrize("layer", [-1, 0, 1, "middle"])
def test_state_does_not_depend_on_the_batch(model: Any, tokenizer: Any, pooling: Any, layer: Any) -> None:
    one_by_one = HiddenStates(model, tokenizer=tokenizer, layer=layer, pooling=pooling, batch_tokens=1)
    together = HiddenStates(model, tokenizer=tokenizer, layer=layer, pooling=pooling, batch_tokens=1000)
    np.testing.assert_allclose(one_by_one.transform(_prompts()), together.transform(_prompts()), atol=1e-5)


@pytest.mark.parametrize(("pooling", "reduce"), [("last", lambda x: x[-1]), ("mean", lambda x: x.mean(0))])
def test_states_are_those_of_the_plain_model(model: Any, tokenizer: Any, pooling: Any, reduce: Any) -> None:
    states = HiddenStates(model, tokenizer=tokenizer, layer=2, pooling=pooling).transform(_prompts())
    for text, state in zip(_TEXTS, states, strict=True):
        with torch.no_grad():
            ids = torch.tensor([tokenizer(text)["input_ids"]])
            expected = reduce(model(ids, output_hidden_states=True).hidden_states[2][0])
        np.testing.assert_allclose(state, expected.numpy(), atol=1e-5)


def test_middle_is_the_layer_half_way_up(model: Any, tokenizer: Any) -> None:
    middle = HiddenStates(model, tokenizer=tokenizer, layer="middle").transform(_prompts())
    np.testing.assert_array_equal(
        middle, HiddenStates(model, tokenizer=tokenizer, layer=1).transform(_prompts())
    )


def test_cached_states_are_equal_and_cost_nothing(model: Any, tokenizer: Any, tmp_path: Path) -> None:
    def fresh(**settings: Any) -> HiddenStates:
        return HiddenStates(model, tokenizer=tokenizer, cache_dir=str(tmp_path), **settings)

    first = fresh().read(_prompts())
    assert first.n_prompt_tokens.tolist() == [1, 3, 2, 7, 1]
    second = fresh().read([*_prompts(), Prompt(text="four four")])
    assert second.n_prompt_tokens.tolist() == [0, 0, 0, 0, 0, 2]
    np.testing.assert_array_equal(first.states, second.states[:5])
    assert fresh(layer=0).read(_prompts()).n_prompt_tokens.all(), "another layer is another state"


def test_other_weights_are_another_state(model: Any, tokenizer: Any, tmp_path: Path) -> None:
    HiddenStates(model, tokenizer=tokenizer, cache_dir=str(tmp_path)).read(_prompts())
    torch.manual_seed(1)
    other = transformers.LlamaForCausalLM(model.config)
    again = HiddenStates(other, tokenizer=tokenizer, cache_dir=str(tmp_path)).read(_prompts())
    assert again.n_prompt_tokens.all()


def test_damaged_cache_file_is_an_error(model: Any, tokenizer: Any, tmp_path: Path) -> None:
    states = HiddenStates(model, tokenizer=tokenizer, cache_dir=str(tmp_path))
    states.read(_prompts()[:1])
    (path,) = tmp_path.rglob("*.npz")
    path.write_bytes(path.read_bytes()[:50])
    with pytest.raises(InvalidInputError, match="delete the file"):
        states.read(_prompts()[:1])


def test_messages_go_through_the_chat_template(model: Any, tokenizer: Any) -> None:
    states = HiddenStates(model, tokenizer=tokenizer)
    chat = states.read([Prompt(messages=({"role": "user", "content": "one two"},))])
    plain = states.read([Prompt(text="<user> one two <assistant>")])
    assert chat.n_prompt_tokens.tolist() == [4]
    np.testing.assert_allclose(chat.states, plain.states, atol=1e-6)


def test_long_prompt_keeps_its_end_and_warns(model: Any, tokenizer: Any) -> None:
    states = HiddenStates(model, tokenizer=tokenizer, max_prompt_tokens=2)
    with pytest.warns(UserWarning, match="raise max_prompt_tokens"):
        read = states.read([Prompt(text="three one two"), Prompt(text="four")])
    assert read.truncated.tolist() == [True, False]
    np.testing.assert_allclose(read.states[0], states.transform([Prompt(text="one two")])[0], atol=1e-6)


def test_prompt_without_text_has_a_row_of_nan(model: Any, tokenizer: Any) -> None:
    read = HiddenStates(model, tokenizer=tokenizer).read([Prompt(id="a"), Prompt(text="one")])
    assert np.isnan(read.states[0]).all()
    assert np.isfinite(read.states[1]).all()
    assert read.n_prompt_tokens.tolist() == [0, 1]


def test_model_is_loaded_by_folder(model: Any, tokenizer: Any, tmp_path: Path) -> None:
    model.save_pretrained(tmp_path)
    tokenizer.save_pretrained(tmp_path)
    by_name = HiddenStates(str(tmp_path), device="cpu").transform(_prompts())
    np.testing.assert_allclose(
        by_name, HiddenStates(model, tokenizer=tokenizer).transform(_prompts()), atol=1e-5
    )


def test_weights_that_could_execute_are_not_read(model: Any, tokenizer: Any, tmp_path: Path) -> None:
    model.save_pretrained(tmp_path)
    tokenizer.save_pretrained(tmp_path)
    (tmp_path / "model.safetensors").unlink()
    torch.save(model.state_dict(), tmp_path / "pytorch_model.bin")
    with pytest.raises(OSError, match="safetensors"):
        HiddenStates(str(tmp_path), device="cpu").transform(_prompts())


@pytest.mark.parametrize(
    "settings", [{"layer": "top"}, {"pooling": "max"}, {"batch_tokens": 0}, {"max_prompt_tokens": 0}]
)
def test_wrong_settings_are_refused(settings: dict[str, Any]) -> None:
    with pytest.raises(InvalidInputError, match=next(iter(settings))):
        HiddenStates("some/model", **settings)


def test_layer_beyond_the_model_is_refused(model: Any, tokenizer: Any) -> None:
    with pytest.raises(InvalidInputError, match="layer must lie in"):
        HiddenStates(model, tokenizer=tokenizer, layer=9).transform(_prompts())
