"""Every Python and bash block of the documentation runs, and every link in it leads somewhere.

Blocks marked ``sh`` set up machines and are not run; ``json`` blocks show formats and must be JSON.
"""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from difficulty import Generator, SampleLog

ROOT = Path(__file__).parents[1]
PAGES = sorted(
    [ROOT / "README.md", ROOT / "CONTRIBUTING.md", ROOT / "CHANGELOG.md", *(ROOT / "docs").glob("*.md")]
)
BLOCK = re.compile(r"^```(\w*)\n(.*?)^```", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"\]\(([^)#\s]+)\)")


def blocks(page: Path, kind: str) -> list[str]:
    return [text for language, text in BLOCK.findall(page.read_text()) if language == kind]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working folder with a small ``samples.jsonl.gz``; the blocks leave their files there."""
    rng = np.random.default_rng(0)
    records = [
        {
            "prompt_id": f"p{index}",
            "prompt": f"What is {index} times {index + 1}?"
            if index % 3
            else f"Prove that {index} is not {index}.",
            "generator": "tiny",
            "samples": [
                {"answer": "a" if ok else "b", "correct": bool(ok), "output_tokens": 20}
                for ok in rng.random(5) < (0.8 if index % 3 else 0.3)
            ],
        }
        for index in range(45)
    ]
    SampleLog.from_records(records, {"tiny": Generator(name="tiny")}).write(tmp_path / "samples.jsonl.gz")
    rows = [
        f"{record['prompt_id']},{record['prompt']},tiny,{sample['answer']},{sample['correct']},20"
        for record in records
        for sample in record["samples"]  # type: ignore[attr-defined]  # of the lists made above
    ]
    header = "id,question,model,prediction,correct,output_tokens"
    (tmp_path / "results.csv").write_text("\n".join([header, *rows]) + "\n")
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize(
    "page", [p for p in PAGES if blocks(p, "python")], ids=lambda page: str(page.relative_to(ROOT))
)
def test_python_blocks_run(page: Path, folder: Path) -> None:
    names: dict[str, object] = {"__name__": "documentation"}
    for block in blocks(page, "python"):
        exec(compile(block, str(page), "exec"), names)


@pytest.mark.parametrize(
    "page", [p for p in PAGES if blocks(p, "bash")], ids=lambda page: str(page.relative_to(ROOT))
)
def test_bash_blocks_run(page: Path, folder: Path) -> None:
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    for block in blocks(page, "bash"):
        done = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", block],
            cwd=folder,
            env={**os.environ, "PATH": path},
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_json_blocks_are_json_and_links_lead_somewhere(page: Path) -> None:
    for block in blocks(page, "json"):
        json.loads(block)
    for target in LINK.findall(page.read_text()):
        if not target.startswith("http"):
            assert (page.parent / target).exists(), target


def test_setup_blocks_use_make_targets_that_exist() -> None:
    targets = set(re.findall(r"^(\w+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    used = set(re.findall(r"make (\w+)", " ".join(blocks(ROOT / "README.md", "sh"))))
    assert used and used <= targets


def test_the_sample_log_page_shows_a_log_that_reads(tmp_path: Path) -> None:
    header, line, *_ = (json.loads(block) for block in blocks(ROOT / "docs" / "sample-log.md", "json"))
    path = tmp_path / "log.jsonl"
    path.write_text("\n".join(json.dumps(part) for part in (header, line)) + "\n")
    log = SampleLog.read(path)
    assert log.n_samples == len(line["samples"])


def test_the_plan_page_shows_a_plan_that_reads() -> None:
    from policies import plan_from_json

    (block,) = blocks(ROOT / "docs" / "plan.md", "json")
    assert plan_from_json(json.dumps(json.loads(block))).allocation.n == 5


@pytest.mark.slow
def test_the_quickstart_notebook_runs() -> None:
    subprocess.run([sys.executable, str(ROOT / "notebooks" / "quickstart.py")], check=True, cwd=ROOT)


def test_the_server_of_the_readme_starts(tmp_path: Path) -> None:
    """The line as it stands, on a free port and with a bundle that knows nothing; it stops when told to."""
    (line,) = [
        block.strip() for block in blocks(ROOT / "README.md", "sh") if block.startswith("planner serve")
    ]
    arguments = [part for part in line.split()[1:] if part not in ("--bundle", "policy/")]
    command = [sys.executable, "-m", "planner", *arguments, "--port", "0"]
    server = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, cwd=tmp_path
    )
    try:
        assert server.stdout is not None
        told = ""
        while "127.0.0.1:" not in told.replace("127.0.0.1:8000", ""):
            line = server.stdout.readline()
            assert line, told
            told += line
    finally:
        server.terminate()
        server.wait(timeout=20)
        if server.stdout is not None:
            server.stdout.close()
