"""The interface of every model: fit on sequences, then rank items for sequences.

Most models end in the same place: a query vector for a sequence, a vector for each item, and exact top-k over
their products. So filtering seen items, ties, chunking and memory are solved once, in ``jobs.topk``.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.nn import functional

from jobs.errors import UsageError, nearest
from jobs.metrics import rank_values, target_ranks
from jobs.models.parameters import INTERVALS, Interval
from jobs.sequences import Sequences
from jobs.topk import top_k

if TYPE_CHECKING:
    from jobs.prompting.access import Access

Bools = npt.NDArray[np.bool_]
Floats = npt.NDArray[np.float32]
Ints = npt.NDArray[np.int32]
Longs = npt.NDArray[np.int64]
State = dict[str, npt.NDArray[Any]]

REASON_CHUNK = 1024  # sequences explained at once: their items' vectors are held side by side
REASON_WINDOW = 50  # newest items that may be a reason
QUERY_CHUNK = 4096  # sequences encoded at once: bounds memory, whatever the number of visitors


@dataclass(frozen=True)
class Catalog:
    """Every item that exists, in ascending order of item_id: an item's index is its place here.

    Attributes
    ----------
    item_ids : object array (items,)
        Ascending, so that ties broken by index are ties broken by item_id.
    embeddings : float32 array (items, dimensions)
        The LLM's vectors; a row of zeros where an item has none.
    available : bool array (items,)
        False for items that may be seen but not recommended.
    titles : object array (items,)
        What people, and language models, call the items; "" where an item has no title. Text, never instructions.
    categories : object array (items,)
        "" where an item has none.
    """

    item_ids: npt.NDArray[np.object_]
    embeddings: Floats
    available: Bools
    titles: npt.NDArray[np.object_] = field(default_factory=lambda: np.empty(0, np.object_))
    categories: npt.NDArray[np.object_] = field(default_factory=lambda: np.empty(0, np.object_))

    def __len__(self) -> int:
        return len(self.item_ids)

    @cached_property
    def has_embedding(self) -> Bools:
        """Tell which items have a vector: bool array (items,)."""
        return np.asarray(self.embeddings.any(axis=1), dtype=np.bool_)

    def find(self, item_ids: npt.NDArray[np.object_]) -> Longs:
        """Return each id's index, -1 where the catalogue has no such item: int64 array."""
        return np.array([self._index.get(item_id, -1) for item_id in item_ids], dtype=np.int64)

    @cached_property
    def _index(self) -> dict[Any, int]:
        return {item_id: place for place, item_id in enumerate(self.item_ids)}


@dataclass(frozen=True)
class Cases:
    """Held-out cases: what a visitor had, and the item that came next.

    Attributes
    ----------
    inputs : Sequences
        Items before the target, oldest first.
    targets : int64 array (cases,)
        Index of the next item.
    """

    inputs: Sequences
    targets: Longs


NO_CASES = Cases(Sequences.from_lists([]), np.empty(0, np.int64))


class Scorer(ABC):
    """A fitted model, ready for one catalogue.

    Attributes
    ----------
    recommendable : bool array (items,)
        Items that the model can recommend.
    """

    recommendable: Bools

    @abstractmethod
    def top(self, sequences: Sequences, k: int, exclude: Sequences | None, allowed: Bools) -> tuple[Floats, Ints]:
        """Return the exact top k of some sequences; see :func:`recommend`, which cuts them into chunks.

        Parameters
        ----------
        exclude : Sequences, optional
            For each sequence, the items that it must not get.
        allowed : bool array (items,)
            Recommendable items that may be recommended.

        Returns
        -------
        float32 array (sequences, k), int32 array (sequences, k)
        """

    def reasons(self, sequences: Sequences, items: Ints, allowed: Bools | None = None) -> Ints:
        """Return, for each recommended item, the item of its sequence that speaks most for it.

        Parameters
        ----------
        items : int32 array (sequences, k)
            Recommended indices, -1 where there is none.
        allowed : bool array (items,), optional
            Items that these lists could hold, as :func:`recommend` was told.

        Returns
        -------
        int32 array (sequences, k)
            Of equal ones the newest; -1 where the model can't say.
        """
        return np.full(items.shape, -1, np.int32)

    def rates(self) -> dict[str, float]:
        """Return shares that say how well the scorer has worked so far, by name, to be kept beside the metrics."""
        return {}


