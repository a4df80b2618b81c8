"""Why a call is refused, as the error object that clients of this protocol know.

Nothing of an exception's traceback, of a key or of an upstream address stands in what a client is told.
"""

from __future__ import annotations

from typing import Final

from difficulty.errors import InvalidBudgetError, InvalidInputError, PlannerError
from planner.serving.exchange import Answer, json_answer

_TYPES: Final = {
    400: "invalid_request_error",
    401: "authentication_error",
    402: "insufficient_quota",
    403: "permission_error",
    404: "not_found_error",
    405: "invalid_request_error",
    408: "timeout_error",
    413: "invalid_request_error",
    431: "invalid_request_error",
    429: "rate_limit_error",
    502: "upstream_error",
    503: "service_unavailable",
    504: "timeout_error",
}


class Refusal(Exception):
    """A call is refused.

    Parameters
    ----------
    status : int
        HTTP status, 4xx for what the client can mend.
    message : str
        What is wrong, what is allowed, and what to do next.
    param : str, optional
        The field that is wrong.
    code : str, optional
        A word for programs.
    retry_after : float, optional
        Seconds after which another try may be answered.

    Examples
    --------
    >>> Refusal(400, "n must be at least 1", param="n").answer().body
    b'{"error":{"message":"n must be at least 1","type":"invalid_request_error","param":"n","code":null}}'
    """

    def __init__(
        self,
        status: int,
        message: str,
        *,
        param: str | None = None,
        code: str | None = None,
        retry_after: float | None = None,
    ) -> None:
        self.status, self.message, self.param, self.code = status, message, param, code
        self.retry_after = retry_after
        super().__init__(message)

    @classmethod
    def of(cls, error: PlannerError) -> Refusal:
        """Return the refusal of a request that met an error, its client's to mend or the upstream's."""
        if isinstance(error, InvalidBudgetError):
            return cls(402, str(error), param="planner", code="budget_too_small")
        if isinstance(error, InvalidInputError):
            return cls(400, str(error))
        return cls(502, "the upstream failed", code=type(error).__name__)

    @property
    def unsent(self) -> bool:
        """Whether nothing can have been spent: no upstream has got the request."""
        return self.code in ("upstream_unreachable", "upstream_unavailable") or self.status < 500

    def answer(self) -> Answer:
        """Return it as an answer."""
        error = {
            "message": self.message,
            "type": _TYPES.get(self.status, "server_error"),
            "param": self.param,
            "code": self.code,
        }
        headers = []
        if self.retry_after is not None:
            headers.append(("retry-after", str(max(1, round(self.retry_after)))))
        return json_answer({"error": error}, status=self.status, headers=headers)
