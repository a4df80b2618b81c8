"""The report of an evaluation: JSON for programs, Markdown for people, figures for both.

Every number comes from the tables that `training.evaluate` made; nothing is computed here but the wording
of the verdict. Figures are drawn by `training.report.figures`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Final

import msgspec

from training.report.adaptive import (
    plain,
    regret_section,
    rivals_section,
    rounds_section,
    times,
    uniform_section,
)
from training.report.markdown import as_text
from training.report.verifier import verifier_section

__all__ = ["REPORT_SCHEMA", "Report"]

REPORT_SCHEMA: Final = 1
_STATIC: Final = "best static mix"


@dataclass(frozen=True, kw_only=True, slots=True)
class Report:
    """Tables of an evaluation, all JSON values.

    Parameters
    ----------
    data : dict
        Test data, unit, objective, seeds.
    bundle : dict
        What was evaluated: policy and its training record.
    comparison : dict
        Fields of `training.evaluation.comparison.Comparison`.
    oracle_gap : dict
        Share of the gap to the hindsight bound that the policy closes, per budget; empty without an oracle.
    calibration : dict
        Belief scores per generator.
    budgets : list
        Expected and realised cost per budget.
    bands : dict
        What each difficulty band gets.
    flops_matched : dict
        Small model with test-time compute against a bigger one; empty where sizes are not known.
    rounds : list
        Sequential rounds of the adaptive policy per budget; empty without one.
    rivals : dict
        The adaptive policy against tuned stopping rules and its ablations; empty without any.
    regret : dict
        ``"parts"`` of the adaptive policy's regret and what ``"rounding"`` of plans costs, per budget.
    learned_verifier : dict
        By generator, measures of its learned verifier and what picking by it delivers; empty without any.
    uniform : dict
        The adaptive policy against the same number of samples for every prompt; empty without one.
    """

    data: dict[str, Any]
    bundle: dict[str, Any]
    comparison: dict[str, Any]
    oracle_gap: dict[str, Any]
    calibration: dict[str, Any]
    budgets: list[dict[str, Any]]
    bands: dict[str, Any]
    flops_matched: dict[str, Any]
    rounds: list[dict[str, Any]]
    rivals: dict[str, Any] = field(default_factory=dict)
    regret: dict[str, Any] = field(default_factory=dict)
    learned_verifier: dict[str, Any] = field(default_factory=dict)
    uniform: dict[str, Any] = field(default_factory=dict)

    def multiple(self, quantile: float, policy: str = "learned") -> tuple[float, tuple[float, float]]:
        """Return a policy's cost multiple and its 95 % interval at a quantile of the way to the static
        plateau.
        """
        for row in self.comparison["cost_multiples"][policy]:
            if row["way_to_plateau"] == quantile:
                low, high = row["interval"]
                return row["multiple"], (low, high)
        raise KeyError(quantile)

    @property
    def verdict(self) -> str:
        """One sentence that says what the policy is worth, with intervals."""
        deployed = self.bundle["training"].get("verdict", {}).get("deployed", "static")
        if deployed == "static":
            return (
                "Nothing special pays here: no policy was shown to beat the best static mix on the "
                "training prompts, so "
                "the bundle plans the best static mix."
            )
        parts = []
        for row in self.comparison["cost_multiples"]["learned"]:
            if row["way_to_plateau"] in (0.5, 0.75, 0.9):
                low, high = row["interval"]
                parts.append(
                    f"{times(row['multiple'])} [{times(low)}, {times(high)}] at {row['way_to_plateau']:.0%}"
                )
        wins = [
            r
            for r in self._rows()
            if r["difference_interval"][0] is not None and r["difference_interval"][0] > 0
        ]
        losses = [
            r
            for r in self._rows()
            if r["difference_interval"][1] is not None and r["difference_interval"][1] < 0
        ]
        return (
            f"At equal {self.data['objective']} the best static mix costs {', '.join(parts)} of the way to "
            f"its plateau, as a "
            f"multiple of the learned policy's cost. At equal cost the learned policy is better beyond its "
            f"95 % interval at "
            f"{len(wins)} of {len(self._rows())} budgets and worse at {len(losses)}."
        )

    @property
    def adaptive_verdict(self) -> str:
        """One sentence on the policy that reacts to what has been drawn; empty without one."""
        rows = self.comparison["cost_multiples"].get("adaptive")
        if not rows:
            return ""
        parts = [
            f"{times(row['multiple'])} [{times(row['interval'][0])}, {times(row['interval'][1])}] at "
            f"{row['way_to_plateau']:.0%}"
            for row in rows
            if row["way_to_plateau"] in (0.5, 0.75, 0.9)
        ]
        return (
            f"Reacting to what has been drawn: the best static mix costs {', '.join(parts)} of the way to "
            f"its plateau, as a "
            "multiple of the adaptive policy's cost."
        )

    def _rows(self) -> list[dict[str, Any]]:
        return [row for row in self.comparison["at_equal_cost"]["learned"] if row["value"] is not None]

    def to_json(self) -> bytes:
        """Return the report as JSON; equal reports give equal bytes."""
        fields = {name: getattr(self, name) for name in self.__slots__}
        content = {
            "report": REPORT_SCHEMA,
            "verdict": self.verdict,
            "adaptive_verdict": self.adaptive_verdict,
            **fields,
        }
        return msgspec.json.format(msgspec.json.encode(content), indent=1) + b"\n"

    def to_markdown(self) -> str:
        """Return the report for people."""
        sections = [
            self._head(),
            self._equal_cost(),
            self._multiples(),
            self._gap(),
            uniform_section(self.uniform, self.data["objective"], self.data["unit"]),
            rounds_section(self.rounds),
            rivals_section(self.rivals, self.data["objective"]),
            regret_section(self.regret, self.data["objective"]),
            self._band_table(),
            self._flops(),
            self._belief(),
            verifier_section(self.learned_verifier),
            self._budget_table(),
        ]
        return "\n\n".join(section for section in sections if section) + "\n"

    def _head(self) -> str:
        data, training = self.data, self.bundle["training"]
        left_out = (
            f" ({data['n_left_out']} left out: some generator has too few samples)"
            if data["n_left_out"]
            else ""
        )
        placebo = training.get("placebo", {})
        lines = [
            "# Evaluation of a compute-optimal policy",
            "",
            f"**{self.verdict}**",
            "",
            *([self.adaptive_verdict, ""] if self.adaptive_verdict else []),
            f"- Test data: {data['n_prompts']} prompts{left_out}, {data['n_samples']:,} recorded samples; "
            f"objective "
            f"{data['objective']}, cost in {data['unit']}; {data['n_bootstrap']} bootstrap replicates, "
            f"seed {data['seed']}.",
            *_near_duplicates(data),
            f"- Policy: {self.bundle['family']} of {len(self.bundle['policy']['members'])} trials, tuned "
            f"on {training.get('n_prompts', '?')} other prompts.",
        ]
        if placebo:
            low, high = placebo["gain_interval"]
            lines.append(
                f"- Placebo in training (predictions dealt to the wrong prompts): mean gain over static "
                f"{placebo['gain_over_static']:+.4f} [{low:+.4f}, {high:+.4f}]."
            )
        lines += ["", "![Accuracy against cost](frontier.png)"]
        return "\n".join(lines)

    def _equal_cost(self) -> str:
        budgets = self.comparison["budgets"]
        lines = [
            f"## {self.data['objective'].capitalize()} at equal cost",
            "",
            f"Difference to the best static mix in brackets, with its 95 % interval. Budgets are mean "
            f"{self.data['unit']} "
            "per prompt; a dash means that the policy cannot be bought at that budget.",
            "",
            "| policy | " + " | ".join(f"{budget:.4g}" for budget in budgets) + " |",
            "|---|" + "---|" * len(budgets),
        ]
        for name, rows in self.comparison["at_equal_cost"].items():
            cells = [_cell(row, static=name == _STATIC) for row in rows]
            lines.append(f"| {_bold(name)} | " + " | ".join(cells) + " |")
        return "\n".join(lines)

    def _multiples(self) -> str:
        plateau = self.comparison["plateau"]
        header = [f"{row['way_to_plateau']:.0%}" for row in self.comparison["cost_multiples"]["learned"]]
        lines = [
            "## Cost multiple at equal " + self.data["objective"],
            "",
            f"Cost of the interpolated best static frontier over the policy's, at shares of the way from "
            f"its cheapest point "
            f"({plateau['cheapest_value']:.3f} at {plateau['cheapest_cost']:.4g}) to its plateau "
            f"({plateau['plateau_value']:.3f} at {plateau['plateau_cost']:.4g}). Above 1 saves; 0 never "
            f"gets there.",
            "",
            "| policy | " + " | ".join(header) + " |",
            "|---|" + "---|" * len(header),
        ]
        for name, rows in self.comparison["cost_multiples"].items():
            cells = [
                f"{times(r['multiple'])} [{times(r['interval'][0])}, {times(r['interval'][1])}]" for r in rows
            ]
            lines.append(f"| {_bold(name)} | " + " | ".join(cells) + " |")
        return "\n".join(lines)

    def _gap(self) -> str:
        if not self.oracle_gap:
            return ""
        lines = ["## Share of the gap to the hindsight bound", "", "| budget | share closed |", "|---|---|"]
        for row in self.oracle_gap["per_budget"]:
            if row["share"] is None:
                lines.append(f"| {row['budget']:.4g} | no gap to close |")
            else:
                low, high = row["interval"]
                lines.append(f"| {row['budget']:.4g} | {row['share']:.2f} [{plain(low)}, {plain(high)}] |")
        lines += [
            "",
            "The hindsight choice is made with one half of each prompt's samples, drawn towards the training "
            "prompts that they make likely, and scored on the other half. With few samples per prompt it can "
            "still lie below a policy: it is a bound only where it lies above.",
        ]
        return "\n".join(lines)

    def _band_table(self) -> str:
        lines = [
            "## Who gets what",
            "",
            f"Prompts in fifths of observed success of one sample, easiest first, at a budget of "
            f"{self.bands['budget']:.4g}.",
            "",
            "| band | one sample | cost | value | best single static |",
            "|---|---|---|---|---|",
        ]
        lines.extend(
            f"| {row['band']} | {row['one_sample']:.3f} | {row['cost']:.4g} | {row['value']:.3f} | "
            f"{row['static_value']:.3f} |"
            for row in self.bands["bands"]
        )
        lines += ["", "![What the policy gives](allocation.png)"]
        return "\n".join(lines)

    def _flops(self) -> str:
        match = self.flops_matched
        if not match:
            return ""
        assumed = (
            "" if match["tokens_recorded"] else " Tokens are not recorded: samples are taken as equally long."
        )
        lines = [
            "## A small model with test-time compute against a bigger one",
            "",
            f"{as_text(match['small'])} with N samples against {as_text(match['large'])} "
            f"({match['size_ratio']:.3g} times larger) answering "
            f"once, at equal FLOPs; difference in value per difficulty band, easiest first.{assumed}",
            "",
            "| inference per pre-training token | N freed (used) | all | 1 | 2 | 3 | 4 | 5 |",
            "|---|---|---|---|---|---|---|---|",
        ]
        for row in match["rows"]:
            ratio = row["inference_per_pretraining_token"]
            cells = [_signed(row["all"])] + [_signed(band) for band in row["bands"]]
            limited = ", all that is recorded" if row["limited_by_log"] else ""
            lines.append(
                f"| {'inference only' if ratio is None else ratio} | {row['samples_freed']} "
                f"({row['samples_used']}{limited}) | " + " | ".join(cells) + " |"
            )
        return "\n".join(lines)

    def _belief(self) -> str:
        lines = [
            "## Belief",
            "",
            "| generator | Brier | constant | explained share | CRPS | constant |",
            "|---|---|---|---|---|---|",
        ]
        for name, row in self.calibration.items():
            lines.append(
                f"| {as_text(name)} | {row['brier']:.4f} | {row['brier_constant']:.4f} | "
                f"{row['explained_share']:.2f} | "
                f"{row['crps']:.4f} | {row['crps_constant']:.4f} |"
            )
        lines += ["", "![Reliability](reliability.png)"]
        return "\n".join(lines)

    def _budget_table(self) -> str:
        lines = [
            "## Budgets kept",
            "",
            f"| budget ({self.data['unit']} per prompt) | expected cost | realised cost | realised / "
            f"budget | expected | realised |",
            "|---|---|---|---|---|---|",
        ]
        lines.extend(
            f"| {row['budget']:.4g} | {row['expected_cost']:.4g} | {row['realised_cost']:.4g} | "
            f"{row['realised_over_budget']:.3f} | {row['expected_value']:.3f} | "
            f"{row['realised_value']:.3f} |"
            for row in self.budgets
        )
        return "\n".join(lines)


def _cell(row: dict[str, Any], *, static: bool) -> str:
    if row["value"] is None:
        return "–"
    if static:
        return f"{row['value']:.3f}"
    low, high = row["difference_interval"]
    return f"{row['value']:.3f} ({row['difference']:+.3f} [{plain(low)}, {plain(high)}])"


def _signed(row: dict[str, Any]) -> str:
    low, high = row["interval"]
    return f"{row['difference']:+.3f} [{low:+.3f}, {high:+.3f}]"


def _bold(name: str) -> str:
    return f"**{name}**" if name in ("learned", "adaptive", _STATIC) else as_text(name)


def _near_duplicates(data: dict[str, Any]) -> list[str]:
    """Say what was grouped and what was left out because its text was trained on."""
    lines = []
    if data.get("n_near_duplicates"):
        lines.append(
            f"- Near-duplicates: {data['n_near_duplicates']} of the prompts are nearly the same question as "
            f"another one; intervals draw the {data['n_groups']} groups."
        )
    if data.get("n_renamed"):
        lines.append(f"- Left out: {data['n_renamed']} prompts whose text was trained on under another id.")
    return lines
