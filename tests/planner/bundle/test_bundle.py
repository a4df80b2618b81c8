"""Bundles: what was saved is loaded, what was changed is refused, nothing is executed."""

from __future__ import annotations

import io
import json
import os
import shutil
import subprocess
import sys
import zipfile
from dataclasses import replace
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_array_equal
from policies.adaptive.wire import to_plain

from difficulty.errors import InvalidBundleError
from difficulty.prompt import Prompt
from planner.bundle.policy_bundle import SCHEMA, PolicyBundle, read_manifest
from planner.planner import Planner
from policies.cost.budget import Budget


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


def test_what_was_saved_is_loaded(trained: Any) -> None:
    saved, loaded = trained.bundle, PolicyBundle.load(trained.folder)
    assert loaded.policy == saved.policy
    assert loaded.generators == saved.generators
    assert loaded.curves.allocations == saved.curves.allocations
    assert loaded.curves.prompt_ids == saved.curves.prompt_ids
    for name in ("value", "samples", "prompt_tokens", "output_tokens"):
        assert_array_equal(getattr(loaded.curves, name), getattr(saved.curves, name))
    for name in ("n", "n_correct", "output_tokens", "coordinates"):
        assert_array_equal(getattr(loaded.references, name), getattr(saved.references, name))
    assert_array_equal(loaded.deployed, saved.deployed)
    assert dict(loaded.training) == json.loads(json.dumps(dict(saved.training)))
    prompts = trained.test_log.prompts
    assert_array_equal(
        Planner(bundle=loaded).coordinates(prompts), Planner(bundle=saved).coordinates(prompts)
    )


def test_what_a_reward_model_read_is_saved_where_it_was_recorded(trained: Any, tmp_path: Path) -> None:
    assert trained.bundle.curves.verifier_tokens is None
    with np.load(trained.folder / "references.npz") as arrays:
        assert "verifier_tokens" not in arrays.files
    assert PolicyBundle.load(trained.folder).curves.verifier_tokens is None
    read = np.full(trained.bundle.curves.value.shape, np.nan)
    read[:, 1] = 700
    folder = tmp_path / "recorded"
    replace(trained.bundle, curves=replace(trained.bundle.curves, verifier_tokens=read)).save(folder)
    assert_array_equal(PolicyBundle.load(folder).curves.verifier_tokens, read)


def test_a_policy_that_reacts_is_saved_and_loaded(trained_adaptive: Any) -> None:
    saved, loaded = trained_adaptive.bundle.adaptive, PolicyBundle.load(trained_adaptive.folder).adaptive
    assert saved is not None
    assert loaded is not None
    assert to_plain(loaded.policy) == to_plain(saved.policy)
    for name in ("value", "cost", "cost_deviation"):
        assert_array_equal(getattr(loaded, name), getattr(saved, name))
    assert saved.cost_belief is not None
    assert loaded.cost_belief == saved.cost_belief
    rivals = PolicyBundle.load(trained_adaptive.folder).rivals
    assert rivals
    assert {name: to_plain(rival) for name, rival in rivals.items()} == {
        name: to_plain(rival) for name, rival in trained_adaptive.bundle.rivals.items()
    }


def test_bundles_from_before_costs_had_a_belief_of_their_own_are_read(
    trained_adaptive: Any, tmp_path: Path
) -> None:
    bundle = PolicyBundle.load(trained_adaptive.folder)
    assert bundle.adaptive is not None
    replace(bundle, adaptive=replace(bundle.adaptive, cost_belief=None)).save(tmp_path)
    old = PolicyBundle.load(tmp_path)
    assert old.adaptive is not None
    assert old.adaptive.cost_belief is None
    budget = Budget(limit=300, unit="output_tokens")
    plans = Planner(bundle=old).plan(trained_adaptive.test_log.prompts, budget=budget, adaptive=True)
    assert sum(plan.expected_cost for plan in plans) <= 300 * len(plans) * (1 + 1e-9)


