"""The command line, ``planner``: the composition root, where commands meet errors and exit codes.

It assumes that each command lives in `planner.commands` under its own name and loads what is heavy when it
runs. Nobody imports this module but the installed script.
"""

from __future__ import annotations

import sys
import warnings
from collections.abc import Sequence
from importlib import import_module
from itertools import pairwise
from keyword import iskeyword
from typing import Final, TextIO

import click

from difficulty.errors import InvalidInputError, MissingDependencyError, PlannerError
from difficulty.files.whole import with_remedy
from planner.commands.terminal.terminal import say

# In the order of a first visit: try it, learn, judge, use.
COMMANDS: Final = (
    "demo",
    "import",
    "collect",
    "compare",
    "split",
    "savings",
    "train",
    "extend",
    "evaluate",
    "inspect",
    "frontier",
    "plan",
    "run",
    "serve",
)
_BAD_INPUT: Final = 2
_INTERRUPTED: Final = 130


class _Commands(click.Group):
    """A group whose commands are modules of `planner.commands`, loaded when they are asked for."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        module = f"{cmd_name}_" if iskeyword(cmd_name) else cmd_name
        command: click.Command = import_module(f"planner.commands.{module}").command
        return command


@click.group(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"], "show_default": True})
@click.version_option(package_name="ttc-planner", prog_name="planner")
@click.option("-v", "--verbose", is_flag=True, help="Log to standard error what is done on the way.")
def _planner(verbose: bool) -> None:
    """Decide per prompt how much test-time compute a language model gets, and in which form.

    Results go to standard output, progress and notes to standard error. Exit code 2 means bad input.
    """
    if verbose:
        import logging

        logging.basicConfig(level=logging.INFO, format="%(asctime)s %(name)s: %(message)s")


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit code.

    Parameters
    ----------
    argv : sequence of str, optional
        Arguments after the program's name; those of the process by default.

    Returns
    -------
    int
        0; 2 for bad input or a missing optional package; 130 after an interrupt; 1 for other failures.

    Examples
    --------
    >>> main(["--version"])  # doctest: +ELLIPSIS
    planner, version ...
    0
    """
    with warnings.catch_warnings():
        warnings.showwarning = _show_warning
        try:
            code = _planner.main(
                args=None if argv is None else list(argv), prog_name="planner", standalone_mode=False
            )
            return code if isinstance(code, int) else 0
        except click.Abort:
            click.echo("interrupted", err=True)
            return _INTERRUPTED
        except click.ClickException as error:
            error.show()
            return _BAD_INPUT
        except PlannerError as error:
            say(f"error: {error}", error=True)
            return _BAD_INPUT if isinstance(error, (InvalidInputError, MissingDependencyError)) else 1
        except OSError as error:
            if isinstance(error, BrokenPipeError):
                sys.stderr.close()  # the reader has left; so would a message of the interpreter at exit
                return 1
            say(f"error: {_of_file(error, argv)}", error=True)
            return _BAD_INPUT


def _of_file(error: OSError, argv: Sequence[str] | None) -> str:
    """Say which file an error is about, the one of ``--out`` where it names none, and what helps."""
    given = list(sys.argv[1:] if argv is None else argv)
    written = next((after for name, after in pairwise(given) if name == "--out"), "the file written to")
    return f"{error.filename or written}: {with_remedy(error)}"


def _show_warning(
    message: Warning | str,
    category: type[Warning],
    filename: str,
    lineno: int,
    file: TextIO | None = None,
    line: str | None = None,
) -> None:
    """Print a warning as one line, without the source line that raised it."""
    say(f"warning: {message}", error=True)


if __name__ == "__main__":
    sys.exit(main())
