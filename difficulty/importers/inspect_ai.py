"""Import evaluation logs of inspect_ai, with epochs as samples.

It assumes ``.json`` or ``.eval`` logs of version 2. Token counts come from each sample's usage; whether it is
correct from one scorer's value; its answer from that scorer too, or from the completion where the scorer
recorded all of it: `difficulty.importers.inspect_sample`.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Literal

from difficulty.errors import InvalidInputError, InvalidLogError
from difficulty.generator import Generator
from difficulty.importers.inspect_retries import Log, each_sample_once
from difficulty.importers.inspect_sample import Reading, line_of, sample_of
from difficulty.importers.inspect_wire import Evaluation, Settings, read_file
from difficulty.importers.shared import (
    Extract,
    Grade,
    LineGroups,
    Wanted,
    log_of,
    refuse_copies,
    warn_of_whole_texts,
)
from difficulty.log.found_in import found_in
from difficulty.log.sample_log import SampleLog
from difficulty.log.tables.sample_cells import share_prompt_tokens
from difficulty.scale import check_threshold


def read_inspect(
    *paths: str | os.PathLike[str],
    scorer: str | None = None,
    failed_samples: Literal["refuse", "leave_out"] = "refuse",
    threshold: float | None = None,
    extract: Extract | None = None,
    grade: Grade | None = None,
) -> SampleLog:
    """Read logs of inspect_ai; each epoch of a sample id is one sample of that prompt.

    Parameters
    ----------
    *paths : str or path
        Logs of one or several models and tasks; logs of the same task and model add samples. Samples that
        a retry of a run took over from it are read once.
    scorer : str, optional
        Scorer that says whether a sample is correct; needed where a log has several. A part of a score that
        is an object is ``scorer.part``.
    failed_samples : {"refuse", "leave_out"}
        What to do with samples that ended in an error: they are no answers. Left-out ones are counted in
        ``about["failed_samples_left_out"]``.
    threshold : float, optional
        The least mark that counts as right, where scores are graded; C, P and I are 1, 0.5 and 0.
    extract : callable, optional
        Finds the answer in a completion; by default the scorer's answer is taken, and the end of the
        completion where that is the whole of it.
    grade : callable, optional
        Compares an answer with a target, where no scorer judged a sample.

    Returns
    -------
    SampleLog
        Prompt ids are ``task/id``, generators are named as the models, with the solvers where one model was
        asked through several.

    Raises
    ------
    InvalidLogError
        When a file is not such a log, has failed samples that are not to be left out, or scores that are
        neither right nor wrong.

    Notes
    -----
    Prompt tokens are the total less the output tokens, so that cached tokens count. A sample that called the
    model several times (an agent) has the tokens of all calls. A sample that a limit stopped is truncated;
    where the limit was one of time, its verdict is unknown. Choices are part of the prompt. A warning tells
    when most answers are whole texts, which never agree in votes.

    References
    ----------
    UK AI Security Institute, inspect_ai log format version 2, https://inspect.aisi.org.uk/eval-logs.html.

    Examples
    --------
    >>> import json, tempfile
    >>> epochs = [{"id": 1, "epoch": epoch, "input": "2 + 2?", "target": "4",
    ...            "output": {"completion": answer, "usage": {"output_tokens": 1, "total_tokens": 6}},
    ...            "scores": {"match": {"value": value, "answer": answer}}}
    ...           for epoch, (answer, value) in enumerate([("4", "C"), ("5", "I")], start=1)]
    >>> evaluation = {"version": 2, "eval": {"task": "sums", "model": "m"}, "samples": epochs}
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = Path(folder, "log.json")
    ...     _ = path.write_text(json.dumps(evaluation))
    ...     log = read_inspect(path)
    >>> log.pool("m").correct.tolist(), log.pool("m").prompt_tokens.tolist()
    ([[1, 0]], [5.0])
    """
    check_threshold(threshold)
    refuse_copies(paths)
    groups = LineGroups()
    generators: dict[str, Generator] = {}
    reading = Reading(Wanted(scorer, what="scorer"), threshold, extract, grade)
    n_left_out = 0
    runs = each_sample_once(Log(path, *read_file(path)) for path in map(Path, paths))
    logs = runs.logs
    solvers: dict[str, set[tuple[str, ...]]] = {}
    for _, header, _ in logs:
        solvers.setdefault(header.eval.model, set()).add(header.solvers)
    for path, header, samples in logs:
        several = len(solvers[header.eval.model]) > 1
        try:
            generator = _generator(header.eval, header.solvers if several else ())
        except InvalidInputError as error:
            raise InvalidLogError(str(error), path=str(path)) from error
        if generators.setdefault(generator.name, generator) != generator:
            raise InvalidLogError(
                f"model {generator.name!r} has other settings than in an earlier log; import it apart",
                path=str(path),
            )
        for sample in sorted(samples, key=lambda each: each.epoch):
            where = f"sample {sample.id!r}, epoch {sample.epoch}"
            if sample.error is not None:
                if failed_samples == "refuse":
                    raise InvalidLogError(
                        f"{where} ended in an error, which is no answer; run it again, or pass "
                        "failed_samples='leave_out' (--failed-samples leave_out)",
                        path=str(path),
                    )
                n_left_out += 1
                continue
            with found_in(path, what=where):
                groups.add(
                    line_of(sample, header.eval.task, generator.name),
                    [sample_of(sample, header.eval.model, reading)],
                )
    with found_in(paths[0]):
        reading.scorer.check()
    if n_left_out and not groups.records():
        raise InvalidLogError(
            f"all {n_left_out} samples ended in an error; there is nothing to read", path=str(paths[0])
        )
    records = groups.records()
    warn_of_whole_texts(records)
    for record in records:
        share_prompt_tokens(record)
    return log_of(
        records,
        generators,
        "inspect_ai",
        paths,
        failed_samples_left_out=n_left_out,
        copies_left_out=runs.n_copies,
        unfinished=runs.unfinished,
    )


def _generator(spec: Evaluation, solvers: tuple[str, ...]) -> Generator:
    config = spec.model_generate_config or Settings()
    return Generator(
        name="/".join([spec.model, "+".join(solvers)]) if solvers else spec.model,
        model=spec.model,
        temperature=config.temperature,
        top_p=config.top_p,
        max_output_tokens=config.max_tokens,
        thinking_tokens=config.reasoning_tokens,
        reasoning_effort=config.reasoning_effort,
    )
