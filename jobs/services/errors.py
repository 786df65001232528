"""Errors of a service: each class says who caused the failure, and so what to do next."""

from jobs.errors import NextmartError


class ServiceError(NextmartError):
    """A request to a service failed.

    Attributes
    ----------
    tokens : int
        Tokens that the service charged for the failed request.
    retry_after : float or None
        Seconds that the service asks to wait before the next request; None if it does not say.
    """

    def __init__(self, message: str, *, tokens: int = 0, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.tokens = tokens
        self.retry_after = retry_after


class Busy(ServiceError):
    """The service got too many requests: the same request will succeed later, so this is not counted as a failure."""


class Unavailable(ServiceError):
    """The service fails, does not answer in time or can't be reached: a later request may succeed."""


class WrongAnswer(ServiceError):
    """The service gave an answer that can't be right: the same request may get a right one."""


class Refused(ServiceError):
    """The service rejects a request for its content: for one of its texts or for its parameters."""


class Denied(ServiceError):
    """The service will reject every request until a person acts; the message says what to do."""
