"""Every recipe runs with the real package, where that is installed."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from live_server import live_server
from scripted_upstream import Asked, Said, ScriptedUpstream, completion

PAGE = Path(__file__).parents[1] / "docs" / "recipes.md"
BLOCKS = re.findall(r"^```python ([\w.]+)\n(.*?)^```", PAGE.read_text(), re.MULTILINE | re.DOTALL)
TOML = re.findall(r"^```toml\n(.*?)^```", PAGE.read_text(), re.MULTILINE | re.DOTALL)
# What the packages of others warn of is theirs.
pytestmark = pytest.mark.filterwarnings("ignore")


def behave(asked: Asked, place: int) -> Said:
    text = f"It is {41 if place % 4 == 3 else 42}"
    if "[[ ##" in asked.body.decode():  # the format of DSPy
        text = f"[[ ## answer ## ]]\n{text}\n\n[[ ## completed ## ]]"
    return completion(asked.json, text)


@pytest.fixture
def server(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[tuple[str, ScriptedUpstream]]:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("LITELLM_LOCAL_MODEL_COST_MAP", "True")
    package = request.node.callspec.params["package"]
    extract = tomllib.loads("".join(TOML))["extract"] if package == "dspy" else "last_number"
    with live_server(behave, extract=extract) as both:
        yield both


@pytest.mark.parametrize(("package", "block"), BLOCKS, ids=[f"{n}-{one[0]}" for n, one in enumerate(BLOCKS)])
def test_a_recipe_runs(
    package: str, block: str, server: tuple[str, ScriptedUpstream], capfd: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip(package, reason=f"{package} is not installed")
    url, up = server
    code = block.replace("http://127.0.0.1:8400", url).replace("http://127.0.0.1:8000/v1", up.url)
    names: dict[str, Any] = {"__name__": "recipe"}
    exec(compile(code, f"recipe of {package}", "exec"), names)
    said = capfd.readouterr().out
    if package == "ray.data":
        assert "1000" in said
        return
    assert up.asked
    if package == "inspect_ai":
        assert "success" in said
        epochs = int(re.findall(r"success (\d+) epochs", said)[0])
        assert 6 <= epochs < 12
    else:
        assert "It is 42" in said
    assert len(up.asked) > 1, "nothing was planned"


def test_every_recipe_says_which_version_was_run() -> None:
    table = [line.split("|")[2].strip() for line in PAGE.read_text().splitlines() if line.startswith("| ")][
        1:
    ]
    assert len(table) == 8
    assert all(re.search(r"\d+\.\d+", one) for one in table)
