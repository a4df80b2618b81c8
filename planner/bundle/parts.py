"""Turn the files of a bundle into its parts, and refuse parts that do not fit together.

It assumes that every file is the one that the manifest names; nothing in them is executed or believed. What
the numbers must be is left to `planner.bundle.checks`, and what the parts mean is said where they live.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import msgspec
import numpy as np

from difficulty.belief.reference_prompts import ReferencePrompts
from difficulty.belief.text_belief import TextBelief
from difficulty.errors import InvalidBundleError, InvalidInputError
from difficulty.features.prompt_features import PromptFeatures
from difficulty.generator import Generator, generator_of
from difficulty.log.known_texts import KnownTexts
from planner.bundle.array_file import unpack
from planner.bundle.checks import MAX_NUMBER, TABLE, check_references
from planner.bundle.json_file import read_json
from planner.bundle.manifest import Manifest
from policies.answering.answering import Answering
from policies.choice.course_policy import CoursePolicy
from policies.cost.budget import check_unit
from policies.course.wire import course_from_plain
from policies.plan.objective import check_objective
from policies.table.table import CourseTable, Slots
from policies.verifier.learned_verifier import LEARNED, CorrectnessModel, read_models

_MAX_COURSES: Final = 20_000


def read_parts(manifest: Manifest, content: Mapping[str, bytes]) -> dict[str, Any]:
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
    except (
        LookupError,
        ArithmeticError,
        ValueError,
        TypeError,
        AttributeError,
        InvalidInputError,
    ) as error:
        raise InvalidBundleError(
            f"the bundle's parts do not fit together ({error}); train it anew"
        ) from error


def _read_parts(manifest: Manifest, content: Mapping[str, bytes]) -> dict[str, Any]:
    packed = unpack({name: data for name, data in content.items() if name.endswith(".npz")})
    arrays = packed["references.npz"]
    generators = {name: generator_of(name, settings) for name, settings in manifest.generators.items()}
    if not 1 <= len(manifest.courses) <= _MAX_COURSES:
        raise InvalidBundleError(f"a bundle has 1 to {_MAX_COURSES:,} courses, got {len(manifest.courses)}")
    courses = tuple(course_from_plain(record) for record in manifest.courses)
    unknown = {name for course in courses for name in course.generators} - set(generators)
    if unknown:
        raise InvalidBundleError(
            f"courses draw from generators that are not described: {', '.join(sorted(unknown))}"
        )
    slots = Slots.for_courses(courses)
    policy = CoursePolicy.from_arrays(packed["policy.npz"])
    if (resent := arrays.get(f"{TABLE}resent_tokens")) is not None:
        # Bundles of logs that record none do not hold it.
        arrays.setdefault(f"{TABLE}cached_tokens", np.zeros_like(resent))
    check_references(
        arrays,
        n_generators=len(generators),
        n_courses=len(courses),
        n_slots=len(slots.generator),
        scale=policy.telling.scale,
    )
    for name, numbers in manifest.prompt_token_fit.items():
        if not all(abs(number) <= MAX_NUMBER for number in numbers):
            raise InvalidBundleError(f"prompt tokens of {name!r} grow by {numbers}, which cannot be")
    deployed = arrays["deployed"]
    if policy.offered.shape[1] != len(courses) or np.any(policy.offered & ~deployed):
        raise InvalidBundleError("the policy offers courses that are not deployed; train the bundle anew")
    verifiers = _read_verifiers(content, generators)
    judged = {
        name
        for course, used in zip(courses, deployed, strict=True)
        if used and course.selection.signal == LEARNED
        for name in course.generators
    }
    if not judged <= set(verifiers):
        raise InvalidBundleError(
            f"plans pick by learned verifiers of {', '.join(sorted(judged - set(verifiers)))}, which are "
            "missing; train the bundle anew"
        )
    table = CourseTable(
        courses=courses,
        slots=slots,
        **{name.removeprefix(TABLE): array for name, array in arrays.items() if name.startswith(TABLE)},
    )
    parts: dict[str, Any] = {
        "objective": check_objective(manifest.objective),
        "unit": check_unit(manifest.unit),
        "generators": generators,
        "policy": policy,
        "table": table,
        "deployed": deployed,
        "references": ReferencePrompts(
            generators=tuple(generators),
            n=arrays["n"],
            n_correct=arrays["n_correct"],
            output_tokens=arrays["output_tokens_per_sample"],
        ),
        "prompt_tokens": arrays["length"],
        "features": None,
        "belief": None,
        "prompt_token_fit": manifest.prompt_token_fit,
        "training": manifest.training,
        "trained": arrays["trained"],
        "verifiers": verifiers,
        "answering": None,
        "made_up_levels": manifest.made_up_levels,
    }
    if "texts.npz" in packed:
        parts["texts"] = KnownTexts.from_arrays(packed["texts.npz"])
    if "features.npz" in packed:
        features = PromptFeatures.from_arrays(packed["features.npz"])
        belief = TextBelief.from_arrays(packed["belief.npz"])
        if len(belief) != len(table.value):
            raise InvalidBundleError("belief and table are of different reference prompts")
        # Raises where belief and features do not fit together.
        belief.weights(np.zeros((1, len(features.names_)), dtype=np.float32))
        parts["features"], parts["belief"] = features, belief
    if "answering.npz" in packed:
        answering = Answering.from_arrays(packed["answering.npz"], tuple(generators))
        panels = answering.columns[answering.columns >= 0]
        if (answering.levels >= len(policy.prices)).any() or (panels >= len(courses)).any():
            raise InvalidBundleError("answers are known of levels or courses that the policy does not have")
        parts["answering"] = answering
    return parts


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
