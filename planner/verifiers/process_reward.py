"""Score completions step by step with a process reward model.

Formats and the place of each score are in `planner.verifiers.step_formats`; one score per step, or an error.
It assumes steps as the strategy split them; what to do with the scores is left to the strategies.
"""

from __future__ import annotations

import asyncio
import math
import threading
from collections.abc import Sequence
from dataclasses import replace
from os import PathLike
from typing import Any, Final, Literal, Self, TypeAlias, final

from difficulty.arguments import check_choice
from difficulty.errors import InvalidInputError, VerifierError
from planner.files.models import load_model
from planner.ports.ports import ScoreRequest, Scores
from planner.verifiers.model_batches import by_request, logits_at
from planner.verifiers.step_formats import StepFormat, answer_tokens, encode_steps, split_steps, step_format

__all__ = ["Aggregation", "ProcessRewardModel", "aggregate"]

Aggregation: TypeAlias = Literal["last", "min", "product", "mean"]
_AGGREGATIONS: Final = ("last", "min", "product", "mean")


def aggregate(scores: Sequence[float], how: Aggregation) -> float:
    """Return one score for a completion from the scores of its steps.

    Examples
    --------
    >>> [round(aggregate([0.9, 0.5, 0.8], how), 2) for how in ("last", "min", "product", "mean")]
    [0.8, 0.5, 0.36, 0.73]
    """
    if how == "last":
        return scores[-1]
    if how == "min":
        return min(scores)
    return math.prod(scores) if how == "product" else sum(scores) / len(scores)


@final
class ProcessRewardModel:
    """Scores each step of a completion with P(right), and the completion with an aggregate of these.

    Parameters
    ----------
    model : model of transformers
        Loaded and in evaluation mode.
    tokenizer : tokenizer
        The reward model's own.
    form : StepFormat
        How it wants its steps; see `planner.verifiers.step_formats.STEP_FORMATS`.
    aggregation : {"last", "min", "product", "mean"}
        How step scores become the score of a completion.
    max_batch_tokens : int
        Most tokens in a batch.

    Notes
    -----
    `Scores.tokens_each` counts each completion's tokens in full: nothing is cached between calls.

    References
    ----------
    Snell et al. (2024), arXiv:2408.03314, appendix E, prefer the last step's score; Lightman et al. (2023),
    arXiv:2305.20050, the product.

    Examples
    --------
    ``ProcessRewardModel.load("Qwen/Qwen2.5-Math-PRM-7B", form="qwen2.5-math-prm", trust_remote_code=True)``
    """

    def __init__(
        self,
        *,
        model: Any,
        tokenizer: Any,
        form: StepFormat,
        aggregation: Aggregation = "last",
        max_batch_tokens: int = 16_384,
    ) -> None:
        check_choice("aggregation", aggregation, _AGGREGATIONS)
        self._model, self._tokenizer, self._form = model, tokenizer, form
        self._aggregation: Aggregation = aggregation
        self._max_batch_tokens = max_batch_tokens
        self._lock = threading.Lock()

    @classmethod
    def load(
        cls,
        path: str | PathLike[str],
        *,
        form: str,
        aggregation: Aggregation = "last",
        device: str | None = None,
        trust_remote_code: bool = False,
        max_batch_tokens: int = 16_384,
    ) -> Self:
        """Load a model from a folder or hub name.

        Parameters
        ----------
        path : str or path
            Folder, or name on the hub.
        form : str
            A key of `STEP_FORMATS`.
        aggregation, max_batch_tokens
            As in the class.
        device : str, optional
            Where it runs; by default a GPU where there is one.
        trust_remote_code : bool
            Some families bring code of their own; it runs only when this is True.

        Raises
        ------
        InvalidInputError
            When the format is unknown, or has a head that no class of transformers has: then load the model
            with its own code and pass it to the constructor.
        """
        chosen = step_format(form)
        if chosen.head == "value":
            raise InvalidInputError(
                f"{form!r} models have a head of their own; load one with its code and pass it as model"
            )
        kinds = {"tokens": "AutoModelForCausalLM", "labels": "AutoModelForTokenClassification"}
        kind = "AutoModel" if trust_remote_code and chosen.head == "labels" else kinds[chosen.head]
        model, tokenizer = load_model(path, kind, device=device, trust_remote_code=trust_remote_code)
        return cls(
            model=model,
            tokenizer=tokenizer,
            form=chosen,
            aggregation=aggregation,
            max_batch_tokens=max_batch_tokens,
        )

    async def score(self, requests: Sequence[ScoreRequest]) -> list[Scores]:
        """Return the aggregated score of each completion, between 0 and 1, with the scores of its steps.

        A completion that comes as one step is a whole text: it is split at the format's delimiter.

        Raises
        ------
        VerifierError
            When a completion does not get exactly one score per step.
        """
        split = [replace(request, completions=self._split(request.completions)) for request in requests]
        return [
            Scores([aggregate(one, self._aggregation) for one in steps], tokens_each=tokens, steps=steps)
            for steps, tokens in await asyncio.to_thread(self._run, split)
        ]

    async def step_scores(self, requests: Sequence[ScoreRequest]) -> list[list[list[float]]]:
        """Return the score of each step of each completion as it is given, between 0 and 1.

        Raises
        ------
        VerifierError
            As `score`.
        """
        return [steps for steps, _ in await asyncio.to_thread(self._run, requests)]

    def _split(self, completions: Sequence[tuple[str, ...]]) -> tuple[tuple[str, ...], ...]:
        delimiter = self._form.delimiter
        return tuple(split_steps(one[0], delimiter) if len(one) == 1 else one for one in completions)

    def _run(self, requests: Sequence[ScoreRequest]) -> list[tuple[list[list[float]], list[int]]]:
        """Return for each request the step scores of its completions, and the tokens that each took."""
        encoded = [
            encode_steps(self._tokenizer, self._form, question=request.question, steps=steps)
            for request in requests
            for steps in request.completions
        ]
        with self._lock:
            read = logits_at(
                self._model,
                [item.tokens for item in encoded],
                [item.positions for item in encoded],
                max_batch_tokens=self._max_batch_tokens,
            )
        chances = by_request(requests, map(self._chances, read))
        for request, row in zip(requests, chances, strict=True):
            for found, steps in zip(row, request.completions, strict=True):
                if len(found) != len(steps) or not all(map(math.isfinite, found)):
                    raise VerifierError(
                        f"prompt {request.prompt.id!r}: {len(found)} scores for {len(steps)} steps, or not "
                        "all finite; is the format right for this model?"
                    )
        lengths = by_request(requests, (len(item.tokens) for item in encoded))
        return list(zip(chances, lengths, strict=True))

    def _chances(self, logits: Any) -> list[float]:
        """Turn the logits at the steps, shape (steps, K), into P(right) of each."""
        head, width = self._form.head, logits.shape[-1]
        if head == "value" and width == 1:
            return list(logits[:, 0].sigmoid().tolist())
        if head == "labels" and width == 2:
            return list(logits.softmax(-1)[:, 1].tolist())
        if head == "tokens" and width > 2:
            return list(logits[:, answer_tokens(self._tokenizer, self._form)].softmax(-1)[:, 0].tolist())
        raise VerifierError(f"the model gives {width} numbers per step, which does not fit the head {head!r}")
