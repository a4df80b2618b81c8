"""What users import: names, and what importing them must not load."""

import re
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pytest

# Packages that planning does without until a feature asks for them.
HEAVY = ["aiohttp", "fastapi", "httpx", "lightgbm", "matplotlib", "openai", "optuna", "pandas", "pyarrow"]
HEAVY += ["ray", "rich", "scipy", "sklearn", "torch", "transformers", "vllm"]


@pytest.mark.parametrize("room", ["difficulty", "policies", "planner", "training"])
def test_all_is_sorted_and_every_name_is_there(room: str) -> None:
    module = import_module(room)
    assert list(module.__all__) == sorted(module.__all__, key=lambda name: (name.islower(), name))
    for name in module.__all__:
        assert getattr(module, name) is not None
    assert set(module.__all__) <= set(dir(module))


@pytest.mark.parametrize("room", ["difficulty", "policies", "planner"])
def test_lazy_rooms_list_each_name_once_and_refuse_others(room: str) -> None:
    module = import_module(room)
    stub = (Path(*module.__path__) / "__init__.pyi").read_text()
    assert sorted(re.findall(r"^from [\w.]+ import (\w+) as \1$", stub, re.MULTILINE)) == sorted(
        module.__all__
    )
    with pytest.raises(AttributeError, match="nothing_of_the_kind"):
        module.nothing_of_the_kind  # noqa: B018


def test_agreed_names_are_importable() -> None:
    from difficulty import SampleLog
    from planner import (
        AllocationPlan,
        Budget,
        Completion,
        CostModel,
        Outcome,
        Planner,
        Prompt,
        SampleRequest,
        Usage,
    )
    from training import evaluate, train

    names = {
        t.__name__ for t in (AllocationPlan, Budget, Completion, CostModel, Outcome, Planner, Prompt, Usage)
    }
    assert names == {
        "AllocationPlan", "Budget", "Completion", "CostModel", "Outcome", "Planner", "Prompt", "Usage",
    }  # fmt: skip
    assert {SampleLog.__name__, SampleRequest.__name__} == {"SampleLog", "SampleRequest"}
    assert train.__name__ == "train" and evaluate.__name__ == "evaluate"


@pytest.mark.parametrize(
    "statement",
    [
        "import planner",
        "import planner.cli; planner.cli.main(['--version'])",
        "from planner import *",
        "from planner import Planner, Budget; Planner.untrained",
    ],
)
def test_importing_the_planner_loads_nothing_heavy(statement: str) -> None:
    code = f"{statement}\nimport sys\nprint('loaded:', *sorted(set({HEAVY!r}) & set(sys.modules)))"
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert shown.splitlines()[-1].split() == ["loaded:"]


def test_importing_the_package_alone_loads_no_numpy() -> None:
    code = "import sys, planner; print('numpy' in sys.modules)"
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert shown.strip() == "False"
