"""What CONTRIBUTING.md says suffices to add something does: additions made to a copy of the packages."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from shutil import copytree, ignore_patterns

import pytest

ROOT = Path(__file__).parents[1]
SCORE = {
    "policies/menu/signals.py": {
        'return {"score"': 'return {"brevity": 1 / (1 + pool.output_tokens), "score"',
    }
}
RULE = {
    "policies/course/stop.py": {
        "RULES: Final = (": '''@dataclass(frozen=True, kw_only=True, slots=True)
class Lead:
    """Stop when the leader is so many votes ahead."""

    margin: int = 2

    def enough(self, evidence: Evidence) -> BoolArray:
        return np.asarray(evidence.leader - evidence.runner_up >= self.margin)

    def __str__(self) -> str:
        return f"until {self.margin} ahead"


RULES: Final = (
    Lead,
    '''
    },
    "policies/table/grid.py": {
        "return [*rules, share]": "return [*rules, share, Lead(margin=2), Lead(margin=3)]",
        "import Agreement,": "import Lead, Agreement,",
    },
    "training/policy/masks.py": {
        '"ESC": ': '"so many ahead": lambda course: isinstance(course.stop, Lead),\n    "ESC": ',
        "import Agreement,": "import Lead, Agreement,",
    },
}
CHAINS = [{"chain": chain, "step": step} for chain in (0, 1) for step in (0, 1)]
USES_SCORE = f"""
from difficulty import SampleLog
from difficulty.generator import Generator
from policies.menu.build import build_menu
from policies.menu.curves import measure_curves
from policies.table.grid import cascades, early_stopping
from policies.table.grid_deeper import deeper
from policies.table.recorded import Recorded

said = [("x", True, 9), ("y", False, 40), ("x", True, 8), ("y", False, 50)]
samples = [{{"answer": a, "correct": c, "output_tokens": t}} for a, c, t in said]
chained = [{{**sample, **place}} for sample, place in zip(samples, {CHAINS})]
lines = [
    {{"prompt_id": f"p{{at}}", "generator": name, "samples": samples}}
    for at in range(4) for name in ("a", "b")
] + [
    {{"prompt_id": f"p{{at}}", "generator": "a", "samples": chained}} for at in range(4)
]
log = SampleLog.from_records(lines, {{name: Generator(name=name) for name in ("a", "b")}})
menu = [each for each in build_menu(log) if each.parameters.get("verifier") == "brevity"]
assert {{each.strategy for each in menu}} == {{"best_of_n", "weighted_best_of_n"}}, menu
best = [each for each in menu if each.strategy == "best_of_n" and each.width == 4]
assert (measure_curves(log, best).value == 1).all()  # the shortest is always right here
recorded = Recorded.of(log)
cost = {{"a": 1.0, "b": 2.0}}
found = [*early_stopping(recorded), *deeper(recorded, cost), *cascades(recorded, ["a", "b"], cost)]
read = {{(len(c.generators), c.steps[-1].kind) for c in found if c.selection.signal == "brevity"}}
assert read >= {{(1, "sample"), (1, "revise"), (2, "sample")}}, read
assert all(recorded.lacks(course) is None for course in found)
"""
USES_RULE = """
from pathlib import Path
from planner import Planner
from policies.course.stop import Lead
from training import evaluate, train
from training.simulated.log import simulated_log

left, right = simulated_log(120, n_samples=6, seed=1).split(test_fraction=0.4, seed=0)
bundle = train(left, "policy", n_trials=1, unit="samples")
assert any(isinstance(course.stop, Lead) for course in bundle.table.courses)
assert Planner.load("policy").bundle.table.courses == bundle.table.courses
report = evaluate("policy", right, n_bootstrap=100, out="report")
assert "so many ahead" in report.rivals and "so many ahead" in Path("report/report.md").read_text()
"""


@pytest.mark.parametrize(
    ("changes", "uses"), [(SCORE, USES_SCORE), (RULE, USES_RULE)], ids=["a score to pick by", "a stop rule"]
)
def test_an_addition_needs_the_files_that_contributing_names(
    changes: dict[str, dict[str, str]], uses: str, tmp_path: Path
) -> None:
    assert len(changes) <= 3
    for room in ("difficulty", "policies", "planner", "training"):
        copytree(ROOT / room, tmp_path / room, ignore=ignore_patterns("__pycache__"))
    for path, edits in changes.items():
        assert f"`{path}`" in (ROOT / "CONTRIBUTING.md").read_text()
        text = (tmp_path / path).read_text()
        for before, after in edits.items():
            assert text.count(before) == 1, (path, before)
            text = text.replace(before, after)
        (tmp_path / path).write_text(text)
    done = subprocess.run(
        [sys.executable, "-c", uses], cwd=tmp_path, env={"PYTHONPATH": str(tmp_path)}, capture_output=True
    )
    assert done.returncode == 0, done.stderr.decode()
