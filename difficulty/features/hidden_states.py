"""Read a causal language model's hidden states for prompts: one forward pass, no token generated.

What the model itself makes of a prompt before it answers is the best known sign of difficulty, for the price
of a prefill. It assumes a model that `transformers` can load without code of its own; a prompt's state does
not depend on the batch that it was computed in, up to rounding. Keeping results between runs is left to
`hidden_cache`, and reducing H columns to a few is left to `prompt_features`.
"""

from __future__ import annotations

import json
import warnings
from collections.abc import Sequence
from dataclasses import KW_ONLY, dataclass, field
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from difficulty.arguments import check_choice, check_whole
from difficulty.arithmetic.ragged import like_lengths
from difficulty.errors import InvalidInputError, require
from difficulty.features.hidden_cache import HiddenCache, fingerprint_files, fingerprint_weights, state_key
from difficulty.prompt import Prompt

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

__all__ = ["HiddenStates", "ReadStates"]


class ReadStates(NamedTuple):
    """Hidden states of P prompts and what they cost.

    Attributes
    ----------
    states : numpy.ndarray, shape (P, H), float32
        A row of NaN for a prompt without text.
    n_prompt_tokens : numpy.ndarray, shape (P,), int64
        Tokens that the model read; 0 where the state came from the cache: the predictor's tokens in a ledger.
    truncated : numpy.ndarray, shape (P,), bool
        Whether the beginning of the prompt was cut off.
    """

    states: NDArray[np.float32]
    n_prompt_tokens: NDArray[np.int64]
    truncated: NDArray[np.bool_]


