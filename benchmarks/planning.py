"""Time planning: one prompt at a time as a server does, a batch of 10,000, and a stream of many in chunks.

Bundles are trained on simulated logs of 400 and of 2,700 prompts and 4 generators. The alternatives plan a
batch as a server would, one call per prompt at a price, and spread weights over all reference prompts where
planning adds up leaves; the same must come out. A stream is planned with text and by the same bundle without
it, which tells what reading costs.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from time import perf_counter, process_time
from typing import Final, NamedTuple

import numpy as np
from rich.console import Console
from rich.table import Table

from difficulty.belief.weighing import DenseWeights, ReferenceColumns
from difficulty.prompt import Prompt
from planner.planner import Planner
from policies.cost.budget import Budget
from policies.plan.plan import AllocationPlan
from training.simulated.log import simulated_log
from training.train import train

_ONE_MS: Final = 1.5
_BATCH_SECONDS: Final = 1.5
_N_SINGLE: Final = 300
_N_LARGE: Final = 2700
_N_REPEATS: Final = 5
# Of a million prompts.
_STREAM_CPU_SECONDS: Final = 120.0
_STREAM_GIGABYTES: Final = 4.0
_CHUNK: Final = 10_000


class Measurement(NamedTuple):
    """One row: milliseconds on the clock, of CPU, and the limit on the clock."""

    name: str
    milliseconds: float
    cpu_milliseconds: float
    limit: float = float("nan")


class Timed(NamedTuple):
    """Plans, and the milliseconds that they took."""

    plans: list[AllocationPlan]
    milliseconds: float
    cpu_milliseconds: float


def timed(plan: Callable[[], list[AllocationPlan]]) -> Timed:
    """Time one call."""
    start, cpu = perf_counter(), process_time()
    plans = plan()
    return Timed(plans, 1e3 * (perf_counter() - start), 1e3 * (process_time() - cpu))


def fresh_prompts(n_prompts: int) -> list[Prompt]:
    """Return prompts of the simulated population, without anything recorded."""
    log = simulated_log(n_prompts, n_samples=1, n_generators=1, seed=5)
    return [Prompt(id=prompt.id, text=prompt.text) for prompt in log.prompts]


def trained(folder: Path, n_prompts: int, n_samples: int) -> Planner:
    """Train a bundle that plans are made with, with choices by text."""
    log = simulated_log(n_prompts, n_samples=n_samples, n_generators=4)
    bundle = train(log, folder, n_trials=1)
    if not bundle.policy.by_text.any():
        raise RuntimeError("the simulated log must deploy choices by text, or there is nothing to time")
    return Planner.load(folder)


def run(planner: Planner, n_prompts: int) -> tuple[list[Measurement], float]:
    """Measure all rows.

    Parameters
    ----------
    planner : Planner
        With text features and a learned policy.
    n_prompts : int
        Size of the batch.

    Returns
    -------
    rows : list of Measurement
    ratio : float
        How many times faster a prompt is planned in the batch than alone.
    """
    prompts = fresh_prompts(n_prompts)
    budget, price = Budget(limit=400, unit="output_tokens"), 1e-4
    planner.plan(prompts[:1], price=price)
    singles = [
        timed(lambda prompt=prompt: planner.plan([prompt], price=price)) for prompt in prompts[:_N_SINGLE]
    ]
    alone = [plan for single in singles for plan in single.plans]
    clock = np.array([single.milliseconds for single in singles])
    cpu = np.array([single.cpu_milliseconds for single in singles])
    batch = timed(lambda: planner.plan(prompts, budget=budget))
    together = timed(lambda: planner.plan(prompts, price=price))
    plans = batch.plans
    same = np.mean([a.allocation == b.allocation for a, b in zip(alone, together.plans, strict=False)])
    if same < 0.99:  # float32 products of other shapes turn a tie now and then
        raise RuntimeError(f"only {same:.1%} of the plans are the same alone and in the batch")
    if sum(plan.expected_cost for plan in plans) > budget.total(n_prompts=n_prompts) * (1 + 1e-9):
        raise RuntimeError("the batch is planned beyond its budget")
    limit = 1e3 * _BATCH_SECONDS * n_prompts / 10_000
    rows = [
        Measurement("one prompt, p50", float(np.median(clock)), float(np.median(cpu)), _ONE_MS),
        Measurement("one prompt, p95", float(np.quantile(clock, 0.95)), float(np.quantile(cpu, 0.95))),
        Measurement(
            f"{n_prompts:,} prompts under a budget", batch.milliseconds, batch.cpu_milliseconds, limit
        ),
        Measurement(
            f"{n_prompts:,} prompts at a price", together.milliseconds, together.cpu_milliseconds, limit
        ),
    ]
    return rows, float(np.median(clock)) * n_prompts / together.milliseconds


def expected(planner: Planner, n_prompts: int) -> float:
    """Return how many times faster leaves are added up than weights spread over references and multiplied."""
    bundle, prompts = planner.bundle, fresh_prompts(n_prompts)
    if bundle.features is None or bundle.belief is None:
        raise RuntimeError("the simulated log must leave a belief from text, or there is nothing to time")
    table = bundle.table
    columns = ReferenceColumns(
        np.concatenate([table.value, table.requests, table.output_tokens], axis=1, dtype=np.float64)
    )
    read = bundle.belief.read(bundle.features.transform(prompts))
    spread = read.mean(columns).std(axis=0) + 1e-9
    seconds: dict[str, list[float]] = {"leaves": [], "weights": []}
    for _ in range(_N_REPEATS):
        start = process_time()
        leaves = read.mean(columns)
        middle = process_time()
        weights = DenseWeights(read.weights()).mean(columns)
        seconds["leaves"].append(middle - start)
        seconds["weights"].append(process_time() - middle)
        if not np.allclose(leaves / spread, weights / spread, atol=1e-3):
            raise RuntimeError("leaves and weights expect different things")
    return float(np.median(seconds["weights"]) / np.median(seconds["leaves"]))


def stream(planner: Planner, n_prompts: int, name: str) -> Measurement:
    """Measure planning at a price, a chunk after the other, as a pipeline does; plans are dropped."""
    texts = [prompt.text for prompt in fresh_prompts(min(n_prompts, _CHUNK))]
    clock = cpu = 0.0
    for start in range(0, n_prompts, _CHUNK):
        chunk = [
            Prompt(id=str(at), text=texts[at % len(texts)])
            for at in range(start, min(start + _CHUNK, n_prompts))
        ]
        plans = timed(lambda chunk=chunk: planner.plan(chunk, price=1e-4))
        clock, cpu = clock + plans.milliseconds, cpu + plans.cpu_milliseconds
    return Measurement(f"{n_prompts:,} prompts at a price in chunks, {name}", clock, cpu)


def main(argv: Sequence[str] | None = None) -> None:
    """Print the measurements as a table.

    Parameters
    ----------
    argv : sequence of str, optional
        Command line; ``--quick`` plans a tenth of the prompts, ``--million`` a million of them in chunks.
    """
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="a tenth of the prompts")
    parser.add_argument("--million", action="store_true", help="a million prompts in chunks, not 20,000")
    arguments = parser.parse_args(argv)
    n_prompts = 1_000 if arguments.quick else 10_000
    n_stream = 1_000_000 if arguments.million else 2 * n_prompts
    with TemporaryDirectory() as folder:
        planner = trained(Path(folder) / "policy", 400, 10)
        large = trained(Path(folder) / "large", _N_LARGE, 3)
        rows, ratio = run(planner, n_prompts)
        more, _ = run(large, n_prompts)
        rows += [row._replace(name=f"{row.name}, {_N_LARGE:,} references") for row in more]
        by_leaf = expected(large, n_prompts)
        streams = [
            stream(planner, n_stream, "with text"),
            stream(large, n_stream, f"{_N_LARGE:,} references"),
            stream(
                Planner(bundle=replace(planner.bundle, features=None, belief=None)), n_stream, "without text"
            ),
        ]
    n_references, n_courses = planner.bundle.table.value.shape
    table = Table(title=f"Planning with text features, {n_references} references × {n_courses} courses")
    for heading in ("what", "milliseconds", "of CPU", "limit"):
        table.add_column(heading, justify="left" if heading == "what" else "right")
    for row in [*rows, *streams]:
        table.add_row(
            row.name,
            f"{row.milliseconds:.3g}",
            f"{row.cpu_milliseconds:.3g}",
            "" if np.isnan(row.limit) else f"{row.limit:g}",
        )
    console = Console()
    console.print(table)
    console.print(
        f"A prompt in the batch is planned {ratio:.0f} times faster than alone "
        f"(OMP_NUM_THREADS={os.environ.get('OMP_NUM_THREADS', 'unset')}). One prompt is bound by text "
        "statistics and calls into numpy; a batch by text statistics and by walking trees."
    )
    with_text, by_many, without = (1e3 * row.cpu_milliseconds / n_stream for row in streams)
    console.print(
        f"With {_N_LARGE:,} references leaves are added up {by_leaf:.1f} times faster than weights are "
        "spread over references and multiplied with what was measured there."
    )
    console.print(
        f"A million prompts in chunks take {with_text:.0f} s of CPU with text, {by_many:.0f} with "
        f"{_N_LARGE:,} references (limit {_STREAM_CPU_SECONDS:g}) and {without:.0f} without text; peak "
        f"memory {_peak_gigabytes():.2f} GB (limit {_STREAM_GIGABYTES:g})."
    )


def _peak_gigabytes() -> float:
    """Return the most memory that this process has held."""
    import resource  # not on every platform

    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 1e9


if __name__ == "__main__":
    main()
