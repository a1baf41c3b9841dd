"""One tree of errors. Each has a stable `code`; what HTTP makes of it is the API's business."""

from typing import ClassVar


class ServiceError(Exception):
    """Something the caller is told about: `message` says what to do, `code` never changes, `param` is a path.

    `message` never holds the offending value: it may be a secret.
    """

    code: ClassVar[str] = "server_error"

    def __init__(self, message: str, *, code: str | None = None, param: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.error_code = code or self.code
        self.param = param


class IllegalMoveError(ServiceError):
    """The job is in a state from which there is no such move."""

    code = "illegal_move"


class InvalidRequestError(ServiceError):
    """The request can never succeed as it is."""

    code = "invalid_request"


class NotFoundError(ServiceError):
    """There is no such thing, or it is somebody else's: the two look the same."""

    code = "not_found"


class ModelNotFoundError(ServiceError):
    """No entry of the models file matches the requested model."""

    code = "model_not_found"


class IdempotencyKeyReusedError(ServiceError):
    """The idempotency key was used before, for another request."""

    code = "idempotency_key_reused"


class InvalidKeyError(ServiceError):
    """No API key, or one that is not valid (any more)."""

    code = "invalid_api_key"


class ExpiredKeyError(InvalidKeyError):
    """The API key was valid once."""

    code = "expired_api_key"


class InsufficientScopeError(ServiceError):
    """The API key is valid, but not for this."""

    code = "insufficient_scope"


class UnavailableError(ServiceError):
    """Something Simmer needs is down; the same request may succeed in `retry_after` seconds."""

    code = "unavailable"

    def __init__(self, message: str, *, retry_after: float = 5) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class OverloadedError(UnavailableError):
    """Everything runs, but too much is waiting already."""

    code = "overloaded"


class RateLimitedError(ServiceError):
    """The API key does more than it may; the same request may succeed in `retry_after` seconds."""

    code = "rate_limit_exceeded"

    def __init__(self, message: str, *, retry_after: float, code: str | None = None) -> None:
        super().__init__(message, code=code)
        self.retry_after = retry_after


class SynchronousError(ServiceError):
    """The response that a client waits for on the line failed, or is not there in time. `job_id` is its public id,
    `code` the failure's.
    """

    code = "response_not_finished"

    def __init__(self, message: str, *, code: str, job_id: str) -> None:
        super().__init__(message, code=code)
        self.job_id = job_id


class ConfigurationError(ServiceError):
    """A setting or the models file is wrong; the message names it and says what is allowed."""

    code = "configuration"
