"""Run every benchmark module of this folder, or those named; each prints its own table.

It assumes that a benchmark is a module with ``main(argv)``. What is measured is left to the modules.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path
from time import perf_counter

from rich.console import Console

# What takes minutes, or logs that the user has, is run by its own name.
_ON_REQUEST = {"chaos", "public_logs", "soak"}


def modules() -> list[str]:
    """Return the names of the benchmark modules, sorted."""
    found = {path.stem for path in Path(__file__).parent.glob("*.py") if not path.stem.startswith("_")}
    return sorted(found - _ON_REQUEST)


def main(argv: Sequence[str] | None = None) -> None:
    """Run benchmarks one after another.

    Parameters
    ----------
    argv : sequence of str, optional
        Names of modules; all of them by default. ``--quick`` is passed on.
    """
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("module", nargs="*", help=f"of {', '.join(modules())}; all by default")
    parser.add_argument("--quick", action="store_true", help="smaller sizes, fewer repeats")
    arguments = parser.parse_args(argv)
    unknown = sorted(set(arguments.module) - set(modules()))
    if unknown:
        parser.error(f"there is no benchmark {', '.join(unknown)}; there are {', '.join(modules())}")
    console = Console()
    for name in arguments.module or modules():
        start = perf_counter()
        import_module(f"benchmarks.{name}").main(["--quick"] if arguments.quick else [])
        console.print(f"{name}: {perf_counter() - start:.1f} s\n", style="dim")


if __name__ == "__main__":
    main()
