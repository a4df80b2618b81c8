"""The folder that training leaves and planning loads: manifest, predictor, reference prompts, report.

Files are JSON, LightGBM text and npz without pickle, each with its SHA-256 in the manifest; loading executes
nothing and refuses what was changed or is of another schema. What the parts mean is said where they live:
`difficulty.predictor.difficulty_predictor`, `difficulty.belief.reference_prompts`, `policies.menu.curves`,
`difficulty.belief.weight_spec`. Writing and checking stay in one file, so that what is written and what is
refused are read side by side.
"""

from __future__ import annotations

import io
import os
import zipfile
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, fields
from hashlib import sha256
from pathlib import Path
from typing import Any, Final, TypeAlias, TypeVar

import msgspec
import numpy as np
from numpy.typing import NDArray

from difficulty.belief.reference_prompts import ReferencePrompts
from difficulty.belief.weight_spec import PolicyMixture, PolicySpec
from difficulty.errors import InvalidBundleError
from difficulty.features.prompt_features import PromptFeatures
from difficulty.generator import Generator
from difficulty.predictor.difficulty_predictor import DifficultyPredictor
from difficulty.predictor.kernel_regression import KernelRegression
from difficulty.prompt import Prompt
from policies.adaptive.policy import AdaptivePolicy
from policies.adaptive.table import AdaptiveTable
from policies.adaptive.wire import from_plain, routing_arrays, to_plain
from policies.cost.budget import check_unit
from policies.course.allocation import Allocation
from policies.menu.curves import CurveTable
from policies.plan.objective import check_objective
from policies.verifier.learned_verifier import CorrectnessModel, read_models, write_models

__all__ = ["SCHEMA", "Manifest", "PolicyBundle", "prompt_hash"]

SCHEMA: Final = 1
_MANIFEST: Final = "manifest.json"
_MAX_BYTES: Final = 1 << 30
# Begins the names of the arrays of routings.
_ROUTING: Final = "routing:"

Arrays: TypeAlias = dict[str, NDArray[Any]]
Built = TypeVar("Built", Allocation, PolicySpec)


