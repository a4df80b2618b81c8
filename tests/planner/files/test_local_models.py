"""Models are loaded ready to be asked, from safetensors alone."""

from __future__ import annotations

from copy import deepcopy
from pathlib import Path

import pytest
from tiny_model import tiny_model, tiny_tokenizer, torch

from difficulty.errors import InvalidInputError
from planner.files.models import load_model


def test_a_model_comes_in_single_precision_on_a_cpu_with_its_tokenizer(tmp_path: Path) -> None:
    deepcopy(tiny_model()).to(torch.bfloat16).save_pretrained(tmp_path)
    tiny_tokenizer().save_pretrained(tmp_path)
    model, tokenizer = load_model(tmp_path, "AutoModelForCausalLM", device="cpu")
    assert model.dtype == torch.float32 and not model.training
    assert tokenizer.decode(tokenizer("ab")["input_ids"]) == "ab"


def test_weights_that_could_execute_are_not_read(tmp_path: Path) -> None:
    tiny_model().save_pretrained(tmp_path)
    (tmp_path / "model.safetensors").unlink()
    torch.save(tiny_model().state_dict(), tmp_path / "pytorch_model.bin")
    with pytest.raises(InvalidInputError, match="safetensors"):
        load_model(tmp_path, "AutoModelForCausalLM", device="cpu")


@pytest.mark.parametrize("config", [None, "", '{"model_type": "nobody-made-this"}'])
def test_what_is_no_model_is_refused_with_its_name(config: str | None, tmp_path: Path) -> None:
    if config is not None:
        (tmp_path / "config.json").write_text(config)
    with pytest.raises(InvalidInputError, match="give its folder") as refused:
        load_model(tmp_path, "AutoModelForCausalLM", device="cpu")
    assert str(tmp_path) in str(refused.value)


@pytest.mark.parametrize("keep", [0, 100, 2000])
def test_damaged_weights_are_refused_with_their_folder(keep: int, tmp_path: Path) -> None:
    tiny_model().save_pretrained(tmp_path)
    tiny_tokenizer().save_pretrained(tmp_path)
    weights = tmp_path / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:keep])
    with pytest.raises(InvalidInputError, match="give its folder") as refused:
        load_model(tmp_path, "AutoModelForCausalLM", device="cpu")
    assert str(tmp_path) in str(refused.value)
