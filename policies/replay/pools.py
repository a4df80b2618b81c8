"""Recorded samples with their costs, ready for replay: from a sample log and a cost model to `ReplayPool`.

A sample is charged for what it generated, a wave for sending its prompt, so that plans which come back to a
prompt pay for it again; whether prompts are re-sent or cached is the caller's choice. Verifiers are not
charged here.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Final, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from difficulty.errors import InvalidInputError, UnknownUnitError
from difficulty.log.sample_log import SampleLog
from difficulty.log.sample_pool import SamplePool
from policies.cost.budget import UNIT_TRAITS
from policies.cost.cost_model import CostModel
from policies.ladder.ladder import SampleScale
from policies.replay.recorded_answers import filled_tokens
from policies.verifier.learned_verifier import LearnedScorer

__all__ = [
    "ADDITIVE_UNITS",
    "ReplayPool",
    "half_of",
    "replay_pools",
    "sample_scales",
]

FloatArray: TypeAlias = NDArray[np.float64]

ADDITIVE_UNITS: Final = tuple(unit for unit, traits in UNIT_TRAITS.items() if traits.additive)


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class ReplayPool:
    """Recorded samples of one generator with what each of them cost.

    Parameters
    ----------
    pool : SamplePool
        P prompts × M samples.
    cost : ndarray of float64, shape (P, M)
        Cost of each sample, from `policies.cost.cost_model.CostModel.price_arrays`; NaN on padding.
    request_cost : ndarray of float64, shape (P,)
        Cost of sending the prompt once, for each wave; 0 where it is free or cached.
    judge : LearnedScorer, optional
        Says how likely each sample is correct, for ladders that ask; its rows are those of the pool.
    """

    pool: SamplePool
    cost: FloatArray
    request_cost: FloatArray
    judge: LearnedScorer | None = None
    _judged: dict[tuple[int, int, int], NDArray[np.float32]] = field(
        default_factory=dict, init=False, repr=False
    )

    def __post_init__(self) -> None:
        if self.cost.shape != self.pool.correct.shape or self.request_cost.shape != self.pool.n.shape:
            raise InvalidInputError(
                f"cost must be {self.pool.correct.shape} and request_cost {self.pool.n.shape}; "
                f"got {self.cost.shape} and {self.request_cost.shape}"
            )

    def chances(self, prompts: NDArray[np.intp], drawn: NDArray[np.intp], *, seed: int) -> FloatArray:
        """Return P(correct) of samples by the judge, shape (P', R, n); what was judged before is kept.

        Parameters
        ----------
        prompts : ndarray of intp, shape (P',)
            Rows of the pool, each with n labelled samples.
        drawn : ndarray of intp, shape (P', R, n)
            The first n samples of each of the R `policies.replay.orders.balanced_orders` of `seed`.
        seed : int
            Seed of the orders.

        Raises
        ------
        InvalidInputError
            When a sample lacks what the judge reads.
        """
        if self.judge is None:
            raise InvalidInputError("these samples have no judge")
        n_orders, n = drawn.shape[1:]
        kept = self._judged.setdefault(
            (seed, n_orders, n), np.full((len(self.pool.n), n_orders, n), np.nan, dtype=np.float32)
        )
        new = np.isnan(kept[prompts, 0, 0])
        if new.any():
            rows, columns = prompts[new], drawn[new].reshape(-1, n)
            at = np.repeat(rows, n_orders)[:, None], columns
            given = {name: getattr(self.pool, name)[at] for name in self.judge.columns}
            chance = self.judge.score(at[0][:, 0], self.pool.answer[at], **given)
            kept[rows] = chance.reshape(len(rows), n_orders, n)
        return kept[prompts].astype(np.float64)


def replay_pools(
    log: SampleLog,
    cost_model: CostModel,
    *,
    resend_prompts: bool = True,
    generators: Sequence[str] | None = None,
    judges: Mapping[str, LearnedScorer] | None = None,
) -> dict[str, ReplayPool]:
    """Return the independent samples of generators with what each sample and each request costs.

    Parameters
    ----------
    log : SampleLog
        P prompts.
    cost_model : CostModel
        Prices a usage in one unit of `ADDITIVE_UNITS`.
    resend_prompts : bool
        Charge the prompt's tokens for each wave; False where a prefix cache makes coming back free. Units
        that do not count prompts (``samples``, ``output_tokens``) are the same either way.
    generators : sequence of str, optional
        Names of those to price; all of the log by default.
    judges : mapping of str to LearnedScorer, optional
        Learned verifiers by generator, for ladders that ask them; their rows are those of the log.

    Raises
    ------
    UnknownUnitError
        When the unit does not add up over samples, or needs what the log did not record.

    Notes
    -----
    A sample without a token count counts as many tokens as the mean of its prompt's other samples, or of its
    generator's where the prompt has no count at all.

    Examples
    --------
    >>> from difficulty.generator import Generator
    >>> record = {"prompt_id": "a", "generator": "tiny", "prompt_tokens": 9,
    ...           "samples": [{"answer": "4", "correct": True, "output_tokens": 5}]}
    >>> log = SampleLog.from_records([record], {"tiny": Generator(name="tiny")})
    >>> pool = replay_pools(log, CostModel(unit="total_tokens"))["tiny"]
    >>> pool.cost.tolist(), pool.request_cost.tolist()
    ([[5.0]], [9.0])
    """
    if cost_model.unit not in ADDITIVE_UNITS:
        raise UnknownUnitError(
            f"samples can be replayed in units that add up over them ({', '.join(ADDITIVE_UNITS)}), and "
            f"{cost_model.unit} do not; choose one of these"
        )
    pools = {}
    for name in log.generators if generators is None else generators:
        pool = log.pool(name)
        drawn = np.arange(pool.correct.shape[1]) < pool.n[:, None]
        tokens = np.where(drawn, filled_tokens(pool.output_tokens, drawn), 0.0)
        cost = cost_model.price_arrays(name, samples=1.0, output_tokens=tokens, requests=0.0)
        request = np.zeros(len(pool.n))
        if resend_prompts:
            has_line = pool.n > 0
            request = cost_model.price_arrays(name, prompt_tokens=np.where(has_line, pool.prompt_tokens, 0.0))
        pools[name] = ReplayPool(
            pool=pool,
            cost=np.where(drawn, np.broadcast_to(cost, drawn.shape), np.nan),
            request_cost=np.broadcast_to(request, pool.n.shape).copy(),
            judge=(judges or {}).get(name),
        )
    return pools


def half_of(item: ReplayPool, half: Literal["even", "odd"]) -> ReplayPool:
    """Return one of two disjoint halves of each pool: the other's samples are unlabelled, so never drawn.

    Parameters
    ----------
    item : ReplayPool
        Single samples; recorded counts have no order that halves could be taken of.
    half : {"even", "odd"}
        The samples at even positions, or at odd ones, as in `policies.menu.curves.measure_curves`.
    """
    mine = np.arange(item.pool.correct.shape[1]) % 2 == (0 if half == "even" else 1)
    correct = np.where(mine, item.pool.correct, -1).astype(np.int8)
    return replace(item, pool=replace(item.pool, correct=correct))


def sample_scales(
    pools: Mapping[str, ReplayPool], prompts: NDArray[np.intp] | None = None
) -> dict[str, SampleScale]:
    """Return what is usual for each generator's samples, over the prompts at `prompts` (all by default)."""
    scales = {}
    for name, item in pools.items():
        at = slice(None) if prompts is None else prompts
        logprob = item.pool.mean_logprob[at]
        logprob = logprob[np.isfinite(logprob)]
        cost = item.cost[at]
        log_cost = np.log(cost[cost > 0])
        scales[name] = SampleScale(
            logprob_mean=float(logprob.mean()) if logprob.size else 0.0,
            logprob_sd=_deviation(logprob),
            log_cost_mean=float(log_cost.mean()) if log_cost.size else 0.0,
            log_cost_sd=_deviation(log_cost),
        )
    return scales


def _deviation(values: FloatArray) -> float:
    """Return the standard deviation, 0 where there is nothing to tell apart."""
    spread = float(values.std()) if values.size else 0.0
    return spread if spread > 1e-9 else 0.0
