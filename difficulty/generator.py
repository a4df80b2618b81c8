"""A named way to draw one sample: model, prompt template, temperature, thinking budget, prices and sizes.

What a generator records is what costs and comparisons need; unknown values are None and never guessed. How
requests reach a model is left to the backends of `planner`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, Final

import msgspec

from difficulty.arguments import check_number
from difficulty.errors import InvalidInputError

_TEXTS: Final = ("name", "model", "prompt_template", "reasoning_effort")


@dataclass(frozen=True, kw_only=True, slots=True)
class Generator:
    """A named way to draw one sample.

    Parameters
    ----------
    name : str
        Unique name, e.g. ``"qwen-1.5b/cot"``.
    model : str, optional
        Model name as the backend knows it.
    params, active_params : float, optional
        Number of parameters, and of those used per token (mixture of experts); FLOPs use `active_params`
        where given.
    prompt_template : str, optional
        Template that the prompt is put in; ``{prompt}`` stands for the text.
    temperature, top_p : float, optional
        Sampling parameters.
    max_output_tokens, thinking_tokens : int, optional
        Cap on output tokens, and the part of it that is a thinking budget.
    reasoning_effort : str, optional
        Effort level, where the engine takes one.
    usd_per_mtok_in, usd_per_mtok_out : float, optional
        Dollars per million prompt and output tokens.
    usd_per_mtok_cached : float, optional
        Dollars per million prompt tokens that a cache spared; at most `usd_per_mtok_in`.

    Raises
    ------
    InvalidInputError
        When a number is negative, NaN or infinite, or cached tokens are dearer than others.

    Examples
    --------
    >>> Generator(name="qwen-1.5b/cot", params=1.5e9).size
    1500000000.0
    """

    name: str
    model: str | None = None
    params: float | None = None
    active_params: float | None = None
    prompt_template: str | None = None
    temperature: float | None = None
    top_p: float | None = None
    max_output_tokens: int | None = None
    thinking_tokens: int | None = None
    reasoning_effort: str | None = None
    usd_per_mtok_in: float | None = None
    usd_per_mtok_out: float | None = None
    usd_per_mtok_cached: float | None = None

    def __post_init__(self) -> None:
        if not self.name:
            raise InvalidInputError("a generator needs a name")
        for field in fields(self):
            if field.name not in _TEXTS:
                value = getattr(self, field.name)
                check_number(f"generator {self.name!r}: {field.name}", value, ">= 0", optional=True)
        full, cached = self.usd_per_mtok_in, self.usd_per_mtok_cached
        if full is not None and cached is not None and cached > full:
            raise InvalidInputError(
                f"generator {self.name!r}: usd_per_mtok_cached must be at most usd_per_mtok_in, {full!r}, "
                f"got {cached!r}"
            )

    @property
    def size(self) -> float | None:
        """Parameters used per token, or None when unknown."""
        return self.active_params if self.active_params is not None else self.params


def check_by_name(generators: Mapping[str, Generator]) -> Mapping[str, Generator]:
    """Return generators by name, and refuse a list of them, as whoever writes it does not see the difference.

    Raises
    ------
    InvalidInputError
        When it is no mapping.
    """
    if not isinstance(generators, Mapping):
        raise InvalidInputError(
            "generators must map names to Generators, such as {'tiny': Generator(name='tiny')}; got "
            f"{type(generators).__name__}"
        )
    return generators


def generator_of(name: str, record: Mapping[str, Any]) -> Generator:
    """Return a generator as logs and bundles describe it: by its settings, the name apart.

    Raises
    ------
    InvalidInputError
        When a setting is unknown or of a wrong kind; and as `Generator`.
    """
    unknown = next((field for field in record if field not in SETTINGS), None)
    if unknown is not None:
        raise InvalidInputError(
            f"generator {name!r}: unknown field {unknown!r}; allowed here: {', '.join(SETTINGS)} "
            "(free data goes into 'meta')"
        )
    try:
        return msgspec.convert({**record, "name": name}, Generator)
    except msgspec.ValidationError as error:
        raise InvalidInputError(str(error.__cause__ or f"generator {name!r}: {error}")) from error


SETTINGS: Final = tuple(field.name for field in fields(Generator) if field.name != "name")
"""What is said of a generator beside its name."""
