"""Turn a clone of open-thought/reasoning-gym-eval into a sample log.

It assumes the folders of its zero-shot runs: one per model, one JSON file per task, completions with scores.
The repository counts no tokens: they are counted by an encoding of tiktoken, or estimated from characters.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from hashlib import blake2b
from pathlib import Path
from typing import Any, Final

from difficulty.errors import InvalidInputError
from difficulty.generator import Generator
from difficulty.log.sample_log import SampleLog

__all__ = ["PRICES", "reasoning_gym_log"]

_RUNS: Final = ("reasoninggym-paper-experiments", "zero-shot")
_STAMP: Final = re.compile(r"_\d{8}_\d{6}$")
# Full credit; the source gives parts of it, too.
_CORRECT: Final = 0.999
_LONGEST_ANSWER: Final = 80
_CHARACTERS_PER_TOKEN: Final = 4.0

PRICES: Final[Mapping[str, tuple[float, float]]] = {
    "claude-3.5-sonnet": (3.0, 15.0),
    "claude-sonnet-4": (3.0, 15.0),
    "deepseek-r1": (0.55, 2.19),
    "gemma-3-27b-it": (0.1, 0.2),
    "llama-3.3-70b-instruct": (0.12, 0.3),
    "llama-4-maverick": (0.2, 0.6),
    "llama-4-scout": (0.08, 0.3),
    "mistral-small-3.1-24b-instruct": (0.1, 0.3),
    "o3-mini": (1.1, 4.4),
    "qwq-32b": (0.15, 0.2),
}
"""Dollars per million prompt and output tokens, by model: rounded list prices of 2025."""


def reasoning_gym_log(
    clone: Path,
    *,
    level: str = "easy",
    models: Sequence[str] = (),
    encoding: str | None = None,
) -> SampleLog:
    """Read the runs of one level.

    Parameters
    ----------
    clone : Path
        Folder of the clone.
    level : {"easy", "hard"}
        Which runs.
    models : sequence of str, optional
        Keep models whose name contains one of these; all by default.
    encoding : str, optional
        Name of a tiktoken encoding; without it, four characters count as a token.

    Raises
    ------
    InvalidInputError
        When the clone has no such runs.
    """
    base = clone.joinpath(*_RUNS, level)
    runs = {_model(folder.name): folder for folder in sorted(base.glob("*")) if folder.is_dir()}
    runs = {name: run for name, run in runs.items() if not models or any(part in name for part in models)}
    if not runs:
        raise InvalidInputError(
            f"{base} has no runs of {', '.join(models) or 'any model'}; clone "
            "open-thought/reasoning-gym-eval and give its folder"
        )
    count = _counter(encoding)
    lines: dict[tuple[str, str], dict[str, Any]] = {}
    for name, folder in runs.items():
        for path in sorted(folder.glob("*/*.json")):
            for line in _lines(json.loads(path.read_text(encoding="utf-8")), name, count):
                kept = lines.setdefault((line["prompt_id"], name), line)
                if kept is not line:
                    kept["samples"] += line["samples"]
    about = {
        "source": f"open-thought/reasoning-gym-eval, zero-shot {level}",
        "licence": "Apache-2.0",
        "note": "correct: full credit; an answer without tags is null and wrong, as in the source. Tokens: "
        + (f"tiktoken {encoding}" if encoding else "estimated, four characters each")
        + ". Prices: rounded list prices of 2025, not in the source.",
    }
    generators = {name: _generator(name) for name in runs}
    return SampleLog.from_records(list(lines.values()), generators, about=about)


def _model(folder: str) -> str:
    """Return the model's name: the folder without its owner and its time stamp."""
    return _STAMP.sub("", folder).partition("_")[2]


def _generator(name: str) -> Generator:
    price = PRICES.get(name)
    if price is None:
        return Generator(name=name, model=name)
    return Generator(name=name, model=name, usd_per_mtok_in=price[0], usd_per_mtok_out=price[1])


def _lines(run: Mapping[str, Any], name: str, count: Callable[[str], int]) -> Iterator[dict[str, Any]]:
    task, system = run["name"], run.get("system_prompt") or ""
    for result in run["results"]:
        question = result["question"]
        digest = blake2b(question.encode(), digest_size=6).hexdigest()
        samples = [
            {
                "answer": _answer(completion.get("model_answer")),
                "correct": float(completion["score"]) >= _CORRECT,
                "output_tokens": count(completion.get("full_model_response") or ""),
            }
            for completion in result["completions"]
        ]
        if samples:
            yield {
                "prompt_id": f"rg/{task}/{digest}",
                "prompt": question,
                "group": f"rg/{digest}",
                "generator": name,
                "gold": str(result.get("expected_answer")),
                "prompt_tokens": count(system) + count(question),
                "samples": samples,
                "meta": {"task": task, "category": run.get("category")},
            }


def _answer(answer: Any) -> str | None:
    """Return an answer; a long one is cut, with a hash so that equality holds."""
    if answer is None:
        return None
    text = str(answer)
    if len(text) <= _LONGEST_ANSWER:
        return text
    return f"{text[: _LONGEST_ANSWER - 17]} {blake2b(text.encode(), digest_size=8).hexdigest()}"


def _counter(encoding: str | None) -> Callable[[str], int]:
    if encoding is None:
        return lambda text: max(round(len(text) / _CHARACTERS_PER_TOKEN), 1)
    import tiktoken  # optional: downloads its tables

    encoder = tiktoken.get_encoding(encoding)
    return lambda text: len(encoder.encode(text, disallowed_special=()))
