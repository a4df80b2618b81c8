"""The section of the report on learned verifiers: are they calibrated, and does picking by them pay?

Every number comes from the tables that `training.menu.learned_verifiers` made on prompts that were not
trained on. The other sections are in `training.report.report`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from training.report.markdown import as_text, document, table_of
from training.report.words import difference, hundredths


def verifier_section(verifiers: Mapping[str, Mapping[str, Any]]) -> str:
    """Return the tables of learned verifiers; empty where the bundle has none.

    Parameters
    ----------
    verifiers : mapping of str to mapping
        By generator, as in `Report.learned_verifier`.

    Examples
    --------
    >>> verifier_section({})
    ''
    """
    measured = {name: row for name, row in verifiers.items() if "brier" in row}
    if not measured:
        return ""
    scores = [{**row, "name": as_text(name)} for name, row in measured.items()]
    picks = [{**row, "name": found["name"]} for found in scores for row in found["selection"]]
    about = (
        "## Picking by a learned verifier",
        "It scores each sample with its chance of being right, from what the training log recorded beside "
        "the answers. Brier score and calibration error of that chance, in sets of up to 16 samples; AUC is "
        "the chance that a right sample is scored above a wrong one of the same prompt.",
        table_of(
            scores,
            {
                "generator": "{name}",
                "reads": lambda row: as_text(", ".join(row["reads"])),
                "Brier": "{brier:.4f}",
                "constant": "{brier_constant:.4f}",
                "calibration error": "{calibration_error:.3f}",
                "AUC within prompts": lambda row: hundredths(row["auc_within_prompt"]),
                "in plans": lambda row: row["offered"] or "no",
            },
        ),
    )
    if not picks:
        return document(*about)
    return document(
        *about,
        "Accuracy of N samples picked by it and by the plain vote, difference to the vote with its 95 % "
        "interval in brackets.",
        table_of(
            picks,
            {
                "generator": "{name}",
                "N": "{n}",
                "vote": "{vote:.3f}",
                "best other pick": lambda row: f"{row['rival_value']:.3f} ({as_text(row['rival'])})",
                "best of N": lambda row: _gain(row, "best_of_n"),
                "weighted vote": lambda row: _gain(row, "weighted_best_of_n"),
            },
        ),
    )


def _gain(row: Mapping[str, Any], pick: str) -> str:
    gain, interval = row[f"gain_{pick}"]
    return f"{row[pick]:.3f} ({difference(gain, interval)})"
