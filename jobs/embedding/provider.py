"""The interface of embedding providers: their methods, limits and answers."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from jobs.core.arrays import Floats


@dataclass(frozen=True)
class RequestLimits:
    """The limits of one request to an embedding provider.

    Attributes
    ----------
    texts_per_request : int
        Texts in a request, at most.
    tokens_per_text : int or None
        Tokens in one text, at most; None for no limit.
    tokens_per_request : int or None
        Tokens in all texts of a request together, at most; None for no limit.
    """

    texts_per_request: int
    tokens_per_text: int | None = None
    tokens_per_request: int | None = None


class Provider(Protocol):
    """What every embedding provider has, and what planning a run needs: limits, a price and a tokenizer.

    Attributes
    ----------
    request_limits : RequestLimits
        How many texts and tokens one request may hold.
    usd_per_million_tokens : float or None
        US dollars a million tokens; None if the price is unknown.
    """

    request_limits: RequestLimits
    usd_per_million_tokens: float | None

    def count_tokens(self, texts: list[str]) -> list[int]:
        """Return the number of tokens that the provider will charge for each text."""

    def truncate_text(self, text: str, max_tokens: int) -> str:
        """Return the beginning of ``text``, at most ``max_tokens`` tokens long."""


@dataclass(frozen=True)
class RateLimits:
    """How many requests and tokens a service allows a minute; None if the limit is unknown."""

    requests_per_minute: float | None = None
    tokens_per_minute: float | None = None


@dataclass(frozen=True)
class EmbeddingAnswer:
    """A provider's answer to one request: the vectors of its texts.

    Attributes
    ----------
    vectors : float32 array (texts, dimensions)
        In the order of the texts.
    charged_tokens : int
        Tokens that the service charged.
    rate_limits : RateLimits
        The limits that the service announces.
    """

    vectors: Floats
    charged_tokens: int
    rate_limits: RateLimits = RateLimits()


@runtime_checkable
class DirectProvider(Provider, Protocol):
    """A provider that answers each request at once.

    Attributes
    ----------
    max_requests_in_flight : int
        Requests that may run at the same time, each in a thread of its own that calls ``embed``.
    """

    max_requests_in_flight: int

    def embed(self, texts: list[str]) -> EmbeddingAnswer:
        """Return a vector for each text.

        Raises
        ------
        ServiceError
            One of the classes in :mod:`jobs.services.errors`: the class says who caused the failure.
        """


@dataclass(frozen=True)
class BatchedTextResult:
    """The result for one text of a batch: a vector or an error.

    Attributes
    ----------
    text_key : str
        The key under which the text was submitted.
    vector : float32 array (dimensions,) or None
    charged_tokens : int
        Tokens that the service charged for the text; 0 if it does not say.
    error : str
        Why the text has no vector; "" if it has one.
    would_fail_again : bool
        Whether the text would fail again in another batch.
    """

    text_key: str
    vector: Floats | None
    charged_tokens: int = 0
    error: str = ""
    would_fail_again: bool = False


@dataclass(frozen=True)
class BatchState:
    """What the service says of a batch: its status, whether it has ended, and what is wrong with it.

    Attributes
    ----------
    status : str
        The service's word for the batch's status.
    has_ended : bool
        Whether the batch is finished, so that its results can be read. Some texts may have no result.
    error : str
        What is wrong with the batch as a whole; "" if nothing is.
    """

    status: str
    has_ended: bool
    error: str = ""


class BatchProvider(Provider, Protocol):
    """A provider that takes files of texts (batches) and answers each within a day."""

    def submit_batch(self, submission_id: str, text_by_key: dict[str, str]) -> str:
        """Submit a batch of texts and return the batch's id; the service stores ``submission_id`` too."""

    def find_batch(self, submission_id: str) -> str | None:
        """Return the id of the batch that was submitted as ``submission_id``; None if the service has no such batch."""

    def fetch_batch_state(self, batch_id: str) -> BatchState:
        """Ask the service whether a batch has ended, and what is wrong with it."""

    def fetch_batch_results(self, batch_id: str) -> Iterator[BatchedTextResult]:
        """Yield the results of an ended batch, in any order; some texts may have no result."""
