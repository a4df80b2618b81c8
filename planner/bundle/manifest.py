"""The manifest of a bundle: what it is and was trained on, and the hash of every other file.

It is read into known types, with limits; what the other files hold is left to `planner.bundle.parts`.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Final, Literal

import msgspec

from difficulty.errors import InvalidBundleError
from planner.bundle.folder import MANIFEST, read_file
from planner.bundle.json_file import read_json

SCHEMA: Final = 3
# Schemas 1 and 2 held two half-policies and no course; what they lack cannot be made up.
_READS: Final = (SCHEMA,)
# Ten thousand allocations fit.
_MAX_BYTES: Final = 4 << 20


class Manifest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """What a bundle is and was trained on; `planner inspect` prints it.

    Attributes
    ----------
    policy_bundle : int
        Schema version.
    objective, unit : str
        What was optimised, and the unit of cost.
    generators : dict
        Settings of each generator, as in the log's header.
    courses : list of dict
        The C columns of the table, in order (`policies.course.wire`).
    prompt_token_fit : dict
        Per generator, intercept and slope of prompt tokens against characters; absent where tokens are not
        recorded.
    training : dict
        Data (digest, counts), settings and verdict of the training run.
    files : dict
        SHA-256 of every other file.
    made_up_levels : int
        How many of the first courses may be levels of a planner without a log, which learns in runs; absent
        where there was a log.
    """

    policy_bundle: int
    objective: str
    unit: str
    generators: dict[str, dict[str, Any]]
    courses: list[dict[str, Any]]
    prompt_token_fit: dict[str, tuple[float, float]]
    training: dict[str, Any]
    files: dict[str, str]
    made_up_levels: Annotated[int, msgspec.Meta(ge=0)] = 0


class _Version(msgspec.Struct):
    policy_bundle: Any = None


class _Band(msgspec.Struct):
    deployed: str
    gain: float
    error: float


class _Selection(msgspec.Struct):
    n: int
    vote: float | None
    rival_value: float | None
    best_of_n: float | None
    weighted_best_of_n: float | None


class _Verifier(msgspec.Struct):
    brier: float | None = None
    brier_constant: float | None = None
    auc_within_prompt: float | None = None
    selection: list[_Selection] = []
    offered: Literal["best_of_n", "weighted_best_of_n"] | None = None


class _Correction(msgspec.Struct, forbid_unknown_fields=True):
    lower: float
    upper: float
    intercept: float
    slope: float
    weights: dict[str, float]
    shifts: dict[str, float]
    n_prompts: int
    n_samples: int


class _Rival(msgspec.Struct):
    generator: str
    behind: float
    interval: tuple[float, float]


class _Right(msgspec.Struct):
    labels: float
    interval: tuple[float, float] | None = None


class _Rivals(msgspec.Struct):
    best: str = ""
    n_graded: int = 0
    right: _Right | None = None
    may_lose: float | None = None
    unsettled: list[_Rival] = []
    grade_first: list[str] = []


class _Labels(msgspec.Struct):
    by: Literal["agreement", "verifier", "judge"]
    correction: _Correction
    mean: float
    n_graded: int = 0
    rivals: _Rivals = msgspec.field(default_factory=_Rivals)


class _Fall(msgspec.Struct):
    generator: str
    by: str
    best_n: int
    n: int
    fall: float
    error: float


class _Families(msgspec.Struct, frozen=True):
    key: str | None = None
    n: int = 0
    skill: dict[str, float | None] = {}


class _Training(msgspec.Struct):
    """What commands and reports read of the record of training; it may hold more."""

    n_prompts: int
    n_samples: int
    seed: int
    n_trials: int = 0
    n_drawn_from: int = 0
    log_digest: str | None = None
    about: dict[str, Any] = {}
    verdict: list[_Band] = []
    skill: dict[str, float | None] = {}
    families: _Families = _Families()
    learned_verifier: dict[str, _Verifier] = {}
    reward: str = "reward"
    labels: _Labels | None = None
    overoptimised: list[_Fall] = []


def read_manifest(folder: Path) -> Manifest:
    """Read and check the manifest alone.

    Raises
    ------
    InvalidBundleError
        When it is missing, unreadable or of another schema.
    """
    return parse_manifest(read_file(folder, MANIFEST), folder=folder)


def parse_manifest(content: bytes, *, folder: Path) -> Manifest:
    """Check a manifest that was read from a folder.

    Raises
    ------
    InvalidBundleError
        When it is unreadable or of another schema.
    """
    name = str(folder / MANIFEST)
    version = read_json(content, _Version, name=name, most=_MAX_BYTES).policy_bundle
    if version not in _READS or isinstance(version, bool):
        raise InvalidBundleError(
            f"{name}: schema {str(version)[:40]!r} is none of {_READS}, those that this version reads; train "
            "the bundle anew"
        )
    manifest = read_json(content, Manifest, name=name)
    if manifest.training:
        try:
            msgspec.convert(manifest.training, _Training)
        except msgspec.ValidationError as error:
            raise InvalidBundleError(
                f"{name}: the record of training is not as it was written: {error}; train the bundle anew"
            ) from error
    return manifest
