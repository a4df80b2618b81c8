"""Loggers of the project: quiet unless whoever uses it asks for more.

It assumes the standard library's logging, which prints warnings of loggers that nobody set up; a handler that
does nothing, added with the first logger, keeps ours quiet. What is logged is left to whoever logs.
"""

from __future__ import annotations

import logging


def logger_of(module: str) -> logging.Logger:
    """Return the logger of a module, ``planner.running.parts`` say.

    Examples
    --------
    >>> logger_of("planner.running.parts").name
    'planner.running.parts'
    """
    package = logging.getLogger(module.partition(".")[0])
    if not any(isinstance(handler, logging.NullHandler) for handler in package.handlers):
        package.addHandler(logging.NullHandler())
    return logging.getLogger(module)
