"""What all requests under way share: the service's pace, and the money that a run may spend."""

import threading
import time

from jobs.embedding.provider import Rate
from jobs.errors import NextmartError


class Pace:
    """When the next request may go, so that a service's limits are kept and used up.

    Requests are spread evenly (the generic cell rate algorithm without a burst): a service that counts by the second
    is as content as one that counts by the minute. Limits that the settings leave open are learnt from the answers.
    """

    def __init__(self, rate: Rate, stop: threading.Event) -> None:
        self._set = rate
        self._rate = rate
        self._stop = stop
        self._lock = threading.Lock()
        self._request_at = self._tokens_at = self._paused_until = 0.0

    def learn(self, rate: Rate) -> None:
        """Take over what the service says that it allows, where the settings say nothing."""
        known = self._rate
        self._rate = Rate(
            self._set.requests or rate.requests or known.requests, self._set.tokens or rate.tokens or known.tokens
        )

    def pause(self, seconds: float) -> None:
        """Let nobody ask for so long: the service wants it."""
        with self._lock:
            self._paused_until = max(self._paused_until, time.monotonic() + seconds)

    def wait(self, tokens: int) -> None:
        """Wait until a request of so many tokens may go; shorter when the run is stopped."""
        with self._lock:
            start = max(time.monotonic(), self._paused_until, self._request_at, self._tokens_at)
            if self._rate.requests:
                self._request_at = start + 60 / self._rate.requests
            if self._rate.tokens:
                self._tokens_at = start + 60 * tokens / self._rate.tokens
        while (left := max(start, self._paused_until) - time.monotonic()) > 0:
            if self._stop.wait(left):
                return


class SpentUp(NextmartError):
    """The next request would cost more than the run may spend."""


class Budget:
    """Tokens charged so far, and those of requests under way; ``max_cost`` in US dollars, as ``price`` a million."""

    def __init__(self, price: float | None, max_cost: float | None) -> None:
        self.price = price
        self.tokens = 0
        self._max_cost = max_cost
        self._reserved = 0
        self._lock = threading.Lock()

    @property
    def cost(self) -> float:
        """US dollars spent, 0 where the price is unknown."""
        return self.tokens * (self.price or 0) / 1e6

    def reserve(self, tokens: int) -> None:
        """Set aside what a request will cost.

        Raises
        ------
        SpentUp
            If that might pass the limit.
        """
        with self._lock:
            cost = (self.tokens + self._reserved + tokens) * (self.price or 0) / 1e6
            if self._max_cost is not None and cost > self._max_cost * (1 + 1e-9):
                raise SpentUp(
                    f"stopped before a request that would bring the cost to ${cost:.6f}, over the ${self._max_cost:g} "
                    "that --max-cost allows"
                )
            self._reserved += tokens

    def settle(self, reserved: int, charged: int) -> None:
        """Write down what a request did cost in place of what was set aside for it."""
        with self._lock:
            self._reserved -= reserved
            self.tokens += charged
