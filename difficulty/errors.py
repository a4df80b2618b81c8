"""Every error that this project raises on purpose, in one tree.

::

    PlannerError
    ├── InvalidInputError (ValueError)      a caller's argument, file or field is wrong
    │   ├── InvalidFileError                a file that is no text, or too large: names file, line and reason
    │   ├── InvalidLogError                 a sample log: names file, line and reason
    │   ├── InvalidPromptError              an empty, unreadable or repeated prompt
    │   ├── InvalidBudgetError              a budget, price or target that cannot be meant
    │   ├── UnknownUnitError                a unit that is unknown, or that this log or bundle cannot price
    │   ├── UnknownGeneratorError           a generator that the log, bundle or backend does not have
    │   └── InvalidBundleError              a bundle that is incomplete, tampered with or of another schema
    ├── MissingDependencyError (ImportError)  an optional package is needed; carries the install command
    ├── NotFittedError (ValueError)         `fit` has not been called
    ├── BackendError                        a request to an inference stack failed
    │   ├── RetryableBackendError           worth another try: timeout, 408, 429, 5xx, disconnect
    │   ├── InvalidResponseError            an answer that breaks the protocol: HTML, missing choices
    │   ├── BudgetSpentError                a budget that several runs share leaves nothing for a sample
    │   └── PoolExhaustedError              a replayed log has no recorded sample left for a prompt
    └── VerifierError                       a verifier could not score what it was given

The command line turns `InvalidInputError` and `MissingDependencyError` into exit code 2. A message says what
is wrong, what is allowed, what was received and what to do next; the facts are attributes too.
"""

from __future__ import annotations

from importlib import import_module
from types import ModuleType

__all__ = [
    "BackendError",
    "BudgetSpentError",
    "InvalidBudgetError",
    "InvalidBundleError",
    "InvalidFileError",
    "InvalidInputError",
    "InvalidLogError",
    "InvalidPromptError",
    "InvalidResponseError",
    "MissingDependencyError",
    "NotFittedError",
    "PlannerError",
    "PoolExhaustedError",
    "RetryableBackendError",
    "UnknownGeneratorError",
    "UnknownUnitError",
    "VerifierError",
    "require",
]


class PlannerError(Exception):
    """Base of every error that this project raises on purpose."""


class InvalidInputError(PlannerError, ValueError):
    """An argument, a file or a field that a caller gave is wrong."""


class _InFileError(InvalidInputError):
    """What is wrong in a file, and where.

    Parameters
    ----------
    reason : str
        What is wrong and what to do about it.
    path : str, optional
        The file, where there is one.
    line : int, optional
        Line number, counted from 1.
    """

    def __init__(self, reason: str, *, path: str | None = None, line: int | None = None) -> None:
        self.reason = reason
        self.path = path
        self.line = line
        where = "" if path is None else path if line is None else f"{path}, line {line}"
        super().__init__(f"{where}: {reason}" if where else reason)


class InvalidFileError(_InFileError):
    """A file cannot be read as lines of text: its encoding, its packing or its size."""


class InvalidLogError(_InFileError):
    """A sample log cannot be read or written as asked."""


class InvalidPromptError(InvalidInputError):
    """A prompt is empty, unreadable or given twice."""


class InvalidBudgetError(InvalidInputError):
    """A budget, price or target accuracy that cannot be meant or met.

    Parameters
    ----------
    message : str
        What is wrong and what to do about it.
    least : float, optional
        The least budget that could be met, where the one given is too small.
    reachable : float, optional
        The highest mean value that could be reached, where a target or floor is too high.
    """

    def __init__(self, message: str, *, least: float | None = None, reachable: float | None = None) -> None:
        self.least = least
        self.reachable = reachable
        super().__init__(message)


class UnknownUnitError(InvalidInputError):
    """A unit that does not exist, or that this log or bundle cannot price."""


class UnknownGeneratorError(InvalidInputError):
    """A generator that the log, bundle or backend does not have."""


class InvalidBundleError(InvalidInputError):
    """A policy bundle is incomplete, tampered with, or of another schema."""


class MissingDependencyError(PlannerError, ImportError):
    """An optional package is needed; the message has the install command."""


class NotFittedError(PlannerError, ValueError):
    """An estimator is used before `fit`."""


class BackendError(PlannerError):
    """A request to an inference stack failed for good.

    Parameters
    ----------
    reason : str
        What went wrong and what to do about it.
    status : int, optional
        HTTP status, where there is one.
    failed_requests : int
        Attempts that failed, retries included.
    prompt_tokens, output_tokens : int
        What those attempts are known to have used: it was paid for although nothing came of it.
    retry_after : float, optional
        Seconds after which another try may be answered, where the stack says so.
    """

    def __init__(
        self,
        reason: str,
        *,
        status: int | None = None,
        failed_requests: int = 1,
        prompt_tokens: int = 0,
        output_tokens: int = 0,
        retry_after: float | None = None,
    ) -> None:
        self.reason = reason
        self.status = status
        self.failed_requests = failed_requests
        self.prompt_tokens = prompt_tokens
        self.output_tokens = output_tokens
        self.retry_after = retry_after
        super().__init__(reason)


class RetryableBackendError(BackendError):
    """A request failed in a way that another try may mend."""


class BudgetSpentError(BackendError):
    """A budget that several runs share leaves nothing for a sample: it was not sent."""


class InvalidResponseError(BackendError):
    """An inference stack answered with something that breaks its protocol."""


class PoolExhaustedError(BackendError):
    """A replayed log has fewer recorded samples left than were asked for.

    Parameters
    ----------
    reason : str
        What was asked and what to do about it.
    prompt_id, generator : str
        Which pool ran out.
    asked, left : int
        Samples wanted, and samples not yet drawn.
    """

    def __init__(self, reason: str, *, prompt_id: str, generator: str, asked: int, left: int) -> None:
        self.prompt_id = prompt_id
        self.generator = generator
        self.asked = asked
        self.left = left
        super().__init__(reason, failed_requests=0)


class VerifierError(PlannerError):
    """A verifier could not score what it was given."""


def require(module: str, *, extra: str) -> ModuleType:
    """Import an optional module, or say how to install it.

    Parameters
    ----------
    module : str
        Dotted module name.
    extra : str
        The extra of ``ttc-planner`` that brings it.

    Raises
    ------
    MissingDependencyError
        When the module is not installed.

    Examples
    --------
    >>> require("json", extra="train").__name__
    'json'
    """
    try:
        return import_module(module)
    except ImportError as error:
        top = module.partition(".")[0]
        raise MissingDependencyError(
            f"{top!r} is needed here and is not installed; run: pip install 'ttc-planner[{extra}]'"
        ) from error
