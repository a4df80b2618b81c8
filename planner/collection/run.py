"""Collect a sample log: prompts × generators × recordings, drawn, graded, and safe from kills.

This is the door: it turns arguments into a plan and hands it to `planner.collection.session`, which keeps the
files. It assumes one writer per log; spreading shards over many workers is left to `planner.collection.ray`.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Final, get_args

from difficulty.arguments import check_choice, check_whole
from difficulty.generator import Generator
from difficulty.prompt import Prompt, as_prompts
from planner.answers.rules import USUAL_RULE
from planner.collection.collected import Collected, OnCollect
from planner.collection.estimate import Estimate
from planner.collection.grade import GoldGrader
from planner.collection.plan import CollectPlan, Recording
from planner.collection.session import carry_out
from planner.collection.worker import LocalWorker
from planner.drivers import Limits
from planner.drivers.blocking import blocking
from planner.drivers.session import DriverName
from planner.ports.ports import AnswerExtractor, Backend, Grader, Verifier

_NO_LIMITS: Final = Limits()


async def acollect(
    prompts: Iterable[Prompt | str],
    out: str | os.PathLike[str],
    *,
    generators: Mapping[str, Generator],
    backend: Backend,
    samples: int = 16,
    recordings: Sequence[Recording] = (),
    extractor: AnswerExtractor = USUAL_RULE,
    grader: Grader | None = None,
    verifier: Verifier | None = None,
    texts: bool = False,
    seed: int = 0,
    limits: Limits = _NO_LIMITS,
    driver: DriverName = "concurrent",
    partial: bool = False,
    tokens_per_sample: float | None = None,
    approve: Callable[[Estimate], bool] | None = None,
    progress: OnCollect | None = None,
) -> Collected:
    """Collect a sample log and write it to `out`.

    Parameters
    ----------
    prompts : iterable of Prompt or str
        The P prompts; those with a `gold` are graded.
    out : str or path
        The log: ``.jsonl``, ``.jsonl.gz`` or ``.parquet``. Until it is complete, ``OUT.collecting`` and
        ``OUT.requests`` lie beside it; starting again with the same settings goes on from them.
    generators : mapping of str to Generator
        How to draw, by name.
    backend : Backend
        Draws.
    samples : int
        Independent samples M per prompt × generator, at least 0.
    recordings : sequence of Recording
        Further things to record of each prompt × generator: revision chains, runs of searches.
    extractor : AnswerExtractor
        Finds answers in texts; by default the last box, else the last number.
    grader : Grader, optional
        Says which answers are right; by default those that equal the prompt's `gold`.
    verifier : Verifier, optional
        Scores every sample and attempt, and serves searches.
    texts : bool
        Keep the texts.
    seed : int
        Seed of every draw.
    limits : Limits
        Hard caps over the whole collection (`max_seconds`: over this session). Costs are not capped here.
    driver : {"concurrent", "lockstep"}
        Requests as they come (servers), or one call for many prompts (engines in this process).
    partial : bool
        Write the log also where pieces are missing; the working files stay, so that they can be added.
    tokens_per_sample : float, optional
        Guess of the mean output tokens of an answer, for the estimate; otherwise a few prompts are collected
        first and measured.
    approve : callable, optional
        Called with the estimate before the bulk is drawn; False stops. Without it nothing is estimated.
    progress : callable, optional
        Called after each piece.

    Returns
    -------
    Collected
        The log and the books.

    Raises
    ------
    InvalidInputError
        When `out` is complete already, an unfinished collection has other settings, or an argument is wrong.
    BackendError
        When nothing comes any more; what came before is kept.

    Examples
    --------
    >>> import asyncio, tempfile
    >>> from pathlib import Path
    >>> from planner.simulated import SimulatedBackend, SimulatedExtractor
    >>> out = Path(tempfile.mkdtemp()) / "log.jsonl"
    >>> done = asyncio.run(acollect([Prompt(id="a", text="6 * 7?", gold="42")], out, samples=4,
    ...     generators={"tiny": Generator(name="tiny")}, backend=SimulatedBackend(),
    ...     extractor=SimulatedExtractor()))
    >>> done.log
    SampleLog(1 prompt, 1 generator, 4 samples; with text, answers, tokens, logprobs)
    """
    check_whole("samples", samples)
    check_whole("seed", seed)
    check_choice("driver", driver, get_args(DriverName))
    independent = (Recording(width=samples),) if samples else ()
    plan = CollectPlan(
        prompts=as_prompts(prompts),
        generators=generators,
        recordings=(*independent, *recordings),
        extractor=extractor,
        grader=grader or GoldGrader(extractor=extractor),
        texts=texts,
        seed=seed,
    )
    return await carry_out(
        plan,
        out,
        worker=LocalWorker(backend=backend, verifier=verifier, driver=driver),
        limits=limits,
        partial=partial,
        tokens_per_sample=tokens_per_sample,
        approve=approve,
        progress=progress,
    )


collect = blocking(acollect)
