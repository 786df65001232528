"""Requests from several threads to a provider in memory: how many run at once, are retried, or end the run."""

import threading
import time
from math import log2

import numpy as np
import pytest
from fake_openai import DIMENSIONS, vector_of

from jobs.embedding.batching import TextToEmbed
from jobs.embedding.budget import Budget, BudgetExceeded
from jobs.embedding.provider import EmbeddingAnswer, RateLimits, RequestLimits
from jobs.embedding.request_dispatcher import MAX_FAILURES, MAX_WRONG_ANSWERS, PROBE_TEXT, Dispatcher
from jobs.services.errors import (
    ActionNeededError,
    RequestRefusedError,
    ServiceBusyError,
    ServiceUnavailableError,
    WrongAnswerError,
)


class Function:
    """A provider in memory that calls ``fails`` before each answer and fails with the error that ``fails`` raises."""

    def __init__(self, fails=lambda texts: None, max_requests_in_flight=1, delay=0.0):
        self.request_limits, self.usd_per_million_tokens, self.max_requests_in_flight = (
            RequestLimits(2048),
            1.0,
            max_requests_in_flight,
        )
        self.fails, self.delay = fails, delay
        self.asked, self.answered = [], []
        self.under_way = self.most_under_way = 0
        self.lock = threading.Lock()

    def count_tokens(self, texts):
        return [1] * len(texts)

    def embed(self, texts):
        with self.lock:
            self.asked.append(texts)
            self.under_way += 1
            self.most_under_way = max(self.most_under_way, self.under_way)
        try:
            time.sleep(self.delay)
            self.fails(texts)
            with self.lock:
                self.answered.append(texts)
            return EmbeddingAnswer(np.array([vector_of(text) for text in texts]), len(texts))
        finally:
            with self.lock:
                self.under_way -= 1

    @property
    def probes(self):
        return self.asked.count([PROBE_TEXT])


def texts_of(number):
    return [TextToEmbed(f"hash {place}", f"text {place}", 1) for place in range(number)]


def cut(texts, size):
    return [texts[start : start + size] for start in range(0, len(texts), size)]


def dispatcher_of(provider, patience=0.5, budget=None):
    return Dispatcher(provider, DIMENSIONS, budget or Budget(1.0, None), RateLimits(), patience)


def dispatched(dispatcher, requests):
    """Make requests; return the vectors and the errors by text."""
    vectors, failed = {}, {}
    for outcome in dispatcher.make_requests(requests):
        if outcome.vectors is not None:
            rows = zip(outcome.embedded_texts, outcome.vectors.tolist(), strict=True)
            vectors.update({text.text: vector for text, vector in rows})
        if outcome.given_up_text_with_error:
            text, error = outcome.given_up_text_with_error
            failed[text.text] = error
    return vectors, failed


def right(texts):
    return {text.text: vector_of(text.text).tolist() for text in texts}


def refusing(*poison):
    def fails(texts):
        if {*poison} & {*texts}:
            raise RequestRefusedError("not this text")

    return fails


@pytest.mark.parametrize("max_requests_in_flight", [1, 3])
def test_so_many_requests_are_under_way_and_no_more(max_requests_in_flight):
    provider = Function(max_requests_in_flight=max_requests_in_flight, delay=0.02)
    texts = texts_of(24)
    vectors, failed = dispatched(dispatcher_of(provider), cut(texts, 2))
    assert (vectors, failed) == (right(texts), {})
    assert provider.most_under_way == max_requests_in_flight
    assert len(provider.asked) == 12


def test_what_is_not_stored_yet_counts_as_under_way():
    """A kill must not lose more requests than may be in flight."""
    provider = Function(max_requests_in_flight=3)
    stored = 0
    for outcome in dispatcher_of(provider).make_requests(cut(texts_of(30), 1)):
        time.sleep(0.01)  # time enough for further requests, which must not be made
        assert len(provider.asked) - stored <= 3
        stored += len(outcome.embedded_texts)
    assert stored == len(provider.asked) == 30


