"""What all requests of a run share: their rate, and the money that the run may spend."""

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from random import Random

import pytest

from jobs.embedding.budget import Budget, BudgetExceeded, RequestPacer
from jobs.embedding.provider import RateLimits

SLACK = 0.6  # seconds that a busy machine may add


@pytest.fixture
def stop():
    return threading.Event()


def times(pace, requests, tokens=1, threads=4, since=None):
    """Return when each request may start, sorted, in seconds after ``since`` (default: now)."""
    began = since or time.monotonic()

    def go(_):
        pace.wait_for_turn(tokens)
        return time.monotonic() - began

    with ThreadPoolExecutor(threads) as pool:
        return sorted(pool.map(go, range(requests)))


@pytest.mark.parametrize("threads", [1, 20])
@pytest.mark.parametrize(
    ("rate", "tokens"),
    [(RateLimits(6000, None), 1), (RateLimits(None, 60_000), 10), (RateLimits(6000, 10_000_000), 10)],
)
def test_requests_are_spread_evenly_at_the_tighter_limit(stop, rate, tokens, threads):
    went = times(RequestPacer(rate, stop), 20, tokens, threads)  # one request every 10 ms
    for place, moment in enumerate(went):
        assert moment >= 0.01 * place - 0.0005, "at no moment have more gone than the limit allows"
    assert went[-1] < 0.19 + SLACK


def test_a_large_request_is_followed_by_a_longer_wait(stop):
    pace = RequestPacer(RateLimits(None, 60_000), stop)
    began = time.monotonic()
    pace.wait_for_turn(300)
    assert time.monotonic() - began < SLACK / 2, "the first goes at once"
    pace.wait_for_turn(1)
    assert 0.3 <= time.monotonic() - began < 0.3 + SLACK
    pace.wait_for_turn(1)
    assert time.monotonic() - began < 0.3 + SLACK


def test_time_without_requests_is_not_made_up_for_by_a_burst(stop):
    pace = RequestPacer(RateLimits(6000, None), stop)
    pace.wait_for_turn(1)
    time.sleep(0.2)
    assert times(pace, 6)[-1] >= 0.0495


def test_without_limits_nobody_waits(stop):
    assert times(RequestPacer(RateLimits(), stop), 1000, tokens=10**9)[-1] < SLACK


def test_a_pause_holds_everybody_also_who_waits_already(stop):
    pace = RequestPacer(RateLimits(60 / 0.05, None), stop)
    pace.wait_for_turn(1)
    with ThreadPoolExecutor(1) as pool:
        began = time.monotonic()
        waiting = pool.submit(lambda: (pace.wait_for_turn(1), time.monotonic() - began)[1])
        time.sleep(0.01)
        paused = time.monotonic()
        pace.pause(0.3)
        pace.pause(0.05)  # a shorter pause does not end the longer one
        later = times(pace, 4, since=paused)
        assert waiting.result() >= 0.3
    assert later[0] >= 0.3
    assert later[-1] < 0.6 + SLACK


def test_after_a_pause_requests_do_not_go_all_at_once(stop):
    pace = RequestPacer(RateLimits(6000, None), stop)
    paused = time.monotonic()
    pace.pause(0.1)
    went = times(pace, 8, threads=8, since=paused)
    assert went[0] >= 0.1
    assert went[-1] >= 0.1695


def test_limits_are_learnt_only_where_the_settings_are_silent(stop):
    set_by_hand = RequestPacer(RateLimits(None, 60_000), stop)
    set_by_hand.adopt_limits(RateLimits(6000, 60_000_000))
    assert times(set_by_hand, 5, tokens=50)[-1] >= 0.1995, "50 ms each for tokens, as set"
    silent = RequestPacer(RateLimits(), stop)
    silent.adopt_limits(RateLimits(6000, None))
    assert times(silent, 11)[-1] >= 0.0995
    silent.adopt_limits(RateLimits(3000, None))
    assert times(silent, 11)[-1] >= 0.1995, "the newest word counts"


@pytest.mark.parametrize("holds", [lambda pace: pace.pause(60), lambda pace: pace.wait_for_turn(10**6)])
def test_a_wait_ends_at_once_when_the_run_is_stopped(stop, holds):
    pace = RequestPacer(RateLimits(None, 1_000_000), stop)
    holds(pace)
    began = time.monotonic()
    threading.Timer(0.1, stop.set).start()
    went = times(pace, 4, since=began)
    assert went[0] >= 0.0995
    assert went[-1] < 0.1 + SLACK


