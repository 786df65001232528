"""Sends requests for embeddings from several threads: paces and retries them, and isolates a text that is rejected.

Who causes a failure is tested, not guessed. If a request still fails after its retries, either one of its texts or the
service is at fault. If other requests succeed meanwhile, or a probe (a request with a harmless text) does, the failed
request is split in halves until the failing text stands alone, and that text is recorded as failed. If nothing
succeeds, the run ends and its texts stay for the next run. The run also ends if the service is too busy for a text that
stands alone: being busy is no failure, so that text is not recorded as failed.
"""

import threading
import time
from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field

import numpy as np

from jobs.core.arrays import Floats
from jobs.embedding.batching import TextToEmbed, split_request
from jobs.embedding.budget import Budget, BudgetExceeded, RequestPacer
from jobs.embedding.provider import DirectProvider, EmbeddingAnswer, RateLimits
from jobs.embedding.stored_vectors import usable_vector_mask
from jobs.errors import NextmartError
from jobs.services.errors import (
    ActionNeededError,
    RequestRefusedError,
    ServiceBusyError,
    ServiceError,
    ServiceUnavailableError,
    WrongAnswerError,
)
from jobs.services.retries import TryCounts, exponential_jitter, retry

MAX_FAILURES = 6  # failed tries after which a request is given up while other requests succeed
MAX_WRONG_ANSWERS = 3  # wrong answers after which a request is given up, since the service charges for each
MAX_PROBES = 3  # failed tries of the probe (a test request) after which the service counts as down
PROBE_TEXT = "Does the embedding service answer?"
LONGEST_WAIT = 60.0  # longest wait, in seconds, between two tries of a request


class RunStopped(NextmartError):
    """Raised for a request that had not started when the run was stopped."""


@dataclass(frozen=True)
class RequestOutcome:
    """The outcome of one request for embeddings: vectors, a text that is given up, or smaller requests to make instead.

    Attributes
    ----------
    embedded_texts : list of TextToEmbed
        Texts that got a vector.
    vectors : float32 array (texts, dimensions) or None
        The vectors of ``embedded_texts``; None if there are none.
    given_up_text_with_error : (TextToEmbed, str) or None
        The text that is given up, and its error; None if there is no such text.
    follow_up_requests : list of requests
        Smaller requests, to make next, for those texts of the request that have neither a vector nor an error yet.
    """

    embedded_texts: list[TextToEmbed] = field(default_factory=list)
    vectors: Floats | None = None
    given_up_text_with_error: tuple[TextToEmbed, str] | None = None
    follow_up_requests: list[list[TextToEmbed]] = field(default_factory=list)


