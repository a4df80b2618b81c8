"""Time reading a sample log of a million samples against what one would write without it, in one run.

Each file is read in a process of its own, which reports its wall time and its peak memory; the alternatives
keep less (three fields of a sample) and check nothing. The log is simulated with a fixed seed; numbers hold
for one machine only, ratios travel.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Final, NamedTuple

import numpy as np
from rich.console import Console
from rich.table import Table

from difficulty import Generator, Prompt, SampleLog
from difficulty.log.columns import LineColumns, LogColumns, SampleColumns, recode

_OURS: Final = "from difficulty import SampleLog\ndef read(path):\n    return SampleLog.read(path)\n"
_JSON: Final = """
import gzip, json
def read(path):
    answers, correct, tokens = [], [], []
    with gzip.open(path, "rb") as stream:
        next(stream)
        for line in stream:
            for sample in json.loads(line)["samples"]:
                answers.append(sample["answer"])
                correct.append(sample["correct"])
                tokens.append(sample["output_tokens"])
    return answers, correct, tokens
"""
_ARROW: Final = """
import pyarrow.parquet as parquet
def read(path):
    answers, correct, tokens = [], [], []
    for row in parquet.read_table(path, columns=["answer", "correct", "output_tokens"]).to_pylist():
        answers += row["answer"]
        correct += row["correct"]
        tokens += row["output_tokens"]
    return answers, correct, tokens
"""
_MEASURE: Final = """
import resource, sys, time
start = time.perf_counter()
log = read(sys.argv[1])
print(time.perf_counter() - start, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)
"""


class Measurement(NamedTuple):
    """One row: a file form, its seconds and peak mebibytes, and the same of the alternative."""

    name: str
    seconds: float
    peak_mib: float
    alternative: str
    alternative_seconds: float
    alternative_peak_mib: float
    bound_by: str


def simulate(n_prompts: int, n_generators: int, n_samples: int, seed: int = 0) -> SampleLog:
    """Simulate a log with answers, verdicts, tokens, scores and log-probabilities.

    Parameters
    ----------
    n_prompts, n_generators, n_samples : int
        Prompts, generators, and samples per prompt and generator.
    seed : int

    Returns
    -------
    SampleLog
    """
    rng = np.random.default_rng(seed)
    n_lines = n_prompts * n_generators
    total = n_lines * n_samples
    strings = tuple(str(number) for number in range(5000))
    answer, answers = recode(rng.integers(0, len(strings), total).astype(np.int32), strings)
    nothing = np.full(total, -1, dtype=np.int32)
    score = rng.random(total).round(4)
    text = "What is {0} times {1}? Take half of it, add {0}, and give the last two digits. Show all steps."
    names = tuple(f"model-{index}" for index in range(n_generators))
    columns = LogColumns(
        prompts=tuple(
            Prompt(id=f"p{i}", text=text.format(i, i * 7919 % 1013), gold=str(i)) for i in range(n_prompts)
        ),
        generators=names,
        strategies=((None, "{}"),),
        lines=LineColumns(
            prompt=np.repeat(np.arange(n_prompts, dtype=np.int32), n_generators),
            generator=np.tile(np.arange(n_generators, dtype=np.int32), n_prompts),
            strategy=np.zeros(n_lines, dtype=np.int32),
            prompt_tokens=np.full(n_lines, 96.0),
            n=np.full(n_lines, -1),
            n_correct=np.full(n_lines, -1),
            offsets=np.arange(0, total + 1, n_samples),
            meta=(None,) * n_lines,
        ),
        samples=SampleColumns(
            answer=answer,
            correct=rng.integers(0, 2, total).astype(np.int8),
            output_tokens=rng.integers(20, 900, total).astype(np.float64),
            prompt_tokens=np.full(total, np.nan),
            score=score,
            mean_logprob=(score - 1.5).round(4),
            finish=np.zeros(total, dtype=np.int32),
            chain=nothing,
            step=nothing.copy(),
            text=None,
            step_scores=None,
            answers=answers,
            finishes=("stop",),
        ),
    )
    return SampleLog(columns, generators={name: Generator(name=name) for name in names}, about={})


def run(n_prompts: int = 10_000, n_generators: int = 10, n_samples: int = 10) -> list[Measurement]:
    """Write a simulated log in both forms and time reading it.

    Parameters
    ----------
    n_prompts, n_generators, n_samples : int
        Shape of the log; by default a million samples on 100,000 lines.

    Returns
    -------
    list of Measurement
    """
    log = simulate(n_prompts, n_generators, n_samples)
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        for suffix, alternative, name, bound_by in (
            (
                "jsonl.gz",
                _JSON,
                "gzip + json.loads, 3 fields, no checks",
                "JSON decoding, then work per line",
            ),
            (
                "parquet",
                _ARROW,
                "pyarrow to_pylist, 3 fields, no checks",
                "decoding of pages, then string tables",
            ),
        ):
            path = Path(folder, f"log.{suffix}")
            log.write(path)
            seconds, peak = _measure(_OURS, path)
            other_seconds, other_peak = _measure(alternative, path)
            form = f"{suffix} ({path.stat().st_size / 2**20:.0f} MiB)"
            rows.append(Measurement(form, seconds, peak, name, other_seconds, other_peak, bound_by))
    return rows


def _measure(program: str, path: Path) -> tuple[float, float]:
    """Return the seconds (best of two processes) and the peak mebibytes of reading a file."""
    outputs = [
        subprocess.run(
            [sys.executable, "-c", program + _MEASURE, str(path)], capture_output=True, text=True, check=True
        ).stdout.split()
        for _ in range(2)
    ]
    return min(float(output[0]) for output in outputs), max(float(output[1]) for output in outputs)


def main(argv: Sequence[str] | None = None) -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--prompts", type=int, default=10_000)
    parser.add_argument("--generators", type=int, default=10)
    parser.add_argument("--samples", type=int, default=10, help="per prompt and generator")
    parser.add_argument("--quick", action="store_true", help="a tenth of the prompts")
    options = parser.parse_args(argv)
    n_prompts = options.prompts // 10 if options.quick else options.prompts
    total = n_prompts * options.generators * options.samples
    table = Table(title=f"Reading {total:,} samples")
    for column in ("form", "seconds", "peak MiB", "alternative", "seconds", "peak MiB", "ratio", "bound by"):
        table.add_column(column)
    for row in run(n_prompts, options.generators, options.samples):
        table.add_row(
            row.name,
            f"{row.seconds:.2f}",
            f"{row.peak_mib:.0f}",
            row.alternative,
            f"{row.alternative_seconds:.2f}",
            f"{row.alternative_peak_mib:.0f}",
            f"{row.alternative_seconds / row.seconds:.1f}x",
            row.bound_by,
        )
    Console(width=150).print(table)


if __name__ == "__main__":
    main()
