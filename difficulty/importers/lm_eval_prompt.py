"""What was asked in a sample of lm-evaluation-harness: a text or chat messages, without the worked examples.

It assumes the arguments of generative tasks; chat models have their messages as JSON, inside a list or not.
Examples that come before the question say nothing of how hard it is, and are the same for all.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any, Final

from difficulty.errors import InvalidLogError
from difficulty.importers.shared import reference

_BREAK: Final = "\n\n"
_TELLING: Final = 8  # letters from which on a text of a document is looked for


def prompt_fields(row: Mapping[str, Any], examples: str, *, field: str | None = None) -> dict[str, Any]:
    """Return the prompt's fields of a line: text or messages, group and gold.

    Raises
    ------
    InvalidLogError
        When the document has no text under `field`.
    """
    line: dict[str, Any] = {
        "prompt": None,
        "messages": None,
        "group": str(row["doc_hash"]) if row.get("doc_hash") else None,
        "gold": reference(row["target"]),
    }
    document = row.get("doc")
    if field is not None:
        text = document.get(field) if isinstance(document, dict) else None
        if not isinstance(text, str) or not text.strip():
            there = ", ".join(document) if isinstance(document, dict) else "nothing"
            raise InvalidLogError(f"the document has no text under {field!r}; there is: {there}")
        return {**line, "prompt": text}
    sent = _sent(row)
    if isinstance(sent, list):
        turns = [place for place, message in enumerate(sent) if message.get("role") == "assistant"]
        start = turns[-1] + 1 if turns and turns[-1] + 1 < len(sent) else 0
        system = [message for message in sent[:start] if message.get("role") == "system"]
        return {**line, "messages": [*system, *sent[start:]]}
    if sent is not None and sent.strip():
        own = sent.removeprefix(examples) if sent != examples else sent
        line["prompt"] = without_examples(own, document) if isinstance(document, dict) else own
    return line


def without_examples(sent: str, document: Mapping[str, Any]) -> str:
    """Return a text from the paragraph on that begins with what its document holds.

    What comes before is cut only if it reads like the question: its examples are framed by the same words.

    Examples
    --------
    >>> shots = "Q: What is 1 + 1?\\nA: 2\\n\\nQ: What is 2 + 2?\\nA: 4\\n\\n"
    >>> without_examples(shots + "Q: What is 3 + 4?\\nA:", {"question": "What is 3 + 4?"})
    'Q: What is 3 + 4?\\nA:'
    >>> without_examples("Read.\\n\\nWhat is 3 + 4?\\nA:", {"question": "What is 3 + 4?"})
    'Read.\\n\\nWhat is 3 + 4?\\nA:'
    """
    texts = [text.strip() for text in document.values() if isinstance(text, str)]
    found = [(sent.rfind(text), text) for text in texts if len(text) >= _TELLING and text in sent]
    if not found:
        return sent
    place, text = min(found)
    start = sent.rfind(_BREAK, 0, place) + len(_BREAK)
    before, after = sent[start:place].strip(), sent[place + len(text) :].strip()
    if start < len(_BREAK) or not (before or after):
        return sent
    return sent[start:] if before in sent[:start] and after in sent[:start] else sent


def shared_examples(rows: Iterable[Mapping[str, Any]]) -> str:
    """Return the paragraphs that all texts of a file begin with, where they are several.

    Examples
    --------
    >>> texts = ["Q: 1 + 1?\\nA: 2\\n\\nQ: 3 + 1?\\nA:", "Q: 1 + 1?\\nA: 2\\n\\nQ: 2 + 5?\\nA:"]
    >>> shared_examples([{"arguments": [[text]]} for text in texts])
    'Q: 1 + 1?\\nA: 2\\n\\n'
    """
    texts = {sent for row in rows if isinstance(sent := _sent(row), str)}
    if len(texts) < 2:
        return ""
    first, last = min(texts), max(texts)  # what these two share, all between them share
    n = next((i for i, pair in enumerate(zip(first, last, strict=False)) if pair[0] != pair[1]), len(first))
    end = first.rfind(_BREAK, 0, n)
    return "" if end < 0 else first[: end + len(_BREAK)]


def _sent(row: Mapping[str, Any]) -> str | list[dict[str, Any]] | None:
    """Return what was sent: a text, or messages."""
    arguments = row.get("arguments")
    first: Any = None
    if isinstance(arguments, dict) and arguments:
        first = next(iter(arguments.values()))
        first = first.get("arg_0") if isinstance(first, dict) else first
    elif isinstance(arguments, list) and arguments:
        first = arguments[0][0] if isinstance(arguments[0], list) and arguments[0] else arguments[0]
    if isinstance(first, list) and len(first) == 1 and isinstance(first[0], str):
        first = first[0]
    if isinstance(first, str) and first.lstrip().startswith('[{"role"'):
        try:
            first = json.loads(first)
        except ValueError:
            return str(first)
    if isinstance(first, list) and first and all(isinstance(each, dict) for each in first):
        return first
    return first if isinstance(first, str) else None
