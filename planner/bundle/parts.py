"""Turn the files of a bundle into its parts, and refuse parts that do not fit together.

It assumes that every file is the one that the manifest names; nothing in them is executed or believed. What
the numbers must be is left to `planner.bundle.checks`, and what the parts mean is said where they live.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import fields
from typing import Any, Final, TypedDict, TypeVar

import msgspec
import numpy as np
from numpy.typing import NDArray

from difficulty.belief.reference_prompts import ReferencePrompts
from difficulty.belief.standardised import standardised
from difficulty.belief.weight_spec import PolicyMixture, PolicySpec
from difficulty.errors import InvalidBundleError
from difficulty.features.prompt_features import PromptFeatures
from difficulty.generator import Generator
from difficulty.predictor.difficulty_predictor import DifficultyPredictor
from difficulty.predictor.kernel_regression import KernelRegression
from difficulty.trees.lightgbm_text import read_lightgbm
from difficulty.trees.trees import Trees
from planner.bundle.array_file import Arrays, unpack
from planner.bundle.checks import MAX_NUMBER, check_adaptive, check_references
from planner.bundle.json_file import read_json
from planner.bundle.manifest import Manifest
from policies.adaptive.policy import AdaptivePolicy
from policies.adaptive.table import AdaptiveTable
from policies.adaptive.wire import from_plain
from policies.cost.budget import Unit, check_unit
from policies.course.allocation import Allocation
from policies.ladder.value_rule import ValueRule, n_columns
from policies.menu.curves import CurveTable
from policies.plan.objective import Objective, check_objective
from policies.verifier.learned_verifier import CorrectnessModel, read_models

__all__ = ["ROUTING", "TREES", "Parts", "read_parts"]

ROUTING: Final = "routing:"
"""Begins the names of the arrays of routings."""
TREES: Final = "trees."
"""Begins the names of the arrays of a predictor's trees."""

# Sums of leaves beyond this are no log-odds of anything.
_MAX_SCORE: Final = 1e5
_Built = TypeVar("_Built", Allocation, PolicySpec, Generator)


class Parts(TypedDict, total=False):
    """Arguments of `PolicyBundle`."""

    objective: Objective
    unit: Unit
    generators: Mapping[str, Generator]
    policy: PolicyMixture
    references: ReferencePrompts
    curves: CurveTable
    deployed: NDArray[np.bool_]
    features: PromptFeatures | None
    predictor: DifficultyPredictor | None
    prompt_token_fit: Mapping[str, tuple[float, float]]
    training: Mapping[str, Any]
    trained: NDArray[np.uint64]
    adaptive: AdaptiveTable | None
    rivals: Mapping[str, AdaptivePolicy]
    verifiers: Mapping[str, CorrectnessModel]


def read_parts(manifest: Manifest, content: Mapping[str, bytes]) -> Parts:
    """Return the parts of a bundle.

    Parameters
    ----------
    manifest : Manifest
        Of the bundle.
    content : mapping of str to bytes
        The files that it names.

    Raises
    ------
    InvalidBundleError
        When a part is missing, is none, or does not fit the others.
    """
    try:
        return _read_parts(manifest, content)
    except InvalidBundleError:
        raise
    # What is wrong with a part that a stranger wrote shows in many ways: a missing key, a text in place of a
    # number, a number too large for 64 bits.
    except (LookupError, ArithmeticError, ValueError, TypeError, AttributeError) as error:
        raise InvalidBundleError(
            f"the bundle's parts do not fit together ({error}); train it anew"
        ) from error


