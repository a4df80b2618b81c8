"""Bundles that a stranger changed and signed again: they load and plan, or are refused by a typed error."""

from __future__ import annotations

import io
import json
import shutil
import warnings
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from difficulty.errors import InvalidBundleError, PlannerError
from planner.bundle.policy_bundle import PolicyBundle
from planner.planner import Planner
from policies.cost.budget import Budget
from policies.plan.wire import plan_from_json, plan_to_json

WORDS: list[Any] = [
    None, True, -1, 0, 1, 10**18, -(10**18), 10**30, 0.5, 1e308, -1e308, 1e-308, "", "x", "\x1b[2J", [], {},
    [[]], [1], [0.5, "a"], {"a": 1}, ["model-0"], "model-9", float(2**53),
]  # fmt: skip


def places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Return the paths of all values in a JSON document."""
    children = (
        value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    )
    return [path, *(place for key, child in children for place in places(child, (*path, key)))]


def spoil(document: Any, rng: np.random.Generator) -> Any:
    """Change, remove or repeat something in a JSON document."""
    document = json.loads(json.dumps(document))
    spots = places(document)
    # Deep lists of numbers have most of the places; half of the changes are near the top.
    near = [spot for spot in spots if 0 < len(spot) <= 3]
    pick = near if rng.random() < 0.5 and near else spots[1:] or [()]
    path = pick[rng.integers(len(pick))]
    if not path:
        return WORDS[rng.integers(len(WORDS))]
    parent = document
    for key in path[:-1]:
        parent = parent[key]
    kind = rng.integers(4)
    if kind == 0:
        del parent[path[-1]]
    elif kind == 1 and isinstance(parent, list):
        parent.extend(parent * 2)
    elif kind == 2 and isinstance(parent, dict):
        parent["\x1b]0;x" if rng.random() < 0.5 else "n"] = WORDS[rng.integers(len(WORDS))]
    else:
        parent[path[-1]] = WORDS[rng.integers(len(WORDS))]
    return document


def spoil_array(array: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Change numbers, kind or shape of an array."""
    kind = rng.integers(7)
    if kind == 0 and array.ndim:
        return array[: rng.integers(len(array) + 1)]
    if kind == 1:
        return array[None]
    if kind == 2 and array.dtype.kind != "U":
        return array.astype(rng.choice(["f4", "f8", "i8", "u1", "?"]))
    if kind == 3:
        return np.array([], dtype=array.dtype)
    if kind == 4:
        return np.asfortranarray(array.T)
    if not array.size:
        return np.zeros(3)
    changed = array.copy().ravel()
    spots = slice(None) if kind == 5 else rng.integers(changed.size, size=2)
    if array.dtype.kind == "f":
        changed[spots] = rng.choice([np.nan, np.inf, -np.inf, 1e300, -1.0, 0.0, 1e18])
    elif array.dtype.kind in "iu":
        changed[spots] = rng.choice([0, 1, 2**31, 2**40]) if array.dtype.itemsize == 8 else 1
    elif array.dtype.kind == "b":
        changed[spots] = False
    else:
        changed[spots] = "\udc80" if rng.random() < 0.5 else "\x1b[31m"
    return changed.reshape(array.shape)


def spoil_file(name: str, content: bytes, rng: np.random.Generator) -> bytes:
    """Change a file as a file, or what is in it."""
    if rng.random() < 0.15:
        changed = bytearray(content[: rng.integers(len(content))] if rng.random() < 0.3 else content)
        for _ in range(rng.integers(1, 4)):
            if changed:
                changed[rng.integers(len(changed))] = rng.integers(256)
        return bytes(changed)
    if name.endswith(".json"):
        return json.dumps(spoil(json.loads(content), rng)).encode()
    with np.load(io.BytesIO(content)) as archive:
        arrays = {key: archive[key] for key in archive.files}
    key = sorted(arrays)[rng.integers(len(arrays))]
    if rng.random() < 0.1:
        del arrays[key]
    else:
        with warnings.catch_warnings(action="ignore"):
            arrays[key] = spoil_array(arrays[key], rng)
    buffer = io.BytesIO()
    np.savez(buffer, **arrays)
    return buffer.getvalue()


@pytest.fixture
def spoiled(trained: Any, tmp_path: Path) -> Callable[[np.random.Generator], Path]:
    """Return a function that changes one file of a bundle and signs it again."""
    original = {path.name: path.read_bytes() for path in trained.folder.iterdir()}
    folder = Path(shutil.copytree(trained.folder, tmp_path / "policy"))

    def make(rng: np.random.Generator) -> Path:
        for name, content in original.items():
            (folder / name).write_bytes(content)
        names = [*sorted(original), "manifest.json"]
        name = names[rng.integers(len(names))]
        (folder / name).write_bytes(spoil_file(name, original[name], rng))
        if name != "manifest.json":
            manifest = json.loads(original["manifest.json"])
            manifest["files"][name] = sha256((folder / name).read_bytes()).hexdigest()
            (folder / "manifest.json").write_text(json.dumps(manifest))
        return folder

    return make


@pytest.mark.filterwarnings("ignore::planner.planning.request.UnfamiliarPromptsWarning")
@pytest.mark.parametrize("seed", range(2))
def test_changed_bundles_load_and_plan_or_are_refused(
    spoiled: Callable[[np.random.Generator], Path], seed: int
) -> None:
    rng = np.random.default_rng(seed)
    prompts = ["Add up 3 + 4 + 8.", "Add up 17 + 3 + 99 + 28 + 1."]
    budget = Budget(limit=200, unit="output_tokens")
    refused = 0
    for _ in range(120):
        folder = spoiled(rng)
        try:
            planner = Planner.load(folder)
        except InvalidBundleError:
            refused += 1
            continue
        for one_shot in (False, True):
            try:
                plans = planner.plan(prompts, budget=budget, one_shot=one_shot)
            except PlannerError:
                continue
            assert sum(plan.expected_cost for plan in plans) <= 400 * (1 + 1e-9)
            for plan in plans:
                plan_to_json(plan)
    assert refused > 60


@pytest.mark.filterwarnings("ignore::planner.planning.request.UnfamiliarPromptsWarning")
def test_changed_plans_are_read_or_refused(trained: Any) -> None:
    (plan,) = Planner(bundle=PolicyBundle.load(trained.folder)).plan(["1 + 1?"], price=1e-4)
    document = json.loads(plan_to_json(plan))
    rng = np.random.default_rng(0)
    refused = 0
    for _ in range(1000):
        line = json.dumps(spoil(document, rng)).encode()
        if rng.random() < 0.2:
            line = line[: rng.integers(len(line))]
        try:
            assert plan_from_json(line).allocation.n <= 1_000_000
        except PlannerError:
            refused += 1
    assert refused > 500
    for line in (b"[" * 100_000, b'{"schema":' * 100_000, b'{"schema":1,"x":' + b"[" * 50_000):
        with pytest.raises(PlannerError):
            plan_from_json(line)
