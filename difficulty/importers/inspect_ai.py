"""Import evaluation logs of inspect_ai, with epochs as samples.

It assumes ``.json`` logs (``inspect log convert --to json``), or ``.eval`` archives that the standard
library can unpack. Token counts come from each sample's usage; whether it is correct from one scorer's
value.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final, Literal

from difficulty.errors import InvalidInputError, InvalidLogError
from difficulty.generator import Generator
from difficulty.importers.shared import LineGroups, only, verdict
from difficulty.log.sample_log import SampleLog

__all__ = ["read_inspect"]

_CUT: Final = ("max_tokens", "model_length", "length")
_ATTACHMENT: Final = "attachment://"


def read_inspect(
    *paths: str | os.PathLike[str],
    scorer: str | None = None,
    failed_samples: Literal["refuse", "leave_out"] = "refuse",
) -> SampleLog:
    """Read logs of inspect_ai; each epoch of a sample id is one sample of that prompt.

    Parameters
    ----------
    *paths : str or path
        Logs of one or several models and tasks; logs of the same task and model add samples.
    scorer : str, optional
        Scorer that says whether a sample is correct; needed where a log has several.
    failed_samples : {"refuse", "leave_out"}
        What to do with samples that ended in an error: they are no answers. Left-out ones are counted in
        ``about["failed_samples_left_out"]``.

    Returns
    -------
    SampleLog
        Prompt ids are ``task/id``, generators are named as the models.

    Raises
    ------
    InvalidLogError
        When a file is not such a log, has failed samples that are not to be left out, or scores that are
        neither right nor wrong.

    Notes
    -----
    Prompt tokens are the total less the output tokens, so that cached tokens count. A sample that called the
    model several times (an agent) has the tokens of all calls.

    References
    ----------
    UK AI Security Institute, inspect_ai log format version 2, https://inspect.aisi.org.uk/eval-logs.html.

    Examples
    --------
    >>> import tempfile
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
    if not paths:
        raise InvalidInputError("give at least one path to read")
    groups = LineGroups()
    generators: dict[str, Generator] = {}
    n_left_out = 0
    for path in map(Path, paths):
        header, samples = _open(path)
        generator = _generator(header)
        if generators.setdefault(generator.name, generator) != generator:
            raise InvalidLogError(
                f"model {generator.name!r} has other settings than in an earlier log; import it apart",
                path=str(path),
            )
        for sample in sorted(samples, key=lambda each: int(each.get("epoch", 1))):
            where = f"sample {sample.get('id')!r}, epoch {sample.get('epoch', 1)}"
            if sample.get("error") is not None:
                if failed_samples == "refuse":
                    raise InvalidLogError(
                        f"{where} ended in an error, which is no answer; run it again, or pass "
                        "failed_samples='leave_out'",
                        path=str(path),
                    )
                n_left_out += 1
                continue
            try:
                groups.add(
                    _line(sample, str(header["task"]), generator.name),
                    [_sample(sample, generator.name, scorer)],
                )
            except InvalidLogError as error:
                raise InvalidLogError(f"{where}: {error.reason}", path=str(path)) from error
    about: dict[str, object] = {"imported_from": "inspect_ai", "files": [Path(path).name for path in paths]}
    if n_left_out:
        about["failed_samples_left_out"] = n_left_out
    return SampleLog.from_records(map(_with_prompt_tokens, groups.records()), generators, about=about)


def _open(path: Path) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """Return the evaluation's header and its samples."""
    import zipfile  # not at module level: it is slow to import and needed here only
    import zlib

    samples: list[dict[str, Any]]
    try:
        if zipfile.is_zipfile(path):
            with zipfile.ZipFile(path) as archive:
                names = [
                    name
                    for name in archive.namelist()
                    if name.startswith("samples/") and name.endswith(".json")
                ]
                header = json.loads(archive.read("header.json"))
                samples = [json.loads(archive.read(name)) for name in names]
        else:
            header = json.loads(path.read_bytes())
            samples = (header.get("samples") or []) if isinstance(header, dict) else []
    except OSError as error:
        raise InvalidLogError(f"cannot read the file: {error.strerror or error}", path=str(path)) from error
    except (ValueError, KeyError, NotImplementedError, zipfile.BadZipFile, zlib.error) as error:
        raise InvalidLogError(
            f"not a log of inspect_ai that can be read here ({error}); try: inspect log convert --to json",
            path=str(path),
        ) from error
    spec = header.get("eval") if isinstance(header, dict) else None
    if not isinstance(spec, dict) or not {"task", "model"} <= spec.keys():
        raise InvalidLogError(
            "not a log of inspect_ai: 'eval' with 'task' and 'model' is missing", path=str(path)
        )
    if not samples:
        raise InvalidLogError("the log has no samples; it was written with log_samples=False", path=str(path))
    return spec, samples


