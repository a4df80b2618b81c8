"""Record the lab model under every strategy and compare them across difficulty: one command, resumable.

``python -m training.strategies.lab --out FOLDER`` draws fresh word problems of all sizes, records independent
samples with scores, revision chains and runs of four searches on the transformers backend, and writes the log
and the report. A run that was stopped goes on with the same arguments. What is found is told in
``docs/strategies.md``; comparing is left to `training.strategies.compare`.
"""

from __future__ import annotations

import argparse
import logging
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from difficulty.log.sample_log import SampleLog
from difficulty.prompt import Prompt
from planner import Recording, collect
from planner.answers.rules import LastNumber
from planner.collection.collected import CollectProgress
from policies.course.allocation import ParameterValue
from training.lab import LANGUAGE_MODEL, REVISION_REQUEST, REWARD_MODEL
from training.lab.prompts import lab_generators, lab_prompts
from training.lab.tasks import MAX_STEPS, STEP_DELIMITER, draw_cells
from training.strategies.compare import compare_strategies

_LOG = logging.getLogger(__name__)

PROBLEM_SEED: Final = 4_000_000
"""Seed of the problems; training and measuring use others."""

_ATTEMPTS_IN_SIGHT: Final = 3  # as many as training showed
_MAX_BATCH_TOKENS: Final = 65_536
_REPORT_EVERY: Final = 100


def mixed_problems(n_per_cell: int, *, seed: int = PROBLEM_SEED) -> tuple[Prompt, ...]:
    """Return `n_per_cell` problems of each number of steps and digits, as prompts.

    Examples
    --------
    >>> [prompt.id for prompt in mixed_problems(1)][:2]
    ['word-problem-1x1-00000', 'word-problem-2x1-00001']
    """
    return lab_prompts(draw_cells(n_per_cell, seed=seed))


def lab_recordings(*, n_chains: int = 8, n_steps: int = 6) -> list[Recording]:
    """Return what is recorded beside independent samples: chains, and searches on a grid of sizes, led by the
    reward model or by the log-probability of the last step, which costs nothing.

    Examples
    --------
    >>> [str(recording) for recording in lab_recordings()][:3]
    ['sequential_revision N=8x6', 'beam_search N=4', 'beam_search N=8']
    """
    tree: dict[str, ParameterValue] = {"delimiter": STEP_DELIMITER, "max_steps": MAX_STEPS + 4}
    free: dict[str, ParameterValue] = {"verifier": "mean_logprob"}
    return [
        Recording(
            strategy="sequential_revision",
            width=n_chains,
            depth=n_steps,
            params={"instruction": REVISION_REQUEST, "context": _ATTEMPTS_IN_SIGHT},
        ),
        *Recording.grid("beam_search", widths=(4, 8, 16), params=tree | {"beam_width": 4}),
        *Recording.grid("beam_search", widths=(4, 8), params=tree | {"beam_width": 2}),
        *Recording.grid("dvts", widths=(4, 8, 16), params=tree | {"beam_width": 4}),
        *Recording.grid("lookahead", widths=(4,), params=tree | {"beam_width": 4}),
        *Recording.grid("rebase", widths=(4, 8), params=tree),
        *Recording.grid("beam_search", widths=(4, 8, 16), params=tree | {"beam_width": 4} | free),
        *Recording.grid("dvts", widths=(4, 8, 16), params=tree | {"beam_width": 4} | free),
    ]


def record_lab_strategies(
    out: str | os.PathLike[str],
    *,
    n_per_cell: int = 10,
    samples: int = 64,
    recordings: Sequence[Recording] | None = None,
    seed: int = 0,
) -> SampleLog:
    """Record the shipped lab model, step by step, under every strategy.

    Parameters
    ----------
    out : str or path
        The log; a complete one is read, an unfinished one goes on.
    n_per_cell : int
        Problems of each of the 18 sizes, at least 1.
    samples : int
        Independent samples of each; half of them will tell difficulty.
    recordings : sequence of Recording, optional
        By default `lab_recordings`.
    seed : int
        Seed of every draw.

    Raises
    ------
    InvalidInputError
        When an unfinished log has other settings.
    MissingDependencyError
        Without torch and transformers.
    """
    if Path(out).exists():
        return SampleLog.read(out)
    from planner.backends.transformers import TransformersBackend
    from planner.verifiers.process_reward import ProcessRewardModel

    steps = lab_generators()[1]
    done = collect(
        mixed_problems(n_per_cell),
        out,
        generators={steps.name: steps},
        backend=TransformersBackend.load(LANGUAGE_MODEL, max_batch_tokens=_MAX_BATCH_TOKENS),
        samples=samples,
        recordings=lab_recordings() if recordings is None else recordings,
        extractor=LastNumber(),
        verifier=ProcessRewardModel.load(REWARD_MODEL, form="step-end", max_batch_tokens=_MAX_BATCH_TOKENS),
        seed=seed,
        driver="lockstep",
        progress=_tell,
    )
    usage = done.usage
    _LOG.info(
        "%s: %.0f output, %.0f prompt and %.0f verifier tokens",
        done.log, usage.output_tokens, usage.prompt_tokens, usage.verifier_tokens,
    )  # fmt: skip
    return SampleLog.read(out)


def main(arguments: Sequence[str] | None = None) -> None:
    """Record and compare, from the command line."""
    parser = argparse.ArgumentParser(description="Compare strategies across difficulty on the lab model.")
    parser.add_argument("--out", type=Path, required=True, help="folder of the log and the report")
    parser.add_argument("--problems-per-size", type=int, default=10, help="of each of 18 sizes")
    parser.add_argument("--samples", type=int, default=64, help="independent samples of each problem")
    parser.add_argument("--bins", type=int, default=4)
    parser.add_argument("--seed", type=int, default=0)
    chosen = parser.parse_args(arguments)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    chosen.out.mkdir(parents=True, exist_ok=True)
    log = record_lab_strategies(
        chosen.out / "lab.jsonl.gz",
        n_per_cell=chosen.problems_per_size,
        samples=chosen.samples,
        seed=chosen.seed,
    )
    for name, prefix_cache in (("resent", False), ("cached", True)):
        report = compare_strategies(
            log, chosen.out / name, bins=chosen.bins, prefix_cache=prefix_cache, seed=chosen.seed
        )
        for sentence in report.findings:
            _LOG.info("%s: %s", name, sentence)


def _tell(progress: CollectProgress) -> None:
    if progress.n_done % _REPORT_EVERY == 0:
        rate = progress.usage.output_tokens / max(progress.seconds, 1e-9)
        _LOG.info("%d of %d pieces, %.0f output tokens/s", progress.n_done, progress.n_pieces, rate)


if __name__ == "__main__":
    main()