class Manifest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a bundle is and was trained on; `planner inspect` prints it.

    Attributes
    ----------
    policy_bundle : int
        Schema version.
    objective, unit : str
        What was optimised, and the unit of cost.
    generators : dict
        Settings of each generator, as in the log's header.
    policy : dict
        Fields of the deployed `PolicyMixture`.
    allocations : list of dict
        The menu: fields of each `Allocation`, in column order.
    directions : list of list of float
        Directions of the predictor's deviations.
    prompt_token_fit : dict
        Per generator, intercept and slope of prompt tokens against characters; absent where tokens are not
        recorded.
    training : dict
        Data (digest, counts), settings and verdict of the training run.
    files : dict
        SHA-256 of every other file.
    """

    policy_bundle: int
    objective: str
    unit: str
    generators: dict[str, dict[str, Any]]
    policy: dict[str, Any]
    allocations: list[dict[str, Any]]
    directions: list[list[float]]
    prompt_token_fit: dict[str, tuple[float, float]]
    training: dict[str, Any]
    files: dict[str, str]


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class PolicyBundle:
    """All that planning needs.

    Parameters
    ----------
    objective, unit : str
        What was optimised, and the unit of cost.
    generators : mapping of str to Generator
        Generators as they were recorded.
    policy : PolicyMixture
        The deployed policy.
    references : ReferencePrompts
        Training prompts with counts and coordinates.
    curves : CurveTable
        Value and usage of the whole menu on those prompts.
    deployed : ndarray of bool, shape (A,)
        The part of the menu that plans may use.
    features : PromptFeatures or None
        Fitted features; None where the log had no text.
    predictor : DifficultyPredictor or None
        Fitted predictor; None where the log had no text.
    prompt_token_fit : mapping
        Per generator, intercept and slope of prompt tokens against characters.
    training : mapping
        Data, settings and verdict of the training run (JSON values).
    trained : ndarray of uint64, shape (H,)
        Hashes (`prompt_hash`) of the ids and groups of all training prompts, sorted: they must not be
        evaluated on.
    adaptive : AdaptiveTable or None
        The policy that reacts to what has been drawn; None where there was nothing to react to.
    rivals : mapping of str to AdaptivePolicy
        Published stopping rules, tuned on the same prompts, for evaluation.
    verifiers : mapping of str to CorrectnessModel
        Learned verifier of each generator whose log had what it takes.
    """

    objective: str
    unit: str
    generators: Mapping[str, Generator]
    policy: PolicyMixture
    references: ReferencePrompts
    curves: CurveTable
    deployed: NDArray[np.bool_]
    features: PromptFeatures | None
    predictor: DifficultyPredictor | None
    prompt_token_fit: Mapping[str, tuple[float, float]]
    training: Mapping[str, Any]
    trained: NDArray[np.uint64] = field(default_factory=lambda: np.zeros(0, dtype=np.uint64))
    adaptive: AdaptiveTable | None = None
    rivals: Mapping[str, AdaptivePolicy] = field(default_factory=dict)
    verifiers: Mapping[str, CorrectnessModel] = field(default_factory=dict)

    def was_trained_on(self, prompt: Prompt) -> bool:
        """Return whether a prompt, or one of its group, was among the training prompts."""
        hashes = np.array([prompt_hash(prompt.id), prompt_hash(prompt.group)], dtype=np.uint64)
        return bool(np.isin(hashes, self.trained).any())

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the bundle as a folder; an existing bundle there is replaced.

        Raises
        ------
        InvalidBundleError
            When the folder holds files that are not a bundle's.
        """
        folder = Path(path)
        folder.mkdir(parents=True, exist_ok=True)
        files = self._files()
        strangers = {entry.name for entry in folder.iterdir() if entry.is_file()} - set(files) - {_MANIFEST}
        unknown = sorted(name for name in strangers if not _is_ours(name))
        if unknown:
            raise InvalidBundleError(
                f"{folder} holds files that are not a bundle's ({', '.join(unknown[:3])}); choose another "
                "folder"
            )
        for name in strangers:
            (folder / name).unlink()
        for name, content in files.items():
            (folder / name).write_bytes(content)
        manifest = Manifest(
            policy_bundle=SCHEMA,
            objective=self.objective,
            unit=self.unit,
            generators={name: _settings(generator) for name, generator in self.generators.items()},
            policy=msgspec.to_builtins(self.policy),
            allocations=[msgspec.to_builtins(allocation) for allocation in self.curves.allocations],
            directions=[] if self.predictor is None else self.predictor.directions_.tolist(),
            prompt_token_fit=dict(self.prompt_token_fit),
            training=dict(self.training),
            files={name: sha256(content).hexdigest() for name, content in sorted(files.items())},
        )
        text = msgspec.json.format(msgspec.json.encode(manifest), indent=1)
        (folder / _MANIFEST).write_bytes(text + b"\n")

    def _files(self) -> dict[str, bytes]:
        references, curves = self.references, self.curves
        files = {
            "references.npz": _pack(
                {
                    "prompt_ids": np.array(curves.prompt_ids, dtype=np.str_),
                    "n": references.n,
                    "n_correct": references.n_correct,
                    "output_tokens_per_sample": references.output_tokens,
                    "coordinates": references.coordinates,
                    "deployed": self.deployed,
                    "trained": self.trained,
                    "value": curves.value,
                    "samples": curves.samples,
                    "prompt_tokens": curves.prompt_tokens,
                    "output_tokens": curves.output_tokens,
                }
                # Absent where nothing is recorded, and in bundles of before it was.
                | ({} if curves.verifier_tokens is None else {"verifier_tokens": curves.verifier_tokens})
            )
        }
        if self.features is not None and self.predictor is not None:
            files["features.npz"] = _pack(self.features.to_arrays())
            for index, booster in enumerate(self.predictor.boosters_):
                files[f"predictor-{index}.txt"] = booster.model_to_string().encode()
            for index, regression in enumerate(self.predictor.regressions_):
                files[f"predictor-{index}.npz"] = _pack(regression.to_arrays())
        if self.adaptive is not None:
            table = self.adaptive
            policies = {"adaptive": table.policy}
            policies |= {f"rival {name}": rival for name, rival in self.rivals.items()}
            files["adaptive.json"] = msgspec.json.encode(
                {name: to_plain(policy) for name, policy in policies.items()}
            )
            files["adaptive.npz"] = _pack(
                {"value": table.value, "cost": table.cost, "cost_deviation": table.cost_deviation}
                | _cost_belief_array(table.cost_belief)
                | {
                    f"{_ROUTING} {part} of {name}": array
                    for name, policy in policies.items()
                    for part, array in routing_arrays(policy).items()
                }
            )
        if self.verifiers:
            files["verifiers.json"] = write_models(self.verifiers)
        return files

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> PolicyBundle:
        """Read a bundle.

        Raises
        ------
        InvalidBundleError
            When a file is missing, changed, unreadable, or of another schema.
        """
        folder = Path(path)
        manifest = read_manifest(folder)
        content = {name: _read(folder, name, digest) for name, digest in manifest.files.items()}
        try:
            return _assemble(manifest, content)
        except (KeyError, ValueError, TypeError, msgspec.ValidationError, zipfile.BadZipFile) as error:
            raise InvalidBundleError(
                f"{folder}: the bundle's parts do not fit together ({error}); train it anew"
            ) from error


