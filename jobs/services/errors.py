"""Errors of a service: each error class says who caused the failure, and so what to do next."""

from jobs.errors import NextmartError


class ServiceError(NextmartError):
    """A request to a service failed.

    Attributes
    ----------
    charged_tokens : int
        Tokens that the service charged for the failed request.
    retry_after_seconds : float or None
        Seconds that the service asks to wait before the next request; None if it does not say.
    """

    def __init__(self, message: str, *, charged_tokens: int = 0, retry_after_seconds: float | None = None) -> None:
        super().__init__(message)
        self.charged_tokens = charged_tokens
        self.retry_after_seconds = retry_after_seconds


class ServiceBusyError(ServiceError):
    """The service got too many requests: the same request will succeed later, so it does not count as failed."""


class ServiceUnavailableError(ServiceError):
    """The service fails, does not answer in time, or can't be reached: a later request may succeed."""


class WrongAnswerError(ServiceError):
    """The service's answer can't be right: if the same request is made again, it may get a right answer."""


class RequestRefusedError(ServiceError):
    """The service rejects a request because of its content: one of its texts, or its parameters."""


class ActionNeededError(ServiceError):
    """The service will reject every request until a person acts; the message says what to do."""
