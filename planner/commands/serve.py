"""``planner serve``: an OpenAI-compatible server that plans each request and passes it on.

It listens on the loopback unless told otherwise. Routes and limits come from a TOML file, or from a few
options for the usual case of one upstream; what is answered is the affair of `planner.serving`.
"""

from __future__ import annotations

import logging
import socket
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from difficulty.errors import InvalidInputError
from planner.commands.terminal.options import FILE_TO_READ
from planner.commands.terminal.terminal import note

if TYPE_CHECKING:
    from planner.serving.settings import ServeSettings

# Connections that wait to be taken.
_BACKLOG: Final = 2048


@click.command("serve")
@click.option(
    "--settings",
    "path",
    type=FILE_TO_READ,
    help="TOML file with upstreams, routes, keys and limits; in place of the options below.",
)
@click.option("--upstream", metavar="URL", help="Address of the server behind, up to /v1.")
@click.option("--key-variable", metavar="NAME", help="Environment variable of its key.")
@click.option("--model", metavar="NAME", help="Only requests for this model; by default all.")
@click.option("--bundle", metavar="FOLDER", help="What `planner train` left.")
@click.option("--price", type=float, help="Value that a unit of cost must bring.")
@click.option(
    "--extract",
    metavar="HOW",
    help="number, boxed, math, choice, json, json:FIELD, tool_calls, clusters, whole_text or "
    "regex:PATTERN: how samples can vote. Where nothing selects, every plan is one sample.",
)
@click.option(
    "--select",
    type=click.Choice(["plan", "logprob", "learned", "verifier", "judge"]),
    help="What selects: the plan, log-probabilities, the learned verifier, --verifier or --judge.",
)
@click.option("--judge", metavar="NAME", help="Model of the server that marks answers.")
@click.option("--verifier", metavar="NAME", help="Reward model: reward:MODEL or process:FORM:MODEL.")
@click.option("--off", is_flag=True, help="Pass everything through, unplanned.")
@click.option("--host", default="127.0.0.1", help="Address to listen on.")
@click.option("--port", type=click.IntRange(0, 65535), default=8400, help="0 for a free one.")
@click.option("--log-requests", is_flag=True, help="One line per request, without its content.")
def command(path: Path | None, host: str, port: int, log_requests: bool, **options: Any) -> None:
    """Serve an OpenAI-compatible API that plans each request."""
    from planner.planning.request import UnfamiliarPromptsWarning
    from planner.serving.build import build
    from planner.serving.server import prepare_process, server_of
    from planner.serving.settings import ServeSettings

    if path is not None:
        if any(value not in (None, False) for value in options.values()):
            raise InvalidInputError("--settings stands alone: put the other options into the file")
        settings = ServeSettings.read(path)
    else:
        settings = _of_options(**options)
    service = build(settings)
    if host not in ("127.0.0.1", "::1", "localhost") and not settings.keys:
        note("warning: everybody who can reach this address may spend; set keys in the settings")
    if log_requests:
        logging.getLogger("planner.serving").setLevel(logging.INFO)
    # Warnings, of a bundle that is not taken say, are shown without being asked for.
    logging.basicConfig(format="%(asctime)s %(levelname)s %(message)s")
    # What is unfamiliar is counted in the metrics; the log needs no line for it.
    warnings.filterwarnings("ignore", category=UnfamiliarPromptsWarning)
    with _listening(host, port) as listening:
        prepare_process()
        server = server_of(service.application, client_seconds=settings.limits.client_seconds)
        shown = f"[{host}]" if ":" in host else host
        note(f"serving on http://{shown}:{listening.getsockname()[1]}/v1; stop with Ctrl-C")
        try:
            server.run(sockets=[listening])
        finally:
            if service.application.failed is not None:
                click.get_current_context().exit(2)  # the server has said why


def _listening(host: str, port: int) -> socket.socket:
    """Return a socket that listens."""
    try:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        return socket.create_server((host, port), family=family, backlog=_BACKLOG)
    except OSError as error:
        raise InvalidInputError(
            f"nothing can listen on {host} port {port}: {error.strerror or error}; take another --port"
        ) from None


def _of_options(
    *,
    upstream: str | None,
    key_variable: str | None,
    model: str | None,
    select: str | None,
    judge: str | None,
    off: bool,
    **how: object,
) -> ServeSettings:
    from planner.serving.settings import EVERY_MODEL, ServeSettings

    if upstream is None:
        raise InvalidInputError("give --upstream URL, or --settings FILE")
    if not off and how["price"] is None:
        raise InvalidInputError("give --price, what a unit of cost must bring; or --off to pass through")
    behind: dict[str, object] = {"base_urls": [upstream]}
    if key_variable is not None:
        behind["key_variable"] = key_variable
    how["select"] = select or ("judge" if judge else "verifier" if how["verifier"] else None)
    how["judge"] = None if judge is None else {"model": judge}
    route: dict[str, object] = {"upstream": "upstream", "mode": "off" if off else "plan"}
    route |= {name: value for name, value in how.items() if value is not None}
    return ServeSettings.from_plain(
        {"upstreams": {"upstream": behind}, "routes": {model or EVERY_MODEL: route}}
    )
