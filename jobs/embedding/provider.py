"""The interface of embedding providers: what a provider can do, its limits, and its answers."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from jobs.core.arrays import Floats


@dataclass(frozen=True)
class Limits:
    """The limits of one request to a provider.

    Attributes
    ----------
    texts : int
        Texts, at most.
    text_tokens : int or None
        Tokens of one text, at most; None for no limit.
    request_tokens : int or None
        Tokens of all texts together, at most; None for no limit.
    """

    texts: int
    text_tokens: int | None = None
    request_tokens: int | None = None


class Provider(Protocol):
    """A provider of embeddings, as far as planning a run needs it.

    Attributes
    ----------
    limits : Limits
        What one request may hold.
    price : float or None
        US dollars a million tokens; None if the price is unknown.
    """

    limits: Limits
    price: float | None

    def count_tokens(self, texts: list[str]) -> list[int]:
        """Return how many tokens each text will be charged for."""

    def shorten(self, text: str, tokens: int) -> str:
        """Return a beginning of ``text`` that has at most ``tokens`` tokens."""


@dataclass(frozen=True)
class Rate:
    """How many requests and tokens a service allows a minute; None if it does not say."""

    requests: float | None = None
    tokens: float | None = None


@dataclass(frozen=True)
class Answer:
    """The vectors that a provider made of one request's texts.

    Attributes
    ----------
    vectors : float32 array (texts, dimensions)
        In the order of the texts.
    tokens : int
        Tokens charged.
    rate : Rate
        What the service says that it allows.
    """

    vectors: Floats
    tokens: int
    rate: Rate = Rate()


@runtime_checkable
class DirectProvider(Provider, Protocol):
    """A provider that answers each request at once.

    Attributes
    ----------
    requests_in_flight : int
        Requests that may run at the same time; ``embed`` is called from as many threads.
    """

    requests_in_flight: int

    def embed(self, texts: list[str]) -> Answer:
        """Return a vector for each text.

        Raises
        ------
        ServiceError
            A class of :mod:`jobs.services.errors`, which says who caused the failure and so what to do next.
        """


@dataclass(frozen=True)
class Result:
    """What a batch made of one text: a vector or an error.

    Attributes
    ----------
    key : str
        The key that the text was submitted with.
    vector : float32 array (dimensions,) or None
    tokens : int
        Tokens charged; 0 if the service does not say.
    error : str
        Why there is no vector; "" if there is one.
    is_final : bool
        Whether the text would fail again in another batch.
    """

    key: str
    vector: Floats | None
    tokens: int = 0
    error: str = ""
    is_final: bool = False


@dataclass(frozen=True)
class BatchState:
    """The progress of a batch at the service.

    Attributes
    ----------
    status : str
        The service's word for it.
    has_ended : bool
        Whether results can be read: of all texts of the batch, of some, or of none.
    error : str
        What is wrong with the batch as a whole; "" for nothing.
    """

    status: str
    has_ended: bool
    error: str = ""


class BatchProvider(Provider, Protocol):
    """A provider that takes files of texts (batches) and answers each within a day."""

    def submit(self, submission_id: str, texts: dict[str, str]) -> str:
        """Submit texts by their keys, and return the batch's id; the service keeps ``submission_id`` with the batch."""

    def find(self, submission_id: str) -> str | None:
        """Return the id of the batch that was submitted as ``submission_id``; None if the service has no such batch."""

    def state(self, batch_id: str) -> BatchState:
        """Ask the service for the progress of a batch."""

    def results(self, batch_id: str) -> Iterator[Result]:
        """Yield the results of an ended batch, in any order; some texts may have none."""
