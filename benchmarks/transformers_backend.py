"""Time the transformers backend: one prefill for N samples, against N calls and a plain `generate`.

Models have random weights, so that it runs anywhere; times are ratios within one run, medians over repeats
that take turns. What bounds it: the forward passes, above all the prefill; the backend's own work is choosing
tokens and bookkeeping.
"""

from __future__ import annotations

import argparse
import asyncio
import time
from collections.abc import Callable, Sequence
from statistics import median
from typing import Any

from difficulty.generator import Generator
from difficulty.prompt import Prompt
from planner.backends.transformers import TransformersBackend
from planner.ports import SampleRequest

PROMPT_TOKENS, SAMPLES, NEW_TOKENS = 500, 16, 32


def build(hidden: int, layers: int, vocabulary: int) -> tuple[Any, Any]:
    """Return a Llama with random weights and a tokenizer of single letters; no token ends a text."""
    import torch
    from tokenizers import Regex, Tokenizer, models, pre_tokenizers
    from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=vocabulary,
        hidden_size=hidden,
        intermediate_size=3 * hidden,
        num_hidden_layers=layers,
        num_attention_heads=hidden // 32,
        max_position_embeddings=2048,
        bos_token_id=None,
        eos_token_id=None,
    )
    letters = Tokenizer(models.WordLevel({chr(33 + i): i for i in range(vocabulary)}, unk_token="!"))
    letters.pre_tokenizer = pre_tokenizers.Split(Regex(r"."), "isolated")
    device = "cuda" if torch.cuda.is_available() else "cpu"
    model: Any = LlamaForCausalLM(config)
    model.eval().to(device, torch.bfloat16 if device == "cuda" else torch.float32)
    tokenizer: Any = PreTrainedTokenizerFast
    return model, tokenizer(tokenizer_object=letters)


def timed(runs: dict[str, Callable[[], object]], *, repeats: int) -> dict[str, float]:
    """Return the median seconds of each, after a warm-up, in turns so that a busy machine hits all alike."""
    seconds: dict[str, list[float]] = {name: [] for name in runs}
    for repeat in range(repeats + 1):
        for name, run in runs.items():
            start = time.perf_counter()
            run()
            if repeat:
                seconds[name].append(time.perf_counter() - start)
    return {name: median(values) for name, values in seconds.items()}


def measure(hidden: int, layers: int, vocabulary: int, *, repeats: int) -> dict[str, float]:
    """Return the median seconds of N samples drawn in each way."""
    import torch

    model, tokenizer = build(hidden, layers, vocabulary)
    generator = Generator(name="random", temperature=1.0, max_output_tokens=NEW_TOKENS)
    prompt = Prompt(text="".join(chr(33 + i % 90) for i in range(PROMPT_TOKENS)))
    backend = TransformersBackend(model=model, tokenizer=tokenizer)

    def draw(n: int, seed: int) -> None:
        asyncio.run(backend.sample([SampleRequest(prompt=prompt, generator=generator, n=n, seed=seed)]))

    def draw_singly() -> None:
        for seed in range(SAMPLES):
            draw(1, seed)

    tokens = tokenizer(prompt.text, return_tensors="pt")["input_ids"].to(model.device)

    def generate() -> None:
        with torch.inference_mode():
            model.generate(
                tokens,
                attention_mask=torch.ones_like(tokens),
                do_sample=True,
                top_k=0,
                max_new_tokens=NEW_TOKENS,
                num_return_sequences=SAMPLES,
                pad_token_id=0,
            )

    return timed(
        {
            "backend, n=16": lambda: draw(SAMPLES, 0),
            "backend, 16 x n=1": draw_singly,
            "generate, num_return_sequences=16": generate,
        },
        repeats=repeats,
    )


def main(argv: Sequence[str] | None = None) -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=3)
    repeats = parser.parse_args(argv).repeats
    print(
        f"{SAMPLES} samples of {NEW_TOKENS} tokens from a {PROMPT_TOKENS}-token prompt, median of {repeats}"
    )
    for hidden, layers, vocabulary in ((128, 4, 512), (256, 6, 4096)):
        seconds = measure(hidden, layers, vocabulary, repeats=repeats)
        one = seconds["backend, n=16"]
        print(f"Llama, width {hidden}, {layers} layers, vocabulary {vocabulary}")
        for name, value in seconds.items():
            print(f"  {name:36s} {value:8.3f} s   {value / one:6.2f} x")


if __name__ == "__main__":
    main()
