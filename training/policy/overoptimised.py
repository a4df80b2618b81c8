"""Where more samples make it worse: best-of-N by a signal that is not what samples are worth.

A proxy (a reward model, a judge, a log-probability) that ranks samples is sought out where it is wrong; with
more samples the best by the proxy is then worth less by the better truth that the log holds. Courses are
valued by that truth, so none is chosen beyond its peak for everybody; here is said where the peak lies.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from training.policy.bench import paired
from training.policy.columns import Columns

# Standard errors over groups by which the value must fall from its peak to the most samples.
_SHOWN: Final = 2.5


def overoptimised(columns: Columns, groups: NDArray[np.intp]) -> list[dict[str, Any]]:
    """Return each generator and signal whose best-of-N falls as N grows, as JSON values.

    Parameters
    ----------
    columns : Columns
        P training prompts × C courses.
    groups : ndarray of intp, shape (P,)
        Near-duplicates share one; counted from 0.

    Returns
    -------
    list of dict
        ``"generator"``, ``"by"``; ``"best_n"``, the number of samples with the highest mean value, and that
        ``"value"``; ``"n"``, the most samples, and by how much less they are worth: ``"fall"``, with its
        standard ``"error"`` over groups.

    References
    ----------
    Gao, Schulman, Hilton 2022, arXiv 2210.10760 (reward model overoptimization).
    """
    families: dict[tuple[str, str], list[int]] = {}
    once: dict[str, int] = {}
    for at, course in enumerate(columns.table.courses):
        if not course.one_shot or len(course.generators) > 1 or course.steps[0].kind != "sample":
            continue
        if course.n == 1:
            once[course.generators[0]] = at
        elif course.selection.by == "best":
            families.setdefault((course.generators[0], course.selection.signal), []).append(at)
    found = []
    for (generator, signal), members in families.items():
        first = [once[generator]] if generator in once else []
        wide = [*first, *sorted(members, key=lambda at: columns.table.courses[at].n)]
        value = columns.value[:, wide].astype(np.float64)
        peak = int(value.mean(axis=0).argmax())
        fall, error = paired(value[:, peak] - value[:, -1], groups)
        if peak < len(wide) - 1 and fall > _SHOWN * error:
            found.append(
                {
                    "generator": generator,
                    "by": signal,
                    "best_n": columns.table.courses[wide[peak]].n,
                    "value": round(float(value[:, peak].mean()), 6),
                    "n": columns.table.courses[wide[-1]].n,
                    "fall": round(fall, 6),
                    "error": round(error, 6),
                }
            )
    return found
