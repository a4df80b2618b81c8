"""The comparison of strategies as a document: JSON for programs, Markdown for people.

Every number comes from the tables that `training.strategies.compare` made; nothing is computed here but
the wording. The figure is drawn by `training.strategies.figure`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import msgspec

from training.report.markdown import as_text, document, table
from training.strategies.sections import SELECTIONS, family_section, over, share_section

STRATEGIES_SCHEMA: Final = 1
_SEEN: Final = 0.0005  # what three decimals do not show is no win


@dataclass(frozen=True, kw_only=True, slots=True)
class StrategyComparison:
    """Tables of a comparison, all JSON values.

    Parameters
    ----------
    data : dict
        Log, generator, unit, prompts, how difficulty was told, what is known of scoring, replicates, seed.
    families : list of dict
        Name, kind, sizes and mean cost of the cheapest size of every strategy.
    groups : list of dict
        All prompts first, then the bins from easiest to hardest: size, success of one sample, ``"kinds"``
        (the best of each kind, chosen on other prompts), ``"at_equal_cost"`` (every strategy), ``"points"``
        (for figures) and ``"shapes"`` (sequential share at equal N and at equal cost).
    choice : list of dict
        Per budget: a strategy per bin against one for all.
    """

    data: dict[str, Any]
    families: list[dict[str, Any]]
    groups: list[dict[str, Any]]
    choice: list[dict[str, Any]]

    @property
    def findings(self) -> list[str]:
        """Sentences that answer the three questions, with intervals: search, revision, sequential share."""
        return [*self.answers, *self._share_sentences(), *self._choice_sentences()]

    @property
    def answers(self) -> list[str]:
        """Sentences that say where search and revision pay, with intervals."""
        easiest, hardest = self.groups[1], self.groups[-1]
        sentences = []
        for kind, group, place in (("search", hardest, "hardest"), ("revision", easiest, "easiest")):
            if any(kind in row["kinds"] for row in group["kinds"]):
                sentences.append(_kind_sentence(kind, group, place))
                other, elsewhere = (easiest, "easiest") if group is hardest else (hardest, "hardest")
                if other is not group:
                    sentences.append(_kind_sentence(kind, other, elsewhere))
        return [*sentences, *self._dear_sentences()]

    def to_json(self) -> bytes:
        """Return the comparison as JSON; equal comparisons give equal bytes."""
        content = {
            "strategy_comparison": STRATEGIES_SCHEMA,
            "findings": self.findings,
            **{name: getattr(self, name) for name in self.__slots__},
        }
        return msgspec.json.format(msgspec.json.encode(content), indent=1) + b"\n"

    def to_markdown(self) -> str:
        """Return the comparison for people."""
        sections = [self._head(), self._kinds(), self._choice(), share_section(self.groups)]
        sections += [family_section(group, self.data["unit"]) for group in self.groups]
        return document(*sections) + "\n"

    def _dear_sentences(self) -> list[str]:
        rows, unit = self.groups[0]["at_equal_cost"], self.data["unit"].replace("_", " ")
        shown = {name for row in rows for name in row["strategies"]}
        dear = [f"{f['name']} ({f['least_cost']:.4g})" for f in self.families if f["name"] not in shown]
        if not dear:
            return []
        return [
            f"In no table, as they cost more {unit} than every budget ({rows[-1]['budget']:.4g} at most): "
            f"{', '.join(dear)}. More samples of each prompt make larger budgets."
        ]

    def _share_sentences(self) -> list[str]:
        sentences = []
        for place, shapes in enumerate(self.groups[0]["shapes"]):
            tables = [group["shapes"][place]["at_equal_cost"] for group in self.groups[1:]]
            if not all(tables):
                continue
            parts = []
            for group, rows in zip(self.groups[1:], tables, strict=True):
                row = rows[-1]
                depth, wins = next(iter(row["winners"].items()))
                parts.append(f"{depth} in bin {group['name']} (best in {wins:.0%} of replicates)")
            sentences.append(
                f"Attempts per chain that win most often at the cost of {tables[0][-1]['n']} parallel "
                f"samples, revisions selected {SELECTIONS[shapes['selection']]}: {'; '.join(parts)}. 1 is "
                "all parallel."
            )
        return sentences

    def _choice_sentences(self) -> list[str]:
        rows = [row for row in self.choice if row["n"] > 1]
        if len(self.groups) < 3 or not rows:
            return []
        row = rows[-1]
        return [
            f"A strategy per bin against the best one for all, at the cost of {row['n']} samples: "
            f"{over(row, 'single')}; against the best parallel one: {over(row, 'parallel')}."
        ]

    def _head(self) -> str:
        data = self.data
        left_out = f" ({data['n_left_out']} left out: something is missing)" if data["n_left_out"] else ""
        cached = " with a prefix cache" if data["prefix_cache"] else ""
        told = "share of right ones" if data["difficulty"] == "observed" else "mean score"
        rows = []
        for group in self.groups:
            low, high = group["easiness"]
            ends = ("–" if end is None else f"{end:.3f}" for end in group["one_sample_interval"])
            one_sample = f"{group['one_sample']:.3f} [{', '.join(ends)}]"
            rows.append([group["name"], str(group["n_prompts"]), f"{low:.2f} to {high:.2f}", one_sample])
        return document(
            "# Strategies across difficulty",
            "\n".join(f"- **{sentence}**" for sentence in self.findings),
            f"Generator {as_text(data['generator'])}, {data['n_prompts']} prompts{left_out}; cost in "
            f"{data['unit'].replace('_', ' ')} per prompt{cached}; 95 % intervals by {data['n_bootstrap']} "
            f"bootstrap replicates over groups of prompts, paired, seed {data['seed']}. Difficulty is the "
            f"{told} among up to {data['n_difficulty_samples']} samples of each prompt that score nothing; "
            f"bins are quantiles.{_scoring_sentence(data['scoring'])}",
            "![Accuracy against cost, by difficulty](strategies.png)",
            table(["bin", "prompts", told, "one sample"], rows),
        )

    def _kinds(self) -> str:
        parts = [
            "## Parallel, revision, search at equal cost",
            "The best strategy of each kind, chosen on half of the group's prompts and scored on the other "
            "half (five splits, both ways). Budgets are the cost of a vote over N samples; "
            "differences are to the best parallel strategy.",
        ]
        names = [name for name in self.groups[0]["kinds"][-1]["kinds"] if name != "parallel"]
        for name in names:
            parts += [f"**{name.capitalize()}** over parallel:", self._difference_table(name)]
        return document(*parts)

    def _difference_table(self, name: str) -> str:
        rows = []
        for group in self.groups:
            kinds = [row["kinds"] for row in group["kinds"]]
            cells = [over(found[name], "parallel") if name in found else "–" for found in kinds]
            rows.append([group["name"], *cells])
        return table(["bin", *(f"N = {row['n']}" for row in self.groups[0]["kinds"])], rows)

    def _choice(self) -> str:
        if len(self.groups) <= 2:
            return ""
        rows = [
            [
                f"N = {row['n']}",
                *(f"{row[name]:.3f}" for name in ("vote", "parallel", "single", "per_bin")),
                over(row, "single"),
                over(row, "parallel"),
            ]
            for row in self.choice
        ]
        header = ["cost of", "majority vote", "best parallel", "best for all", "per bin"]
        return document(
            "## A strategy per bin",
            "Chosen per bin, or once for all, on half of the prompts and scored on the other half; budgets "
            "as above, bin by bin.",
            table([*header, "over best for all", "over parallel"], rows),
        )


def _scoring_sentence(scoring: Mapping[str, str]) -> str:
    """Say for which strategies what a reward model read is recorded, and for which it is estimated."""
    parts = []
    for known in dict.fromkeys(scoring.values()):
        names = ", ".join(as_text(name) for name, how in scoring.items() if how == known)
        parts.append(f"{known} for {names}")
    return f" What a reward model reads is {'; '.join(parts)}." if parts else ""


def _kind_sentence(kind: str, group: Mapping[str, Any], place: str) -> str:
    rows = [(row["n"], row["kinds"][kind]) for row in group["kinds"] if kind in row["kinds"]]
    rows = [(n, found) for n, found in rows if found["over_parallel"] is not None]
    wins = [n for n, found in rows if (found["over_parallel_interval"][0] or 0) > _SEEN]
    losses = [n for n, found in rows if (found["over_parallel_interval"][1] or 0) < -_SEEN]
    if not rows:
        return f"On the {place} prompts no budget buys a {kind}."
    n, last = rows[-1]
    told = [f"{verb} at {_sizes(where)}" for verb, where in (("wins", wins), ("loses", losses)) if where]
    verdict = " and ".join(told) or "neither wins nor loses beyond its interval at any budget"
    return (
        f"On the {place} prompts {kind} {verdict}, against the best parallel strategy at equal cost; at the "
        f"cost of {n} samples the difference is {over(last, 'parallel')}."
    )


def _sizes(sizes: Sequence[int]) -> str:
    return "the cost of " + ", ".join(map(str, sizes)) + " samples"
