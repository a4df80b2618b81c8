"""What a collection will cost, said before it starts: measured on a few prompts, or from a guess.

Both are rough and say how they were made: lengths vary between prompts, and a probe sees few of them. Asking
anybody whether to go on is left to the caller.
"""

from __future__ import annotations

import math
import statistics
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from planner.collection.file import PieceRecord
from planner.collection.plan import CollectPlan, Piece
from policies.cost.usage import Usage

# Half-widths of intervals that people ask for.
_ASKED: Final = (0.1, 0.05, 0.02, 0.01)


@dataclass(frozen=True, kw_only=True, slots=True)
class Estimate:
    """What is left to spend.

    Parameters
    ----------
    n_pieces : int
        Pieces left: lines of the log, or single runs of searches.
    n_samples : int
        Completions left, a search of size N counted as N.
    output_tokens : float
        Expected output tokens.
    output_tokens_interval : tuple of float, optional
        About 95 % of the uncertainty that the probe's own spread shows; None for a guess.
    prompt_tokens : float, optional
        Expected prompt tokens, as the backend counts them; None where nothing is known.
    usd : float, optional
        Price of both; None where a generator has no prices or prompt tokens are unknown.
    seconds : float, optional
        Time at the rate so far; the probe keeps few requests in flight, so the rest is usually faster.
    basis : str
        How the figures were made, in words.
    """

    n_pieces: int
    n_samples: int
    output_tokens: float
    basis: str
    output_tokens_interval: tuple[float, float] | None = None
    prompt_tokens: float | None = None
    usd: float | None = None
    seconds: float | None = None

    def __str__(self) -> str:
        tokens = f"about {self.output_tokens:,.0f} output tokens"
        if self.output_tokens_interval is not None:
            low, high = self.output_tokens_interval
            tokens += f" (95 % interval of the probe: {low:,.0f} to {high:,.0f})"
        parts = [f"{self.n_samples:,} samples to draw", tokens]
        if self.prompt_tokens is not None:
            parts.append(f"{self.prompt_tokens:,.0f} prompt tokens")
        if self.usd is not None:
            parts.append(f"{self.usd:,.2f} USD")
        if self.seconds is not None:
            parts.append(f"{self.seconds / 60:,.1f} minutes at the rate so far")
        return f"{', '.join(parts)}; {self.basis}"


def estimate_from_guess(plan: CollectPlan, left: Sequence[Piece], *, tokens_per_sample: float) -> Estimate:
    """Return the estimate that a guess of the mean length of a completion gives.

    Parameters
    ----------
    plan : CollectPlan
        The collection.
    left : sequence of Piece
        Pieces that are not recorded yet.
    tokens_per_sample : float
        Mean output tokens of a whole answer, above 0. A search of size N is taken for N whole answers.
    """
    sizes = [plan.recordings[piece.recording].n_samples for piece in left]
    lengths = [plan.prompts[piece.prompt].prompt_tokens for piece in left]
    spent: dict[str, Usage] = defaultdict(Usage)
    for piece, size, length in zip(left, sizes, lengths, strict=True):
        spent[piece.generator] += Usage(prompt_tokens=length or 0, output_tokens=size * tokens_per_sample)
    known = None not in lengths
    return Estimate(
        n_pieces=len(left),
        n_samples=sum(sizes),
        output_tokens=sum(sizes) * tokens_per_sample,
        prompt_tokens=float(sum(one.prompt_tokens for one in spent.values())) if known else None,
        usd=_usd(plan, spent) if known else None,
        basis=f"a guess: {tokens_per_sample:g} tokens per answer, as you said",
    )


def estimate_from_records(
    plan: CollectPlan, left: Sequence[Piece], records: Iterable[PieceRecord], *, seconds: float | None = None
) -> Estimate:
    """Return the estimate that pieces already recorded give.

    Parameters
    ----------
    plan : CollectPlan
        The collection.
    left : sequence of Piece
        Pieces that are not recorded yet.
    records : iterable of PieceRecord
        Recorded pieces, at least one of each generator and recording that is left.
    seconds : float, optional
        How long the records took.
    """
    seen: dict[tuple[str, int], list[PieceRecord]] = defaultdict(list)
    n_records = 0
    for record in records:
        piece = plan.pieces[record.piece]
        seen[piece.generator, piece.recording].append(record)
        n_records += 1
    spent: dict[str, Usage] = defaultdict(Usage)
    variance, n_unseen = 0.0, 0
    for key, count in Counter((piece.generator, piece.recording) for piece in left).items():
        usages = [record.usage for record in seen[key]]
        if not usages:
            n_unseen += count
            continue
        spent[key[0]] += sum(usages, Usage()) * (count / len(usages))
        lengths = [usage.output_tokens for usage in usages]
        if len(lengths) > 1:
            variance += count**2 * statistics.variance(lengths) / len(lengths)
    total = float(sum(one.output_tokens for one in spent.values()))
    spread = 1.96 * math.sqrt(variance)
    unseen = f"; {n_unseen} pieces that none of them is like are left out" if n_unseen else ""
    return Estimate(
        n_pieces=len(left),
        n_samples=sum(plan.recordings[piece.recording].n_samples for piece in left),
        output_tokens=total,
        output_tokens_interval=(max(total - spread, 0.0), total + spread) if variance else None,
        prompt_tokens=float(sum(one.prompt_tokens for one in spent.values())),
        usd=_usd(plan, spent),
        seconds=seconds * len(left) / n_records if seconds is not None and n_records else None,
        basis=f"measured on {n_records} pieces, which are kept{unseen}",
    )


def _usd(plan: CollectPlan, spent: Mapping[str, Usage]) -> float | None:
    """Return the price of prompt and output tokens by generator, or None where one has no price."""
    total = 0.0
    for name, usage in spent.items():
        read, written = plan.generators[name].usd_per_mtok_in, plan.generators[name].usd_per_mtok_out
        if read is None or written is None:
            return None
        total += (usage.prompt_tokens * read + usage.output_tokens * written) / 1e6
    return total


def what_it_tells(n_prompts: int, n_samples: int) -> str:
    """Say how sure a log of so many prompts and samples of each will be, and what it takes to be surer.

    Parameters
    ----------
    n_prompts : int
        At least 1.
    n_samples : int
        Independent samples of each prompt and generator; 0 where only other runs are recorded.

    Notes
    -----
    The variance of a prompt's mean success is at most 1/4, and is that where a prompt is always or never
    solved, however many samples it has. Paired differences on the same prompts usually vary less.

    Examples
    --------
    >>> what_it_tells(100, 8)[:63]
    'accuracy will be known to ±0.098 at worst (95 %); 385 prompts g'
    """
    width = 1.96 * 0.5 / math.sqrt(n_prompts)
    told = f"accuracy will be known to ±{width:.2g} at worst (95 %)"
    narrower = next((asked for asked in _ASKED if asked < 0.9 * width), None)
    if narrower is not None:
        told += f"; {math.ceil((1.96 * 0.5 / narrower) ** 2):,} prompts give ±{narrower:g}"
    if n_samples > 1:
        told += (
            f". {n_samples} samples of each tell what up to {n_samples} are worth; more do not narrow that"
        )
    return told
