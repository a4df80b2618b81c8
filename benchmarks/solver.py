"""Time the solver against what one would write without it, in one run.

A million prompts are solved beside a plain bisection of the price over the whole matrix; a small batch beside
integer programming with HiGHS; one prompt by itself. Values are simulated coverage curves with a fixed seed,
and the peak memory is that of the process, input included.
"""

from __future__ import annotations

import argparse
import resource
import sys
from collections.abc import Callable, Sequence
from time import perf_counter
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table
from scipy.optimize import Bounds, LinearConstraint, milp

from policies.solver.solver import solve


class Measurement(NamedTuple):
    """One row: the solver's seconds and value, and those of the alternative on the same instance."""

    name: str
    seconds: float
    value: float
    alternative: str
    alternative_seconds: float
    alternative_value: float


def simulate(n_prompts: int, n_allocations: int, *, seed: int = 0) -> NDArray[np.float32]:
    """Return coverage ``1 − (1 − p)^n`` of n = 1 … A samples with p ~ Beta(0.5, 0.5), shape (P, A).

    Parameters
    ----------
    n_prompts, n_allocations : int
        Prompts P and allocations A.
    seed : int
        Seed of the simulation.
    """
    p = np.random.default_rng(seed).beta(0.5, 0.5, size=(n_prompts, 1)).astype(np.float32)
    return np.asarray(1 - (1 - p) ** np.arange(1, n_allocations + 1), dtype=np.float32)


def bisect(value: NDArray[np.float32], cost: NDArray[np.float64], budget: float) -> float:
    """Return the value that bisecting the price over the whole matrix finds within a budget; 40 halvings."""
    low, high, best = 0.0, 1.0, 0.0
    rows = np.arange(value.shape[0])
    for _ in range(40):
        price = (low + high) / 2
        choice = (value - (price * cost).astype(value.dtype)).argmax(axis=1)
        if float(cost[choice].sum()) > budget:
            low = price
        else:
            high, best = price, float(value[rows, choice].sum(dtype=np.float64))
    return best


def integer_program(value: NDArray[np.float32], cost: NDArray[np.float64], budget: float) -> float:
    """Return the optimum that HiGHS proves for the multiple-choice knapsack."""
    n_prompts, n_allocations = value.shape
    one_each = np.kron(np.eye(n_prompts), np.ones(n_allocations))
    result = milp(
        -value.astype(np.float64).ravel(),
        integrality=np.ones(value.size, dtype=np.intp),
        bounds=Bounds(0, 1),
        constraints=[
            LinearConstraint(one_each, 1, 1),
            LinearConstraint(np.tile(cost, n_prompts)[None, :], -np.inf, budget),
        ],
        options={"mip_rel_gap": 0.0},
    )
    if result.fun is None:
        raise RuntimeError(f"HiGHS found no optimum: {result.message}")
    return -float(result.fun)


def timed(function: Callable[[], float]) -> tuple[float, float]:
    """Return the seconds of one call and its result."""
    start = perf_counter()
    result = function()
    return perf_counter() - start, result


def run(n_prompts: int, n_allocations: int) -> list[Measurement]:
    """Measure all rows.

    Parameters
    ----------
    n_prompts, n_allocations : int
        Size of the large batch.
    """
    cost = np.arange(1, n_allocations + 1, dtype=np.float64)
    value = simulate(n_prompts, n_allocations)
    alike = np.tile(value[n_prompts // 2], (n_prompts, 1))
    rows = [
        _against_bisection(f"{n_prompts:,} × {n_allocations}", value, cost, 4.0 * n_prompts),
        _against_bisection("the same, prompts all alike", alike, cost, 4.5 * n_prompts),
    ]
    small = simulate(200, 12, seed=1)
    ours = timed(lambda: solve(small, cost[:12], budget=650.0).total_value)
    proved = timed(lambda: integer_program(small, cost[:12], 650.0))
    rows.append(Measurement("200 × 12", *ours, "integer program, HiGHS", *proved))
    one = simulate(1, 50, seed=2)
    fifty = np.arange(1, 51, dtype=np.float64)

    def thousand() -> float:
        return sum(solve(one, fifty, budget=20.0).total_value for _ in range(1000)) / 1000

    seconds, worth = timed(thousand)
    proved = timed(lambda: integer_program(one, fifty, 20.0))
    rows.append(
        Measurement("1 × 50, mean of 1,000", seconds / 1000, worth, "integer program, HiGHS", *proved)
    )
    return rows


def _against_bisection(
    name: str, value: NDArray[np.float32], cost: NDArray[np.float64], budget: float
) -> Measurement:
    """Solve a large batch both ways."""
    ours = timed(lambda: solve(value, cost, budget=budget).total_value)
    plain = timed(lambda: bisect(value, cost, budget))
    return Measurement(name, *ours, "bisection, 40 passes", *plain)


def main(argv: Sequence[str] | None = None) -> None:
    """Print the measurements as a table.

    Parameters
    ----------
    argv : sequence of str, optional
        Command line; ``--quick`` runs a tenth of the prompts.
    """
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="a tenth of the prompts")
    arguments = parser.parse_args(argv)
    rows = run(100_000 if arguments.quick else 1_000_000, 32)
    table = Table(title="Solver against the alternative, same instance")
    for heading in ("instance", "seconds", "alternative", "its seconds", "ratio", "value gained"):
        table.add_column(heading, justify="left" if heading in ("instance", "alternative") else "right")
    for row in rows:
        table.add_row(
            row.name,
            f"{row.seconds:.4g}",
            row.alternative,
            f"{row.alternative_seconds:.4g}",
            f"{row.alternative_seconds / row.seconds:.1f}x",
            f"{row.value - row.alternative_value:+.4g}",
        )
    console = Console()
    console.print(table)
    # Linux counts in kilobytes, macOS in bytes.
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (
        1 << 30 if sys.platform == "darwin" else 1 << 20
    )
    console.print(f"Peak memory of this process: {peak:.2f} GiB. The large rows are bound by memory traffic.")


if __name__ == "__main__":
    main()
