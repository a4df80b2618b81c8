"""What our policy saves against the same number of samples for every prompt, drawn at once.

This is what most people run and the first thing that they ask. Targets are shares of the way from one sample
to the most that uniform sampling reaches. For each, it gets the generator, the selector and the number of
samples that reach it cheapest on the test prompts themselves, anew in each replicate; the policy gets its
price in the same way. Numbers between those of the table are mixed from their neighbours.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from difficulty.arithmetic.arrays import FloatArray
from training.evaluation.bed import Played
from training.frontier import Frontier, estimate, number

_SHARES: Final = (0.5, 0.75, 0.9, 1.0)


def against_uniform(
    ours: Played, uniform: Mapping[str, tuple[NDArray[np.int64], Played]], weights: FloatArray
) -> dict[str, Any]:
    """Return what reaching shares of the way to uniform sampling's best costs, as JSON values.

    Parameters
    ----------
    ours : Played
        The policy.
    uniform : mapping of str to (ndarray of int64, Played)
        The numbers of samples and what they bring, by generator and selector; those known on all prompts are
        compared.
    weights : ndarray of float64, shape (R, P)
        From `bootstrap_weights`.

    Returns
    -------
    dict
        ``"most"``: value, cost, name and N of the best that uniform sampling reaches. ``"rows"``, one for
        each share of the way there from its cheapest single sample: the ``"value"``; ``"uniform_cost"``,
        ``"name"`` and ``"n"`` of the cheapest uniform sampling that gets there (N is the larger of the two
        that are mixed); our ``"cost"``, None where it never gets there, and the value that is then
        ``"missing"``; ``"saved"``, cost per prompt, and
        ``"saved_share"`` of the uniform cost, and ``"multiple"``, each with interval (0 where never). Empty
        without any uniform sampling that is known on all prompts.

    Examples
    --------
    >>> uniform = {"vote": (np.array([1, 2, 4]), Played(np.array([[1., 2., 4.]]), np.array([[.5, .75, 1.]])))}
    >>> ours = Played(np.array([[1.0, 1.5]]), np.array([[0.5, 1.0]]))
    >>> row = against_uniform(ours, uniform, np.ones((101, 1)))["rows"][-1]
    >>> row["multiple"], row["saved"], row["n"]
    (2.666666667, 2.5, 4)
    """
    known = {name: item for name, item in uniform.items() if item[1].known.all()}
    if not known:
        return {}
    mine = Frontier.of(ours.cost, ours.value, weights)
    names = list(known)
    theirs = [Frontier.of(played.cost, played.value, weights) for _, played in known.values()]
    starts = np.stack([frontier.cost[:, 0] for frontier in theirs])
    at, rows = starts.argmin(axis=0), np.arange(len(weights))
    first = np.stack([frontier.value[:, 0] for frontier in theirs])[at, rows]
    top = np.max([frontier.value.max(axis=1) for frontier in theirs], axis=0)
    table = []
    for share in _SHARES:
        target = first + share * (top - first)
        needed = np.stack([frontier.cost_of(target) for frontier in theirs])
        which = int(needed[:, 0].argmin())
        spent, paid = needed.min(axis=0), mine.cost_of(target)
        widths, frontier = known[names[which]][0], theirs[which]
        never = np.isinf(paid)
        saved = np.where(never, -np.inf, spent - np.where(never, 0.0, paid))
        ratio = np.where(never, 0.0, spent / np.where(never, 1.0, paid))
        table.append(
            {
                "share": share,
                "value": number(target[0], digits=9),
                "name": names[which],
                "n": int(widths[int((frontier.cost[0] < spent[0] * (1 - 1e-9)).sum())]),
                "uniform_cost": number(spent[0], digits=9),
                "cost": number(paid[0], digits=9),
                "missing": round(max(float(target[0] - mine.value[0].max()), 0.0), 9),
                **estimate("saved", saved, digits=9),
                **estimate("saved_share", saved / spent, digits=9),
                **estimate("multiple", ratio, digits=9),
            }
        )
    last = table[-1]
    most = {"value": last["value"], "cost": last["uniform_cost"], "name": last["name"], "n": last["n"]}
    return {"most": most, "rows": table}
