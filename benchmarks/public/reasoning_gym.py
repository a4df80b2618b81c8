"""Convert a clone of open-thought/reasoning-gym-eval: puzzles of some hundred kinds, three samples per model.

The source records texts and no token counts: tokens are estimated from the characters, alike for all models,
and what a model thought without showing it is not counted. Questions that not all of the models were asked
are left out and counted in the header.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path
from typing import Any, Final, NamedTuple

from benchmarks.public.source import Options, chosen, read_json
from difficulty.errors import InvalidInputError
from difficulty.generator import Generator
from difficulty.log.sample_log import SampleLog

PARTS: Final = ("easy", "hard")
_RUNS: Final = Path("reasoninggym-paper-experiments", "zero-shot")
_RUN: Final = re.compile(r"[^_]+_(?P<model>.+)_\d{8}_\d{6}")
# Models whose recorded text is all that they were paid for: they do not think out of sight.
_DEFAULT: Final = (
    "claude-3.5-sonnet",
    "gemma-3-27b-it",
    "llama-3.3-70b-instruct",
    "llama-4-maverick",
    "mistral-small-3.1-24b-instruct",
)
# The source gives partial credit; only full credit counts as right.
_FULL_CREDIT: Final = 0.999
# Pieces of text that common tokenizers keep whole: a word, up to three digits, a mark of punctuation.
_PIECE: Final = re.compile(r"[^\W\d_]{1,8}|\d{1,3}|(?:[^\w\s]|_){1,2}|\n+|[ \t]{2,}")


class _Asked(NamedTuple):
    """A question of a run: its task, and its content with the samples."""

    task: str
    category: str
    system: str
    content: dict[str, Any]


def convert(clone: Path, options: Options) -> SampleLog:
    """Return the log of one difficulty setting (`options.part`: one of `PARTS`).

    Parameters
    ----------
    clone : Path
        Folder of the clone.
    options : Options
        Models, part and prices.

    Raises
    ------
    InvalidInputError
        When the clone has not what is asked for.
    """
    part = options.part or PARTS[0]
    runs = _runs(clone / _RUNS / part)
    models = chosen(options, _DEFAULT, list(runs), clone)
    asked = {model: dict(_questions(runs[model])) for model in models}
    shared = set.intersection(*(set(questions) for questions in asked.values()))
    if not shared:
        raise InvalidInputError(f"{clone}: no question was put to all of {', '.join(models)}")
    n_known = len(set().union(*asked.values()))
    records = [
        _record(name, model, asked[model][name], asked[models[0]][name])
        for name in asked[models[0]]
        if name in shared
        for model in models
    ]
    return SampleLog.from_records(
        records,
        {model: _generator(model, runs[model], options) for model in models},
        about={
            "source": f"open-thought/reasoning-gym-eval, zero-shot/{part} (arXiv 2505.24760)",
            "licence": "Apache-2.0",
            "note": "Tokens are estimated from the characters of the recorded text, alike for all models; "
            "what is thought out of sight is not in them. Prices are not in the source. Right is full "
            f"credit. {n_known - len(shared)} questions were left out, since not all of the models have "
            "samples of them; requests that failed are no samples.",
        },
    )


def estimated_tokens(text: str) -> int:
    """Return about how many tokens a text has for a common tokenizer.

    Examples
    --------
    >>> estimated_tokens("Add 12345 and 7.")
    6
    """
    return len(_PIECE.findall(text))


def _runs(folder: Path) -> dict[str, Path]:
    """Return the folder of each model; of several runs of one model the latest."""
    if not folder.is_dir():
        raise InvalidInputError(
            f"there is no {folder}: give the folder of a clone of open-thought/reasoning-gym-eval, and a "
            f"part of {', '.join(PARTS)}"
        )
    found = {}
    for path in sorted(folder.iterdir(), key=lambda path: path.name[-15:]):
        match = _RUN.fullmatch(path.name)
        if match and path.is_dir():
            found[match["model"]] = path
    return found


def _questions(run: Path) -> Iterator[tuple[str, _Asked]]:
    """Yield prompt ids and questions with samples; equal questions of a task are numbered."""
    for path in sorted(run.glob("*/*.json")):
        task = read_json(path)
        seen: Counter[str] = Counter()
        for content in task["results"]:
            key = _digest(content["question"])
            seen[key] += 1
            again = f"/{seen[key]}" if seen[key] > 1 else ""
            if any(_answered(completion) for completion in content["completions"]):
                yield (
                    f"rg/{task['name']}/{key}{again}",
                    _Asked(task["name"], task["category"], task["system_prompt"], content),
                )


def _answered(completion: dict[str, Any]) -> bool:
    return not completion.get("error")


def _record(name: str, model: str, asked: _Asked, first: _Asked) -> dict[str, object]:
    """Return a line; what belongs to the question is the first model's, as runs spell references apart."""
    question = first.content["question"]
    return {
        "prompt_id": name,
        "prompt": question,
        "group": f"rg/{_digest(question)}",
        "generator": model,
        "gold": _text(first.content["expected_answer"]),
        "prompt_tokens": estimated_tokens(first.system) + estimated_tokens(question),
        "samples": [
            {
                "answer": _text(completion["model_answer"]),
                "correct": completion["score"] >= _FULL_CREDIT,
                "output_tokens": estimated_tokens(completion["full_model_response"]),
            }
            for completion in asked.content["completions"]
            if _answered(completion)
        ],
        "meta": {"task": first.task, "category": first.category},
    }


def _generator(model: str, run: Path, options: Options) -> Generator:
    """Return a generator with the settings of a run's summary, where it has one."""
    price = options.prices.get(model)
    path = run / "summary.json"
    settings = read_json(path) if path.exists() else {}
    return Generator(
        name=model,
        model=settings.get("model"),
        temperature=settings.get("temperature"),
        top_p=settings.get("top_p"),
        max_output_tokens=settings.get("max_tokens"),
        usd_per_mtok_in=None if price is None else price.usd_per_mtok_in,
        usd_per_mtok_out=None if price is None else price.usd_per_mtok_out,
    )


def _digest(question: str) -> str:
    return sha256(question.encode()).hexdigest()[:12]


def _text(answer: object) -> str | None:
    return None if answer is None else str(answer)
