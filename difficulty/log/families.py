"""Families of prompts that a log names in `meta`: tasks, subjects or templates, which splits can leave out.

A random split asks how well prompts of known kinds are told apart; a split by family asks it of kinds that
were never seen. It assumes that all lines of a prompt name the same family; what is done with the names is
left to splits and reports.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final, NamedTuple

from difficulty.errors import InvalidInputError
from difficulty.log.near_duplicates import join_groups

FAMILY_KEYS: Final = ("family", "task")
"""Keys of `meta` that name families by themselves, the first that a log has."""


class Families(NamedTuple):
    """Families of P prompts.

    Parameters
    ----------
    key : str
        Key of `meta` that names them.
    names : tuple of (str or None), length P
        Family of each prompt; None where none is named.
    """

    key: str
    names: tuple[str | None, ...]

    def joined(self, groups: Sequence[str]) -> tuple[str, ...]:
        """Return groups of P prompts in which those of one family are together, and what groups join."""
        own = zip(self.names, groups, strict=True)
        return join_groups(groups, [group if name is None else (name,) for name, group in own])


def find_families(
    prompt_ids: Sequence[str], lines: Sequence[tuple[int, Mapping[str, object] | None]], key: str | None
) -> Families | None:
    """Read the families of P prompts off the `meta` of lines.

    Parameters
    ----------
    prompt_ids : sequence of str, length P
    lines : sequence of (int, mapping or None)
        Prompt and `meta` of each line.
    key : str, optional
        Key that names families; by default the first of `FAMILY_KEYS` that any line has.

    Returns
    -------
    Families or None
        None where no key is given and no line has one of the usual ones.

    Raises
    ------
    InvalidInputError
        When no line has `key`, a name is neither text nor number, or a prompt has two.

    Examples
    --------
    >>> find_families(["a", "b"], [(0, {"task": "sums"}), (1, None)], None)
    Families(key='task', names=('sums', None))
    """
    known = {name for _, meta in lines if meta for name in meta}
    if key is None:
        key = next((name for name in FAMILY_KEYS if name in known), None)
        if key is None:
            return None
    elif key not in known:
        found = ", ".join(sorted(map(str, known))[:10]) or "nothing"
        raise InvalidInputError(
            f"no line of the log has {key!r} in its meta, to name families of prompts; meta has {found}"
        )
    names: list[str | None] = [None] * len(prompt_ids)
    for prompt, meta in lines:
        value = (meta or {}).get(key)
        if value is None:
            continue
        if not isinstance(value, (str, int)):
            raise InvalidInputError(
                f"meta.{key} of prompt {prompt_ids[prompt]!r} must be a text or a whole number to name its "
                f"family, got {type(value).__name__}"
            )
        name = str(value)
        if names[prompt] not in (None, name):
            raise InvalidInputError(
                f"prompt {prompt_ids[prompt]!r} has two families by meta.{key}: {names[prompt]!r}, {name!r}"
            )
        names[prompt] = name
    return Families(key, tuple(names))
