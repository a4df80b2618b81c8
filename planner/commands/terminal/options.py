"""Arguments that several commands share."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import fields
from functools import wraps
from os.path import realpath
from pathlib import Path
from typing import Any, Final, TypeAlias

import click

from policies.cost.budget import UNITS

Decorator: TypeAlias = Callable[[Callable[..., Any]], Callable[..., Any]]


class _FileToWrite(click.Path):
    """A path that is not empty, as that of a variable is that nobody set."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Return the path."""
        if not str(value):
            self.fail("the name of a file is empty", param, ctx)
        return super().convert(value, param, ctx)


FILE_TO_READ: Final = click.Path(exists=True, dir_okay=False, path_type=Path)
FILE_TO_WRITE: Final = _FileToWrite(dir_okay=False, path_type=Path)

as_json: Final[Decorator] = click.option("--json", "as_json", is_flag=True, help="Print JSON for programs.")
bundle_argument: Final[Decorator] = click.argument(
    "bundle", type=click.Path(exists=True, file_okay=False, path_type=Path)
)
prompts_argument: Final[Decorator] = click.argument(
    "prompts", type=click.Path(exists=True, dir_okay=False, allow_dash=True, path_type=Path)
)
one_shot_option: Final[Decorator] = click.option(
    "--one-shot",
    is_flag=True,
    help="Only plans that decide everything before the first sample, as batch interfaces need.",
)
max_rounds_option: Final[Decorator] = click.option(
    "--max-rounds", type=click.IntRange(min=1), help="The most steps of a plan that wait for one another."
)
reward_option: Final[Decorator] = click.option(
    "--reward",
    default="reward",
    metavar="reward|score|meta.KEY",
    help="Where the rewards of --objective reward stand: their own field, the scores, or a list in meta.",
)
by_family_option: Final[Decorator] = click.option(
    "--by-family",
    metavar="KEY",
    help="Leave whole families of prompts out, named by this key of meta (task, subject ...): the test side "
    "then asks what is known of kinds that training never saw, and so does training itself.",
)
unit_option: Final[Decorator] = click.option(
    "--unit", type=click.Choice(UNITS), help="Unit of cost; output_tokens where recorded, else samples."
)
figures_option: Final[Decorator] = click.option(
    "--figures",
    type=click.Choice(["png", "svg", "pdf"]),
    multiple=True,
    help="Types of file of the figures, beside PNG.",
)
seed_option: Final[Decorator] = click.option(
    "--seed", type=click.IntRange(0, 2**32 - 1), default=0, help="Seed."
)


def bootstrap_option(n_replicates: int = 2000) -> Decorator:
    """Return the option ``--bootstrap``."""
    return click.option(
        "--bootstrap",
        "n_bootstrap",
        type=click.IntRange(100, 1_000_000),
        default=n_replicates,
        help="Replicates of the paired bootstrap over prompts.",
    )


def folder_option(default: str, meaning: str) -> Decorator:
    """Return the option ``--out`` for a folder."""
    return click.option(
        "--out",
        type=click.Path(file_okay=False, path_type=Path),
        default=Path(default),
        help=meaning,
    )


def json_option(name: str, meaning: str) -> Decorator:
    """Return an option for a JSON object, empty where it is not given."""
    return click.option(name, default="", show_default=False, metavar="JSON", help=meaning)


def packed(name: str, pack: Callable[[dict[str, Any]], Any], options: tuple[Decorator, ...]) -> Decorator:
    """Declare options whose values the command gets as one argument.

    Parameters
    ----------
    name : str
        Of the argument.
    pack : callable
        Takes the values of the options out of all those of the command, and returns the argument.
    options : tuple of decorators
        The options, in the order in which they are shown.
    """

    def declare(function: Callable[..., Any]) -> Callable[..., Any]:
        @wraps(function)
        def wrapper(**values: Any) -> Any:
            return function(**{name: pack(values)}, **values)

        wrapped: Callable[..., Any] = wrapper
        for option in reversed(options):
            wrapped = option(wrapped)
        return wrapped

    return declare


def fields_of(kind: type[Any]) -> Callable[[dict[str, Any]], Any]:
    """Return what takes the fields of a dataclass out of the values of a command and makes one of it."""
    return lambda values: kind(**{field.name: values.pop(field.name) for field in fields(kind)})


def keep_apart(outputs: Sequence[Path], inputs: Sequence[Path] = ()) -> None:
    """Refuse outputs that would take the place of an input, or of one another, or stand in a bundle.

    Raises
    ------
    click.UsageError
        When two of the names are one file, or an input is a folder that an output would be written into.
    """
    read = {Path(realpath(path)) for path in inputs}
    for number, out in enumerate(outputs):
        place = Path(realpath(out))
        if place in read:
            raise click.UsageError(f"{out} is read here, and writing would lose it: name another file")
        if place.parent in read and place.parent.is_dir():
            raise click.UsageError(f"{out.parent} is a bundle, and holds nothing else: name another file")
        if place in {Path(realpath(other)) for other in outputs[:number]}:
            raise click.UsageError(f"{out} is given for two outputs: name another file for one of them")
