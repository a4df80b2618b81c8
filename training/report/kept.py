"""What plans told beside what came: promises of value by fifth, budgets by cost and rounds, in Markdown.

Every number is made by `training.evaluation.promises`.
"""

from __future__ import annotations

from training.report.markdown import Rows, Table, document, table, table_of


def promises_section(promises: Rows, data: Table) -> str:
    """Return what plans told and what they brought, by fifth of what they told."""
    if not promises:
        return ""
    rows = [
        [
            f"{row['budget']:.4g}",
            f"{row['told']:.2f} [{row['told_interval'][0]:.2f}, {row['told_interval'][1]:.2f}] → "
            f"{row['realised']:.2f}",
            *(
                f"{fifth['told']:.2f} → {fifth['realised']:.2f} "
                f"[{fifth['interval'][0]:.2f}, {fifth['interval'][1]:.2f}]" + ("" if fifth["held"] else " ✗")
                for fifth in row["fifths"]
            ),
        ]
        for row in promises
    ]
    n = max(len(row["fifths"]) for row in promises)
    fifths = [fifth for row in promises for fifth in row["fifths"]]
    held, as_told = (sum(fifth[name] for fifth in fifths) for name in ("held", "held_as_told"))
    return document(
        "## Promises kept",
        f"Expected {data['objective']} that plans told → realised, by fifth of what was told, lowest "
        "first, per budget. ✗ marks a promise more than .05 off and outside the interval of what came.",
        f"**{held} of {len(fifths)} held**, where right promises would hold in "
        f"{sum(fifth['chance'] for fifth in fifths):.1f}: tested prompts are a sample, and so were those "
        f"of training. {as_told} lie within .05 or the interval that was told of their mean.",
        table(["budget", "all", *(str(number + 1) for number in range(n))], rows),
    )


def budgets_section(budgets: Rows, data: Table) -> str:
    """Return budgets against what was expected and realised, and the rounds of waiting."""
    if not budgets:
        return ""
    return document(
        "## Budgets kept",
        "Realised over budget is above 1 where more was spent than asked for, and below where money was "
        "left. Rounds wait for each other: their mean, and what 95 % of the prompts stay within.",
        table_of(
            budgets,
            {
                f"budget ({data['unit']} per prompt)": "{budget:.4g}",
                "expected cost": "{expected_cost:.4g}",
                "realised cost": "{realised_cost:.4g}",
                "realised / budget": "{realised_over_budget:.3f} [{realised_over_budget_interval[0]:.3f}, "
                "{realised_over_budget_interval[1]:.3f}]",
                f"expected {data['objective']}": "{expected_value:.3f}",
                "realised": "{realised_value:.3f}",
                "rounds": "{mean_rounds:.2f} ({p95_rounds:.1f})",
            },
        ),
    )
