"""Retries of a request to a service: which errors are retried, the wait between two tries, and when to give up."""

import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

import tenacity

from jobs.services.errors import ServiceBusyError, ServiceError, ServiceUnavailableError, WrongAnswerError

RETRIED_ERRORS = (ServiceBusyError, ServiceUnavailableError, WrongAnswerError)
SHORTEST_WAIT = 0.5  # upper bound, in seconds, of the random wait after a request's first try

Reply = TypeVar("Reply")


@dataclass
class TryCounts:
    """Counts the tries of one request so far; from these counts the caller decides when to give up.

    Attributes
    ----------
    count : int
        Tries that have ended.
    seconds : float
        Seconds from the start of the first try to the end of the last.
    failures : int
        Tries that failed; a busy service (:class:`ServiceBusyError`) is no failure.
    wrong_answers : int
        Tries that got a wrong answer, which the service charges for.
    """

    count: int = 0
    seconds: float = 0.0
    failures: int = 0
    wrong_answers: int = 0


def exponential_jitter(patience_seconds: float, longest_wait_seconds: float) -> tenacity.wait_random_exponential:
    """Return random waits whose upper bound doubles with each try, so that clients don't retry in step.

    Parameters
    ----------
    patience_seconds : float
        Seconds for which the service may fail: the upper bound of the first wait is at most a sixteenth of them.
    longest_wait_seconds : float
        Seconds that each wait takes at most.
    """
    return tenacity.wait_random_exponential(
        multiplier=min(SHORTEST_WAIT, patience_seconds / 16), max=longest_wait_seconds
    )


def retry(
    try_once: Callable[[], Reply],
    *,
    should_give_up: Callable[[TryCounts], bool],
    jitter: tenacity.wait_random_exponential,
    stop_event: threading.Event,
    obey_retry_after: Callable[[float], float] | None = None,
    retried_errors: tuple[type[ServiceError], ...] = RETRIED_ERRORS,
) -> Reply:
    """Make a request again and again until it succeeds, and return its answer.

    Parameters
    ----------
    should_give_up : TryCounts -> bool
        Called after each failed try; if it returns true, the error of that try is raised.
    jitter : tenacity.wait_random_exponential
        Waits between tries, see :func:`exponential_jitter`.
    stop_event : threading.Event
        Ends a wait at once when it is set.
    obey_retry_after : seconds -> seconds, optional
        Maps the wait that the service asks for (``retry_after``) to the wait before the next try. If this function
        is None, the wait that the service asks for is ignored.
    retried_errors : tuple of classes
        Error classes that are retried; any other error is raised at once.
    """
    tries = TryCounts()

    def stops_retrying(retry_state: tenacity.RetryCallState) -> bool:
        error = retry_state.outcome.exception() if retry_state.outcome else None
        tries.count, tries.seconds = retry_state.attempt_number, retry_state.seconds_since_start or 0.0
        tries.failures += not isinstance(error, ServiceBusyError)
        tries.wrong_answers += isinstance(error, WrongAnswerError)
        return should_give_up(tries)

    def seconds_to_wait(retry_state: tenacity.RetryCallState) -> float:
        error = retry_state.outcome.exception() if retry_state.outcome else None
        retry_after = error.retry_after if isinstance(error, ServiceError) else None
        return jitter(retry_state) if obey_retry_after is None or retry_after is None else obey_retry_after(retry_after)

    return tenacity.Retrying(
        retry=tenacity.retry_if_exception_type(retried_errors),
        stop=stops_retrying,
        wait=seconds_to_wait,
        sleep=tenacity.sleep_using_event(stop_event),
        reraise=True,
    )(try_once)
