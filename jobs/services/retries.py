"""Retries of a request to a service: which errors are retried, the wait between two tries, and when to give up."""

import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

import tenacity

from jobs.services.errors import Busy, ServiceError, Unavailable, WrongAnswer

RETRIED_ERRORS = (Busy, Unavailable, WrongAnswer)
SHORTEST_WAIT = 0.5  # seconds: the upper bound of the random wait after the first try

T = TypeVar("T")


@dataclass
class Tries:
    """Counts of the tries of one request so far, by which a caller decides when to give up.

    Attributes
    ----------
    count : int
        Tries that have ended.
    seconds : float
        Time from the start of the first try to the end of the last.
    failures : int
        Tries that failed; a busy service (:class:`Busy`) is no failure.
    wrong_answers : int
        Tries that the service answered wrongly, and charged for.
    """

    count: int = 0
    seconds: float = 0.0
    failures: int = 0
    wrong_answers: int = 0


def exponential_jitter(patience: float, longest_wait: float) -> tenacity.wait_random_exponential:
    """Return random waits whose upper bound doubles with each try, so that clients don't retry in step.

    Parameters
    ----------
    patience : float
        Seconds for which the service may fail: the first bound is at most a sixteenth of them.
    longest_wait : float
        Seconds that a wait takes at most.
    """
    return tenacity.wait_random_exponential(multiplier=min(SHORTEST_WAIT, patience / 16), max=longest_wait)


def retry(
    request: Callable[[], T],
    *,
    gives_up: Callable[[Tries], bool],
    jitter: tenacity.wait_random_exponential,
    stop: threading.Event,
    obey_retry_after: Callable[[float], float] | None = None,
    errors: tuple[type[ServiceError], ...] = RETRIED_ERRORS,
) -> T:
    """Make a request again and again until it succeeds, and return its answer.

    Parameters
    ----------
    gives_up : Tries -> bool
        Asked after each failed try; if true, the try's error is raised.
    jitter : tenacity.wait_random_exponential
        Waits between tries, see :func:`exponential_jitter`.
    stop : threading.Event
        Ends a wait at once when it is set.
    obey_retry_after : seconds -> seconds, optional
        Turns the time that the service asks to wait (``retry_after``) into this request's wait. Without it that time
        is ignored.
    errors : tuple of classes
        Errors that are retried; any other is raised at once.
    """
    tries = Tries()

    def is_over(state: tenacity.RetryCallState) -> bool:
        error = state.outcome.exception() if state.outcome else None
        tries.count, tries.seconds = state.attempt_number, state.seconds_since_start or 0.0
        tries.failures += not isinstance(error, Busy)
        tries.wrong_answers += isinstance(error, WrongAnswer)
        return gives_up(tries)

    def wait(state: tenacity.RetryCallState) -> float:
        error = state.outcome.exception() if state.outcome else None
        retry_after = error.retry_after if isinstance(error, ServiceError) else None
        return jitter(state) if obey_retry_after is None or retry_after is None else obey_retry_after(retry_after)

    return tenacity.Retrying(
        retry=tenacity.retry_if_exception_type(errors),
        stop=is_over,
        wait=wait,
        sleep=tenacity.sleep_using_event(stop),
        reraise=True,
    )(request)
