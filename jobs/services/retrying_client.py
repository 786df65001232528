"""OpenAI's client, with retries that bridge a short failure of the service."""

import threading
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any, TypeVar

from jobs.services.client import make_client, translated_errors
from jobs.services.retries import Tries, jitter, retry

TIMEOUT = 120.0  # seconds that one request may take
PATIENCE = 120.0  # seconds for which the service may fail before a request is given up
LEAST_TRIES = 3  # a request is tried at least so often, since one time-out may use up all of PATIENCE
LONGEST_WAIT = 30.0  # seconds between two tries, at most
MOST_WRONG_ANSWERS = 3  # a request is given up after so many wrong answers, since each is charged for

T = TypeVar("T")


@dataclass
class RetryingClient:
    """OpenAI's client for requests that are retried.

    Attributes
    ----------
    service : str
        What error messages call the service.
    """

    service: str

    @cached_property
    def client(self) -> Any:
        """OpenAI's client, without its own retries; see :func:`jobs.services.client.make_client`."""
        return make_client(TIMEOUT)

    def ask(self, model: str, request: Callable[[], T], stop: threading.Event | None = None) -> T:
        """Make a request with retries, and return its answer.

        Parameters
        ----------
        model : str
            The model that the request is about, for error messages.
        request : () -> answer
            Makes the request once, with :attr:`client`.
        stop : threading.Event, optional
            No further try is made once it is set.

        Raises
        ------
        ServiceError
            A class of :mod:`jobs.services.errors`, which says who caused the failure.
        """
        stop = stop or threading.Event()

        def once() -> T:
            with translated_errors(model, self.service):
                return request()

        def gives_up(tries: Tries) -> bool:
            is_late = tries.seconds >= PATIENCE and tries.count >= LEAST_TRIES
            return is_late or tries.wrong_answers >= MOST_WRONG_ANSWERS or stop.is_set()

        return retry(
            once,
            gives_up=gives_up,
            waits=jitter(PATIENCE, LONGEST_WAIT),
            stop=stop,
            after=lambda seconds: min(seconds, PATIENCE),
        )
