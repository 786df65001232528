"""OpenAI's client, with retries that bridge a short failure of the service."""

import threading
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any, TypeVar

from jobs.services.client import make_client, translated_errors
from jobs.services.retries import Tries, exponential_jitter, retry

TIMEOUT = 120.0  # seconds that one request may take
PATIENCE = 120.0  # seconds after which a failing request is given up
MIN_TRIES = 3  # tries that a request gets at least, since one time-out may use up all of PATIENCE
LONGEST_WAIT = 30.0  # seconds between two tries, at most
MAX_WRONG_ANSWERS = 3  # wrong answers after which a request is given up, since each is charged for

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

        def try_once() -> T:
            with translated_errors(model, self.service):
                return request()

        def gives_up(tries: Tries) -> bool:
            is_out_of_patience = tries.seconds >= PATIENCE and tries.count >= MIN_TRIES
            return is_out_of_patience or tries.wrong_answers >= MAX_WRONG_ANSWERS or stop.is_set()

        return retry(
            try_once,
            gives_up=gives_up,
            jitter=exponential_jitter(PATIENCE, LONGEST_WAIT),
            stop=stop,
            obey_retry_after=lambda seconds: min(seconds, PATIENCE),
        )
