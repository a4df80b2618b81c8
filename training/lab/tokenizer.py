"""Build the lab model's tokenizer: one token per word, digit, sign and line end, and bytes for anything else.

It assumes the words of `training.lab.tasks`; a text with other words is split into bytes and comes back
unchanged. Loading the saved folder is left to `transformers.AutoTokenizer` and to inference engines.
"""

from __future__ import annotations

from typing import Any

from difficulty.errors import require
from training.lab.tasks import ANSWER_MARK, vocabulary_texts

SPECIAL_TOKENS = ("<pad>", "<bos>", "<eos>", "<user>", "<assistant>")

CHAT_TEMPLATE = (
    "<bos>{%- for message in messages -%}{%- if message['role'] == 'assistant' -%}{{- '<assistant>' + "
    "message['content'] -}}{%- if not loop.last or add_generation_prompt -%}{{- '<eos>' -}}{%- endif -%}{%- "
    "else -%}{{- '<user>' + message['content'] -}}{%- endif -%}{%- endfor -%}{%- if add_generation_prompt "
    "-%}{{- '<assistant>' -}}{%- endif -%}"
)
"""Chat format; a last assistant message stays open, so that ``continue_final_message`` continues it."""

_PIECES = r"[A-Za-z]+ ?|#+ ?|[.:?] ?|[\s\S]"  # words, the answer mark and stops with the space after them


def build_tokenizer(*, instructions: tuple[str, ...] = ()) -> Any:
    """Build the tokenizer.

    Parameters
    ----------
    instructions : tuple of str
        Further texts whose words become single tokens.

    Returns
    -------
    transformers.PreTrainedTokenizerFast
        A tokenizer whose `decode` gives back every text it encoded.

    Raises
    ------
    MissingDependencyError
        When tokenizers or transformers is not installed.

    Examples
    --------
    >>> tokenizer = build_tokenizer()
    >>> tokenizer.tokenize("She loses 42.")
    ['SheĠ', 'losesĠ', '4', '2', '.']
    """
    tokenizers = require("tokenizers", extra="local")
    transformers = require("transformers", extra="local")
    pre_tokenizers = tokenizers.pre_tokenizers
    bytes_only = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    core = tokenizers.Tokenizer(tokenizers.models.BPE())
    core.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Split(tokenizers.Regex(_PIECES), behavior="isolated"), bytes_only]
    )
    core.decoder = tokenizers.decoders.ByteLevel()
    trainer = tokenizers.trainers.BpeTrainer(
        vocab_size=4096,  # more than there are merges: every word of the texts ends as one token
        min_frequency=1,
        special_tokens=list(SPECIAL_TOKENS),
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )
    core.train_from_iterator([*vocabulary_texts(), ANSWER_MARK, *instructions], trainer)
    return transformers.PreTrainedTokenizerFast(
        tokenizer_object=core,
        pad_token="<pad>",
        bos_token="<bos>",
        eos_token="<eos>",
        chat_template=CHAT_TEMPLATE,
        model_max_length=1024,
        model_input_names=["input_ids", "attention_mask"],
        clean_up_tokenization_spaces=False,
        additional_special_tokens=["<user>", "<assistant>"],
    )
