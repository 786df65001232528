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
    try_count : int
        Tries that have ended.
    elapsed_seconds : float
        Seconds from the start of the first try to the end of the last.
    failure_count : int
        Tries that failed; a busy service (:class:`ServiceBusyError`) is no failure.
    wrong_answer_count : int
        Tries that got a wrong answer, which the service charges for.
    """

    try_count: int = 0
    elapsed_seconds: float = 0.0
    failure_count: int = 0
    wrong_answer_count: int = 0


def exponential_jitter(patience_seconds: float, longest_wait_seconds: float) -> tenacity.wait_random_exponential:
    """Return random waits whose upper bound doubles with each try, so that clients don't retry in step.

    Parameters
    ----------
    patience_seconds : float
        Seconds for which the service may fail. The first wait is at most a sixteenth of them.
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
    map_retry_after: Callable[[float], float] | None = None,
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
    map_retry_after : seconds -> seconds, optional
        Maps the wait that the service asks for (``ServiceError.retry_after_seconds``) to the wait before the next try.
        If this function is None, the wait that the service asks for is ignored.
    retried_errors : tuple of classes
        Error classes that are retried; any other error is raised at once.
    """
    try_counts = TryCounts()

    def stops_retrying(retry_state: tenacity.RetryCallState) -> bool:
        error = retry_state.outcome.exception() if retry_state.outcome else None
        try_counts.try_count = retry_state.attempt_number
        try_counts.elapsed_seconds = retry_state.seconds_since_start or 0.0
        try_counts.failure_count += not isinstance(error, ServiceBusyError)
        try_counts.wrong_answer_count += isinstance(error, WrongAnswerError)
        return should_give_up(try_counts)

    def seconds_to_wait(retry_state: tenacity.RetryCallState) -> float:
        error = retry_state.outcome.exception() if retry_state.outcome else None
        asked_seconds = error.retry_after_seconds if isinstance(error, ServiceError) else None
        return (
            jitter(retry_state) if map_retry_after is None or asked_seconds is None else map_retry_after(asked_seconds)
        )

    return tenacity.Retrying(
        retry=tenacity.retry_if_exception_type(retried_errors),
        stop=stops_retrying,
        wait=seconds_to_wait,
        sleep=tenacity.sleep_using_event(stop_event),
        reraise=True,
    )(try_once)
