"""What a collection records: prompts × generators × recordings, cut into numbered pieces of work.

A piece is what is drawn, graded and written as a whole; the same settings always give the same pieces in the
same order, so that a piece is known by its number. Drawing is left to `planner.collection.shard`, files to
`planner.collection.file`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from hashlib import sha256
from typing import Final, NamedTuple, Self

import msgspec

from difficulty.arguments import check_whole
from difficulty.errors import InvalidInputError
from difficulty.generator import Generator, check_by_name
from difficulty.log.lines import generator_record
from difficulty.prompt import Prompt
from planner.answers.rule import AnswerRule
from planner.ports.ports import AnswerExtractor, Grader
from planner.strategies.registry import strategy_of
from planner.strategies.task import Task
from policies.course.allocation import Allocation, ParameterValue
from policies.course.strategies import TRAITS, StrategyName, strategies_of_kind

# Runs of strategies get seeds far from those of independent samples, whose draws they would repeat otherwise.
_RUN_SEEDS: Final = 1_000_003
# What is still to be drawn is kept in memory.
_MOST_PIECES: Final = 10_000_000


@dataclass(frozen=True, kw_only=True, slots=True)
class Recording:
    """What to record of every prompt × generator: independent samples, revision chains, or runs of a search.

    Parameters
    ----------
    strategy : str, optional
        None for independent samples; ``"sequential_revision"`` or a tree search otherwise.
    width : int
        Independent samples, chains, or the size N of a search, at least 1.
    depth : int
        Attempts per chain, at least 1; 1 for everything but chains.
    runs : int
        Complete runs of a search, at least 1; 1 for samples and chains, which count by `width`.
    params : mapping or tuple of pairs
        Parameters of the strategy, e.g. ``{"beam_width": 4}``; stored as sorted pairs.

    Raises
    ------
    InvalidInputError
        When the strategy has no use for recorded runs, or a number or parameter is not as described.

    Examples
    --------
    >>> [recording.width for recording in Recording.grid("beam_search", widths=(4, 16), runs=2)]
    [4, 16]
    """

    strategy: StrategyName | None = None
    width: int
    depth: int = 1
    runs: int = 1
    params: tuple[tuple[str, ParameterValue], ...] | Mapping[str, ParameterValue] = ()

    def __post_init__(self) -> None:
        object.__setattr__(self, "params", tuple(sorted(dict(self.params).items())))
        for name in ("width", "depth", "runs"):
            check_whole(name, getattr(self, name), least=1)
        allowed = strategies_of_kind("revision", "search")
        if self.strategy is not None and self.strategy not in allowed:
            raise InvalidInputError(
                f"runs of {self.strategy!r} need not be recorded: independent samples tell what it is worth; "
                f"allowed: {', '.join(allowed)}"
            )
        if self.runs > 1 and not self.is_search:
            raise InvalidInputError("samples and chains count by width; runs is for searches")
        if self.strategy is None and (self.depth > 1 or self.params):
            raise InvalidInputError("independent samples have no depth and no parameters; name a strategy")
        strategy_of(self.allocation("any"))

    @classmethod
    def grid(
        cls,
        strategy: StrategyName,
        *,
        widths: Sequence[int],
        depth: int = 1,
        runs: int = 1,
        params: Mapping[str, ParameterValue] | None = None,
    ) -> list[Self]:
        """Return one recording per width; parameters as in the class."""
        return [
            cls(strategy=strategy, width=width, depth=depth, runs=runs, params=params or {})
            for width in widths
        ]

    @property
    def is_search(self) -> bool:
        """Whether complete runs are recorded, rather than samples or chains that can be resampled."""
        return self.strategy is not None and TRAITS[self.strategy].kind == "search"

    @property
    def n_samples(self) -> int:
        """Completions that one piece asks for: exact for samples and chains, the size N for a search."""
        return self.width * self.depth

    def allocation(self, generator: str) -> Allocation:
        """Return the allocation that draws one piece."""
        return Allocation(
            generator=generator,
            strategy=self.strategy or "majority_vote",
            width=self.width,
            depth=self.depth,
            params=self.params,
        )

    def line_params(self) -> dict[str, ParameterValue] | None:
        """Return the parameters that the log's line names; the size of a search is one of them."""
        size = {"n": self.width} if self.is_search else {}
        return (size | dict(self.params)) or None

    def describe(self) -> dict[str, object]:
        """Return what identifies this recording, as JSON values."""
        return asdict(self) | {"params": dict(self.params)}

    def __str__(self) -> str:
        if self.strategy is None:
            return f"{self.width} samples"
        size = f"{self.width}" if self.depth == 1 else f"{self.width}x{self.depth}"
        return f"{self.strategy} N={size}" + (f", {self.runs} runs" if self.runs > 1 else "")


class Piece(NamedTuple):
    """One piece: places of its prompt, generator and recording, and which run of the recording it is."""

    number: int
    prompt: int
    generator: str
    recording: int
    run: int


