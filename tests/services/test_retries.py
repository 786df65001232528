"""Retries of a request to a service: which errors are retried, how long a wait is, and when a request is given up."""

import threading
import time

import pytest

from jobs.services.errors import ActionNeededError, ServiceBusyError, ServiceUnavailableError, WrongAnswerError
from jobs.services.retries import TryCounts, exponential_jitter, retry

NO_WAIT = exponential_jitter(patience_seconds=0.0, longest_wait_seconds=0.0)


def failing_with(*errors):
    """Return a request that fails with each error in turn and then succeeds."""
    left = list(errors)

    def request():
        if left:
            raise left.pop(0)
        return "answer"

    return request


def retried(request, should_give_up=lambda try_counts: False, stop=None, **options):
    return retry(
        request, should_give_up=should_give_up, jitter=NO_WAIT, stop_event=stop or threading.Event(), **options
    )


def test_passing_errors_are_retried_and_counted_by_their_kind():
    seen = []

    def should_give_up(try_counts):
        seen.append(TryCounts(try_counts.try_count, 0.0, try_counts.failure_count, try_counts.wrong_answer_count))
        return False

    assert (
        retried(failing_with(ServiceBusyError(""), ServiceUnavailableError(""), WrongAnswerError("")), should_give_up)
        == "answer"
    )
    assert seen == [TryCounts(1, 0.0, 0, 0), TryCounts(2, 0.0, 1, 0), TryCounts(3, 0.0, 2, 1)], (
        "a busy service is no failure"
    )


def test_an_error_that_no_retry_mends_is_raised_at_once():
    asked = []
    with pytest.raises(ActionNeededError):
        retried(failing_with(ActionNeededError("check the key")), asked.append)
    with pytest.raises(WrongAnswerError):
        retried(
            failing_with(WrongAnswerError("")), asked.append, retried_errors=(ServiceBusyError, ServiceUnavailableError)
        )
    assert asked == []


def test_a_request_that_is_given_up_raises_its_last_error():
    with pytest.raises(ServiceUnavailableError, match="second"):
        retried(
            failing_with(ServiceUnavailableError("first"), ServiceUnavailableError("second")),
            lambda try_counts: try_counts.try_count == 2,
        )


def test_the_time_that_a_service_asks_to_wait_replaces_the_jitter():
    waits = []
    errors = [
        ServiceBusyError("", retry_after_seconds=7.0),
        ServiceBusyError(""),
        ServiceUnavailableError("", retry_after_seconds=3.0),
    ]
    retried(failing_with(*errors), map_retry_after=lambda seconds: waits.append(seconds) or 0.0)
    assert waits == [7.0, 3.0]


def test_stop_ends_a_wait():
    stop = threading.Event()
    threading.Timer(0.05, stop.set).start()
    started = time.monotonic()
    with pytest.raises(ServiceBusyError):
        retried(
            failing_with(*[ServiceBusyError("", retry_after_seconds=60.0)] * 9),
            lambda try_counts: stop.is_set(),
            stop,
            map_retry_after=lambda seconds: seconds,
        )
    assert time.monotonic() - started < 5


def test_jitter_grows_with_each_try_up_to_the_longest_wait():
    jitter = exponential_jitter(patience_seconds=120.0, longest_wait_seconds=1.5)
    assert (jitter.multiplier, jitter.max) == (0.5, 1.5)
    assert exponential_jitter(patience_seconds=1.6, longest_wait_seconds=0.4).multiplier == pytest.approx(0.1)
