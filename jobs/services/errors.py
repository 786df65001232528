"""What can go wrong with a service; each class says whose fault a failure is, and so what to do next."""

from jobs.errors import NextmartError


class ServiceError(NextmartError):
    """A request failed; ``tokens`` were charged all the same, ``retry_after`` are seconds that the service wants."""

    def __init__(self, message: str, *, tokens: int = 0, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.tokens = tokens
        self.retry_after = retry_after


class Busy(ServiceError):
    """Too many requests: not a failure, the same request goes through later."""


class Unavailable(ServiceError):
    """The service fails, hangs or can't be reached: later it may not."""


class WrongAnswer(ServiceError):
    """An answer that can't be right, which asking again may mend."""


class Refused(ServiceError):
    """The service won't take this request, because of one of its texts or of how it is asked."""


class Denied(ServiceError):
    """Nothing will get through until a person does something: the message says what."""
