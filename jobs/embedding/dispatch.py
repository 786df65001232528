"""Requests for embeddings from several threads: paced, retried, and split to find a text that the service rejects.

Who causes a failure is tested, not guessed. A request that still fails after its retries is either the fault of one of
its texts or of the service. If other requests succeed meanwhile, or a harmless probe does, the request is split in
halves until the failing text stands alone, and that text is recorded as failed. If nothing succeeds, the run ends and
its texts stay for the next run.
"""

import threading
import time
from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field

import numpy as np

from jobs.core.arrays import Floats
from jobs.embedding.batching import Text, halves
from jobs.embedding.budget import Budget, BudgetExceeded, Pace
from jobs.embedding.provider import Answer, DirectProvider, Rate
from jobs.embedding.stored_vectors import usable_rows
from jobs.errors import NextmartError
from jobs.services.errors import Busy, Denied, Refused, ServiceError, Unavailable, WrongAnswer
from jobs.services.retries import Tries, exponential_jitter, retry

MAX_FAILURES = 6  # failed tries after which a request is given up, if other requests succeed meanwhile
MAX_WRONG_ANSWERS = 3  # wrong answers after which a request is given up, since each is charged for
MAX_PROBES = 3  # failed tries of the probe after which the service counts as down
PROBE_TEXT = "Does the embedding service answer?"
LONGEST_WAIT = 60.0  # seconds between two tries of a request, at most


class RunStopped(NextmartError):
    """Raised for a request that was waiting when the run was stopped."""


@dataclass(frozen=True)
class Outcome:
    """The outcome of one request: vectors, a text that is given up, or smaller requests to make instead.

    Attributes
    ----------
    texts : list of Text
        Texts that got a vector.
    vectors : float32 array (texts, dimensions) or None
        Their vectors.
    failed : (Text, str) or None
        A text that is given up, and the error.
    follow_ups : list of requests
        Smaller requests, for the texts of this one that have neither a vector nor an error yet.
    """

    texts: list[Text] = field(default_factory=list)
    vectors: Floats | None = None
    failed: tuple[Text, str] | None = None
    follow_ups: list[list[Text]] = field(default_factory=list)


