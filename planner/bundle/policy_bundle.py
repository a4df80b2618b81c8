"""The folder that training leaves and planning loads: manifest, policy, table, belief, report.

Files are JSON and npz without pickle, each with its SHA-256 in the manifest; loading executes nothing and
refuses what was changed, cannot be, or is of another schema. How files reach the disk is left to
`planner.bundle.folder`, how they become parts again to `planner.bundle.parts`; what the parts mean is said
where they live.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from hashlib import sha256
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from difficulty.belief.reference_prompts import ReferencePrompts
from difficulty.belief.text_belief import TextBelief
from difficulty.errors import InvalidBundleError
from difficulty.features.prompt_features import PromptFeatures
from difficulty.generator import Generator
from difficulty.log.known_texts import KnownTexts
from difficulty.log.lines import generator_record
from difficulty.prompt import Prompt
from planner.bundle.array_file import pack
from planner.bundle.checks import TABLE
from planner.bundle.folder import MANIFEST, open_folder, read_files, write_files
from planner.bundle.manifest import SCHEMA, Manifest, parse_manifest
from planner.bundle.parts import read_parts
from policies.answering.answering import Answering
from policies.choice.course_policy import CoursePolicy
from policies.course.wire import course_to_plain
from policies.table.table import CourseTable
from policies.verifier.learned_verifier import CorrectnessModel, write_models


@dataclass(frozen=True, kw_only=True, slots=True, eq=False, repr=False)
class PolicyBundle:
    """All that planning needs.

    Parameters
    ----------
    objective, unit : str
        What was optimised, and the unit of cost.
    generators : mapping of str to Generator
        Generators as they were recorded.
    policy : CoursePolicy
        The deployed policy over the C courses of `table`.
    table : CourseTable
        T reference prompts × C courses, without gaps: what is deployed, every static course, and known rules.
    deployed : ndarray of bool, shape (C,)
        Courses that plans may use.
    references : ReferencePrompts
        What was recorded of the T prompts.
    prompt_tokens : ndarray of float64, shape (T, G)
        Length of the T prompts by generator; NaN where not recorded.
    features : PromptFeatures or None
        Fitted features; None where the log had no text.
    belief : TextBelief or None
        Weights over the T prompts; None where the log had no text.
    prompt_token_fit : mapping
        Per generator, intercept and slope of prompt tokens against characters.
    training : mapping
        Data, settings and verdict of the training run (JSON values).
    trained : ndarray of uint64, shape (H,)
        Hashes of the ids and groups of all training prompts, which must not be evaluated on, and of their
        families where the log names them; sorted.
    texts : KnownTexts
        Sketches of the texts of all training prompts, which find them under other ids; empty where the log
        had no text.
    verifiers : mapping of str to CorrectnessModel
        Learned verifier of each generator whose log had what it takes.
    answering : Answering or None
        How sure answers are, for targets of risk; None where the log had too few marked answers.
    made_up_levels : int
        Columns of `table` that may be levels, the first ones, where its prompts are made up because there was
        no log; 0 where they are recorded.
    """

    objective: str
    unit: str
    generators: Mapping[str, Generator]
    policy: CoursePolicy
    table: CourseTable
    deployed: NDArray[np.bool_]
    references: ReferencePrompts
    prompt_tokens: NDArray[np.float64]
    features: PromptFeatures | None
    belief: TextBelief | None
    prompt_token_fit: Mapping[str, tuple[float, float]]
    training: Mapping[str, Any]
    trained: NDArray[np.uint64] = field(default_factory=lambda: np.zeros(0, dtype=np.uint64))
    texts: KnownTexts = field(default_factory=lambda: KnownTexts.of([]))
    verifiers: Mapping[str, CorrectnessModel] = field(default_factory=dict)
    answering: Answering | None = None
    made_up_levels: int = 0

    def __repr__(self) -> str:
        n_prompts, n_courses = self.table.value.shape
        return (
            f"PolicyBundle({int(self.deployed.sum())} of {n_courses} courses of "
            f"{', '.join(self.generators)} in {self.unit}, {n_prompts} reference prompts)"
        )

    def was_trained_on(self, prompt: Prompt) -> bool:
        """Return whether a prompt, or one of its group, was among the training prompts."""
        return self._has_hash(prompt_hash(prompt.id)) or self._has_hash(prompt_hash(prompt.group))

    def knows_family(self, name: str) -> bool:
        """Return whether any training prompt was of a family."""
        return self._has_hash(family_hash(name))

    def _has_hash(self, asked: int) -> bool:
        """Return whether a hash is among those of training, which are sorted."""
        at = np.searchsorted(self.trained, np.uint64(asked))
        return bool(at < len(self.trained) and self.trained[at] == asked)

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the bundle as a folder; an existing bundle there is replaced.

        Whenever the process is killed, the folder holds the old bundle or the new one.

        Raises
        ------
        InvalidBundleError
            When the folder holds files that are not a bundle's, or links; or when the bundle could not be
            loaded again.
        InvalidInputError
            When another process is writing a bundle there.
        """
        with open_folder(path) as folder:
            self.save_into(folder)

    def save_into(self, folder: Path) -> None:
        """Write the bundle to a folder that `planner.bundle.folder.open_folder` has made ready."""
        files = self._files()
        manifest = Manifest(
            policy_bundle=SCHEMA,
            objective=self.objective,
            unit=self.unit,
            generators={name: generator_record(generator) for name, generator in self.generators.items()},
            courses=[course_to_plain(course) for course in self.table.courses],
            prompt_token_fit=dict(self.prompt_token_fit),
            training=dict(self.training),
            files={name: sha256(content).hexdigest() for name, content in sorted(files.items())},
            made_up_levels=self.made_up_levels,
        )
        # What could not be loaded must not take the place of what can.
        read_parts(manifest, files)
        text = msgspec.json.format(msgspec.json.encode(manifest), indent=1)
        write_files(folder, {**files, MANIFEST: text + b"\n"})

    def _files(self) -> dict[str, bytes]:
        references = self.references
        table = {f"{TABLE}{name}": getattr(self.table, name) for name in table_arrays()}
        if not self.table.cached_tokens.any():  # as most are, since most logs record none
            del table[f"{TABLE}cached_tokens"]
        files = {
            "policy.npz": pack(self.policy.to_arrays()),
            "references.npz": pack(
                {
                    "n": references.n,
                    "n_correct": references.n_correct,
                    "output_tokens_per_sample": references.output_tokens,
                    "length": self.prompt_tokens,
                    "deployed": self.deployed,
                    "trained": self.trained,
                    **table,
                }
            ),
        }
        if self.features is not None and self.belief is not None:
            files["features.npz"] = pack(self.features.to_arrays())
            files["belief.npz"] = pack(self.belief.to_arrays())
        if len(self.texts):
            files["texts.npz"] = pack(self.texts.to_arrays())
        if self.answering is not None:
            files["answering.npz"] = pack(self.answering.to_arrays())
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
        files = read_files(folder, lambda content: parse_manifest(content, folder=folder).files)
        manifest = parse_manifest(files.pop(MANIFEST), folder=folder)
        for name, content in files.items():
            if sha256(content).hexdigest() != manifest.files[name]:
                raise InvalidBundleError(
                    f"{folder / name}: its hash is not the manifest's; the file was changed, train the "
                    "bundle anew"
                )
        try:
            return cls(**read_parts(manifest, files))
        except InvalidBundleError as error:
            raise InvalidBundleError(f"{folder}: {error}") from error


def prompt_hash(name: str) -> int:
    """Return the first 64 bits of the SHA-256 of a prompt's id or group."""
    return int.from_bytes(sha256(name.encode()).digest()[:8], "big")


def family_hash(name: str) -> int:
    """Return the hash of a family of prompts, which no id or group has."""
    return prompt_hash(f"family\0{name}")


def table_arrays() -> list[str]:
    """Return the names of the arrays of a table."""
    return [item.name for item in fields(CourseTable) if item.name not in ("courses", "slots")]
