"""Score whole completions with an outcome reward model (a sequence classification model).

The conversation goes through the model's own chat template, or stands as plain text where it has none. It
assumes one number per completion, or two classes of which the second is "right"; steps are left to
`planner.verifiers.process_reward`.
"""

from __future__ import annotations

import asyncio
import math
import threading
from collections.abc import Sequence
from os import PathLike
from typing import Any, Self, final

from difficulty.errors import VerifierError
from planner.files.models import load_model
from planner.ports.ports import ScoreRequest, Scores
from planner.verifiers.model_batches import by_request, logits_at

__all__ = ["OutcomeRewardModel"]


@final
class OutcomeRewardModel:
    """Scores completions with a reward model; higher is better, the scale is the model's own.

    Parameters
    ----------
    model : sequence classification model of transformers
        Loaded and in evaluation mode.
    tokenizer : tokenizer
        The reward model's own.
    max_batch_tokens : int
        Most tokens in a batch.

    Notes
    -----
    One output is returned as it is (rewards of Bradley-Terry models are comparable within a prompt only); of
    two classes the probability of the second. A model without a padding token is run one completion at a
    time.

    Examples
    --------
    ``OutcomeRewardModel.load("Skywork/Skywork-Reward-V2-Qwen3-0.6B")``
    """

    def __init__(self, *, model: Any, tokenizer: Any, max_batch_tokens: int = 16_384) -> None:
        self._model, self._tokenizer, self._max_batch_tokens = model, tokenizer, max_batch_tokens
        self._lock = threading.Lock()

    @classmethod
    def load(
        cls, path: str | PathLike[str], *, device: str | None = None, max_batch_tokens: int = 16_384
    ) -> Self:
        """Load a model from a folder or hub name; safetensors only, no code of the model's own.

        Parameters
        ----------
        path : str or path
            Folder, or name on the hub.
        device : str, optional
            Where it runs; by default a GPU where there is one.
        max_batch_tokens : int
            Tokens that are read at once, padding included.

        Raises
        ------
        MissingDependencyError
            When torch or transformers is not installed.
        """
        model, tokenizer = load_model(path, "AutoModelForSequenceClassification", device=device)
        return cls(model=model, tokenizer=tokenizer, max_batch_tokens=max_batch_tokens)

    async def score(self, requests: Sequence[ScoreRequest]) -> list[Scores]:
        """Return one score per completion.

        Raises
        ------
        VerifierError
            When a prompt has no text, or the model gives no finite number.
        """
        return await asyncio.to_thread(self._run, requests)

    def _run(self, requests: Sequence[ScoreRequest]) -> list[Scores]:
        sequences = [
            self._encode(request, "".join(steps)) for request in requests for steps in request.completions
        ]
        values: list[float] = []
        with self._lock:
            pad = self._model.config.pad_token_id
            read = logits_at(
                self._model,
                sequences,
                [[0]] * len(sequences),
                # Without a padding token, transformers takes such models one sequence at a time.
                max_batch_tokens=1 if pad is None else self._max_batch_tokens,
                pad_token=pad or 0,
            )
        for logits in read:
            if logits.shape[-1] not in (1, 2):
                raise VerifierError(
                    f"an outcome reward model gives 1 or 2 numbers, this one {logits.shape[-1]}"
                )
            values.append(float(logits[0, 0] if logits.shape[-1] == 1 else logits[0].softmax(-1)[1]))
        if not all(map(math.isfinite, values)):
            raise VerifierError("the reward model gave a score that is not finite")
        scores, lengths = by_request(requests, values), by_request(requests, map(len, sequences))
        return [Scores(row, tokens_each=tokens) for row, tokens in zip(scores, lengths, strict=True)]

    def _encode(self, request: ScoreRequest, text: str) -> list[int]:
        content = request.question
        if getattr(self._tokenizer, "chat_template", None) is None:
            return list(self._tokenizer.encode(f"{content}\n{text}"))
        asked = list(request.prompt.messages) or [{"role": "user", "content": content}]
        rendered = self._tokenizer.apply_chat_template(
            [*asked, {"role": "assistant", "content": text}], tokenize=False
        )
        return list(self._tokenizer.encode(rendered, add_special_tokens=False))