class Dispatcher:
    """Sends requests to a provider from several threads and yields their outcomes.

    Parameters
    ----------
    provider : DirectProvider
    dimensions : int
        Length of the vectors.
    budget : Budget
    rate_limits : RateLimits
        Limits that the settings give.
    patience_seconds : float
        Seconds for which the service may fail before the run ends.

    Attributes
    ----------
    stop_event : threading.Event
        Once this event is set, from any thread, running requests end and no others start.
    ended_by : NextmartError or None
        The error that ended the run before all requests were made; None if there was none.
    """

    def __init__(
        self,
        provider: DirectProvider,
        dimensions: int,
        budget: Budget,
        rate_limits: RateLimits,
        patience_seconds: float,
    ) -> None:
        self.stop_event = threading.Event()
        self.ended_by: NextmartError | None = None
        self._provider = provider
        self._dimensions = dimensions
        self._budget = budget
        self._pace = RequestPacer(rate_limits, self.stop_event)
        self._patience_seconds = patience_seconds
        self._jitter = exponential_jitter(patience_seconds, min(LONGEST_WAIT, patience_seconds / 4))
        self._succeeded_at = float("-inf")
        self._probe_lock = threading.Lock()

    def make_requests(self, requests: Iterable[list[TextToEmbed]]) -> Iterator[RequestOutcome]:
        """Make requests, at most ``provider.max_requests_in_flight`` at a time, and yield each outcome as it comes.

        The iterator ``requests`` is advanced in the caller's thread alone. A finished request counts as in flight until
        the caller has used its outcome. So a kill of the process loses at most ``provider.max_requests_in_flight``
        requests.
        """
        planned = iter(requests)
        follow_ups: deque[list[TextToEmbed]] = deque()
        in_flight: set[Future[RequestOutcome]] = set()
        with ThreadPoolExecutor(self._provider.max_requests_in_flight) as pool:
            try:
                while True:
                    while len(in_flight) < self._provider.max_requests_in_flight and not self.stop_event.is_set():
                        request = follow_ups.popleft() if follow_ups else next(planned, [])
                        if not request:
                            break
                        in_flight.add(pool.submit(self._make_request, request))
                    if not in_flight:
                        return
                    done, in_flight = wait(in_flight, return_when=FIRST_COMPLETED)
                    for future in done:
                        outcome = future.result()
                        follow_ups.extend(outcome.follow_up_requests)
                        yield outcome
            finally:
                self.stop_event.set()

    def _make_request(self, texts: list[TextToEmbed]) -> RequestOutcome:
        started = time.monotonic()
        try:
            answer = self._embed_with_retries(texts)
        except RunStopped:
            return RequestOutcome()
        except (ActionNeededError, BudgetExceeded) as error:
            self._end_run(error)
            return RequestOutcome()
        except ServiceError as error:
            if len(texts) == 1 and isinstance(error, ServiceBusyError):
                self._end_run(error)  # the same request will succeed later: the text waits for the next run
                return RequestOutcome()
            if not self._service_works(
                error,
                earliest_time_of_proof=self._earliest_time_of_success_proving_service_works(error, texts, started),
            ):
                return RequestOutcome()
            if len(texts) == 1:
                return RequestOutcome(given_up_text_with_error=(texts[0], str(error)))
            return RequestOutcome(follow_up_requests=split_request(texts))
        usable = usable_vector_mask(answer.vectors, len(texts), self._dimensions)
        embedded = [text for text, is_usable in zip(texts, usable, strict=True) if is_usable]
        unusable = [text for text, is_usable in zip(texts, usable, strict=True) if not is_usable]
        return RequestOutcome(embedded, answer.vectors[usable], follow_up_requests=[unusable] if unusable else [])

    def _embed_with_retries(self, texts: list[TextToEmbed]) -> EmbeddingAnswer:
        """Ask the provider for the vectors of ``texts``, with retries."""
        started = time.monotonic()
        tokens = sum(text.token_count for text in texts)

        def try_once() -> EmbeddingAnswer:
            self._pace.wait_for_turn(tokens)
            if self.stop_event.is_set():
                raise RunStopped
            self._budget.reserve(tokens)
            charged = 0
            try:
                answer = self._provider.embed([text.text for text in texts])
                charged = answer.charged_tokens
                self._pace.adopt_limits(answer.rate_limits)
                return self._require_usable_vectors(answer, len(texts))
            except ServiceError as error:
                charged = error.charged_tokens or charged
                raise
            finally:
                self._budget.settle(tokens, charged)

        def should_give_up(try_counts: TryCounts) -> bool:
            silence = time.monotonic() - max(started, self._succeeded_at)
            others_succeed = self._succeeded_at > started
            return (
                try_counts.wrong_answer_count >= MAX_WRONG_ANSWERS
                or (others_succeed and try_counts.failure_count >= MAX_FAILURES)
                or silence > self._patience_seconds
            )

        def pause_all(seconds: float) -> float:
            # A pause that the service asks for delays all requests. The pause lasts at most ``patience_seconds``, after
            # which the run ends.
            self._pace.pause(min(seconds, self._patience_seconds))
            return 0.0

        answer = retry(
            try_once,
            should_give_up=should_give_up,
            jitter=self._jitter,
            stop_event=self.stop_event,
            map_retry_after=pause_all,
        )
        self._succeeded_at = time.monotonic()
        return answer

    def _require_usable_vectors(self, embedding_answer: EmbeddingAnswer, text_count: int) -> EmbeddingAnswer:
        """Return ``embedding_answer`` if it has at least one usable vector; else raise WrongAnswerError."""
        try:
            usable = usable_vector_mask(embedding_answer.vectors, text_count, self._dimensions)
        except ValueError as error:
            raise WrongAnswerError(f"the provider gave {error}") from error
        if not np.any(usable):
            raise WrongAnswerError("the provider gave only vectors that are zero or not finite")
        return embedding_answer

    def _earliest_time_of_success_proving_service_works(
        self, error: ServiceError, texts: list[TextToEmbed], request_started_at: float
    ) -> float:
        """Return a time of ``time.monotonic()``: a request that has succeeded after it shows that the service works.

        If there is such a request, one of the failed request's texts has caused the error.
        """
        if isinstance(error, RequestRefusedError | WrongAnswerError):
            return float("-inf")  # any earlier success in this run shows that the requests' parameters are right
        # A text that stands alone is given up for good only if the service answers another request from now on.
        return request_started_at if len(texts) > 1 else time.monotonic()

    def _service_works(self, error: ServiceError, earliest_time_of_proof: float) -> bool:
        """Tell whether the service answers requests other than the failed one; if it does not, end the run.

        A request that succeeded after ``earliest_time_of_proof`` shows that the service works. Without one, a probe
        is sent.
        """
        with self._probe_lock:  # threads whose requests fail together share one probe
            if self._succeeded_at > earliest_time_of_proof:
                return True
            if self.stop_event.is_set():
                return False
            try:
                answer = self._probe_service()
            except ServiceError as probe_error:
                self._budget.settle(0, probe_error.charged_tokens)
                # If the service rejects even the probe, the requests' parameters are wrong: the error of the first
                # failed request explains the cause best.
                self._end_run(error if isinstance(probe_error, RequestRefusedError | WrongAnswerError) else probe_error)
                return False
            self._budget.settle(0, answer.charged_tokens)
            self._succeeded_at = time.monotonic()
            return True

    def _probe_service(self) -> EmbeddingAnswer:
        """Embed a harmless text to test the service, with retries, since one failure proves nothing."""
        return retry(
            lambda: self._require_usable_vectors(self._provider.embed([PROBE_TEXT]), 1),
            should_give_up=lambda try_counts: try_counts.try_count >= MAX_PROBES,
            jitter=self._jitter,
            stop_event=self.stop_event,
            retried_errors=(ServiceBusyError, ServiceUnavailableError),
        )

    def _end_run(self, error: NextmartError) -> None:
        self.ended_by = self.ended_by or error
        self.stop_event.set()
