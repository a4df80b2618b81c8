"""Bars in notebooks and terminals, and loggers that are quiet until somebody listens."""

from __future__ import annotations

import logging
import subprocess
import sys
from types import SimpleNamespace
from typing import Any

import pytest

from difficulty.logger import logger_of
from planner import progress
from planner.collection.collected import CollectProgress
from planner.planner import Planner
from planner.progress import progress_bars
from planner.simulated import SimulatedBackend, SimulatedExtractor
from policies.cost.budget import Budget
from policies.cost.usage import Usage


def test_a_notebook_gets_bars_of_escaped_html(monkeypatch: pytest.MonkeyPatch) -> None:
    shown: list[str] = []
    monkeypatch.setattr(progress, "_notebook_display", lambda: shown.append)
    with progress_bars() as bars:
        bars("<b>stage", 1, 4)
        bars("verifier", 1, 1)
    assert 'value="1" max="4"' in shown[-1] and "1 of 4" in shown[-1]
    assert "learned verifier" in shown[-1] and "<b>" not in shown[-1]


def test_a_run_moves_its_bar(monkeypatch: pytest.MonkeyPatch) -> None:
    shown: list[str] = []
    monkeypatch.setattr(progress, "_notebook_display", lambda: shown.append)
    with progress_bars() as bars:
        Planner.untrained().run(
            ["one", "two"],
            budget=Budget(limit=2, unit="samples"),
            backend=SimulatedBackend(),
            extractor=SimulatedExtractor(),
            progress=bars,
        )
    assert "2 of 2" in shown[-1] and "prompts" in shown[-1]


def test_a_notebook_is_told_by_its_shell(monkeypatch: pytest.MonkeyPatch) -> None:
    pictures: list[str] = []
    handle = SimpleNamespace(update=pictures.append)

    def display(content: str, display_id: bool) -> Any:
        pictures.append(content)
        return handle

    module = SimpleNamespace(HTML=lambda content: content, display=display)
    monkeypatch.setitem(sys.modules, "IPython.display", module)
    monkeypatch.setitem(sys.modules, "IPython", SimpleNamespace(get_ipython=lambda: None, display=module))
    assert progress._notebook_display() is None
    kernel = SimpleNamespace(kernel=object())
    monkeypatch.setitem(sys.modules, "IPython", SimpleNamespace(get_ipython=lambda: kernel, display=module))
    with progress_bars() as bars:
        bars("curves", 0, 2)
        bars("curves", 2, 2)
    assert len(pictures) >= 2 and "2 of 2" in pictures[-1]


def test_a_terminal_gets_bars_on_standard_error(capsys: pytest.CaptureFixture[str]) -> None:
    with progress_bars() as bars:
        bars("search", 3, 3)
        usage = Usage(output_tokens=84.0)
        bars(CollectProgress(n_pieces=2, n_done=1, n_failures=3, seconds=2.0, usage=usage))
        with bars.rests():
            print("go on?", file=sys.stderr)
    told = capsys.readouterr()
    assert "trials of beliefs" in told.err and "3/3" in told.err and not told.out
    assert "collect samples" in told.err and "1/2" in told.err and "42 tokens/s" in told.err
    assert "3 failed" in told.err and "go on?" in told.err


def test_loggers_are_quiet_until_somebody_listens(caplog: pytest.LogCaptureFixture) -> None:
    code = "from difficulty.logger import logger_of; logger_of('planner.serving').warning('full disk')"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert not done.stderr and not done.stdout
    with caplog.at_level(logging.INFO, logger="planner"):
        Planner.untrained().plan(["one"], price=0.1)
    assert "planned 1 prompts" in caplog.text
    assert sum(isinstance(one, logging.NullHandler) for one in logging.getLogger("planner").handlers) == 1
    assert logger_of("planner.planner") is logging.getLogger("planner.planner")


def test_verbose_commands_log_to_standard_error(trained_small: Any) -> None:
    command = [sys.executable, "-m", "planner", "-v", "plan", str(trained_small.folder), "-", "--price", "1"]
    done = subprocess.run(command, input="Add up 1 + 2.\n", capture_output=True, text=True, check=True)
    assert "planner.planner: planned 1 prompts" in done.stderr


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_shells_can_complete_commands(shell: str) -> None:
    environment = {"_PLANNER_COMPLETE": f"{shell}_source", "PATH": "/usr/bin:/bin"}
    done = subprocess.run(
        [sys.executable, "-m", "planner"], env=environment, capture_output=True, text=True, check=False
    )
    assert "_PLANNER_COMPLETE" in done.stdout
