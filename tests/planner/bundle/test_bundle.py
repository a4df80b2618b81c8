"""Bundles: what was saved is loaded, what was changed is refused, nothing is executed."""

from __future__ import annotations

import io
import json
import os
import shutil
import subprocess
import sys
import zipfile
from dataclasses import fields, replace
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_array_equal

from difficulty.errors import InvalidBundleError
from planner.bundle.manifest import read_manifest
from planner.bundle.policy_bundle import PolicyBundle
from planner.planner import Planner
from policies.cost.budget import Budget
from policies.table.table import CourseTable


@pytest.fixture
def folder(trained: Any, tmp_path: Path) -> Path:
    """A copy of the trained bundle, to spoil."""
    return Path(shutil.copytree(trained.folder, tmp_path / "policy"))


def edit(folder: Path, **changes: Any) -> None:
    manifest = json.loads((folder / "manifest.json").read_text())
    (folder / "manifest.json").write_text(json.dumps({**manifest, **changes}))


def replace_file(folder: Path, name: str, content: bytes) -> None:
    """Replace a file and its hash, as somebody who knows the format would."""
    (folder / name).write_bytes(content)
    files = json.loads((folder / "manifest.json").read_text())["files"]
    edit(folder, files={**files, name: sha256(content).hexdigest()})


def read(path: Path) -> dict[str, np.ndarray]:
    with np.load(path) as archive:
        return {key: archive[key] for key in archive.files}


def packed(arrays: dict[str, np.ndarray]) -> bytes:
    buffer = io.BytesIO()
    np.savez(buffer, **arrays)  # type: ignore[arg-type]  # no array is named allow_pickle
    return buffer.getvalue()


def test_what_was_saved_is_loaded(trained: Any) -> None:
    saved, loaded = trained.bundle, PolicyBundle.load(trained.folder)
    assert loaded.generators == saved.generators
    assert loaded.table.courses == saved.table.courses
    for item in fields(CourseTable):
        if item.name not in ("courses", "slots"):
            assert_array_equal(getattr(loaded.table, item.name), getattr(saved.table, item.name))
    for name in ("n", "n_correct", "output_tokens"):
        assert_array_equal(getattr(loaded.references, name), getattr(saved.references, name))
    for ours, theirs in ((loaded.policy, saved.policy), (loaded.belief, saved.belief)):
        assert {name: array.tolist() for name, array in ours.to_arrays().items()} == {
            name: array.tolist() for name, array in theirs.to_arrays().items()
        }
    assert_array_equal(loaded.deployed, saved.deployed)
    assert_array_equal(loaded.prompt_tokens, saved.prompt_tokens)
    assert dict(loaded.training) == json.loads(json.dumps(dict(saved.training)))
    prompts = trained.test_log.prompts
    assert_array_equal(
        Planner(bundle=loaded).belief(prompts).weights, Planner(bundle=saved).belief(prompts).weights
    )
    ours, theirs = (Planner(bundle=bundle).plan(prompts, price=1e-4) for bundle in (loaded, saved))
    assert ours == theirs


def test_what_caches_spared_is_kept_and_takes_no_room_where_nothing_was(trained: Any, tmp_path: Path) -> None:
    assert "table.cached_tokens" not in read(trained.folder / "references.npz")
    table = trained.bundle.table
    spared = replace(trained.bundle, table=replace(table, cached_tokens=table.samples * np.float32(7)))
    spared.save(tmp_path / "spared")
    assert_array_equal(PolicyBundle.load(tmp_path / "spared").table.cached_tokens, spared.table.cached_tokens)


def test_a_bundle_says_what_it_is_in_a_line(trained: Any) -> None:
    assert repr(trained.bundle).startswith("PolicyBundle(")
    assert "model-0, model-1 in output_tokens, 156 reference prompts" in repr(trained.bundle)


def test_training_prompts_are_remembered_by_id_and_group(trained: Any) -> None:
    loaded = PolicyBundle.load(trained.folder)
    assert all(loaded.was_trained_on(prompt) for prompt in trained.train_log.prompts)
    assert not any(loaded.was_trained_on(prompt) for prompt in trained.test_log.prompts)
    assert loaded.was_trained_on(replace(trained.test_log.prompts[0], group=trained.train_log.prompts[0].id))


