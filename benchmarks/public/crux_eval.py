"""Convert a clone of crux-eval/crux-eval.github.io: predict what a Python function returns, or its input.

The source records answers and verdicts, ten samples at temperature .8 of each model and style of prompt, and
no tokens: costs are in samples. Answers are compared as Python reads them, never executed.
"""

from __future__ import annotations

import ast
import json
import warnings
from pathlib import Path
from typing import Any, Final

import msgspec

from benchmarks.public.source import Options, chosen, read_json
from difficulty.errors import InvalidInputError
from difficulty.generator import Generator
from difficulty.log.sample_log import SampleLog

PARTS: Final = ("output", "input")
_RESULTS: Final = "evaluation_results"
_TEMPERATURE: Final = "0.8"
_DEFAULT: Final = (
    "codellama-34b",
    "codellama-34b+cot",
    "codellama-7b",
    "codellama-7b+cot",
    "deepseek-base-33b",
    "gpt-3.5-turbo-0613",
    "gpt-3.5-turbo-0613+cot",
    "starcoderbase-16b",
    "wizard-13b",
)
_STYLES: Final = {"": "direct", "+cot": "cot"}


def convert(clone: Path, options: Options) -> SampleLog:
    """Return the log of one task (`options.part`: one of `PARTS`).

    Parameters
    ----------
    clone : Path
        Folder of the clone.
    options : Options
        Models and part; models with chain of thought end in ``+cot``. Prices go into the header.

    Raises
    ------
    InvalidInputError
        When the clone has not what is asked for.
    """
    part = options.part or PARTS[0]
    if part not in PARTS:
        raise InvalidInputError(f"the part must be one of {', '.join(PARTS)}, got {part!r}")
    problems = _problems(clone / "cruxeval.js")
    pattern = f"*_temp{_TEMPERATURE}_{part}.json"
    files = {path.name[: -len(pattern) + 1]: path for path in sorted((clone / _RESULTS).glob(pattern))}
    models = chosen(options, _DEFAULT, list(files), clone)
    generators = {model: _generator(model, options) for model in models}
    results = {model: read_json(files[model]) for model in models}
    return SampleLog.from_records(
        [
            _record(problem, part, generators[model].name, results[model])
            for problem in problems
            for model in models
            if problem["id"] in results[model]["raw_generations"]
        ],
        {generator.name: generator for generator in generators.values()},
        about={
            "source": f"crux-eval/crux-eval.github.io, {_RESULTS}, {part} (arXiv 2401.03065)",
            "licence": "MIT",
            "note": "No token counts are in the source. Answers are written as Python writes them, cut "
            "before a second line of code; verdicts are those of the source.",
        },
    )


def _problems(path: Path) -> list[dict[str, str]]:
    """Return the problems of the site's script: one JSON list."""
    try:
        text = path.read_text("utf-8")
        problems, _ = json.JSONDecoder().raw_decode(text, text.index("["))
        return msgspec.convert(problems, list[dict[str, str]])
    except (OSError, ValueError, msgspec.ValidationError) as error:
        raise InvalidInputError(
            f"cannot read the problems in {path}: {error}; give the folder of a clone of "
            "crux-eval/crux-eval.github.io"
        ) from error


def _record(problem: dict[str, str], part: str, generator: str, results: dict[str, Any]) -> dict[str, object]:
    name = problem["id"]
    answers, verdicts = results["raw_generations"][name], results["raw_scored_generations"][name]
    if part == "output":
        asked, gold = f"assert f({problem['input']}) == ??", problem["output"]
    else:
        asked, gold = f"assert f(??) == {problem['output']}", f"f({problem['input']})"
    return {
        "prompt_id": f"cruxeval/{part}/{name}",
        "prompt": f"Complete the assertion about this Python function.\n{problem['code']}\n{asked}",
        "group": name,
        "generator": generator,
        "gold": _as_python_writes(gold),
        "samples": [
            {"answer": _as_python_writes(answer), "correct": verdict}
            for answer, verdict in zip(answers, verdicts, strict=True)
        ],
    }


def _as_python_writes(answer: str) -> str:
    """Return an expression in one spelling; what is no expression is cut to its first line that is one."""
    text = answer.strip()
    for candidate in (text, text.partition("\n")[0].strip()):
        try:
            with warnings.catch_warnings():
                # Unknown escapes in strings are the model's, and mean what Python takes them for.
                warnings.simplefilter("ignore")
                return ast.unparse(ast.parse(candidate, mode="eval"))
        except (SyntaxError, ValueError, RecursionError, MemoryError):
            continue
    return text


def _generator(model: str, options: Options) -> Generator:
    stem = model.removesuffix("+cot")
    price = options.prices.get(stem)
    style = _STYLES[model.removeprefix(stem)]
    return Generator(
        name=f"{stem}/{style}",
        model=stem,
        prompt_template=style,
        temperature=float(_TEMPERATURE),
        usd_per_mtok_in=None if price is None else price.usd_per_mtok_in,
        usd_per_mtok_out=None if price is None else price.usd_per_mtok_out,
    )