def read_manifest(folder: Path) -> Manifest:
    """Read and check the manifest alone.

    Raises
    ------
    InvalidBundleError
        When it is missing, unreadable or of another schema.
    """
    path = folder / _MANIFEST
    if not path.is_file():
        raise InvalidBundleError(
            f"{folder} is not a policy bundle: {_MANIFEST} is missing; make one with `planner train`"
        )
    try:
        raw = msgspec.json.decode(path.read_bytes())
        version = raw.get("policy_bundle") if isinstance(raw, dict) else None
        if version != SCHEMA:
            raise InvalidBundleError(
                f"{path}: schema {version!r} is not {SCHEMA}, the one that this version reads; train the "
                "bundle anew"
            )
        return msgspec.convert(raw, Manifest)
    except msgspec.MsgspecError as error:
        raise InvalidBundleError(
            f"{path}: {error}; the manifest was changed or cut short, train the bundle anew"
        ) from error


def _assemble(manifest: Manifest, content: Mapping[str, bytes]) -> PolicyBundle:
    arrays = _unpack(content["references.npz"])
    generators = {name: Generator(name=name, **settings) for name, settings in manifest.generators.items()}
    allocations = tuple(_exactly(record, Allocation) for record in manifest.allocations)
    _check_arrays(arrays, n_generators=len(generators), n_allocations=len(allocations))
    unknown = {allocation.generator for allocation in allocations} - set(generators)
    if unknown:
        raise InvalidBundleError(
            f"the menu names generators that are not described: {', '.join(sorted(unknown))}"
        )
    references = ReferencePrompts(
        generators=tuple(generators),
        n=arrays["n"],
        n_correct=arrays["n_correct"],
        output_tokens=arrays["output_tokens_per_sample"],
        coordinates=arrays["coordinates"],
    )
    curves = CurveTable(
        prompt_ids=tuple(arrays["prompt_ids"].tolist()),
        allocations=allocations,
        value=arrays["value"],
        samples=arrays["samples"],
        prompt_tokens=arrays["prompt_tokens"],
        output_tokens=arrays["output_tokens"],
        verifier_tokens=arrays.get("verifier_tokens"),
    )
    verifiers = _load_verifiers(content, generators)
    features = predictor = None
    if "features.npz" in content:
        features = PromptFeatures.from_arrays(_unpack(content["features.npz"]))
        predictor = _load_predictor(manifest, content, n_features=len(features.names_))
    return PolicyBundle(
        objective=check_objective(manifest.objective),
        unit=check_unit(manifest.unit),
        generators=generators,
        policy=PolicyMixture(
            members=tuple(_exactly(member, PolicySpec) for member in manifest.policy["members"])
        ),
        references=references,
        curves=curves,
        deployed=arrays["deployed"].astype(bool),
        features=features,
        predictor=predictor,
        prompt_token_fit=manifest.prompt_token_fit,
        training=manifest.training,
        trained=arrays["trained"],
        verifiers=verifiers,
        **_load_adaptive(content, n_prompts=len(references), verifiers=verifiers),
    )


