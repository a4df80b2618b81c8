"""The menu: every allocation whose value recorded samples can tell.

An allocation is on the menu when its selector can be replayed from the log (votes need answers, best-of-N
needs scores, log-probabilities or a learned verifier, coverage needs correctness only) and enough samples
are recorded for its width. Caps and prices are applied later, by the solver; how a menu entry is valued is
left to `policies.menu.curves`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Final, cast

import numpy as np

from difficulty.arguments import check_number
from difficulty.errors import InvalidInputError
from difficulty.log.sample_log import SampleLog
from difficulty.log.sample_pool import ChainPool
from policies.course.allocation import Allocation, ParameterValue
from policies.course.strategies import StrategyName
from policies.menu.signals import recorded_signals
from policies.plan.objective import GROUP_OBJECTIVES, Objective
from policies.verifier.learned_verifier import LEARNED

# Dense where curves bend, then about six steps per doubling of cost. Votes take odd ones only: between two
# answers the expected vote of 2k samples, ties broken at random, equals that of 2k - 1.
_WIDTHS: Final = (*range(1, 14), 15, 16, 17, 20, 21, 24, 25, 28, 31, 32, 40, 48, 50, 56, 64)
_LARGE_WIDTHS: Final = (72, 80, 96, 100, 112, 128, 160, 192, 200, 256)
# Fewer for a learned verifier: each width is replayed, and neighbouring ones are worth the same within noise.
_LEARNED_WIDTHS: Final = (2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64, 96, 128, 192, 256)
_MAJORITY_OF: Final = 0.9
_ROUNDING: Final = 1e-9


def width_grid(n_samples: int, *, votes: bool) -> tuple[int, ...]:
    """Return the widths offered for a pool of `n_samples` samples per prompt.

    Parameters
    ----------
    n_samples : int
        Samples recorded per prompt.
    votes : bool
        Leave out even widths above 2, which cost more than the odd one below and are worth the same in a
        vote.

    Examples
    --------
    >>> width_grid(10, votes=True)
    (1, 3, 5, 7, 9)
    >>> width_grid(4, votes=False)
    (1, 2, 3, 4)
    """
    widths = [width for width in (*_WIDTHS, *_LARGE_WIDTHS) if width <= n_samples]
    if votes:
        return tuple(width for width in widths if width % 2)
    return tuple(width for width in widths if width % 2 == 0 or width in (1, 3, 5, 7))


def build_menu(
    log: SampleLog,
    *,
    objective: Objective = "accuracy",
    learned: Mapping[str, StrategyName] | None = None,
    share: float = _MAJORITY_OF,
) -> tuple[Allocation, ...]:
    """Return every allocation that `log` can value under `objective`.

    A width is offered when at least 90 % of all prompts have that many samples of the generator whose value
    is known.

    Parameters
    ----------
    log : SampleLog
        Recorded samples.
    objective : {"accuracy", "coverage", "reward", "contrast", "variance"}
        ``"accuracy"``, ``"reward"``: what the deployed selector delivers; ``"coverage"``: at least one
        correct sample, where a checker recognises it; ``"contrast"``, ``"variance"``: what a group of
        rollouts holds.
    learned : mapping of str to str, optional
        Generators whose samples a learned verifier may pick from, with the strategy that picks; under
        ``"accuracy"`` only.

    share : float
        Of the prompts that must have the samples for a width.

    Raises
    ------
    InvalidInputError
        When the log has no labelled sample at all.
    """
    menu: list[Allocation] = []
    for name in log.generators:
        pool = log.pool(name)
        n_known = pool.n_known if objective == "coverage" else pool.n_valued
        n_samples = _available(np.where(n_known == pool.n, pool.n, 0), share)
        if n_samples == 0:
            continue
        widths = width_grid(n_samples, votes=False)
        if objective == "coverage" or objective in GROUP_OBJECTIVES:
            menu += _family(name, "first_success" if objective == "coverage" else "majority_vote", widths)
            continue
        recorded = ~pool.counts_only[:, None] & ~np.isnan(pool.value)
        answered = bool((pool.answer[recorded] >= 0).any())
        menu += _family(name, "majority_vote", width_grid(n_samples, votes=True) if answered else (1,))
        for verifier, column in recorded_signals(pool).items():
            if recorded.any() and not np.isnan(column[recorded]).any():
                menu += _family(name, "best_of_n", widths[1:], verifier=verifier)
                if answered:
                    menu += _family(name, "weighted_best_of_n", widths[2:], verifier=verifier)
        if learned is not None and name in learned:
            menu += _family(name, learned[name], _learned_widths(n_samples), verifier=LEARNED)
    if objective not in GROUP_OBJECTIVES:
        menu += _chains(log, objective, share)
        menu += _recorded_runs(log, share)
    if not menu:
        labelled = {
            name: float((log.values().n[:, place] > 0).mean()) for place, name in enumerate(log.generators)
        }
        if any(labelled.values()):
            shares = ", ".join(f"{name} {share:.0%}" for name, share in labelled.items())
            raise InvalidInputError(
                f"no generator has labelled samples for {_MAJORITY_OF:.0%} of the {len(log)} prompts "
                f"({shares}), so allocations cannot be compared; train on one log per set of prompts, or "
                "record the missing lines"
            )
        raise InvalidInputError(
            "no sample of this log is labelled correct or wrong, so nothing can be learned from it; "
            "add 'correct' to the samples or 'n' and 'n_correct' to the lines"
        )
    return tuple(menu)


def _learned_widths(n_samples: int) -> tuple[int, ...]:
    """Return the widths of picks by a learned verifier: a few, and the widest that is recorded."""
    grid = width_grid(n_samples, votes=False)
    return tuple(width for width in grid if width in _LEARNED_WIDTHS or 1 < width == grid[-1])


def _available(n: np.ndarray[tuple[int], np.dtype[np.int64]], share: float) -> int:
    """Return the largest pool size that a share of the prompts reaches."""
    check_number("share", share, "in (0, 1]")
    n_needed = math.ceil(share * len(n) - _ROUNDING)
    return int(np.sort(n)[len(n) - n_needed])


def _family(generator: str, strategy: StrategyName, widths: Sequence[int], **params: str) -> list[Allocation]:
    return [
        Allocation(generator=generator, strategy=strategy, width=width, params=params) for width in widths
    ]


def chain_settings(chains: ChainPool) -> dict[str, ParameterValue]:
    """Return the recorded settings that decide what an attempt sees."""
    return {
        name: value
        for name, value in chains.params
        if name in ("instruction", "delimiter", "context") and value is not None
    }


def _chains(log: SampleLog, objective: Objective, share: float) -> list[Allocation]:
    """Return width × depth allocations of sequential revision, where the log has chains."""
    menu = []
    for name in log.generators:
        chains = log.chains(name)
        if chains is None or objective == "coverage":
            continue
        n_chains = _available(chains.n, share)
        menu += [
            Allocation(
                generator=name,
                strategy="sequential_revision",
                width=width,
                depth=depth,
                # The attempts were drawn with these settings, and planned ones must be too.
                params={**chain_settings(chains), "selection": "majority"},
            )
            for width in range(1, n_chains + 1)
            for depth in range(2, chains.n_steps + 1)
        ]
    return menu


def _recorded_runs(log: SampleLog, share: float) -> list[Allocation]:
    """Return one allocation per recorded search run; it gives one answer, so coverage is its accuracy."""
    return [
        Allocation(
            generator=runs.generator,
            strategy=cast(StrategyName, runs.strategy),
            width=int(dict(runs.params).get("n", 1)),
            params=runs.params,
        )
        for runs in log.runs()
        if _available(runs.n, share)
    ]
