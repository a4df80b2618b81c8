"""A language model of a few thousand random parameters that reads one letter at a time."""

from __future__ import annotations

from functools import cache
from typing import Any

import pytest

torch = pytest.importorskip("torch", reason="extra 'local' is not installed")
transformers = pytest.importorskip("transformers", reason="extra 'local' is not installed")

LETTERS = "abcdefghijklmnopqrstuvwxyz0123456789 +-*/=?,.\n"


@cache
def tiny_model() -> Any:
    torch.manual_seed(0)
    config = transformers.LlamaConfig(
        vocab_size=len(LETTERS) + 1,
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=96,
        bos_token_id=None,
        eos_token_id=0,
        initializer_range=0.3,
    )
    return transformers.LlamaForCausalLM(config).eval()


@cache
def tiny_tokenizer(template: str | None = None) -> Any:
    from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers

    vocabulary = {"</s>": 0} | {letter: at + 1 for at, letter in enumerate(LETTERS)}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token="?"))
    tokenizer.pre_tokenizer = pre_tokenizers.Split(Regex(r"[\s\S]"), "isolated")
    tokenizer.decoder = decoders.Fuse()
    return transformers.PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, eos_token="</s>", chat_template=template
    )