@dataclass(frozen=True)
class VectorScorer(Scorer):
    """Scores are inner products of a sequence's vector with the items'.

    Attributes
    ----------
    queries : Sequences -> float32 tensor (rows, width)
        A row of zeros means: nothing is known of this sequence.
    item_vectors : float32 tensor (items, width)
        In the catalogue's order.
    explains : bool
        Whether closeness of item vectors says why an item was recommended.
    item_bias : float32 tensor (items,), optional
        What is added to an item's score whatever the sequence.
    """

    queries: Callable[[Sequences], Tensor]
    item_vectors: Tensor
    recommendable: Bools
    explains: bool = True
    item_bias: Tensor | None = None

    def top(self, sequences: Sequences, k: int, exclude: Sequences | None, allowed: Bools) -> tuple[Floats, Ints]:
        """Multiply, and keep the largest; nothing for a sequence of which nothing is known."""
        queries = self.queries(sequences)
        unknown = ~queries.any(dim=1).cpu().numpy()
        scores, items = top_k(queries, self.item_vectors, k, bias=self.item_bias, exclude=exclude, allowed=allowed)
        scores[unknown], items[unknown] = -np.inf, -1
        return scores, items

    def reasons(self, sequences: Sequences, items: Ints, allowed: Bools | None = None) -> Ints:
        """Name the item with the largest cosine in ``item_vectors``."""
        found = super().reasons(sequences, items)
        if not self.explains:
            return found
        vectors = functional.normalize(self.item_vectors, dim=1)
        for start in range(0, len(sequences), REASON_CHUNK):
            rows = slice(start, min(start + REASON_CHUNK, len(sequences)))
            own = sequences.take(np.arange(rows.start, rows.stop)).keep(self.recommendable).last(REASON_WINDOW)
            candidates = own.padded(-1)[:, ::-1].copy()
            if candidates.shape[1] == 0:
                continue
            closeness = torch.bmm(vectors[items[rows].clip(min=0)], vectors[candidates.clip(min=0)].transpose(1, 2))
            closeness = closeness.cpu().masked_fill(torch.from_numpy(candidates < 0)[:, None, :], -2)
            best = np.take_along_axis(candidates, closeness.argmax(dim=2).numpy(), axis=1)
            found[rows] = np.where(items[rows] >= 0, best, -1)
        return found


@dataclass(frozen=True)
class Fitting:
    """What a fit may use besides the data.

    Attributes
    ----------
    seed : int
        Decides everything random.
    checkpoint : Path or None
        Where a long fit keeps its state after each epoch, to go on after a kill.
    fitted : Mapping[str, Model]
        Models that were fitted before on the very same data, by family; others may take them, or what they learnt.
    allow_repeats : bool
        Whether lists will hold a sequence's own items, and so whether validation has to rank them too.
    """

    seed: int = 0
    checkpoint: Path | None = None
    fitted: Mapping[str, "Model"] = field(default_factory=dict)
    allow_repeats: bool = False


