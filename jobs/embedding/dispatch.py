"""Requests in parallel: paced, tried again while that may help, cut in two where one text spoils them.

What a failure means is found out, not guessed. A request that can't be brought through is either its texts' fault or
the service's: where others go through meanwhile, or a harmless probe does, it is cut in halves until the guilty text
stands alone and is given up by name. Where nothing goes through, the run ends and the texts stay to be asked for later.
"""

import threading
import time
from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field

import numpy as np
import tenacity

from jobs.core.arrays import Floats
from jobs.embedding.batching import Text, halves
from jobs.embedding.budget import Budget, Pace, SpentUp
from jobs.embedding.provider import Answer, DirectProvider, Rate
from jobs.embedding.stored_vectors import usable
from jobs.errors import NextmartError
from jobs.services.errors import Busy, Denied, Refused, ServiceError, Unavailable, WrongAnswer

TRIES = 6  # of a request that fails while others go through
ANSWERS = 3  # that a request may get, each charged for, before its texts count as impossible
PROBES = 3  # how often the probe is made where it fails
PROBE = "Does the embedding service answer?"
SHORTEST_WAIT, LONGEST_WAIT = 0.5, 60.0  # seconds


class Stopped(NextmartError):
    """The run has ended; a request that waited is not made any more."""


@dataclass(frozen=True)
class Outcome:
    """What came of one request: texts with their vectors, or one that is given up."""

    texts: list[Text] = field(default_factory=list)
    vectors: Floats | None = None
    failed: tuple[Text, str] | None = None
    again: list[list[Text]] = field(default_factory=list)  # requests to be made instead


