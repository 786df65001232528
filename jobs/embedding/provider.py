"""What a provider of embeddings is: its interface, its limits, and the ways in which it may fail.

A file of ``jobs/embedding/providers`` is a provider, called by its name; its function ``make(settings, model)`` returns
one and loads nothing yet. Another file there is another provider: nothing else has to know of it.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from importlib import import_module
from pkgutil import iter_modules
from typing import Protocol, runtime_checkable

from jobs.core.arrays import Floats
from jobs.embedding import providers
from jobs.errors import UsageError, nearest
from jobs.settings import EmbeddingModel, Settings


@dataclass(frozen=True)
class Limits:
    """What one request may hold; None is no limit."""

    texts: int
    text_tokens: int | None = None  # tokens a text
    request_tokens: int | None = None  # tokens of all texts together


class Provider(Protocol):
    """What planning needs to know of every provider.

    Attributes
    ----------
    price : float or None
        US dollars a million tokens; None where nobody said.
    """

    limits: Limits
    price: float | None

    def count_tokens(self, texts: list[str]) -> list[int]:
        """Return how many tokens each text will be charged for."""

    def shorten(self, text: str, tokens: int) -> str:
        """Return a beginning of ``text`` that has at most ``tokens`` tokens."""


@dataclass(frozen=True)
class Rate:
    """How much a service allows a minute; None where it doesn't say."""

    requests: float | None = None
    tokens: float | None = None


@dataclass(frozen=True)
class Answer:
    """Floats in the order of the texts, float32 (texts, dimensions), and the tokens charged."""

    vectors: Floats
    tokens: int
    rate: Rate = Rate()


@runtime_checkable
class DirectProvider(Provider, Protocol):
    """Answers a request at once.

    Attributes
    ----------
    at_once : int
        Requests that may be under way together; ``embed`` is called from as many threads.
    """

    at_once: int

    def embed(self, texts: list[str]) -> Answer:
        """Return a vector for each text.

        Raises
        ------
        ServiceError
            One of the classes below, which say whose fault it is and so what to do next.
        """


@dataclass(frozen=True)
class Result:
    """What a batch made of one text: a vector, or an error, ``is_final`` where asking again is no use."""

    key: str
    vector: Floats | None
    tokens: int = 0
    error: str = ""
    is_final: bool = False


@dataclass(frozen=True)
class BatchState:
    """How far a batch is; one that has ended may hold results for all, some or none of its texts."""

    status: str
    has_ended: bool
    error: str = ""


class BatchProvider(Provider, Protocol):
    """Takes files of texts and answers within a day."""

    def submit(self, submission_id: str, texts: dict[str, str]) -> str:
        """Hand in texts by their keys and return the batch's id; the service keeps ``submission_id`` with it."""

    def find(self, submission_id: str) -> str | None:
        """Return the id of the batch that was handed in under this name, if the service has one."""

    def state(self, batch_id: str) -> BatchState:
        """Ask how far a batch is."""

    def results(self, batch_id: str) -> Iterator[Result]:
        """Return what an ended batch made of its texts, in any order, maybe not of all."""


def provider_names() -> list[str]:
    """Return the names of all providers."""
    return sorted(module.name.replace("_", "-") for module in iter_modules(providers.__path__))


def provider_for(settings: Settings, model: EmbeddingModel) -> Provider:
    """Return the provider that serves a model; it loads and contacts nothing yet.

    Raises
    ------
    UsageError
        If there is no such provider.
    """
    if model.provider not in provider_names():
        raise UsageError(
            f"embedding_models: '{model.provider}', the provider of {model.name}, is none; "
            f"{nearest(model.provider, provider_names())}"
        )
    module = import_module(f"{providers.__name__}.{model.provider.replace('-', '_')}")
    provider: Provider = module.make(settings, model)
    return provider
