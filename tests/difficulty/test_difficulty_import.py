"""The room hands out what it promises, and loads nothing before it is asked for."""

from __future__ import annotations

import subprocess
import sys

import pytest

import difficulty


def test_every_promised_name_is_there() -> None:
    for name in difficulty.__all__:
        assert getattr(difficulty, name).__name__ == name
    assert set(difficulty.__all__) <= set(dir(difficulty))
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        difficulty.nothing  # noqa: B018


def test_importing_the_log_loads_nothing_heavy() -> None:
    program = (
        "import sys, difficulty\n"
        "assert 'msgspec' not in sys.modules\n"
        "from difficulty import SampleLog, read_inspect, read_lm_eval\n"
        "heavy = {'pyarrow', 'torch', 'transformers', 'sklearn', 'lightgbm', 'scipy', 'optuna'}\n"
        "print(*sorted(heavy & set(sys.modules)))"
    )
    loaded = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    ).stdout
    assert loaded.split() == []
