"""Scorers: fitted models that are ready to rank one catalogue's items.

Most models end in the same place: a query vector for a sequence, a vector for each item, and the exact top-k of their
inner products. Filtering of seen items, ties, chunking and memory are therefore solved once, in ``jobs.core.topk``.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from jobs.core.arrays import Bools, Floats, Ints
from jobs.core.cases import Cases
from jobs.core.metrics import rank_values, target_ranks
from jobs.core.sequences import Sequences
from jobs.core.topk import top_k

REASON_CHUNK = 1024  # sequences explained at once: their items' vectors are held side by side
REASON_WINDOW = 50  # newest items that may be a reason
QUERY_CHUNK = 4096  # sequences encoded at once: bounds memory, whatever the number of visitors


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