class Dispatcher:
    """Sends requests to a provider from several threads, and hands out what comes back.

    Attributes
    ----------
    stop : threading.Event
        Set it, from anywhere, to let requests under way end and make no others.
    ended_by : NextmartError or None
        Why the run ended before all requests were made.
    """

    def __init__(self, provider: DirectProvider, dimensions: int, budget: Budget, rate: Rate, patience: float) -> None:
        self.stop = threading.Event()
        self.ended_by: NextmartError | None = None
        self._provider = provider
        self._dimensions = dimensions
        self._budget = budget
        self._pace = Pace(rate, self.stop)
        self._patience = patience
        self._jitter = tenacity.wait_random_exponential(
            multiplier=min(SHORTEST_WAIT, patience / 16), max=min(LONGEST_WAIT, patience / 4)
        )
        self._succeeded_at = float("-inf")
        self._lock = threading.Lock()

    def outcomes(self, requests: Iterable[list[Text]]) -> Iterator[Outcome]:
        """Make requests, at most ``provider.at_once`` together, and yield each one's outcome as it comes.

        ``requests`` is advanced, and outcomes are used, in the caller's thread alone. No more requests are made or
        waiting to be stored than ``at_once``: so many can be lost, at most, when the process is killed.
        """
        left = iter(requests)
        again: deque[list[Text]] = deque()
        under_way: set[Future[Outcome]] = set()
        with ThreadPoolExecutor(self._provider.at_once) as pool:
            try:
                while True:
                    while len(under_way) < self._provider.at_once and not self.stop.is_set():
                        request = again.popleft() if again else next(left, [])
                        if not request:
                            break
                        under_way.add(pool.submit(self._outcome, request))
                    if not under_way:
                        return
                    done, under_way = wait(under_way, return_when=FIRST_COMPLETED)
                    for future in done:
                        outcome = future.result()
                        again.extend(outcome.again)
                        yield outcome
            finally:
                self.stop.set()

    def _outcome(self, texts: list[Text]) -> Outcome:
        began = time.monotonic()
        try:
            answer = self._ask(texts)
        except Stopped:
            return Outcome()
        except (Denied, SpentUp) as error:
            self._end(error)
            return Outcome()
        except ServiceError as error:
            if not self._answers(error, since=self._fair_moment(error, texts, began)):
                return Outcome()
            if len(texts) == 1:
                return Outcome(failed=(texts[0], str(error)))
            return Outcome(again=halves(texts))
        good = usable(answer.vectors, len(texts), self._dimensions)
        chosen = [text for text, is_good in zip(texts, good, strict=True) if is_good]
        spoiled = [text for text, is_good in zip(texts, good, strict=True) if not is_good]
        return Outcome(chosen, answer.vectors[good], again=[spoiled] if spoiled else [])

    def _ask(self, texts: list[Text]) -> Answer:
        """Make a request, again and again while that may help."""
        began = time.monotonic()
        failures, answers = 0, 0
        tokens = sum(text.tokens for text in texts)

        def once() -> Answer:
            nonlocal failures, answers
            self._pace.wait(tokens)
            if self.stop.is_set():
                raise Stopped
            self._budget.reserve(tokens)
            charged = 0
            try:
                answer = self._provider.embed([text.text for text in texts])
                charged = answer.tokens
                self._pace.learn(answer.rate)
                return self._checked(answer, len(texts))
            except ServiceError as error:
                charged = error.tokens or charged
                failures += not isinstance(error, Busy)
                answers += isinstance(error, WrongAnswer)
                raise
            finally:
                self._budget.settle(tokens, charged)

        def is_hopeless(_: tenacity.RetryCallState) -> bool:
            quiet = time.monotonic() - max(began, self._succeeded_at)
            others_succeed = self._succeeded_at > began
            return answers >= ANSWERS or (others_succeed and failures >= TRIES) or quiet > self._patience

        def pause(state: tenacity.RetryCallState) -> float:
            error = state.outcome.exception() if state.outcome else None
            wanted = getattr(error, "retry_after", None)
            if wanted is None:
                return self._jitter(state)
            # the service means everybody; what it wants beyond our patience is an end, not a pause
            self._pace.pause(min(wanted, self._patience))
            return 0.0

        answer: Answer = tenacity.Retrying(
            retry=tenacity.retry_if_exception_type((Busy, Unavailable, WrongAnswer)),
            stop=is_hopeless, wait=pause, sleep=tenacity.sleep_using_event(self.stop), reraise=True,
        )(once)  # fmt: skip
        self._succeeded_at = time.monotonic()
        return answer

    def _checked(self, answer: Answer, texts: int) -> Answer:
        """Refuse an answer of which nothing can be used; one with some wrong vectors passes."""
        try:
            good = usable(answer.vectors, texts, self._dimensions)
        except ValueError as error:
            raise WrongAnswer(f"the provider gave {error}") from error
        if not np.any(good):
            raise WrongAnswer("the provider gave only vectors that are zero or not finite")
        return answer

    def _fair_moment(self, error: ServiceError, texts: list[Text], began: float) -> float:
        """Return since when a success of others proves that the texts are at fault, not the service."""
        if isinstance(error, Refused | WrongAnswer):
            return float("-inf")  # that it took any request of this run shows how it wants to be asked
        # before a text is given up for good, the service has to answer at this very moment
        return began if len(texts) > 1 else time.monotonic()

    def _answers(self, error: ServiceError, since: float) -> bool:
        """Find out whether the service works, all the same; if not, end the run."""
        with self._lock:  # one probe is enough
            if self._succeeded_at > since:
                return True
            if self.stop.is_set():
                return False
            try:
                answer = self._probe()
            except ServiceError as probed:
                self._budget.settle(0, probed.tokens)
                # what is refused or wrong even for the probe is how we ask: the first message says it best
                self._end(error if isinstance(probed, Refused | WrongAnswer) else probed)
                return False
            self._budget.settle(0, answer.tokens)
            self._succeeded_at = time.monotonic()
            return True

    def _probe(self) -> Answer:
        """Ask for a harmless text, some times: one failure of the service proves nothing."""
        answer: Answer = tenacity.Retrying(
            retry=tenacity.retry_if_exception_type((Busy, Unavailable)), stop=tenacity.stop_after_attempt(PROBES),
            wait=self._jitter, sleep=tenacity.sleep_using_event(self.stop), reraise=True,
        )(lambda: self._checked(self._provider.embed([PROBE]), 1))  # fmt: skip
        return answer

    def _end(self, error: NextmartError) -> None:
        self.ended_by = self.ended_by or error
        self.stop.set()