def test_requests_are_planned_and_outcomes_used_in_the_callers_thread():
    threads = set()

    def planned():
        for request in cut(texts_of(8), 2):
            threads.add(threading.current_thread())
            yield request

    dispatched(dispatcher_of(Function(max_requests_in_flight=2)), planned())
    assert threads == {threading.current_thread()}, "a connection to DuckDB serves one thread"


def test_stop_lets_what_is_under_way_end_and_makes_no_other_request():
    provider = Function(max_requests_in_flight=2, delay=0.1)
    dispatcher = dispatcher_of(provider)
    threading.Timer(0.05, dispatcher.stop_event.set).start()
    texts = texts_of(20)
    vectors, failed = dispatched(dispatcher, cut(texts, 2))
    assert len(provider.asked) == len(provider.answered) == 2
    assert (vectors, failed) == (right(texts[:4]), {})
    assert dispatcher.ended_by is None


def test_stop_ends_a_wait_for_a_better_time():
    def busy(texts):
        raise ServiceBusyError("later", retry_after_seconds=60)

    dispatcher = dispatcher_of(Function(busy), patience=60)
    threading.Timer(0.1, dispatcher.stop_event.set).start()
    began = time.monotonic()
    assert dispatched(dispatcher, cut(texts_of(4), 2)) == ({}, {})
    assert time.monotonic() - began < 3


def test_an_outcome_that_cant_be_stored_ends_the_requests():
    provider = Function(max_requests_in_flight=2)
    outcomes = dispatcher_of(provider).make_requests(cut(texts_of(40), 2))
    next(outcomes)
    outcomes.close()
    assert len(provider.asked) <= 3
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("ThreadPoolExecutor")]


# --- money ---


def test_a_wrong_answer_that_was_charged_for_is_counted():
    left = [WrongAnswerError("too few", charged_tokens=5), WrongAnswerError("no page", charged_tokens=0)]

    def twice(texts):
        if left:
            raise left.pop(0)

    budget = Budget(1.0, None)
    assert dispatched(dispatcher_of(Function(twice), budget=budget), [texts_of(3)])[1] == {}
    assert budget.charged_tokens == 5 + 0 + 3
    budget.reserve(10**9)  # raises nothing, since there is no limit


@pytest.mark.parametrize("wrong", ["NaN", "short"])
def test_an_answer_without_a_usable_vector_is_counted_too(wrong):
    provider = Function()
    answer = provider.embed
    spoilt = []

    def embed(texts):
        good = answer(texts)
        if spoilt:
            return good
        spoilt.append(texts)
        return EmbeddingAnswer(good.vectors * np.nan if wrong == "NaN" else good.vectors[:-1], good.charged_tokens)

    provider.embed = embed
    budget = Budget(1.0, None)
    texts = texts_of(3)
    assert dispatched(dispatcher_of(provider, budget=budget), [texts]) == (right(texts), {})
    assert budget.charged_tokens == 6


def test_a_vector_that_is_zero_is_asked_for_again_alone():
    provider = Function()
    answer = provider.embed

    def embed(texts):
        good = answer(texts)
        if len(texts) > 1:
            good.vectors[1] = 0
        return good

    provider.embed = embed
    texts = texts_of(4)
    assert dispatched(dispatcher_of(provider), [texts]) == (right(texts), {})
    assert [len(request) for request in provider.asked] == [4, 1]


def test_nothing_stays_set_aside_however_requests_end():
    def fails(texts):
        if "text 3" in texts:
            raise RequestRefusedError("not this text")
        if len(provider.asked) % 3 == 0 and texts != [PROBE_TEXT]:
            raise ServiceUnavailableError("again")

    provider = Function(fails, max_requests_in_flight=3)
    budget = Budget(1.0, max_cost=0.001)  # enough for 1,000 tokens
    texts = texts_of(40)
    _, failed = dispatched(dispatcher_of(provider, patience=2, budget=budget), cut(texts, 4))
    assert failed.keys() == {"text 3"}
    assert budget.charged_tokens == sum(map(len, provider.answered))
    budget.reserve(1000 - budget.charged_tokens)
    with pytest.raises(BudgetExceeded):
        budget.reserve(1)


