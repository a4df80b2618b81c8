"""Time the transformers backend: one prefill for N samples, and a batch of prompts, against plain `generate`.

Models have random weights, so that it runs anywhere, with outputs as peaked as those of trained ones. Times
are ratios within one run, medians over repeats that take turns, in wall time and in CPU time, which a busy
machine moves less. What bounds it: the forward passes, above all the prefill; the backend itself chooses
tokens and keeps books.
"""

from __future__ import annotations

import argparse
import asyncio
import time
from collections.abc import Callable, Sequence
from statistics import median
from typing import Any, NamedTuple

from difficulty.generator import Generator
from difficulty.prompt import Prompt
from planner.backends.transformers import TransformersBackend
from planner.ports.ports import SampleRequest

PROMPT_TOKENS, SAMPLES, NEW_TOKENS = 500, 16, 32
# The batch: prompts of a few lengths, one sample of each.
PROMPTS, SHORT, LONG = 32, 40, 80


class Seconds(NamedTuple):
    """Median seconds of a run."""

    wall: float
    cpu: float


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
    # Untrained outputs are nearly uniform, and no model is sampled from that way: these have a few nats.
    model.lm_head.weight.data *= 5.0 / (0.02 * hidden**0.5)
    model.eval().to(device, torch.bfloat16 if device == "cuda" else torch.float32)
    tokenizer: Any = PreTrainedTokenizerFast
    return model, tokenizer(tokenizer_object=letters)


def timed(runs: dict[str, Callable[[], object]], *, repeats: int) -> dict[str, Seconds]:
    """Return the median seconds of each, after a warm-up, in turns so that a busy machine hits all alike."""
    wall: dict[str, list[float]] = {name: [] for name in runs}
    cpu: dict[str, list[float]] = {name: [] for name in runs}
    for repeat in range(repeats + 1):
        for name, run in runs.items():
            start, begun = time.perf_counter(), time.process_time()
            run()
            if repeat:
                wall[name].append(time.perf_counter() - start)
                cpu[name].append(time.process_time() - begun)
    return {name: Seconds(median(wall[name]), median(cpu[name])) for name in runs}


def measure_batch(hidden: int, layers: int, vocabulary: int, *, repeats: int) -> dict[str, Seconds]:
    """Return the median seconds of one sample of each of many prompts, from texts to texts."""
    import torch

    model, tokenizer = build(hidden, layers, vocabulary)
    tokenizer.padding_side, tokenizer.pad_token = "left", "!"
    generator = Generator(name="random", temperature=1.0, max_output_tokens=NEW_TOKENS)
    lengths = [SHORT + (LONG - SHORT) * index // PROMPTS for index in range(PROMPTS)]
    texts = ["".join(chr(33 + (i + length) % 90) for i in range(length)) for length in lengths]
    backend = TransformersBackend(model=model, tokenizer=tokenizer)
    requests = [
        SampleRequest(prompt=Prompt(text=text), generator=generator, n=1, seed=index)
        for index, text in enumerate(texts)
    ]

    def generate() -> list[str]:
        batch = tokenizer(texts, return_tensors="pt", padding=True, return_token_type_ids=False)
        with torch.inference_mode():
            out = model.generate(
                **batch.to(model.device),
                do_sample=True,
                top_k=0,
                max_new_tokens=NEW_TOKENS,
                pad_token_id=0,
            )
        return list(tokenizer.batch_decode(out[:, batch["input_ids"].shape[1] :]))

    return timed(
        {"generate, the same batch": generate, "backend": lambda: asyncio.run(backend.sample(requests))},
        repeats=repeats,
    )


def measure(hidden: int, layers: int, vocabulary: int, *, repeats: int) -> dict[str, Seconds]:
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
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--quick", action="store_true", help="one repeat")
    options = parser.parse_args(argv)
    repeats = 1 if options.quick else options.repeats
    for hidden, layers, vocabulary in ((128, 4, 96), (256, 6, 4096), (512, 8, 32_000)):
        print(f"Llama, width {hidden}, {layers} layers, vocabulary {vocabulary}, median of {repeats}")
        print(f" {SAMPLES} samples of {NEW_TOKENS} tokens from a prompt of {PROMPT_TOKENS}")
        show(measure(hidden, layers, vocabulary, repeats=repeats))
        print(f" {PROMPTS} prompts of {SHORT} to {LONG} tokens, a sample of {NEW_TOKENS} of each")
        show(measure_batch(hidden, layers, vocabulary, repeats=repeats))


def show(seconds: dict[str, Seconds]) -> None:
    """Print times as multiples of the first."""
    one = next(iter(seconds.values()))
    for name, value in seconds.items():
        print(
            f"  {name:36s} {value.wall:8.3f} s {value.wall / one.wall:6.2f} x   "
            f"CPU {value.cpu:8.3f} s {value.cpu / one.cpu:6.2f} x"
        )


if __name__ == "__main__":
    main()