class Dispatcher:
    """Sends requests to a provider from several threads and yields their outcomes.

    Parameters
    ----------
    provider : DirectProvider
    dimensions : int
        Length of the vectors.
    budget : Budget
    rate : Rate
        Limits of the settings.
    patience : float
        Seconds for which the service may fail before the run ends.

    Attributes
    ----------
    stop : threading.Event
        Set it, from any thread, to let running requests end and start no others.
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
        self._jitter = exponential_jitter(patience, min(LONGEST_WAIT, patience / 4))
        self._succeeded_at = float("-inf")
        self._probe_lock = threading.Lock()

    def outcomes(self, requests: Iterable[list[Text]]) -> Iterator[Outcome]:
        """Make requests, at most ``provider.requests_in_flight`` at a time, and yield each outcome as it comes.

        ``requests`` is advanced, and outcomes are used, in the caller's thread alone. A finished request counts as in
        flight until its outcome was used: so many requests can be lost, at most, when the process is killed.
        """
        planned = iter(requests)
        follow_ups: deque[list[Text]] = deque()
        in_flight: set[Future[Outcome]] = set()
        with ThreadPoolExecutor(self._provider.requests_in_flight) as pool:
            try:
                while True:
                    while len(in_flight) < self._provider.requests_in_flight and not self.stop.is_set():
                        request = follow_ups.popleft() if follow_ups else next(planned, [])
                        if not request:
                            break
                        in_flight.add(pool.submit(self._outcome, request))
                    if not in_flight:
                        return
                    done, in_flight = wait(in_flight, return_when=FIRST_COMPLETED)
                    for future in done:
                        outcome = future.result()
                        follow_ups.extend(outcome.follow_ups)
                        yield outcome
            finally:
                self.stop.set()

    def _outcome(self, texts: list[Text]) -> Outcome:
        started = time.monotonic()
        try:
            answer = self._ask(texts)
        except RunStopped:
            return Outcome()
        except (Denied, BudgetExceeded) as error:
            self._end_run(error)
            return Outcome()
        except ServiceError as error:
            if not self._service_works(error, since=self._success_needed_since(error, texts, started)):
                return Outcome()
            if len(texts) == 1:
                return Outcome(failed=(texts[0], str(error)))
            return Outcome(follow_ups=halves(texts))
        usable = usable_rows(answer.vectors, len(texts), self._dimensions)
        embedded = [text for text, is_usable in zip(texts, usable, strict=True) if is_usable]
        unusable = [text for text, is_usable in zip(texts, usable, strict=True) if not is_usable]
        return Outcome(embedded, answer.vectors[usable], follow_ups=[unusable] if unusable else [])

    def _ask(self, texts: list[Text]) -> Answer:
        """Make a request with retries."""
        started = time.monotonic()
        tokens = sum(text.tokens for text in texts)

        def try_once() -> Answer:
            self._pace.wait(tokens)
            if self.stop.is_set():
                raise RunStopped
            self._budget.reserve(tokens)
            charged = 0
            try:
                answer = self._provider.embed([text.text for text in texts])
                charged = answer.tokens
                self._pace.learn(answer.rate)
                return self._with_usable_vectors(answer, len(texts))
            except ServiceError as error:
                charged = error.tokens or charged
                raise
            finally:
                self._budget.settle(tokens, charged)

        def gives_up(tries: Tries) -> bool:
            silence = time.monotonic() - max(started, self._succeeded_at)
            others_succeed = self._succeeded_at > started
            return (
                tries.wrong_answers >= MAX_WRONG_ANSWERS
                or (others_succeed and tries.failures >= MAX_FAILURES)
                or silence > self._patience
            )

        def pause_all(seconds: float) -> float:
            # The service asks all requests to wait. A wait longer than our patience ends the run, so it is cut short.
            self._pace.pause(min(seconds, self._patience))
            return 0.0

        answer = retry(try_once, gives_up=gives_up, jitter=self._jitter, stop=self.stop, obey_retry_after=pause_all)
        self._succeeded_at = time.monotonic()
        return answer

    def _with_usable_vectors(self, answer: Answer, texts: int) -> Answer:
        """Return an answer that has at least one usable vector; else raise WrongAnswer."""
        try:
            usable = usable_rows(answer.vectors, texts, self._dimensions)
        except ValueError as error:
            raise WrongAnswer(f"the provider gave {error}") from error
        if not np.any(usable):
            raise WrongAnswer("the provider gave only vectors that are zero or not finite")
        return answer

    def _success_needed_since(self, error: ServiceError, texts: list[Text], started: float) -> float:
        """Return the time since when another request's success proves that a text is at fault, not the service."""
        if isinstance(error, Refused | WrongAnswer):
            return float("-inf")  # one success in this run shows that the model and other parameters are right
        # Before a single text is given up for good, the service has to answer another request at this very moment.
        return started if len(texts) > 1 else time.monotonic()

    def _service_works(self, error: ServiceError, since: float) -> bool:
        """Tell whether the service answers other requests, if need be by a probe; if it does not, end the run."""
        with self._probe_lock:  # threads whose requests fail together share one probe
            if self._succeeded_at > since:
                return True
            if self.stop.is_set():
                return False
            try:
                answer = self._probe()
            except ServiceError as probe_error:
                self._budget.settle(0, probe_error.tokens)
                # If even the probe is rejected, our parameters are wrong, which the request's own error says best.
                self._end_run(error if isinstance(probe_error, Refused | WrongAnswer) else probe_error)
                return False
            self._budget.settle(0, answer.tokens)
            self._succeeded_at = time.monotonic()
            return True

    def _probe(self) -> Answer:
        """Embed a harmless text, with retries, since one failure of the service proves nothing."""
        return retry(
            lambda: self._with_usable_vectors(self._provider.embed([PROBE_TEXT]), 1),
            gives_up=lambda tries: tries.count >= MAX_PROBES,
            jitter=self._jitter,
            stop=self.stop,
            errors=(Busy, Unavailable),
        )

    def _end_run(self, error: NextmartError) -> None:
        self.ended_by = self.ended_by or error
        self.stop.set()