def _read_parts(manifest: Manifest, content: Mapping[str, bytes]) -> Parts:
    packed = unpack({name: data for name, data in content.items() if name.endswith(".npz")})
    arrays = packed["references.npz"]
    generators = {
        name: _exactly({**settings, "name": name}, Generator)
        for name, settings in manifest.generators.items()
    }
    allocations = tuple(_exactly(record, Allocation) for record in manifest.allocations)
    check_references(arrays, n_generators=len(generators), n_allocations=len(allocations))
    unknown = {allocation.generator for allocation in allocations} - set(generators)
    if unknown:
        raise InvalidBundleError(
            f"the menu names generators that are not described: {', '.join(sorted(unknown))}"
        )
    for name, numbers in manifest.prompt_token_fit.items():
        if not all(abs(number) <= MAX_NUMBER for number in numbers):
            raise InvalidBundleError(f"prompt tokens of {name!r} grow by {numbers}, which cannot be")
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
    verifiers = _read_verifiers(content, generators)
    members = manifest.policy["members"]
    parts = Parts(
        objective=check_objective(manifest.objective),
        unit=check_unit(manifest.unit),
        generators=generators,
        policy=PolicyMixture(members=tuple(_exactly(member, PolicySpec) for member in members)),
        references=references,
        curves=curves,
        deployed=arrays["deployed"],
        features=None,
        predictor=None,
        prompt_token_fit=manifest.prompt_token_fit,
        training=manifest.training,
        trained=arrays["trained"],
        verifiers=verifiers,
    )
    if "features.npz" in packed:
        features = PromptFeatures.from_arrays(packed["features.npz"])
        parts["features"] = features
        parts["predictor"] = _read_predictor(manifest, content, packed, n_features=len(features.names_))
        if 1 + len(manifest.directions) != references.coordinates.shape[1]:
            raise InvalidBundleError("predictor and reference prompts have different coordinates")
    if "adaptive.json" in content:
        parts |= _read_adaptive(
            content["adaptive.json"],
            packed["adaptive.npz"],
            n_prompts=len(references),
            n_coordinates=standardised(references.coordinates[:1], references.coordinates).shape[1],
            generators=generators,
            verifiers=verifiers,
        )
    return parts


def _exactly(record: Any, kind: type[_Built]) -> _Built:
    """Build a value from its JSON fields, and refuse unknown ones."""
    unknown = set(record) - {field.name for field in fields(kind)}
    if unknown:
        raise InvalidBundleError(f"unknown fields of {kind.__name__}: {', '.join(sorted(unknown))}")
    return msgspec.convert(record, kind)


def _read_predictor(
    manifest: Manifest, content: Mapping[str, bytes], packed: Mapping[str, Arrays], *, n_features: int
) -> DifficultyPredictor:
    """Return the predictor; the trees of schema 1 are texts."""
    n_generators = len(manifest.generators)
    if {len(direction) for direction in manifest.directions} - {n_generators}:
        raise InvalidBundleError(f"directions must have one number for each of {n_generators} generators")
    directions = np.array(manifest.directions, dtype=np.float64).reshape(-1, n_generators)
    if not (np.abs(directions) <= 1 + 1e-6).all():
        raise InvalidBundleError("directions must be unit vectors")
    predictor = DifficultyPredictor()
    predictor.directions_ = directions
    predictor.boosters_, predictor.regressions_ = [], []
    for index in range(1 + len(manifest.directions)):
        arrays = packed[f"predictor-{index}.npz"]
        grown = {name: array for name, array in arrays.items() if name.startswith(TREES)}
        if manifest.policy_bundle == 1:
            trees = read_lightgbm(content[f"predictor-{index}.txt"].decode())
        else:
            trees = Trees.from_arrays({name.removeprefix(TREES): array for name, array in grown.items()})
        regression = KernelRegression.from_arrays({k: a for k, a in arrays.items() if k not in grown})
        if trees.n_features != n_features or regression.n_features != n_features:
            raise InvalidBundleError(
                f"the predictor was fitted on other features than the {n_features} of the bundle"
            )
        if trees.value.shape[1] != 1 or np.abs(trees.value).sum() > _MAX_SCORE:
            raise InvalidBundleError("the trees of the predictor must add up to one score per prompt")
        predictor.boosters_.append(trees)
        predictor.regressions_.append(regression)
    return predictor


