"""OpenAI's client, with retries that outlast a short failure of the service."""

import threading
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any, TypeVar

from jobs.services.openai_client import make_openai_client, translate_openai_errors
from jobs.services.retries import TryCounts, exponential_jitter, retry

TIMEOUT = 120.0  # seconds that one request may take at most
PATIENCE = 120.0  # seconds after which a failing request is given up
MIN_TRIES = 3  # number of tries that each request gets at least, since one time-out may use up all of PATIENCE
LONGEST_WAIT = 30.0  # longest wait, in seconds, between two tries of a request
MAX_WRONG_ANSWERS = 3  # wrong answers after which a request is given up, since the service charges for each

Reply = TypeVar("Reply")


@dataclass
class RetryingClient:
    """Makes requests through OpenAI's client, and repeats a request that has failed.

    Attributes
    ----------
    service_name : str
        Name of the service in error messages.
    """

    service_name: str

    @cached_property
    def client(self) -> Any:
        """OpenAI's client, without its own retries; see :func:`jobs.services.openai_client.make_openai_client`."""
        return make_openai_client(TIMEOUT)

    def ask(
        self, model_name: str, make_request: Callable[[], Reply], stop_event: threading.Event | None = None
    ) -> Reply:
        """Make a request with retries, and return its answer.

        Parameters
        ----------
        model_name : str
            The model that the request asks for; error messages name it.
        make_request : () -> answer
            Makes the request once, through :attr:`client`.
        stop_event : threading.Event, optional
            Once this event is set, the request is not tried again.

        Raises
        ------
        ServiceError
            One of the classes in :mod:`jobs.services.errors`: the class says who caused the failure.
        """
        stop_event = stop_event or threading.Event()

        def try_once() -> Reply:
            with translate_openai_errors(model_name, self.service_name):
                return make_request()

        def should_give_up(try_counts: TryCounts) -> bool:
            is_out_of_patience = try_counts.elapsed_seconds >= PATIENCE and try_counts.try_count >= MIN_TRIES
            return is_out_of_patience or try_counts.wrong_answer_count >= MAX_WRONG_ANSWERS or stop_event.is_set()

        return retry(
            try_once,
            should_give_up=should_give_up,
            jitter=exponential_jitter(PATIENCE, LONGEST_WAIT),
            stop_event=stop_event,
            map_retry_after=lambda seconds: min(seconds, PATIENCE),
        )
