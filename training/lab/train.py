"""Train the lab model from nothing: ``python -m training.lab.train --out FOLDER``.

Stages: a language model on first answers and drills; its own attempts; the same model on revisions of them;
Monte-Carlo labels of steps; the reward model on these labels; measurements. Everything is seeded. The README
says how the shipped weights were made and what they do.
"""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

import click

from difficulty.errors import require
from training.lab import DIRECT_TEMPLATE, REVISION_REQUEST, STEPS_TEMPLATE
from training.lab.examples import base_examples, batches, draw_shard, drill_examples
from training.lab.fit import FitConfig, fit, language_model, next_token_loss
from training.lab.measure import measure
from training.lab.revisions import revision_examples
from training.lab.rewards import label_steps, reward_batches, reward_loss, reward_model
from training.lab.sampling import solutions
from training.lab.tasks import draw_problems
from training.lab.tokenizer import build_tokenizer

_LOG = logging.getLogger(__name__)
_BASE = FitConfig(n_steps=4400, learning_rate=2e-3)
_REVISE = FitConfig(n_steps=2000, learning_rate=1e-3)
_REWARD = FitConfig(n_steps=900, learning_rate=2e-3)


@dataclass(frozen=True, kw_only=True, slots=True)
class LabConfig:
    """How the lab model is trained.

    Parameters
    ----------
    seed : int
        Seed of everything; training problems come from seeds derived from it, measurements from others.
    base, revise, reward : FitConfig
        The stages of training.
    shard_size : int
        Examples that are drawn, and sorted by length, together.
    n_attempt_problems, n_attempts : int
        Problems, and attempts at each, that revisions are made of.
    n_label_problems, n_solutions, n_rollouts : int
        Problems of all lengths, solutions of each, and continuations of each prefix for the reward model's
        labels.
    n_short_label_problems : int
        Further problems for labels, of one or two steps, whose solutions are labels enough: no continuations.
    n_measure_problems : int
        Problems per table; 0 measures nothing.
    """

    seed: int = 0
    base: FitConfig = _BASE
    revise: FitConfig = _REVISE
    reward: FitConfig = _REWARD
    shard_size: int = 8192
    n_attempt_problems: int = 5000
    n_attempts: int = 3
    n_label_problems: int = 3000
    n_solutions: int = 3
    n_rollouts: int = 1
    n_short_label_problems: int = 6000
    n_measure_problems: int = 400


def train_lab(out: Path, config: LabConfig) -> None:
    """Train both models and write ``language_model/``, ``reward_model/`` and ``measurements.json`` to `out`.

    Parameters
    ----------
    out : Path
        Folder for the results.
    config : LabConfig
        Sizes and seed.

    Raises
    ------
    MissingDependencyError
        When torch, transformers or tokenizers is not installed.
    """
    seed = config.seed
    tokenizer = build_tokenizer(instructions=(DIRECT_TEMPLATE, STEPS_TEMPLATE, REVISION_REQUEST))
    ids = {name: getattr(tokenizer, f"{name}_token_id") for name in ("eos", "bos", "pad")}
    model = language_model(vocab_size=len(tokenizer), seed=seed, **ids)

    def first_answers(shard: int) -> Any:
        problems, rng = draw_shard(seed, shard, size=config.shard_size)
        n_drills = round(drill_share(shard) * len(problems))
        return base_examples(problems[n_drills:], rng) + drill_examples(n_drills, rng), rng

    def revisions(shard: int) -> Any:
        return revision_examples(attempts, seed=seed + 1_000_002, shard=shard, size=config.shard_size)

    def train(name: str, stage: FitConfig, shards: Callable[[int], Any]) -> None:
        stream = batches(shards, tokenizer, batch_tokens=stage.batch_tokens)
        with _timed(name):
            fit(model, stream, stage, loss=next_token_loss)

    train("base", config.base, first_answers)
    # Draws of their own: what is drawn for training must come from problems that the model was not fitted to.
    fresh = draw_shard(seed + 1_000_001, 0, size=config.n_attempt_problems)[0]
    with _timed("attempts"):
        drawn = solutions(model, tokenizer, fresh, n=config.n_attempts, seed=seed)
    attempts = list(zip(fresh, drawn, strict=True))
    train("revise", config.revise, revisions)
    save(model, tokenizer, out / "language_model")

    mixed = draw_shard(seed + 1_000_003, 0, size=config.n_label_problems)[0]
    short = draw_problems(n=config.n_short_label_problems, seed=seed + 1_000_004, n_steps=(1, 2))
    label = partial(label_steps, model, tokenizer, n_solutions=config.n_solutions, seed=seed)
    with _timed("labels"):
        labelled = label(mixed, n_rollouts=config.n_rollouts) + label(short, n_rollouts=0)
    reward = reward_model(out / "language_model")
    steps = reward_batches(labelled, tokenizer, batch_tokens=config.reward.batch_tokens, seed=seed)
    with _timed("reward"):
        fit(reward, steps, config.reward, loss=reward_loss)
    save(reward, tokenizer, out / "reward_model")
    if config.n_measure_problems:
        with _timed("measure"):
            tables = measure(out, n_problems=config.n_measure_problems, seed=seed + 2_000_000)
        (out / "measurements.json").write_text(
            json.dumps({"config": asdict(config), **tables}, indent=1) + "\n"
        )


def drill_share(shard: int) -> float:
    """Share of drills in a shard of first answers: calculating comes first, reading soon after."""
    return max(0.2, 0.7 - 0.1 * shard)


def save(model: Any, tokenizer: Any, folder: Path) -> None:
    """Write a model in half precision, to be loaded in single precision, with its tokenizer.

    A CPU computes faster in float32, and rounding weights to float16 costs no accuracy that can be measured;
    engines for GPUs turn a float32 configuration into their own half precision.
    """
    torch = require("torch", extra="local")
    safetensors = require("safetensors.torch", extra="local")
    model.save_pretrained(folder)
    path = folder / "model.safetensors"
    weights = safetensors.load_file(path)
    safetensors.save_file(
        {k: v.to(torch.float16) for k, v in weights.items()}, path, metadata={"format": "pt"}
    )
    tokenizer.save_pretrained(folder)


@contextmanager
def _timed(name: str) -> Iterator[None]:
    """Log how long a stage took."""
    started = time.monotonic()
    yield
    _LOG.info("%s took %.0f s", name, time.monotonic() - started)


@click.command()
@click.option(
    "--out", type=click.Path(path_type=Path, file_okay=False), required=True, help="Folder for the models."
)
@click.option("--seed", default=0, show_default=True, help="Seed of everything.")
@click.option(
    "--threads", default=2, show_default=True, help="CPU threads; results can differ in the last bits."
)
def main(out: Path, seed: int, threads: int) -> None:
    """Train the lab model: about an hour on two CPU cores."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    require("torch", extra="local").set_num_threads(threads)
    train_lab(out, LabConfig(seed=seed))


if __name__ == "__main__":
    main()
