"""The section of the report on labels: what stood for right and wrong, and how far it is off.

Every number comes from the tables that `training.evaluation.label_error` made on test prompts.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from training.report.markdown import document, table
from training.report.words import difference


def labels_sentence(labels: Mapping[str, Any]) -> str:
    """Return in one sentence which labels were used; empty where verdicts were.

    Examples
    --------
    >>> judged = {"trained_by": "agreement", "judged_by": "verdicts", "doubt": "", "rows": [], "lost": {}}
    >>> labels_sentence(judged)
    'The policy was trained on labels by agreement and is judged by recorded verdicts.'
    >>> judged["rows"] = [{"off": -0.129, "off_interval": [-0.178, -0.073], "n_graded": 80}]
    >>> labels_sentence(judged).partition("; ")[2]
    'at the middle budget labels say 0.129 [0.073, 0.178] less than verdicts on 80 graded prompts.'
    """
    if not labels:
        return ""
    judged = "recorded verdicts" if labels["judged_by"] == "verdicts" else f"labels by {labels['judged_by']}"
    text = f"The policy was trained on labels by {labels['trained_by']} and is judged by {judged}"
    rows = [row for row in labels["rows"] if row["off"] is not None]
    if rows:
        row = rows[len(rows) // 2]
        off, (low, high), way = row["off"], row["off_interval"], "more"
        if off < 0:
            off, low, high, way = -off, -high, -low, "less"
        text += (
            f"; at the middle budget labels say {off:.3f} [{low:z.3f}, {high:z.3f}] {way} than verdicts on "
            f"{row['n_graded']} graded prompts"
        )
    if labels["lost"]:
        lost = labels["lost"]
        text += (
            "; one course for everybody, chosen by labels in place of verdicts, loses "
            f"{difference(lost['lost'], lost['interval'])} of value net of cost (choices by text not counted)"
        )
    elif labels["doubt"]:
        text += f". What that leaves open: {labels['doubt']}"
    return text + "."


def labels_section(labels: Mapping[str, Any]) -> str:
    """Return what plans are worth by labels, by graded prompts, and by both; empty where verdicts were used.

    Parameters
    ----------
    labels : mapping
        As in `Report.labels`.
    """
    if not labels:
        return ""
    rows = []
    for row in labels["rows"]:
        mended = "–"
        if row["mended"] is not None:
            low, high = row["interval"]
            mended = f"{row['mended']:.3f} [{low:.3f}, {high:.3f}]"
        off = difference(row["off"], row["off_interval"])
        graded = f"{row['n_graded']} of {row['n_prompts']}"
        rows.append([f"{row['budget']:.4g}", f"{row['labels']:.3f}", mended, off, graded])
    return document(
        "## Labels",
        labels_sentence(labels),
        "Mended values add to what labels say of all prompts what they are off on graded ones; their "
        "intervals include that error. Without graded prompts nobody knows how far labels are off.",
        table(["budget", "by labels", "mended", "labels say more by", "graded"], rows),
    )