def test_the_limit_holds_for_all_threads_together():
    provider = Function(max_requests_in_flight=4, delay=0.01)
    budget = Budget(1.0, max_cost=11e-6)
    dispatcher = dispatcher_of(provider, budget=budget)
    vectors, failed = dispatched(dispatcher, cut(texts_of(40), 2))
    assert (len(vectors), failed, budget.charged_tokens) == (10, {}, 10)
    assert isinstance(dispatcher.ended_by, BudgetExceeded)


# --- whether a text or the service is at fault ---


@pytest.mark.parametrize("poison", [0, 77, 255])
def test_a_refused_text_among_many_is_found_in_few_requests(poison):
    texts = texts_of(256)
    provider = Function(refusing(f"text {poison}"))
    vectors, failed = dispatched(dispatcher_of(provider), [texts])
    assert failed == {f"text {poison}": "not this text"}
    assert vectors == right([*texts[:poison], *texts[poison + 1 :]])
    assert len(provider.asked) <= 1 + 2 * log2(256) + 2
    assert provider.probes <= 1
    paid = [text for request in provider.answered for text in request if text != PROBE_TEXT]
    assert len(paid) == len({*paid}) == 255, "the others are paid for once"


def test_a_refused_text_costs_no_probe_where_others_have_gone_through():
    texts = texts_of(40)
    provider = Function(refusing("text 30"))
    assert dispatched(dispatcher_of(provider), cut(texts, 8))[1].keys() == {"text 30"}
    assert provider.probes == 0
    assert len(provider.asked) == 5 + 2 * log2(8)


@pytest.mark.parametrize("kind", [ServiceUnavailableError, WrongAnswerError])
def test_a_text_at_which_the_service_always_fails_is_given_up_after_so_many_tries(kind):
    def fails(texts):
        if "text 5" in texts:
            raise kind("again")

    provider = Function(fails)
    texts = texts_of(6)
    vectors, failed = dispatched(dispatcher_of(provider, patience=0.4), cut(texts, 1))
    assert (vectors, failed) == (right(texts[:5]), {"text 5": "again"})
    if kind is WrongAnswerError:
        assert provider.asked.count(["text 5"]) == MAX_WRONG_ANSWERS
    else:
        assert provider.asked.count(["text 5"]) >= 2


def test_a_request_is_not_tried_for_ever_while_others_go_through():
    """While other requests succeed, repeated failures of one request are its own fault."""

    def fails(texts):
        if texts == ["text 0"]:
            raise ServiceUnavailableError("again")
        time.sleep(0.01)

    provider = Function(fails, max_requests_in_flight=2)
    texts = texts_of(400)
    began = time.monotonic()
    _, failed = dispatched(dispatcher_of(provider, patience=1), cut(texts, 1))
    assert failed.keys() == {"text 0"}
    assert provider.asked.count(["text 0"]) == MAX_FAILURES
    assert time.monotonic() - began < 15


def test_a_service_that_is_busy_for_ever_ends_the_run_when_patience_does():
    def busy(texts):
        raise ServiceBusyError("later")

    provider = Function(busy, max_requests_in_flight=3)
    dispatcher = dispatcher_of(provider, patience=0.6)
    began = time.monotonic()
    assert dispatched(dispatcher, cut(texts_of(12), 2)) == ({}, {}), "no text is blamed"
    assert 0.6 <= time.monotonic() - began < 3
    assert str(dispatcher.ended_by) == "later"
    assert len(provider.asked) < 150, "it is not asked without a pause"


@pytest.mark.parametrize("text_count", [1, 4])
def test_a_text_for_which_the_service_is_too_busy_waits_for_the_next_run(text_count):
    """A long text may exceed the limit of tokens a minute for longer than patience lasts, and a short probe may not."""

    def busy(texts):
        if "text 0" in texts:
            raise ServiceBusyError("later")

    provider = Function(busy)
    dispatcher = dispatcher_of(provider, patience=0.2)
    texts = texts_of(text_count)
    vectors, failed = dispatched(dispatcher, [texts])
    assert failed == {}, "being busy is not a failure"
    assert vectors.keys() <= {text.text for text in texts[1:]}
    assert str(dispatcher.ended_by) == "later"


