"""What there is to say of one error code."""

from dataclasses import dataclass

from app.domain.requests import JSON

RESPONSE_ID = "resp_0198f3c2a1b47d0c9e5f2a6b8c7d1e03"
_TYPES = {
    401: "authentication_error",
    403: "permission_error",
    404: "not_found_error",
    429: "rate_limit_error",
    500: "server_error",
    502: "server_error",
    503: "server_error",
    504: "server_error",
}


@dataclass(frozen=True, slots=True)
class Code:
    """One code. It always comes with the same status and type."""

    status: int
    when: str
    message: str
    param: str | None = None
    """A path, if the error names one."""
    of_response: bool = False
    """A synchronous request made a response that can still be got: the error has its id."""
    is_request_error: bool = False
    """Its type is not the one that its status usually has."""

    @property
    def type(self) -> str:
        """The kind of error."""
        return "invalid_request_error" if self.is_request_error else _TYPES.get(self.status, "invalid_request_error")

    def example(self, code: str) -> JSON:
        """A whole error body."""
        error = {"message": self.message, "type": self.type, "param": self.param, "code": code}
        return {"error": error | ({"response_id": RESPONSE_ID} if self.of_response else {})}