def prompt_hash(name: str) -> int:
    """Return the first 64 bits of the SHA-256 of a prompt's id or group."""
    return int.from_bytes(sha256(name.encode()).digest()[:8], "big")


def _load_adaptive(
    content: Mapping[str, bytes], *, n_prompts: int, verifiers: Collection[str]
) -> dict[str, Any]:
    """Return the adaptive policy and its rivals, where the bundle has them."""
    if "adaptive.json" not in content:
        return {}
    plain = msgspec.json.decode(content["adaptive.json"], type=dict[str, dict[str, Any]])
    arrays = _unpack(content["adaptive.npz"])
    policies = {name: from_plain(policy, _routing_of(name, arrays)) for name, policy in plain.items()}
    table = AdaptiveTable(
        policy=policies.pop("adaptive"),
        value=arrays["value"],
        cost=arrays["cost"],
        cost_deviation=arrays["cost_deviation"],
        cost_belief=_read_cost_belief(arrays),
    )
    routings = [policy.routing for policy in (table.policy, *policies.values()) if policy.routing is not None]
    if {len(table.value), *(len(routing.value) for routing in routings)} != {n_prompts}:
        raise InvalidBundleError("references and adaptive policy disagree in size; train the bundle anew")
    judged = {name for move in table.policy.moves if move.ladder.judged for name in move.ladder.generators}
    if not judged <= set(verifiers):
        raise InvalidBundleError(
            f"plans that react pick by learned verifiers of {', '.join(sorted(judged - set(verifiers)))}, "
            "which are missing; train the bundle anew"
        )
    rivals = {name.removeprefix("rival "): policy for name, policy in policies.items()}
    return {"adaptive": table, "rivals": rivals}


def _routing_of(name: str, arrays: Arrays) -> dict[str, NDArray[Any]]:
    """Return the arrays of one policy's routing; empty without one."""
    ends = {f"{_ROUTING} {part} of {name}": part for part in ("value", "cost", "taken")}
    return {part: arrays[key] for key, part in ends.items() if key in arrays}


def _cost_belief_array(belief: PolicySpec | None) -> dict[str, NDArray[Any]]:
    if belief is None:
        return {}
    return {"cost_belief": np.array([belief.level_bandwidth, belief.deviation_bandwidth, belief.floor])}


def _read_cost_belief(arrays: Mapping[str, NDArray[Any]]) -> PolicySpec | None:
    """Return the belief that predicts costs; bundles from before there was one have none."""
    if "cost_belief" not in arrays:
        return None
    level, deviation, floor = arrays["cost_belief"].tolist()
    return PolicySpec(family="kernel", level_bandwidth=level, deviation_bandwidth=deviation, floor=floor)


def _load_verifiers(
    content: Mapping[str, bytes], generators: Mapping[str, Generator]
) -> dict[str, CorrectnessModel]:
    """Return the learned verifiers, where the bundle has them."""
    models = read_models(content["verifiers.json"]) if "verifiers.json" in content else {}
    unknown = sorted(set(models) - set(generators))
    if unknown:
        raise InvalidBundleError(
            f"learned verifiers of generators that are not described: {', '.join(unknown)}"
        )
    return models