def test_training_prompts_are_remembered_by_id_and_group(trained: Any) -> None:
    loaded = PolicyBundle.load(trained.folder)
    assert all(loaded.was_trained_on(prompt) for prompt in trained.train_log.prompts)
    assert not any(loaded.was_trained_on(prompt) for prompt in trained.test_log.prompts)
    assert loaded.was_trained_on(replace(trained.test_log.prompts[0], group=trained.train_log.prompts[0].id))


def test_saving_again_gives_the_same_bytes(trained: Any, trained_adaptive: Any, tmp_path: Path) -> None:
    for number, folder in enumerate((trained.folder, trained_adaptive.folder)):
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


@pytest.mark.parametrize("name", ["references.npz", "features.npz", "predictor-0.npz"])
def test_a_changed_file_is_refused_by_its_hash(folder: Path, name: str) -> None:
    content = bytearray((folder / name).read_bytes())
    content[len(content) // 2] ^= 1
    (folder / name).write_bytes(bytes(content))
    with pytest.raises(InvalidBundleError, match=rf"{name}: its hash is not the manifest's"):
        PolicyBundle.load(folder)


def test_a_missing_file_is_named(folder: Path) -> None:
    (folder / "predictor-1.npz").unlink()
    with pytest.raises(InvalidBundleError, match=r"predictor-1\.npz is missing"):
        PolicyBundle.load(folder)


def test_a_folder_without_a_manifest_says_how_to_make_one(tmp_path: Path) -> None:
    for path in (tmp_path, tmp_path / "nowhere"):
        with pytest.raises(InvalidBundleError, match=r"manifest\.json is missing.*planner train"):
            PolicyBundle.load(path)


@pytest.mark.parametrize("version", [0, 3, None, "1", True, [1], 10**30])
def test_another_schema_is_refused(folder: Path, version: object) -> None:
    edit(folder, policy_bundle=version)
    with pytest.raises(InvalidBundleError, match="those that this version reads"):
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


@pytest.mark.parametrize("name", ["references.npz", "features.npz", "predictor-0.npz"])
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


def test_a_predictor_whose_trees_are_none_is_refused(folder: Path) -> None:
    with np.load(folder / "predictor-0.npz") as archive:
        arrays = {key: archive[key] for key in archive.files}
    cycle = np.where(arrays["trees.left"] >= 0, 0, -1)
    for changes in ({"trees.left": cycle}, {"trees.value": arrays["trees.value"] * 1e9}):
        buffer = io.BytesIO()
        np.savez(buffer, **{**arrays, **changes})
        replace_file(folder, "predictor-0.npz", buffer.getvalue())
        with pytest.raises(InvalidBundleError, match="trees"):
            PolicyBundle.load(folder)


def test_arrays_that_disagree_in_size_are_refused(folder: Path) -> None:
    with np.load(folder / "references.npz") as archive:
        arrays = {key: archive[key] for key in archive.files}
    for name, cut in (
        ("n", np.s_[:-1]),
        ("coordinates", np.s_[:-1]),
        ("value", np.s_[:, :-1]),
        ("samples", np.s_[:, :-1]),
        ("prompt_ids", np.s_[:-1]),
        ("deployed", np.s_[:-1]),
        ("trained", np.s_[None]),
    ):
        buffer = io.BytesIO()
        np.savez(buffer, **{**arrays, name: arrays[name][cut]})
        replace_file(folder, "references.npz", buffer.getvalue())
        with pytest.raises(InvalidBundleError, match=r"must be|do not fit"):
            PolicyBundle.load(folder)


@pytest.mark.parametrize("content", [b"{}", b"[]", b'{"adaptive": {"unknown": 1}}', b'{"adaptive": 3}'])
def test_an_adaptive_policy_that_is_none_is_refused(
    trained_adaptive: Any, tmp_path: Path, content: bytes
) -> None:
    folder = Path(shutil.copytree(trained_adaptive.folder, tmp_path / "policy"))
    replace_file(folder, "adaptive.json", content)
    with pytest.raises(InvalidBundleError, match=r"do not fit together|adaptive"):
        PolicyBundle.load(folder)


def test_adaptive_tables_of_other_sizes_are_refused(trained_adaptive: Any, tmp_path: Path) -> None:
    with np.load(trained_adaptive.folder / "adaptive.npz") as archive:
        arrays = {key: archive[key] for key in archive.files}
    for number, (name, cut) in enumerate(
        (name, cut) for name, array in arrays.items() for cut in (np.s_[:-1], np.s_[:, :-1])[: array.ndim]
    ):
        folder = Path(shutil.copytree(trained_adaptive.folder, tmp_path / str(number)))
        buffer = io.BytesIO()
        np.savez(buffer, **{**arrays, name: arrays[name][cut]})
        replace_file(folder, "adaptive.npz", buffer.getvalue())
        with pytest.raises(InvalidBundleError, match=r"disagree in size|do not fit together|cannot be read"):
            PolicyBundle.load(folder)


def test_parameters_out_of_range_in_the_manifest_are_refused(folder: Path) -> None:
    edit(folder, policy={"members": [{"family": "kernel", "level_bandwidth": -1.0}]})
    with pytest.raises(InvalidBundleError, match="bandwidth"):
        PolicyBundle.load(folder)
    edit(folder, policy={"members": [{"family": "oracle"}]})
    with pytest.raises(InvalidBundleError, match="oracle"):
        PolicyBundle.load(folder)


def test_unknown_fields_of_policy_and_menu_are_refused(folder: Path) -> None:
    manifest = json.loads((folder / "manifest.json").read_text())
    edit(folder, policy={"members": [{"family": "static", "temperature": 1.0}]})
    with pytest.raises(InvalidBundleError, match="temperature"):
        PolicyBundle.load(folder)
    edit(folder, policy=manifest["policy"], allocations=[{**a, "n": 4} for a in manifest["allocations"]])
    with pytest.raises(InvalidBundleError, match="unknown fields of Allocation: n"):
        PolicyBundle.load(folder)


def test_a_menu_of_an_undescribed_generator_is_refused(folder: Path) -> None:
    manifest = json.loads((folder / "manifest.json").read_text())
    edit(folder, allocations=[{**a, "generator": "other"} for a in manifest["allocations"]])
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
    (tmp_path / "policy" / "predictor-7.txt").write_text("left over from a bundle with more coordinates")
    bundle.save(tmp_path / "policy")
    assert not (tmp_path / "policy" / "predictor-7.txt").exists()
    (tmp_path / "thesis").mkdir()
    (tmp_path / "thesis" / "thesis.tex").write_text("mine")
    with pytest.raises(InvalidBundleError, match=r"thesis\.tex"):
        bundle.save(tmp_path / "thesis")
    assert [path.name for path in (tmp_path / "thesis").iterdir()] == ["thesis.tex"]


def test_bundles_of_the_previous_schema_are_read_and_predict_as_they_did(tmp_path: Path) -> None:
    with zipfile.ZipFile(Path(__file__).with_name("schema_1.zip")) as archive:
        archive.extractall(tmp_path / "old")
    texts, coordinates = (
        json.loads((tmp_path / "old" / name).read_text()) for name in ("prompts.json", "coordinates.json")
    )
    old = PolicyBundle.load(tmp_path / "old")
    prompts = [Prompt(text=text) for text in texts]
    # Made by LightGBM itself, with the version that wrote the bundle.
    assert_array_equal(Planner(bundle=old).coordinates(prompts), coordinates)
    old.save(tmp_path / "new")
    assert json.loads((tmp_path / "new" / "manifest.json").read_text())["policy_bundle"] == SCHEMA
    assert not list((tmp_path / "new").glob("*.txt"))
    assert_array_equal(
        Planner.load(tmp_path / "new").coordinates(prompts), Planner(bundle=old).coordinates(prompts)
    )


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