def _read_adaptive(
    content: bytes,
    arrays: Arrays,
    *,
    n_prompts: int,
    n_coordinates: int,
    generators: Collection[str],
    verifiers: Collection[str],
) -> Parts:
    """Return the adaptive policy and its rivals."""
    plain = read_json(content, dict[str, dict[str, Any]], name="adaptive.json")
    check_adaptive(arrays)
    policies = {name: from_plain(policy, _routing_of(name, arrays)) for name, policy in plain.items()}
    table = AdaptiveTable(
        policy=policies.pop("adaptive"),
        value=arrays["value"],
        cost=arrays["cost"],
        cost_deviation=arrays["cost_deviation"],
        cost_belief=_read_cost_belief(arrays),
    )
    everyone = (table.policy, *policies.values())
    for policy in everyone:
        _check_policy(policy, n_coordinates=n_coordinates)
    routings = [policy.routing for policy in everyone if policy.routing is not None]
    if {len(table.value), *(len(routing.value) for routing in routings)} != {n_prompts}:
        raise InvalidBundleError("references and adaptive policy disagree in size; train the bundle anew")
    climbed = {name for policy in everyone for move in policy.moves for name in move.ladder.generators}
    if not climbed <= set(generators):
        raise InvalidBundleError(
            f"plans that react draw from generators that are not described: "
            f"{', '.join(sorted(climbed - set(generators)))}"
        )
    judged = {name for move in table.policy.moves if move.ladder.judged for name in move.ladder.generators}
    if not judged <= set(verifiers):
        raise InvalidBundleError(
            f"plans that react pick by learned verifiers of {', '.join(sorted(judged - set(verifiers)))}, "
            "which are missing; train the bundle anew"
        )
    rivals = {name.removeprefix("rival "): policy for name, policy in policies.items()}
    return Parts(adaptive=table, rivals=rivals)


def _check_policy(policy: AdaptivePolicy, *, n_coordinates: int) -> None:
    """Refuse a policy whose rules look at other evidence than there will be, or know no scale for it."""
    for move in policy.moves:
        unknown = set(move.ladder.generators) - set(policy.scales)
        if unknown:
            raise InvalidBundleError(f"an adaptive policy knows no scale of {', '.join(sorted(unknown))}")
        rule = move.rule
        if isinstance(rule, ValueRule) and rule.accuracy.shape[1] != n_columns(rule.features, n_coordinates):
            raise InvalidBundleError(
                f"a learned rule has {rule.accuracy.shape[1]} coefficients, where {rule.features!r} features "
                f"with {n_coordinates} coordinates need {n_columns(rule.features, n_coordinates)}"
            )


def _routing_of(name: str, arrays: Arrays) -> Arrays:
    """Return the arrays of one policy's routing; empty without one."""
    ends = {f"{ROUTING} {part} of {name}": part for part in ("value", "cost", "taken")}
    return {part: arrays[key] for key, part in ends.items() if key in arrays}


def _read_cost_belief(arrays: Mapping[str, NDArray[Any]]) -> PolicySpec | None:
    """Return the belief that predicts costs; bundles from before there was one have none."""
    if "cost_belief" not in arrays:
        return None
    level, deviation, floor = arrays["cost_belief"].tolist()
    return PolicySpec(family="kernel", level_bandwidth=level, deviation_bandwidth=deviation, floor=floor)


def _read_verifiers(
    content: Mapping[str, bytes], generators: Mapping[str, Generator]
) -> dict[str, CorrectnessModel]:
    """Return the learned verifiers, where the bundle has them."""
    if "verifiers.json" not in content:
        return {}
    read_json(content["verifiers.json"], dict[str, msgspec.Raw], name="verifiers.json")
    models = read_models(content["verifiers.json"])
    unknown = sorted(set(models) - set(generators))
    if unknown:
        raise InvalidBundleError(
            f"learned verifiers of generators that are not described: {', '.join(unknown)}"
        )
    return models