@dataclass(eq=False, repr=False)
class HiddenStates:
    """Compute hidden states of a causal language model; the model is loaded on first use.

    Parameters
    ----------
    model : str or transformers.PreTrainedModel
        Name or folder of a model, or a loaded one, which is put into evaluation mode.
    tokenizer : transformers.PreTrainedTokenizerBase, optional
        By default the one that belongs to `model`; needed when `model` is loaded already.
    layer : int or "middle", default -1
        Which of the L + 1 hidden states: 0 the embeddings, L or -1 the last one, "middle" L // 2.
    pooling : {"last", "mean"}, default "last"
        The state at the last token, or the mean over all tokens.
    batch_tokens : int, default 8192
        Tokens per forward pass at most, padding included, >= 1; a longer prompt makes a batch of its own.
    max_prompt_tokens : int, default 4096
        Longer prompts lose their beginning, with a warning; >= 1.
    device : str, optional
        By default "cuda" when there is one, else "cpu".
    dtype : str, optional
        Name of a floating dtype of torch; by default bfloat16 on a GPU and float32 elsewhere.
    revision : str, optional
        Revision of the model on its hub.
    cache_dir : str, optional
        Folder that keeps states between runs, by a hash of model, settings and text.

    Raises
    ------
    InvalidInputError
        When a parameter is out of range.

    Notes
    -----
    Messages go through the tokenizer's chat template, with the generation prompt appended, where
    it has one; else, and for plain text, the text is read as it is. The reading is right-padded, so that with
    causal attention no token sees padding. A model's own code is never run (``trust_remote_code`` stays off),
    and weights are read from safetensors alone.

    References
    ----------
    Damani et al. 2024, arXiv:2410.04707 (probe on the hidden state of the query).

    Examples
    --------
    >>> HiddenStates("HuggingFaceTB/SmolLM2-135M-Instruct", layer="middle", pooling="mean").pooling
    'mean'
    """

    model: str | PreTrainedModel
    _: KW_ONLY
    tokenizer: PreTrainedTokenizerBase | None = None
    layer: int | Literal["middle"] = -1
    pooling: Literal["last", "mean"] = "last"
    batch_tokens: int = 8192
    max_prompt_tokens: int = 4096
    device: str | None = None
    dtype: str | None = None
    revision: str | None = None
    cache_dir: str | None = None
    _loaded: PreTrainedModel | None = field(default=None, init=False)
    _description: str | None = field(default=None, init=False)

    def __post_init__(self) -> None:
        if isinstance(self.layer, str) and self.layer != "middle":
            raise InvalidInputError(f"layer must be an integer or 'middle', got {self.layer!r}")
        check_choice("pooling", self.pooling, ("last", "mean"))
        check_whole("batch_tokens", self.batch_tokens, least=1)
        check_whole("max_prompt_tokens", self.max_prompt_tokens, least=1)
        if not isinstance(self.model, str) and self.tokenizer is None:
            raise InvalidInputError("a loaded model needs its tokenizer; pass tokenizer=...")

    def transform(self, prompts: Sequence[Prompt]) -> NDArray[np.float32]:
        """Return the hidden states of P prompts, shape (P, H); `read` tells what they cost as well."""
        return self.read(prompts).states

    def read(self, prompts: Sequence[Prompt]) -> ReadStates:
        """Return the hidden states of P prompts and the tokens that were read for them.

        Raises
        ------
        MissingDependencyError
            When torch or transformers is not installed.
        InvalidInputError
            When the model has no such layer, or a cached file is damaged.
        """
        texts = [self._render(prompt) for prompt in prompts]
        keys = {
            index: state_key(self.description(), text) for index, text in enumerate(texts) if text is not None
        }
        cache = HiddenCache(self.cache_dir) if self.cache_dir is not None else None
        rows: dict[int, NDArray[np.float32]] = {}
        if cache is not None:
            kept = {index: cache.get(key) for index, key in keys.items()}
            rows = {index: state for index, state in kept.items() if state is not None}
        missing = [index for index in keys if index not in rows]
        n_prompt_tokens = np.zeros(len(prompts), dtype=np.int64)
        truncated = np.zeros(len(prompts), dtype=np.bool_)
        tokens = [self._encode(prompts[index], texts[index] or "") for index in missing]
        for place, index in enumerate(missing):
            truncated[index] = len(tokens[place]) > self.max_prompt_tokens
            tokens[place] = tokens[place][-self.max_prompt_tokens :]
            n_prompt_tokens[index] = len(tokens[place])
        if truncated.any():
            warnings.warn(
                f"{int(truncated.sum())} prompts are longer than {self.max_prompt_tokens} tokens and "
                "lost their beginning; raise max_prompt_tokens to read them whole",
                stacklevel=2,
            )
        for batch in like_lengths([len(ids) for ids in tokens], self.batch_tokens):
            states = self._forward([tokens[place] for place in batch])
            for place, state in zip(batch, states, strict=True):
                index = missing[place]
                rows[index] = state
                if cache is not None:
                    cache.put(keys[index], state)
        width = next(iter(rows.values())).size if rows else 0
        result = np.full((len(prompts), width), np.nan, dtype=np.float32)
        for index, state in rows.items():
            result[index] = state
        return ReadStates(result, n_prompt_tokens, truncated)

    def n_tokens(self, prompts: Sequence[Prompt]) -> NDArray[np.int64]:
        """Return how many tokens the model reads of each of P prompts, shape (P,); 0 without text.

        Raises
        ------
        MissingDependencyError
            When torch or transformers is not installed.
        """
        texts = [self._render(prompt) for prompt in prompts]
        return np.array(
            [
                0 if text is None else min(len(self._encode(prompt, text)), self.max_prompt_tokens)
                for prompt, text in zip(prompts, texts, strict=True)
            ],
            dtype=np.int64,
        )

    def _render(self, prompt: Prompt) -> str | None:
        """Return the text that the model reads for `prompt`."""
        if prompt.messages:
            tokenizer = self._load_tokenizer()
            if tokenizer.chat_template:
                messages: Any = [dict(message) for message in prompt.messages]
                return str(
                    tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=True)
                )
        return prompt.content

    def _encode(self, prompt: Prompt, text: str) -> list[int]:
        """Return the token ids of a rendered prompt; a chat template brings its own special tokens."""
        tokenizer = self._load_tokenizer()
        templated = bool(prompt.messages and tokenizer.chat_template)
        ids = list(tokenizer(text, add_special_tokens=not templated)["input_ids"])
        if not ids:
            raise InvalidInputError(f"prompt {prompt.id!r} has no tokens in the vocabulary of this model")
        return ids

    def _forward(self, tokens: Sequence[Sequence[int]]) -> NDArray[np.float32]:
        """Return the pooled states of one batch of token ids, shape (batch, H)."""
        torch = require("torch", extra="local")
        model = self._load_model()
        lengths = torch.tensor([len(ids) for ids in tokens])
        longest = int(lengths.max())
        # Any id serves as padding: it is masked, and it stands to the right of all that counts.
        ids = torch.tensor([[*row, *[0] * (longest - len(row))] for row in tokens])
        mask = torch.arange(longest)[None, :] < lengths[:, None]
        device = next(model.parameters()).device
        with torch.inference_mode():
            output = model(
                input_ids=ids.to(device),
                attention_mask=mask.to(device).long(),
                output_hidden_states=True,
                use_cache=False,
            )
        layers = output.hidden_states
        layer = (len(layers) - 1) // 2 if self.layer == "middle" else self.layer
        if not -len(layers) <= layer < len(layers):
            raise InvalidInputError(
                f"layer must lie in [{-len(layers)}, {len(layers) - 1}] for this model, got {layer}"
            )
        states = layers[layer].float()
        if self.pooling == "last":
            pooled = states[torch.arange(len(tokens), device=device), (lengths - 1).to(device)]
        else:
            inside = mask.to(device).float()[:, :, None]
            pooled = (states * inside).sum(dim=1) / inside.sum(dim=1)
        return np.asarray(pooled.cpu().numpy(), dtype=np.float32)

    def description(self) -> str:
        """Return all that determines a state besides the text, as JSON; loads no weights by name."""
        if self._description is None:
            transformers = require("transformers", extra="local")
            tokenizer = self._load_tokenizer()
            if isinstance(self.model, str):
                config = transformers.AutoConfig.from_pretrained(self.model, revision=self.revision)
                weights = getattr(config, "_commit_hash", None) or fingerprint_files(self.model)
                name = self.model
            else:
                config, weights, name = self.model.config, fingerprint_weights(self.model), ""
            facts = {
                "model": name,
                "revision": self.revision,
                "config": config.to_json_string(use_diff=False),
                "weights": weights,
                "vocabulary": len(tokenizer),
                "chat_template": str(tokenizer.chat_template),
                "layer": self.layer,
                "pooling": self.pooling,
                "max_prompt_tokens": self.max_prompt_tokens,
                "dtype": self._dtype_name(),
            }
            self._description = json.dumps(facts, sort_keys=True)
        return self._description

    def _load_tokenizer(self) -> PreTrainedTokenizerBase:
        """Return the tokenizer, loaded on first use."""
        if self.tokenizer is None:
            transformers = require("transformers", extra="local")
            self.tokenizer = transformers.AutoTokenizer.from_pretrained(self.model, revision=self.revision)
        return self.tokenizer

    def _load_model(self) -> PreTrainedModel:
        """Return the model without its head, in evaluation mode, on its device; loaded on first use."""
        if self._loaded is None:
            if isinstance(self.model, str):
                torch = require("torch", extra="local")
                transformers = require("transformers", extra="local")
                loaded = transformers.AutoModel.from_pretrained(
                    self.model,
                    revision=self.revision,
                    dtype=getattr(torch, self._dtype_name()),
                    use_safetensors=True,  # other weights are pickles
                )
                loaded.to(self._device_name())
            else:
                loaded = self.model.base_model
            self._loaded = loaded.eval()
        return self._loaded

    def _device_name(self) -> str:
        """Return the device that a model is loaded to."""
        torch = require("torch", extra="local")
        return self.device or ("cuda" if torch.cuda.is_available() else "cpu")

    def _dtype_name(self) -> str:
        """Return the name of the dtype of the forward pass."""
        if not isinstance(self.model, str):
            return str(self.model.dtype).removeprefix("torch.")
        return self.dtype or ("bfloat16" if self._device_name().startswith("cuda") else "float32")