@pytest.mark.parametrize("wanted", [0.01, 3600])
def test_a_pause_that_the_service_wants_is_no_reason_to_wait_beyond_patience(wanted):
    def busy(texts):
        raise ServiceBusyError("later", retry_after_seconds=wanted)

    dispatcher = dispatcher_of(Function(busy, max_requests_in_flight=2), patience=0.5)
    began = time.monotonic()
    assert dispatched(dispatcher, cut(texts_of(8), 2)) == ({}, {})
    assert 0.5 <= time.monotonic() - began < 3
    assert str(dispatcher.ended_by) == "later"


def test_a_short_time_of_being_busy_is_waited_out_however_often():
    busy_until = time.monotonic() + 0.5

    def fails(texts):
        if time.monotonic() < busy_until:
            raise ServiceBusyError("later", retry_after_seconds=0.02)

    provider = Function(fails, max_requests_in_flight=2)
    texts = texts_of(8)
    assert dispatched(dispatcher_of(provider, patience=5), cut(texts, 2)) == (right(texts), {})
    assert len(provider.asked) > 4 + 2 * MAX_FAILURES, "being busy is not a failure"
    assert provider.probes == 0


def test_a_request_that_is_told_to_wait_has_not_failed_while_others_go_through():
    left = [ServiceBusyError("later", retry_after_seconds=0.01)] * 3 * MAX_FAILURES

    def fails(texts):
        if texts == ["text 0"] and left:
            raise left.pop()
        time.sleep(0.01)

    provider = Function(fails, max_requests_in_flight=2)
    texts = texts_of(60)
    assert dispatched(dispatcher_of(provider, patience=5), cut(texts, 1)) == (right(texts), {})
    assert provider.asked.count(["text 0"]) == 3 * MAX_FAILURES + 1
    assert provider.probes == 0


def test_one_probe_serves_all_requests_that_fail_together():
    together = threading.Barrier(6)

    def fails(texts):
        if len(texts) > 1:
            together.wait(10)
            raise RequestRefusedError("one at a time")
        time.sleep(0.05)

    provider = Function(fails, max_requests_in_flight=6)
    texts = texts_of(12)
    assert dispatched(dispatcher_of(provider), cut(texts, 2)) == (right(texts), {})
    assert provider.probes == 1


def test_one_failed_probe_ends_the_run_for_all():
    together = threading.Barrier(4)

    def fails(texts):
        if texts != [PROBE_TEXT]:
            together.wait(10)
        raise RequestRefusedError(f"wrong parameter, asked for {len(texts)}")

    provider = Function(fails, max_requests_in_flight=4)
    dispatcher = dispatcher_of(provider)
    assert dispatched(dispatcher, cut(texts_of(40), 2)) == ({}, {})
    assert (provider.probes, len(provider.asked)) == (1, 5)
    assert str(dispatcher.ended_by) == "wrong parameter, asked for 2", "of the request, not of the probe"


def test_what_a_person_has_to_mend_is_asked_once_by_each_thread_and_no_more():
    def fails(texts):
        raise ActionNeededError("check the key")

    provider = Function(fails, max_requests_in_flight=3, delay=0.01)
    dispatcher = dispatcher_of(provider)
    assert dispatched(dispatcher, cut(texts_of(40), 2)) == ({}, {})
    assert len(provider.asked) <= 3
    assert str(dispatcher.ended_by) == "check the key"


def test_an_error_of_the_program_is_not_taken_for_one_of_the_service():
    def fails(texts):
        raise ZeroDivisionError

    provider = Function(fails)
    with pytest.raises(ZeroDivisionError):
        dispatched(dispatcher_of(provider), cut(texts_of(4), 2))
    assert len(provider.asked) == 1