@dataclass(frozen=True, kw_only=True, slots=True)
class CollectPlan:
    """Everything that decides what a collection holds; picklable, so that workers elsewhere can have it.

    Parameters
    ----------
    prompts : tuple of Prompt
        The P prompts; ids are unique.
    generators : mapping of str to Generator
        By name.
    recordings : tuple of Recording
        What is recorded of each prompt × generator; no two alike.
    extractor : AnswerExtractor
        Finds answers in texts.
    grader : Grader
        Says which answers are right.
    texts : bool
        Keep the texts of the samples.
    seed : int
        Seed of every draw.
    samples_per_request : int
        Most samples of one prompt that are asked for at once, at least 1.
    source : str
        Where the prompts come from, for the log's header.

    Raises
    ------
    InvalidInputError
        When there is nothing to collect, or a generator or recording is given twice.
    """

    prompts: tuple[Prompt, ...]
    generators: Mapping[str, Generator]
    recordings: tuple[Recording, ...]
    extractor: AnswerExtractor
    grader: Grader
    texts: bool = False
    seed: int = 0
    samples_per_request: int = 64
    source: str = ""
    _pieces: tuple[Piece, ...] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        check_by_name(self.generators)
        if not self.prompts or not self.generators or not self.recordings:
            raise InvalidInputError(
                "a collection needs prompts, generators and something to record of them; got "
                f"{len(self.prompts)}, {len(self.generators)} and {len(self.recordings)}"
            )
        lines = [(recording.strategy, recording.line_params()) for recording in self.recordings]
        repeated = [str(r) for r, line in zip(self.recordings, lines, strict=True) if lines.count(line) > 1]
        if repeated:
            raise InvalidInputError(
                f"recorded twice: {', '.join(repeated)}; give each strategy and size once"
            )
        check_whole("samples_per_request", self.samples_per_request, least=1)
        for name, generator in self.generators.items():
            if name != generator.name:
                raise InvalidInputError(f"generators[{name!r}] has the name {generator.name!r}")
        n_runs = sum(recording.runs for recording in self.recordings)
        if (n := len(self.prompts) * len(self.generators) * n_runs) > _MOST_PIECES:
            raise InvalidInputError(
                f"a collection has at most {_MOST_PIECES:,} pieces (prompts x generators x runs), got {n:,}; "
                "record fewer runs, or collect in parts"
            )
        keys = [
            (prompt, name, place, run)
            for prompt in range(len(self.prompts))
            for name in self.generators
            for place, recording in enumerate(self.recordings)
            for run in range(recording.runs)
        ]
        object.__setattr__(self, "_pieces", tuple(Piece(number, *key) for number, key in enumerate(keys)))

    @property
    def pieces(self) -> tuple[Piece, ...]:
        """All pieces, in the order of the log's lines."""
        return self._pieces

    def task(self, piece: Piece) -> Task:
        """Return the work order that draws a piece."""
        recording = self.recordings[piece.recording]
        # Each recording and run draws samples of its own: none is in the log twice, and what one costs does
        # not depend on which other ones a killed session had drawn.
        place = sum(one.runs for one in self.recordings[: piece.recording]) + piece.run
        prompt, extractor = self.prompts[piece.prompt], self.extractor
        return Task(
            prompt=prompt,
            allocation=recording.allocation(piece.generator),
            generator=self.generators[piece.generator],
            extractor=extractor.fresh(prompt) if isinstance(extractor, AnswerRule) else extractor,
            seed=self.seed if recording.strategy is None else self.seed + _RUN_SEEDS * (1 + place),
            wave_size=self.samples_per_request,
        )

    def probe(self, n_prompts: int) -> list[Piece]:
        """Return the first run of every recording for a few prompts, evenly spaced over all of them."""
        n_prompts = min(n_prompts, len(self.prompts))
        chosen = {round((step + 0.5) * len(self.prompts) / n_prompts - 0.5) for step in range(n_prompts)}
        return [piece for piece in self._pieces if piece.prompt in chosen and piece.run == 0]

    def settings(self) -> dict[str, object]:
        """Return what a continued collection must agree in, as JSON values."""
        prompts = [
            [
                prompt.id,
                prompt.text,
                [dict(message) for message in prompt.messages],
                prompt.group,
                prompt.gold,
            ]
            for prompt in self.prompts
        ]
        return {
            "prompts": sha256(msgspec.json.encode(prompts)).hexdigest()[:32],
            "generators": {name: generator_record(one) for name, one in self.generators.items()},
            "recordings": [recording.describe() for recording in self.recordings],
            "extractor": name_of(self.extractor),
            "grader": name_of(self.grader),
            "texts": self.texts,
            "seed": self.seed,
        }


def name_of(plug_in: object) -> str:
    """Return how settings name an extractor or grader: its representation where that has no address in it.

    Examples
    --------
    >>> from planner.answers.rules import LastNumber
    >>> name_of(LastNumber())
    'LastNumber()'
    """
    shown = repr(plug_in)
    return type(plug_in).__qualname__ if " at 0x" in shown else shown