class Model(ABC):
    """A family of models with its hyper-parameters.

    Attributes
    ----------
    defaults : parameter -> value
        Every parameter that there is.
    allowed : parameter -> Interval or words
        What a parameter may be; numbers only where the family differs from ``INTERVALS``.

    Raises
    ------
    UsageError
        If a parameter is none of the family's or can't be what it is (:meth:`check`), or some don't go together.
    """

    family: ClassVar[str]
    defaults: ClassVar[Mapping[str, Any]] = {}
    allowed: ClassVar[Mapping[str, Interval | Collection[str]]] = {}
    uses_embeddings: ClassVar[bool] = False

    def __init__(self, parameters: Mapping[str, Any] | None = None) -> None:
        parameters = parameters or {}
        for name, value in parameters.items():
            self.check(name, value)
        self.parameters: dict[str, Any] = {**self.defaults, **parameters}

    @classmethod
    def check(cls, name: str, value: Any) -> None:
        """Raise UsageError for what a parameter can't be, whatever the others are."""
        if name not in cls.defaults:
            raise UsageError(f"unknown parameter '{name}' of {cls.family}: {nearest(name, cls.defaults)}")
        wanted = type(cls.defaults[name])
        # not isinstance: to Python, True is a number too
        if type(value) is not wanted and not (wanted is float and type(value) is int):
            raise UsageError(f"parameter '{name}' of {cls.family} must be of type {wanted.__name__}, not {value!r}")
        allowed = cls.allowed.get(name) or INTERVALS.get(name)
        if allowed and value not in allowed:
            words = allowed if isinstance(allowed, Interval) else f"one of {', '.join(allowed)}"
            raise UsageError(f"{cls.family}'s {name} must be {words}, not {value!r}")

    def connect(self, access: "Access") -> None:  # noqa: B027 - most need nothing
        """Give a model that buys from services the job's way to them; before a fit or a restore."""

    @property
    def is_random(self) -> bool:
        """Whether another seed gives another model; what is not random needs to be fitted but once."""
        return True

    def can_take(self, fitted: "Model") -> bool:
        """Whether a fit needn't do again what ``fitted`` learnt from the same data and seed (:class:`Fitting`)."""
        return False

    @abstractmethod
    def fit(self, train_sequences: Sequences, validation: Cases, catalog: Catalog, fitting: Fitting) -> None:
        """Learn from ``train_sequences``, the newest last; ``validation`` may only decide when to stop."""

    def refit(self, sequences: Sequences, catalog: Catalog, fitting: Fitting) -> "Model":
        """Return the model fitted on all there is, with what :meth:`fit` found out on its validation part.

        Newest sequences say most of what comes next, and validation takes them away.
        """
        model = type(self)(self.parameters)
        model.fit(sequences, NO_CASES, catalog, fitting)
        return model

    @abstractmethod
    def state(self) -> State:
        """Return what was learnt as named arrays, enough for :meth:`restore`."""

    @abstractmethod
    def restore(self, state: State, trained_on: Catalog) -> None:
        """Take back a state; ``trained_on`` has the item_ids of the fit, in its order (no embeddings)."""

    @abstractmethod
    def scorer(self, catalog: Catalog) -> Scorer:
        """Return the model ready for ``catalog``, whose items may be newer than the fit's."""


def recommend(
    scorer: Scorer, sequences: Sequences, k: int, *, allowed: Bools | None = None, allow_repeats: bool = False
) -> tuple[Floats, Ints]:
    """Return the exact top k of each sequence.

    Parameters
    ----------
    allowed : bool array (items,), optional
        Items that may be recommended at all.
    allow_repeats : bool
        If false, a sequence's own items are left out.

    Returns
    -------
    float32 array (sequences, k), int32 array (sequences, k)
        Scores in descending order and item indices; -inf and -1 where nothing is left, or where nothing is
        known of the sequence. Equal scores are ordered by index.
    """
    recommendable = scorer.recommendable if allowed is None else scorer.recommendable & allowed
    scores = np.full((len(sequences), k), -np.inf, np.float32)
    items = np.full((len(sequences), k), -1, np.int32)
    for start in range(0, len(sequences), QUERY_CHUNK):
        rows = np.arange(start, min(start + QUERY_CHUNK, len(sequences)))
        chunk = sequences.take(rows)
        scores[rows], items[rows] = scorer.top(chunk, k, None if allow_repeats else chunk, recommendable)
    return scores, items


def ndcg_at_20(scorer: Scorer, cases: Cases, allow_repeats: bool = False) -> float:
    """Return the mean nDCG@20 of cases, of which there is one at least."""
    _, lists = recommend(scorer, cases.inputs, 20, allow_repeats=allow_repeats)
    return float(rank_values(target_ranks(lists, cases.targets), "ndcg", 20).mean())


def device() -> torch.device:
    """Return the device that models run on: CUDA when present."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def fork_random() -> AbstractContextManager[None]:
    """Leave PyTorch's random numbers behind as they were; of several GPUs, the one in use alone is touched."""
    return torch.random.fork_rng([torch.cuda.current_device()] if torch.cuda.is_available() else [])
