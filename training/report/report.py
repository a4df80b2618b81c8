"""The report of an evaluation: JSON for programs, Markdown for people, figures for both.

Every number comes from the tables that `training.evaluate` made; nothing is computed here but the wording.
Figures are drawn by `training.report.figures`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, fields
from typing import Any, Final

import msgspec

from difficulty.printable import html_facts
from training.report import sections, verdict
from training.report.families import families_section
from training.report.kept import budgets_section, promises_section
from training.report.labels import labels_section, labels_sentence
from training.report.markdown import as_text, document
from training.report.names import OURS
from training.report.verifier import verifier_section
from training.report.words import multiple

REPORT_SCHEMA: Final = 2
# What is said of counts that are not 0: the count is {0}, the number of groups {1}.
_NOTES: Final = {
    "n_left_out": "Left out: {0} prompts that lack samples of what the policy or the static mix draws.",
    "n_courses_given_up": "Not compared: {0} courses that too few of these prompts have samples for; the "
    "policy and the static mix do without them here.",
    "n_renamed": "Left out: {0} prompts whose text was trained on under another id.",
    "n_reworded": "Left out: {0} prompts that are nearly the same as one that was trained on.",
    "n_near_duplicates": "Near-duplicates: {0} of the prompts are nearly the same question as another one; "
    "intervals draw the {1} groups.",
    "n_strange": "Strangers: {0} of the prompts, unlike those that were trained on; what plans expect of "
    "them is near the average.",
}


@dataclass(frozen=True, kw_only=True, slots=True, repr=False)
class Report:
    """Tables of an evaluation, all JSON values.

    Parameters
    ----------
    data : dict
        Test data, unit, objective, seeds, what was left out, and what intervals are conditional on.
    bundle : dict
        What was evaluated: generators and the training record.
    comparison : dict
        Fields of `training.evaluation.comparison.Comparison`.
    rivals : dict
        Ours against known rules and other baselines, from `training.evaluation.comparison.head_to_head`.
    work : dict
        The same against ours without each of its parts.
    uniform : dict
        Ours against the same number of samples for everybody (`training.evaluation.uniform`).
    oracle_gap : dict
        Share of the gap to hindsight that is closed, per budget; empty where halves are too small.
    calibration : dict
        Scores of the belief per generator.
    families : dict
        What the belief explains on known and on unseen families (`training.evaluation.family_scores`); empty
        where the log names none.
    promises, budgets : list of dict
        Told and realised value by fifth, and cost, per budget (`training.evaluation.promises`).
    bands : dict
        What each difficulty band gets (`training.evaluation.allocation`).
    flops_matched : dict
        Small model with test-time compute against a bigger one; empty where sizes are not known.
    learned_verifier : dict
        Measures of the learned verifiers per generator.
    labels : dict
        Where the bundle was trained on labels: which, and how far they are off; empty elsewhere.
    """

    data: dict[str, Any]
    bundle: dict[str, Any]
    comparison: dict[str, Any]
    rivals: dict[str, Any]
    work: dict[str, Any]
    uniform: dict[str, Any]
    oracle_gap: dict[str, Any]
    calibration: dict[str, Any]
    families: dict[str, Any]
    promises: list[dict[str, Any]]
    budgets: list[dict[str, Any]]
    bands: dict[str, Any]
    flops_matched: dict[str, Any]
    learned_verifier: dict[str, Any]
    labels: dict[str, Any] = field(default_factory=dict)

    def multiple(self, quantile: float, policy: str = OURS) -> tuple[float, tuple[float, float]]:
        """Return a policy's cost multiple and its 95 % interval at a quantile of the way to the static
        plateau; 0 where it never gets there.

        Raises
        ------
        KeyError
            When the policy or the quantile is not in the tables.
        """
        for row in self.comparison["cost_multiples"][policy]:
            if row["way_to_plateau"] == quantile:
                low, high = row["interval"]
                return row["multiple"], (low, high)
        raise KeyError(quantile)

    @property
    def verdict(self) -> str:
        """What would be saved against the same N for everybody and against static, and what did the work."""
        return self._verdict(str)

    @property
    def saving(self) -> str:
        """What would be saved against the same N for everybody."""
        return self._saving(str)

    @property
    def what_did_the_work(self) -> str:
        """What is lost at equal cost without each part of the policy; empty where nothing was deployed."""
        return "" if self._nothing else verdict.work_sentence(self.work, self.data)

    @property
    def standing(self) -> str:
        """How the policy stands at equal cost against the best static mix and the best tuned rule."""
        return verdict.standing_sentence(self.comparison, self.rivals, self.data)

    def notes(self) -> list[str]:
        """Return what is to know of the test data, a sentence each: labels, and what was left out."""
        counted = self.data["counted_from"]
        told = [f"Rewards are counted from {counted:.12g}."] if counted else []
        told += [labels_sentence(self.labels)] if self.labels else []
        shown = ((words, self.data[name]) for name, words in _NOTES.items() if self.data[name])
        return told + [words.format(count, self.data["n_groups"]) for words, count in shown]

    @property
    def _nothing(self) -> bool:
        return verdict.nothing_deployed(self.bundle["training"])

    def _saving(self, shown: Callable[[str], str]) -> str:
        saved = verdict.saving_sentence(self.uniform, self.data, shown=shown)
        return f"{verdict.NOTHING_PAYS} {saved}".rstrip() if self._nothing else saved

    def _verdict(self, shown: Callable[[str], str]) -> str:
        """Return the verdict, with names that others chose as `shown` writes them."""
        parts = [self._saving(shown), self.what_did_the_work]
        if not self._nothing:
            parts += [verdict.multiples_sentence(self.comparison, self.data), self.standing]
        return " ".join(part for part in parts if part)

    def __repr__(self) -> str:
        """Say what was judged, and the verdict; `to_markdown` says all of it."""
        return f"Report({self.data.get('n_prompts', '?')} held-out prompts: {self.verdict})"

    def _repr_html_(self) -> str:
        """Return the verdict for a notebook, and what the best static mix costs at equal value."""
        facts = [("verdict", self.verdict)]
        for row in self.comparison.get("cost_multiples", {}).get(OURS, []):
            way = f"cost of the best static mix over the policy's, {row['way_to_plateau']:.0%} of the way"
            facts.append((way, multiple(row)))
        data = self.data
        title = (
            f"Evaluation on {data.get('n_prompts', '?')} held-out prompts, cost in {data.get('unit', '?')}"
        )
        return html_facts(title, facts)

    def to_json(self) -> bytes:
        """Return the report as JSON; equal reports give equal bytes."""
        content = {"report": REPORT_SCHEMA, "verdict": self.verdict}
        content |= {item.name: getattr(self, item.name) for item in fields(self)}
        return msgspec.json.format(msgspec.json.encode(content), indent=1) + b"\n"

    def to_markdown(self) -> str:
        """Return the report for people."""
        parts = [
            self._head(),
            sections.equal_cost_section(self.comparison, self.data),
            sections.multiples_section(self.comparison, self.data),
            sections.uniform_section(self.uniform, self.data),
            sections.work_section(self.work, self.data),
            sections.rivals_section(self.rivals, self.data),
            sections.gap_section(self.oracle_gap),
            sections.bands_section(self.bands),
            promises_section(self.promises, self.data),
            budgets_section(self.budgets, self.data),
            sections.belief_section(self.calibration),
            families_section(self.families, self.calibration),
            sections.flops_section(self.flops_matched),
            verifier_section(self.learned_verifier),
            labels_section(self.labels),
        ]
        return document(*parts) + "\n"

    def _head(self) -> str:
        data, training = self.data, self.bundle["training"]
        lines = [
            "# Evaluation of a compute-optimal policy",
            "",
            f"**{self._verdict(as_text)}**",
            "",
            f"- Test data: {data['n_prompts']:,} prompts, {data['n_samples']:,} recorded samples; objective "
            f"{data['objective']}, cost in {data['unit']}; {data['n_courses']} courses; "
            f"{data['n_bootstrap']} bootstrap replicates, seed {data['seed']}.",
        ]
        lines += [f"- {note}" for note in self.notes()]
        bands = [band["deployed"] for band in training.get("verdict", [])]
        if bands:
            lines.append(
                f"- Deployed, from high prices to low ones: {as_text('; '.join(bands))}; learned from "
                f"{training.get('n_prompts', '?')} other prompts."
            )
        lines += [
            f"- {data['conditional_on']}",
            "",
            f"![{data['objective'].capitalize()} against cost](frontier.png)",
        ]
        return "\n".join(lines)
