"""Turn a clone of crux-eval/crux-eval.github.io into a sample log.

It assumes the site's data file, with code, input and output of each problem, and one file per model, style,
temperature and task in ``evaluation_results``. Tokens are not recorded there, so the unit is samples.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from difficulty.errors import InvalidInputError
from difficulty.generator import Generator
from difficulty.log.sample_log import SampleLog

__all__ = ["cruxeval_log"]

_FILE: Final = re.compile(r"(?P<model>.+?)(?P<cot>\+cot)?_temp(?P<temp>[\d.]+)_(?P<task>input|output)\.json")


def cruxeval_log(
    clone: Path, *, task: str = "output", models: Sequence[str] = (), temperature: float = 0.8
) -> SampleLog:
    """Read all samples of one task at one temperature.

    Parameters
    ----------
    clone : Path
        Folder of the clone.
    task : {"output", "input"}
        Predict the output of a program, or find an input.
    models : sequence of str, optional
        Keep models whose name contains one of these; all by default.
    temperature : float
        Which samples; at 0.2 they hardly differ.

    Raises
    ------
    InvalidInputError
        When the clone has no such samples.
    """
    problems = _problems(clone / "cruxeval.js")
    lines, generators = [], {}
    for path in sorted((clone / "evaluation_results").glob("*.json")):
        found = _FILE.fullmatch(path.name)
        if found is None or found["task"] != task or float(found["temp"]) != temperature:
            continue
        if models and not any(part in found["model"] for part in models):
            continue
        style = "cot" if found["cot"] else "direct"
        name = f"{found['model']}/{style}"
        generators[name] = Generator(
            name=name, model=found["model"], prompt_template=style, temperature=temperature
        )
        run = json.loads(path.read_text(encoding="utf-8"))
        answers, right = run["raw_generations"], run["raw_scored_generations"]
        for number, problem in problems.items():
            if number in answers and number in right:
                lines.append(_line(number, problem, task, name, answers[number], right[number]))
    if not lines:
        raise InvalidInputError(
            f"{clone} has no samples of {', '.join(models) or 'any model'} for the task {task!r} at "
            f"temperature {temperature}; clone crux-eval/crux-eval.github.io and give its folder"
        )
    about = {
        "source": f"CRUXEval samples, crux-eval/crux-eval.github.io, {task} at temperature {temperature}",
        "licence": "MIT",
        "note": "no token counts",
    }
    return SampleLog.from_records(lines, generators, about=about)


def _problems(path: Path) -> dict[str, dict[str, Any]]:
    """Read the list that a script assigns to a name."""
    if not path.exists():
        raise InvalidInputError(f"{path} is missing; clone crux-eval/crux-eval.github.io and give its folder")
    text = path.read_text(encoding="utf-8")
    problems, _ = json.JSONDecoder().raw_decode(text, text.index("["))
    return {problem["id"]: problem for problem in problems}


def _line(
    number: str,
    problem: dict[str, Any],
    task: str,
    generator: str,
    answers: Sequence[str],
    right: Sequence[bool],
) -> dict[str, Any]:
    known, wanted = ("input", "output") if task == "output" else ("output", "input")
    call = f"f({problem['input']}) == ??" if task == "output" else f"f(??) == {problem['output']}"
    return {
        "prompt_id": f"cruxeval-{task[0].upper()}/{number}",
        "prompt": f"Python: predict the {wanted} for this {known}.\n{problem['code']}\nassert {call}",
        "group": number,
        "generator": generator,
        "gold": problem[wanted],
        "samples": [
            {"answer": answer.strip() or None, "correct": bool(correct)}
            for answer, correct in zip(answers, right, strict=True)
        ],
    }