# --- money ---


def test_what_is_charged_takes_the_place_of_what_was_set_aside():
    budget = Budget(usd_per_million_tokens=2.0, max_cost=1.0)
    budget.reserve(300_000)
    budget.reserve(100_000)
    assert (budget.charged_tokens, budget.spent_usd) == (0, 0), "nothing is spent before it is charged"
    budget.settle(300_000, 250_000)
    assert (budget.charged_tokens, budget.spent_usd) == (250_000, 0.5)
    budget.settle(100_000, 0)  # a failed request, which is not charged for
    assert budget.spent_usd == 0.5
    budget.reserve(250_000)  # all that is left


def test_a_request_that_would_pass_the_limit_is_not_made_while_others_are_under_way():
    budget = Budget(usd_per_million_tokens=1.0, max_cost=0.001)
    budget.reserve(600)
    with pytest.raises(BudgetExceeded, match=r"the cost to \$0.001001, over the \$0.001 that --max-cost allows"):
        budget.reserve(401)
    budget.reserve(400)
    budget.settle(600, 0)
    budget.reserve(600)  # the refused request reserved nothing


@pytest.mark.parametrize("price", [0.02, 0.1, 0.13, 1 / 3])
def test_exactly_enough_is_allowed_however_it_is_added_up(price):
    tokens = 7 * 1_234_567
    budget = Budget(price, max_cost=sum([1_234_567 * price / 1e6] * 7))
    for _ in range(7):
        budget.reserve(1_234_567)
        budget.settle(1_234_567, 1_234_567)
    assert budget.charged_tokens == tokens
    with pytest.raises(BudgetExceeded):
        budget.reserve(1)


def test_what_was_spent_at_another_price_counts():
    batch_budget = Budget(usd_per_million_tokens=1.0, max_cost=None)
    batch_budget.settle(0, 200)
    budget = Budget(usd_per_million_tokens=2.0, max_cost=0.001)
    budget.add_spending_of(batch_budget)
    assert (budget.charged_tokens, budget.spent_usd) == (200, pytest.approx(0.0002))
    with pytest.raises(BudgetExceeded):
        budget.reserve(401)
    budget.reserve(400)


def test_what_was_charged_beyond_the_estimate_counts():
    budget = Budget(usd_per_million_tokens=1.0, max_cost=0.001)
    budget.reserve(500)
    budget.settle(500, 900)
    with pytest.raises(BudgetExceeded):
        budget.reserve(101)
    budget.reserve(100)


def test_nothing_may_be_spent_where_the_limit_is_nought_but_what_is_free_is_free():
    with pytest.raises(BudgetExceeded):
        Budget(usd_per_million_tokens=0.02, max_cost=0).reserve(1)
    Budget(usd_per_million_tokens=0, max_cost=0).reserve(10**9)


def test_without_a_limit_or_a_price_tokens_are_counted_all_the_same():
    for budget in (
        Budget(usd_per_million_tokens=None, max_cost=None),
        Budget(usd_per_million_tokens=1.0, max_cost=None),
    ):
        budget.reserve(10**12)
        budget.settle(10**12, 10**12)
        assert budget.charged_tokens == 10**12
        assert budget.spent_usd == (10**6 if budget.usd_per_million_tokens else 0)


def test_threads_lose_no_token_and_never_reserve_more_than_there_is():
    budget = Budget(usd_per_million_tokens=1.0, max_cost=0.05)  # enough for 50,000 tokens
    charged, refused = [], []

    def buy(seed):
        chance = Random(seed)
        for _ in range(500):
            tokens = chance.randint(1, 20)
            try:
                budget.reserve(tokens)
            except BudgetExceeded:
                refused.append(tokens)
            else:
                cost = chance.choice([0, tokens])
                charged.append(cost)
                budget.settle(tokens, cost)

    with ThreadPoolExecutor(16) as pool:
        list(pool.map(buy, range(32)))
    assert budget.charged_tokens == sum(charged) <= 50_000
    assert refused
    budget.reserve(50_000 - budget.charged_tokens)  # nothing is still reserved
    with pytest.raises(BudgetExceeded):
        budget.reserve(1)
