"""Two limits on all requests of a run together: the service's rate limits, and the money that the run may spend."""

import threading
import time

from jobs.embedding.provider import RateLimits
from jobs.errors import NextmartError


class RequestPacer:
    """Delays requests so that they use, but never exceed, the requests and tokens that a service allows a minute.

    Requests are spread evenly (the generic cell rate algorithm without a burst), so that the limits hold for every
    second as well as for every minute. Limits that the settings do not give are taken from the service's answers.

    Parameters
    ----------
    rate_limits : RateLimits
        Limits that the settings give.
    stop_event : threading.Event
        When this event is set, all waits end.
    """

    def __init__(self, rate_limits: RateLimits, stop_event: threading.Event) -> None:
        self._configured_limits = rate_limits
        self._rate_limits = rate_limits
        self._stop_event = stop_event
        self._lock = threading.Lock()
        # times of ``time.monotonic()`` before which the next request may not start
        self._next_by_requests = self._next_by_tokens = self._paused_until = 0.0

    def adopt_limits(self, announced_limits: RateLimits) -> None:
        """Adopt the rate limits that the service announces, except those that the settings give."""
        configured, current = self._configured_limits, self._rate_limits
        self._rate_limits = RateLimits(
            configured.requests_per_minute or announced_limits.requests_per_minute or current.requests_per_minute,
            configured.tokens_per_minute or announced_limits.tokens_per_minute or current.tokens_per_minute,
        )

    def pause(self, seconds: float) -> None:
        """Start no request for ``seconds`` seconds, because the service asks for a pause."""
        with self._lock:
            self._paused_until = max(self._paused_until, time.monotonic() + seconds)

    def wait_for_turn(self, token_count: int) -> None:
        """Wait until a request of ``token_count`` tokens may start, or until the run is stopped."""
        with self._lock:
            start = max(time.monotonic(), self._paused_until, self._next_by_requests, self._next_by_tokens)
            if self._rate_limits.requests_per_minute:
                self._next_by_requests = start + 60 / self._rate_limits.requests_per_minute
            if self._rate_limits.tokens_per_minute:
                self._next_by_tokens = start + 60 * token_count / self._rate_limits.tokens_per_minute
        while (seconds := max(start, self._paused_until) - time.monotonic()) > 0:
            if self._stop_event.wait(seconds):
                return


class BudgetExceeded(NextmartError):
    """Raised when the next request might cost more than the run may still spend."""


class Budget:
    """Counts the tokens that a run was charged for, and those reserved for requests that are not answered yet.

    Parameters
    ----------
    usd_per_million_tokens : float or None
        US dollars a million tokens; None if the price is unknown.
    max_cost : float or None
        US dollars that the run may spend; None for no limit.

    Attributes
    ----------
    charged_tokens : int
        Tokens that the run was charged for.
    spent_usd : float
        US dollars that the run has spent; 0 if the price is unknown.
    """

    def __init__(self, usd_per_million_tokens: float | None, max_cost: float | None) -> None:
        self.usd_per_million_tokens = usd_per_million_tokens
        self.charged_tokens = 0
        self.spent_usd = 0.0
        self._max_cost = max_cost
        self._reserved = 0
        self._lock = threading.Lock()

    def reserve(self, token_count: int) -> None:
        """Reserve the tokens that the service will charge for a request.

        Raises
        ------
        BudgetExceeded
            If the run, with this request, might cost more than ``max_cost``.
        """
        with self._lock:
            cost = self.spent_usd + self._cost_of(self._reserved + token_count)
            if self._max_cost is not None and cost > self._max_cost * (1 + 1e-9):
                raise BudgetExceeded(
                    f"stopped before a request that would bring the cost to ${cost:.6f}, over the ${self._max_cost:g} "
                    "that --max-cost allows"
                )
            self._reserved += token_count

    def settle(self, reserved_tokens: int, charged_tokens: int) -> None:
        """Replace the tokens reserved for a request by the tokens that the service charged for it."""
        with self._lock:
            self._reserved -= reserved_tokens
            self.charged_tokens += charged_tokens
            self.spent_usd += self._cost_of(charged_tokens)

    def add_spending_of(self, other_budget: "Budget") -> None:
        """Count what the same run has spent at another price."""
        with self._lock:
            self.charged_tokens += other_budget.charged_tokens
            self.spent_usd += other_budget.spent_usd

    def _cost_of(self, token_count: int) -> float:
        return token_count * (self.usd_per_million_tokens or 0) / 1e6