def _check_arrays(arrays: Arrays, *, n_generators: int, n_allocations: int) -> None:
    """Refuse arrays whose shapes or kinds do not fit together."""
    n_prompts, n_coordinates = arrays["coordinates"].shape
    generators, menu = (n_prompts, n_generators), (n_prompts, n_allocations)
    expected: dict[str, tuple[str, tuple[int, ...]]] = {
        "prompt_ids": ("U", (n_prompts,)),
        "n": ("i", generators),
        "n_correct": ("i", generators),
        "output_tokens_per_sample": ("f", generators),
        "coordinates": ("f", (n_prompts, n_coordinates)),
        "deployed": ("b", (n_allocations,)),
        "trained": ("u", (arrays["trained"].size,)),
        "value": ("f", menu),
        "samples": ("f", menu),
        "prompt_tokens": ("f", menu),
        "output_tokens": ("f", menu),
    }
    if "verifier_tokens" in arrays:
        expected["verifier_tokens"] = ("f", menu)
    for name, (kind, shape) in expected.items():
        found = arrays[name]
        if found.dtype.kind != kind or found.shape != shape:
            raise InvalidBundleError(
                f"{name} must be of kind {kind!r} and shape {shape}, got {found.dtype.kind!r} and "
                f"{found.shape}"
            )
    if not n_prompts or not arrays["deployed"].any():
        raise InvalidBundleError("the bundle has no reference prompt or no allocation that may be used")


def _exactly(record: dict[str, Any], kind: type[Built]) -> Built:
    """Build a value from its JSON fields, and refuse unknown ones."""
    unknown = set(record) - {field.name for field in fields(kind)}
    if unknown:
        raise InvalidBundleError(f"unknown fields of {kind.__name__}: {', '.join(sorted(unknown))}")
    return msgspec.convert(record, kind)


def _load_predictor(
    manifest: Manifest, content: Mapping[str, bytes], *, n_features: int
) -> DifficultyPredictor:
    import lightgbm

    predictor = DifficultyPredictor()
    predictor.directions_ = np.array(manifest.directions, dtype=np.float64)
    try:
        predictor.boosters_ = [
            lightgbm.Booster(model_str=content[f"predictor-{index}.txt"].decode())
            for index in range(1 + len(manifest.directions))
        ]
    except lightgbm.basic.LightGBMError as error:
        raise InvalidBundleError(f"LightGBM cannot read the predictor: {error}") from error
    if any(booster.num_feature() != n_features for booster in predictor.boosters_):
        raise InvalidBundleError(
            f"the predictor was fitted on other features than the {n_features} of the bundle"
        )
    predictor.regressions_ = [
        KernelRegression.from_arrays(_unpack(content[f"predictor-{index}.npz"]))
        for index in range(1 + len(manifest.directions))
    ]
    return predictor


def _settings(generator: Generator) -> dict[str, Any]:
    settings = msgspec.to_builtins(generator)
    del settings["name"]
    return {key: value for key, value in settings.items() if value is not None}


def _is_ours(name: str) -> bool:
    return name in ("adaptive.json", "adaptive.npz", "features.npz", "references.npz", "verifiers.json") or (
        name.startswith("predictor-") and name.endswith((".txt", ".npz"))
    )


def _pack(arrays: Mapping[str, NDArray[Any]]) -> bytes:
    """Return npz bytes; numpy stamps every member with the same date, so equal arrays give equal bytes."""
    buffer = io.BytesIO()
    np.savez_compressed(buffer, **dict(arrays))  # type: ignore[arg-type]  # no array is named allow_pickle
    return buffer.getvalue()


def _unpack(content: bytes) -> Arrays:
    with np.load(io.BytesIO(content), allow_pickle=False) as archive:
        return {name: archive[name] for name in archive.files}


def _read(folder: Path, name: str, digest: str) -> bytes:
    """Read one file of the bundle and compare its hash."""
    if Path(name).name != name:
        raise InvalidBundleError(f"{folder}: the manifest names {name!r}, which is not a file of the bundle")
    path = folder / name
    if not path.is_file():
        raise InvalidBundleError(f"{folder}: {name} is missing; train the bundle anew or copy it whole")
    if path.stat().st_size > _MAX_BYTES:
        raise InvalidBundleError(f"{path}: larger than {_MAX_BYTES} bytes, which no bundle needs")
    content = path.read_bytes()
    if sha256(content).hexdigest() != digest:
        raise InvalidBundleError(
            f"{path}: its hash is not the manifest's; the file was changed, train the bundle anew"
        )
    return content