def _generator(spec: Mapping[str, Any]) -> Generator:
    config = spec.get("model_generate_config") or {}
    return Generator(
        name=str(spec["model"]),
        model=str(spec["model"]),
        temperature=config.get("temperature"),
        top_p=config.get("top_p"),
        max_output_tokens=config.get("max_tokens"),
        thinking_tokens=config.get("reasoning_tokens"),
        reasoning_effort=config.get("reasoning_effort"),
    )


def _line(sample: Mapping[str, Any], task: str, generator: str) -> dict[str, Any]:
    """Return the prompt's fields of a line."""
    attachments = sample.get("attachments") or {}
    given = sample.get("input")
    target = sample.get("target")
    targets = [target] if isinstance(target, str) else list(target or [])
    line: dict[str, Any] = {
        "prompt_id": f"{task}/{sample['id']}",
        "generator": generator,
        "gold": targets[0] if len(targets) == 1 and targets[0] else None,
        "meta": {"targets": targets} if len(targets) > 1 else None,
    }
    if isinstance(given, str):
        text = _resolved(given, attachments)
        return {**line, "prompt": text if text.strip() else None}
    messages = [
        {"role": message["role"], "content": _plain_content(message.get("content"), attachments)}
        for message in given or []
    ]
    return {**line, "messages": messages or None}


def _sample(sample: Mapping[str, Any], model: str, scorer: str | None) -> dict[str, Any]:
    output = sample.get("output") or {}
    choices = output.get("choices") or [{}]
    attachments = sample.get("attachments") or {}
    text = output.get("completion") or _text_of((choices[0].get("message") or {}).get("content"))
    scores = sample.get("scores") or {}
    score = scores[only(list(scores), scorer, "scorer")] if scores or scorer else {}
    usage = (sample.get("model_usage") or {}).get(model) or output.get("usage") or {}
    output_tokens, total = usage.get("output_tokens"), usage.get("total_tokens")
    reason = choices[0].get("stop_reason")
    return {
        "answer": score.get("answer") or None,
        "correct": verdict(score.get("value"), "the score"),
        "output_tokens": output_tokens,
        "prompt_tokens": total - output_tokens if output_tokens is not None and total else None,
        "finish": "length" if reason in _CUT else reason,
        "text": _resolved(text, attachments) if text else None,
    }


def _with_prompt_tokens(record: dict[str, Any]) -> dict[str, Any]:
    """Move the prompt's length to the line where all its samples agree."""
    lengths = {sample["prompt_tokens"] for sample in record["samples"]}
    if len(lengths) != 1:
        return record
    samples = [{**sample, "prompt_tokens": None} for sample in record["samples"]]
    return {**record, "prompt_tokens": lengths.pop(), "samples": samples}


def _plain_content(content: object, attachments: Mapping[str, str]) -> object:
    if isinstance(content, str):
        return _resolved(content, attachments)
    parts = content if isinstance(content, list) else []
    return [
        {**part, "text": _resolved(part["text"], attachments)} if isinstance(part.get("text"), str) else part
        for part in parts
    ]


def _text_of(content: object) -> str:
    if isinstance(content, str):
        return content
    return "".join(_texts(content if isinstance(content, list) else []))


def _texts(parts: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    for part in parts:
        if isinstance(part.get("text"), str):
            yield part["text"]


def _resolved(text: str, attachments: Mapping[str, str]) -> str:
    """Put back a long text that the log keeps apart."""
    if text.startswith(_ATTACHMENT):
        return attachments.get(text.removeprefix(_ATTACHMENT), text)
    return text