def test_saving_again_gives_the_same_bytes(trained: Any, trained_small: Any, tmp_path: Path) -> None:
    for number, folder in enumerate((trained.folder, trained_small.folder)):
        again = tmp_path / str(number)
        PolicyBundle.load(folder).save(again)
        names = sorted(path.name for path in folder.iterdir())
        assert names == sorted(path.name for path in again.iterdir())
        for name in names:
            assert (again / name).read_bytes() == (folder / name).read_bytes(), name


def test_no_file_of_a_bundle_is_a_pickle(trained: Any) -> None:
    for path in trained.folder.iterdir():
        assert path.suffix in (".json", ".txt", ".npz")
        if path.suffix == ".npz":
            with np.load(path, allow_pickle=False) as archive:
                assert all(archive[name].dtype != object for name in archive.files)


@pytest.mark.parametrize("name", ["references.npz", "features.npz", "belief.npz", "policy.npz"])
def test_a_changed_file_is_refused_by_its_hash(folder: Path, name: str) -> None:
    content = bytearray((folder / name).read_bytes())
    content[len(content) // 2] ^= 1
    (folder / name).write_bytes(bytes(content))
    with pytest.raises(InvalidBundleError, match=rf"{name}: its hash is not the manifest's"):
        PolicyBundle.load(folder)


def test_a_missing_file_is_named(folder: Path) -> None:
    (folder / "belief.npz").unlink()
    with pytest.raises(InvalidBundleError, match=r"belief\.npz is missing"):
        PolicyBundle.load(folder)


def test_a_folder_without_a_manifest_says_how_to_make_one(tmp_path: Path) -> None:
    for path in (tmp_path, tmp_path / "nowhere"):
        with pytest.raises(InvalidBundleError, match=r"manifest\.json is missing.*planner train"):
            PolicyBundle.load(path)


@pytest.mark.parametrize("version", [0, 1, 2, 4, None, "1", True, [1], 10**30])
def test_another_schema_is_refused(folder: Path, version: object) -> None:
    edit(folder, policy_bundle=version)
    with pytest.raises(InvalidBundleError, match=r"this version reads.*train the bundle anew"):
        PolicyBundle.load(folder)


def test_an_unknown_key_is_refused(folder: Path) -> None:
    edit(folder, on_load="import os")
    with pytest.raises(InvalidBundleError, match="on_load"):
        read_manifest(folder)


@pytest.mark.parametrize("text", ["", "{", "[]", "null", '{"policy_bundle": 1}', "\xff"])
def test_a_broken_manifest_is_refused(folder: Path, text: str) -> None:
    (folder / "manifest.json").write_bytes(text.encode("latin-1"))
    with pytest.raises(InvalidBundleError):
        PolicyBundle.load(folder)


@pytest.mark.parametrize("name", ["../secret.txt", "/etc/hostname", "a/b.npz", "..", "", "."])
def test_file_names_that_leave_the_folder_are_refused(folder: Path, name: str) -> None:
    (folder.parent / "secret.txt").write_bytes(b"secret")
    files = json.loads((folder / "manifest.json").read_text())["files"]
    edit(folder, files={**files, name: sha256(b"secret").hexdigest()})
    with pytest.raises(InvalidBundleError):
        PolicyBundle.load(folder)


class _Bomb:
    """Creates a file when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return (os.mkdir, (str(self.path),))


@pytest.mark.parametrize("name", ["references.npz", "features.npz", "belief.npz", "policy.npz"])
def test_a_pickle_in_an_array_file_is_refused_and_never_run(folder: Path, tmp_path: Path, name: str) -> None:
    with np.load(folder / name) as archive:
        arrays = {key: archive[key] for key in archive.files}
    arrays[next(iter(arrays))] = np.array([_Bomb(tmp_path / "executed")], dtype=object)
    buffer = io.BytesIO()
    np.savez(buffer, allow_pickle=True, **arrays)
    replace_file(folder, name, buffer.getvalue())
    with pytest.raises(InvalidBundleError, match=f"{name}.*no array of plain numbers"):
        PolicyBundle.load(folder)
    assert not (tmp_path / "executed").exists()


def test_a_bare_pickle_in_place_of_an_archive_is_refused(folder: Path, tmp_path: Path) -> None:
    import pickle

    replace_file(folder, "references.npz", pickle.dumps(_Bomb(tmp_path / "executed")))
    with pytest.raises(InvalidBundleError):
        PolicyBundle.load(folder)
    assert not (tmp_path / "executed").exists()


def test_an_archive_that_is_cut_or_lacks_arrays_is_refused(folder: Path) -> None:
    whole = (folder / "references.npz").read_bytes()
    replace_file(folder, "references.npz", whole[: len(whole) // 2])
    with pytest.raises(InvalidBundleError, match=r"references\.npz is no archive of arrays"):
        PolicyBundle.load(folder)
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("n.npy", b"")
    replace_file(folder, "references.npz", buffer.getvalue())
    with pytest.raises(InvalidBundleError, match=r"n\.npy is no array of numpy"):
        PolicyBundle.load(folder)


@pytest.mark.parametrize("trees", ["forest.trees", "success.boosted.trees"])
def test_a_belief_whose_trees_are_none_is_refused(folder: Path, trees: str) -> None:
    arrays = read(folder / "belief.npz")
    cycle = np.where(arrays[f"{trees}.left"] >= 0, 0, -1)
    for changes in ({f"{trees}.left": cycle}, {f"{trees}.root": arrays[f"{trees}.root"] + 10**6}):
        replace_file(folder, "belief.npz", packed({**arrays, **changes}))
        with pytest.raises(InvalidBundleError, match="trees"):
            PolicyBundle.load(folder)


def test_arrays_that_disagree_in_size_are_refused(folder: Path) -> None:
    original = {name: (folder / name).read_bytes() for name in ("references.npz", "policy.npz", "belief.npz")}
    for file, name, cut in (
        ("references.npz", "n", np.s_[:-1]),
        ("references.npz", "length", np.s_[:, :-1]),
        ("references.npz", "table.value", np.s_[:, :-1]),
        ("references.npz", "table.samples", np.s_[:, :-1]),
        ("references.npz", "table.rounds", np.s_[:-1]),
        ("references.npz", "deployed", np.s_[:-1]),
        ("references.npz", "trained", np.s_[None]),
        ("policy.npz", "prices", np.s_[:-1]),
        ("policy.npz", "offered", np.s_[:, :-1]),
        ("policy.npz", "told.cost", np.s_[:-1]),
        ("belief.npz", "share", np.s_[:-1]),
        ("belief.npz", "rates", np.s_[:-1]),
        ("belief.npz", "forest.leaves", np.s_[:-1]),
    ):
        arrays = read(folder / file)
        replace_file(folder, file, packed({**arrays, name: arrays[name][cut]}))
        with pytest.raises(InvalidBundleError):
            PolicyBundle.load(folder)
        replace_file(folder, file, original[file])
    PolicyBundle.load(folder)


def test_a_policy_that_offers_what_is_not_deployed_is_refused(folder: Path) -> None:
    arrays = read(folder / "policy.npz")
    replace_file(folder, "policy.npz", packed({**arrays, "offered": np.ones_like(arrays["offered"])}))
    with pytest.raises(InvalidBundleError, match="not deployed"):
        PolicyBundle.load(folder)


@pytest.mark.parametrize(
    ("name", "number"),
    [("prices", -1.0), ("prices", np.inf), ("told.slope", -1.0), ("told.cost", 0.0), ("told.offset", np.nan)],
)
def test_numbers_of_a_policy_out_of_range_are_refused(folder: Path, name: str, number: float) -> None:
    arrays = read(folder / "policy.npz")
    arrays[name][-1] = number
    replace_file(folder, "policy.npz", packed(arrays))
    with pytest.raises(InvalidBundleError, match="do not fit together"):
        PolicyBundle.load(folder)


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"selection": {"by": "oracle"}}, "oracle"),
        ({"stop": {"rule": "Coin"}}, "Coin"),
        ({"temperature": 1.0}, "temperature"),
        ({"steps": []}, "step"),
    ],
)
def test_courses_that_are_none_are_refused(folder: Path, change: dict[str, Any], why: str) -> None:
    courses = json.loads((folder / "manifest.json").read_text())["courses"]
    edit(folder, courses=[{**course, **change} for course in courses])
    with pytest.raises(InvalidBundleError, match=why):
        PolicyBundle.load(folder)


def test_a_course_of_an_undescribed_generator_is_refused(folder: Path) -> None:
    courses = json.loads((folder / "manifest.json").read_text())["courses"]
    for step in courses[-1]["steps"]:
        step["generator"] = "other"
    edit(folder, courses=courses)
    with pytest.raises(InvalidBundleError, match="not described: other"):
        PolicyBundle.load(folder)


@pytest.mark.parametrize("field", [{"objective": "beauty"}, {"unit": "bananas"}])
def test_an_unknown_objective_or_unit_is_refused(folder: Path, field: dict[str, str]) -> None:
    edit(folder, **field)
    with pytest.raises(InvalidBundleError, match=next(iter(field.values()))):
        PolicyBundle.load(folder)


def test_saving_over_a_bundle_replaces_it_and_keeps_out_of_other_folders(
    trained: Any, tmp_path: Path
) -> None:
    bundle = PolicyBundle.load(trained.folder)
    bundle.save(tmp_path / "policy")
    for name in ("predictor-7.txt", "predictor-0.npz", "adaptive.json"):
        (tmp_path / "policy" / name).write_text("left over from a bundle of an older schema")
    bundle.save(tmp_path / "policy")
    assert sorted(path.name for path in (tmp_path / "policy").iterdir()) == sorted(
        path.name for path in trained.folder.iterdir()
    )
    (tmp_path / "thesis").mkdir()
    (tmp_path / "thesis" / "thesis.tex").write_text("mine")
    with pytest.raises(InvalidBundleError, match=r"thesis\.tex"):
        bundle.save(tmp_path / "thesis")
    assert [path.name for path in (tmp_path / "thesis").iterdir()] == ["thesis.tex"]


def test_bundles_of_older_schemas_are_refused_and_may_be_replaced(trained: Any, tmp_path: Path) -> None:
    with zipfile.ZipFile(Path(__file__).with_name("schema_1.zip")) as archive:
        archive.extractall(tmp_path / "old")
    with pytest.raises(InvalidBundleError, match=r"schema '?1'?.*train the bundle anew"):
        PolicyBundle.load(tmp_path / "old")
    for name in ("prompts.json", "coordinates.json"):  # no files of the bundle
        (tmp_path / "old" / name).unlink(missing_ok=True)
    PolicyBundle.load(trained.folder).save(tmp_path / "old")
    assert PolicyBundle.load(tmp_path / "old").training == trained.bundle.training


def test_planning_loads_no_lightgbm(trained: Any) -> None:
    code = (
        "import sys; from planner import Budget, Planner; "
        "Planner.load(sys.argv[1]).plan(['1 + 1?'], budget=Budget(limit=90, unit='output_tokens')); "
        "print('lightgbm' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code, trained.folder], capture_output=True, check=True)
    assert done.stdout.strip() == b"False"


_CHILD = """
import sys
from planner import Budget, Planner
from policies.plan.wire import write_plans
planner = Planner.load(sys.argv[1])
plans = planner.plan(sys.argv[3:], budget=Budget(limit=150, unit="output_tokens"))
write_plans(sys.argv[2], plans)
"""


def test_plans_of_another_process_are_byte_equal(trained: Any, tmp_path: Path) -> None:
    from policies.plan.wire import write_plans

    texts = [f"Add up 3 + {number} + 8 + 22." for number in range(12)]
    subprocess.run(
        [sys.executable, "-c", _CHILD, trained.folder, tmp_path / "theirs.jsonl", *texts],
        check=True,
        env={**os.environ, "PYTHONHASHSEED": "7"},
    )
    plans = Planner.load(trained.folder).plan(texts, budget=Budget(limit=150, unit="output_tokens"))
    write_plans(tmp_path / "ours.jsonl", plans)
    assert (tmp_path / "ours.jsonl").read_bytes() == (tmp_path / "theirs.jsonl").read_bytes()
