"""Scorers: fitted models that are ready to rank the items of one catalogue.

Most models rank in the same way: they compute a query vector per sequence and a vector per item, and take the k items
with the largest inner products. ``jobs.core.topk`` does this for all of them, with excluded items, ties and chunks.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from jobs.core.arrays import Bools, Doubles, Floats, Ints, Longs
from jobs.core.cases import Cases
from jobs.core.metrics import case_values_from_ranks, target_ranks
from jobs.core.sequences import Sequences
from jobs.core.topk import top_k
from jobs.models.reason_lift import EQUAL_TOLERANCE, strongest_reasons_by_lift

# Number of sequences whose reasons are found at once; it bounds the memory for the vectors of all their items.
SEQUENCES_PER_REASON_CHUNK = 1024

# Number of a sequence's newest items among which a reason is sought.
REASON_WINDOW = 50

# Number of sequences ranked at once; it bounds memory for any number of visitors.
SEQUENCES_PER_CHUNK = 4096

# With at least this number of validation cases, a fit makes its choices by the nDCG of lists of 20 items.
MANY_VALIDATION_CASES = 1000
# Length of the lists by whose nDCG a fit makes its choices if it has fewer validation cases.
LONG_LIST_LENGTH = 1000


Ranker = Callable[[Longs, int, Sequences | None, Bools], tuple[Floats, Ints]]
"""Function that ranks items for some of a scorer's sequences, and returns the k best, as :meth:`Scorer.top` does.

Its arguments are the sequences' row numbers, k, the items that each of these sequences must not get (or None), and the
items that may be recommended."""


class Scorer(ABC):
    """A fitted model that ranks the items of one catalogue.

    Attributes
    ----------
    recommendable_mask : bool array (items,)
        True for each item of the catalogue that the model can score and therefore recommend.
    """

    recommendable_mask: Bools
    scores_ignore_allowed_mask_and_k: ClassVar[bool] = False
    """Whether an item's score depends neither on the other items that may be recommended nor on the list's length."""

    def ranker(self, sequences: Sequences) -> "Ranker":
        """Return a function that ranks items for any part of the sequences, as :meth:`top` does for all of them.

        A scorer may override this method, to compute once what depends on the sequences alone.
        """
        return lambda rows, k, excluded_items, allowed_mask: self.top(
            sequences.take(rows), k, excluded_items, allowed_mask
        )

    @abstractmethod
    def top(
        self, sequences: Sequences, k: int, excluded_items: Sequences | None, allowed_mask: Bools
    ) -> tuple[Floats, Ints]:
        """Return the ``k`` best items of each sequence.

        Code outside the models should call :func:`recommend`, which ranks chunks of sequences and so bounds memory.

        Parameters
        ----------
        sequences : Sequences
            Item indices, oldest first.
        excluded_items : Sequences, optional
            Row ``i`` holds the items that must not be recommended for sequence ``i``.
        allowed_mask : bool array (items,)
            True for items that may be recommended; False at least for those outside ``recommendable_mask``.

        Returns
        -------
        float32 array (sequences, k), int32 array (sequences, k)
            Scores and item indices, as :func:`recommend` returns them.
        """

    def reason_items(self, sequences: Sequences, recommended_items: Ints, allowed_mask: Bools | None = None) -> Ints:
        """Return the reason for each recommended item: the item of the sequence that best explains its score.

        The reason contributes much to the score of the recommended item, compared with what it contributes to the
        scores of the other items of the list (:mod:`jobs.models.reason_lift`).

        Parameters
        ----------
        sequences : Sequences
            Item indices, oldest first.
        recommended_items : int32 array (sequences, k)
            Recommended items; -1 past the end of a list.
        allowed_mask : bool array (items,), optional
            The argument ``allowed_mask`` of the call of :func:`recommend` that made these lists.

        Returns
        -------
        int32 array (sequences, k)
            An item of the sequence for each recommended item; the newest of equally good ones. -1 if the model can't
            give a reason.
        """
        return np.full(recommended_items.shape, -1, np.int32)

    def answer_fault_rates(self) -> dict[str, float]:
        """Return the rates of faults in a language model's answers, for all lists made so far: name -> share.

        They are stored beside the metrics. Scorers that ask no language model return no rates.
        """
        return {}


@dataclass(frozen=True)
class VectorScorer(Scorer):
    """Scorer whose score is the inner product of a sequence's query vector and an item's vector, plus a bias.

    Attributes
    ----------
    compute_queries : Sequences -> float32 tensor (sequences, width)
        Computes the query vectors; a sequence's query vector is zero if the model knows none of the sequence's items.
    item_vectors : float32 tensor (items, width)
        The vectors of the catalogue's items, in the catalogue's order.
    gives_reasons : bool
        Whether the scorer gives reasons. What an item of the sequence contributes to a recommended item is the cosine
        of their vectors, less the mean cosine of all items with the recommended item.
    item_bias : float32 tensor (items,), optional
        Added to each item's score, for every sequence.
    """

    compute_queries: Callable[[Sequences], Tensor]
    item_vectors: Tensor
    recommendable_mask: Bools
    gives_reasons: bool = True
    item_bias: Tensor | None = None
    scores_ignore_allowed_mask_and_k: ClassVar[bool] = True

    def ranker(self, sequences: Sequences) -> Ranker:
        """Return a function that ranks items for any part of the sequences; query vectors are computed once."""
        starts = range(0, len(sequences), SEQUENCES_PER_CHUNK)
        rows_of_chunks = [np.arange(start, min(start + SEQUENCES_PER_CHUNK, len(sequences))) for start in starts]
        queries = torch.cat([self.compute_queries(sequences.take(rows)) for rows in rows_of_chunks or [np.arange(0)]])
        return lambda rows, k, excluded_items, allowed_mask: self._top_of_queries(
            queries[torch.from_numpy(rows).to(queries.device)], k, excluded_items, allowed_mask
        )

    def top(
        self, sequences: Sequences, k: int, excluded_items: Sequences | None, allowed_mask: Bools
    ) -> tuple[Floats, Ints]:
        """Return the items with the largest inner products; a sequence with a zero query vector gets an empty list."""
        return self._top_of_queries(self.compute_queries(sequences), k, excluded_items, allowed_mask)

    def _top_of_queries(
        self, queries: Tensor, k: int, excluded_items: Sequences | None, allowed_mask: Bools
    ) -> tuple[Floats, Ints]:
        unreadable = ~queries.any(dim=1).cpu().numpy()
        scores, items = top_k(
            queries, self.item_vectors, k, bias=self.item_bias, excluded_items=excluded_items, allowed_mask=allowed_mask
        )
        scores[unreadable], items[unreadable] = -np.inf, -1
        return scores, items

    def reason_items(self, sequences: Sequences, recommended_items: Ints, allowed_mask: Bools | None = None) -> Ints:
        """Return the reason for each recommended item: an item of the sequence whose vector is near.

        The vector is near the recommended item's vector, compared with how near it is to the vectors of the other
        listed items (:mod:`jobs.models.reason_lift`). Where no item of the sequence has a vector nearer to the
        recommended item's than the catalogue's vectors are on average, the reason is the item with the nearest vector.
        """
        reasons = super().reason_items(sequences, recommended_items)
        if not self.gives_reasons:
            return reasons
        vectors = functional.normalize(self.item_vectors, dim=1)
        mean_vector = vectors[torch.from_numpy(self.recommendable_mask).to(vectors.device)].mean(dim=0)
        for start in range(0, len(sequences), SEQUENCES_PER_REASON_CHUNK):
            rows = slice(start, min(start + SEQUENCES_PER_REASON_CHUNK, len(sequences)))
            chunk = (
                sequences.take(np.arange(rows.start, rows.stop))
                .keep_items(self.recommendable_mask)
                .keep_last_items(REASON_WINDOW)
            )
            candidates = chunk.padded_matrix(-1)[:, ::-1].copy()
            if candidates.shape[1] == 0:
                continue
            # the mean cosine of all items is subtracted, since even embeddings of unrelated texts have a cosine above 0
            relative_vectors = vectors[candidates.clip(min=0)] - mean_vector
            nearness = torch.bmm(vectors[recommended_items[rows].clip(min=0)], relative_vectors.transpose(1, 2))
            contributions = nearness.cpu().numpy().astype(np.float64)
            reasons[rows] = reasons_among_candidates(contributions, candidates, recommended_items[rows])
        return reasons


def reasons_among_candidates(contributions: Doubles, candidates: Ints, recommended_items: Ints) -> Ints:
    """Return the reason for each recommended item, chosen among candidate items of the sequence.

    Where no candidate adds anything, the reason is the candidate with the largest contribution.

    Parameters
    ----------
    contributions : float64 array (rows, k, candidates)
        What each candidate adds to the score of each recommended item.
    candidates : int32 array (rows, candidates)
        Items of the sequence, newest first; -1 for none.
    recommended_items : int32 array (rows, k)
        Recommended items; -1 past the end of a list.

    Returns
    -------
    int32 array (rows, k)
        The reasons; -1 where there is no recommended item, or no candidate.
    """
    is_known = (candidates >= 0)[:, None, :] & (recommended_items >= 0)[:, :, None]
    places = strongest_reasons_by_lift(np.where(is_known, contributions, np.nan).transpose(0, 2, 1))
    highest = np.where(is_known, contributions, -np.inf)
    nearest = (highest >= highest.max(axis=2, keepdims=True, initial=-np.inf) - EQUAL_TOLERANCE).argmax(axis=2)
    chosen = np.take_along_axis(candidates, np.where(places >= 0, places, nearest), axis=1)
    return np.where(recommended_items >= 0, chosen, -1).astype(np.int32)


def recommend(
    scorer: Scorer, sequences: Sequences, k: int, *, allowed_mask: Bools | None = None, allow_repeats: bool = False
) -> tuple[Floats, Ints]:
    """Return the ``k`` best items of each sequence, with their scores.

    Parameters
    ----------
    sequences : Sequences
        Item indices, oldest first.
    allowed_mask : bool array (items,), optional
        True for items that may be recommended; by default all.
    allow_repeats : bool
        Whether a sequence's own targets may be recommended; if the sequences don't say which of their items are
        targets, all are.

    Returns
    -------
    float32 array (sequences, k), int32 array (sequences, k)
        Scores in descending order and item indices, equal scores ordered by index; -inf and -1 past the end of a
        shorter list. The list is empty if the model knows none of the sequence's items.
    """
    recommendable_mask = scorer.recommendable_mask if allowed_mask is None else scorer.recommendable_mask & allowed_mask
    return top_in_chunks(
        lambda chunk, excluded: scorer.top(chunk, k, excluded, recommendable_mask),
        sequences, k, None if allow_repeats else sequences.keep_targets(), SEQUENCES_PER_CHUNK,
    )  # fmt: skip


def top_in_chunks(
    top_of_chunk: Callable[[Sequences, Sequences | None], tuple[Floats, Ints]],
    sequences: Sequences,
    k: int,
    excluded_items: Sequences | None,
    sequences_per_chunk: int,
) -> tuple[Floats, Ints]:
    """Return the ``k`` best items of each sequence; memory is bounded by ranking chunks of the sequences.

    Parameters
    ----------
    top_of_chunk : callable
        Takes some of the sequences, with their rows of ``excluded_items``; returns scores and items as this function
        does.

    Returns
    -------
    float32 array (sequences, k), int32 array (sequences, k)
        As :meth:`Scorer.top` returns them.
    """
    scores = np.full((len(sequences), k), -np.inf, np.float32)
    items = np.full((len(sequences), k), -1, np.int32)
    for start in range(0, len(sequences), sequences_per_chunk):
        rows = np.arange(start, min(start + sequences_per_chunk, len(sequences)))
        excluded = None if excluded_items is None else excluded_items.take(rows)
        scores[rows], items[rows] = top_of_chunk(sequences.take(rows), excluded)
    return scores, items


def ndcg_at_20(scorer: Scorer, cases: Cases, allow_repeats: bool = False) -> float:
    """Return a scorer's mean nDCG@20 on held-out cases, of which there must be at least one."""
    return float(_case_ndcgs_at(20, scorer, cases, allow_repeats).mean())


def case_ndcgs(scorer: Scorer, cases: Cases, allow_repeats: bool = False) -> Doubles:
    """Return each validation case's nDCG at :func:`validation_list_length`: float64 array (cases,).

    A fit makes its choices by the mean of these.
    """
    return _case_ndcgs_at(validation_list_length(len(cases.targets)), scorer, cases, allow_repeats)


def validation_list_length(case_count: int) -> int:
    """Return the length of the lists by whose nDCG a fit makes its choices: 20, or 1000 with few validation cases.

    With few cases, lists of 20 hold hardly any of the targets, so that nDCG@20 can't tell a better model from luck. In
    longer lists the place of almost every target counts.
    """
    return 20 if case_count >= MANY_VALIDATION_CASES else LONG_LIST_LENGTH


def _case_ndcgs_at(depth: int, scorer: Scorer, cases: Cases, allow_repeats: bool) -> Doubles:
    # no list is longer than the catalogue
    _, lists = recommend(scorer, cases.inputs, min(depth, len(scorer.recommendable_mask)), allow_repeats=allow_repeats)
    return case_values_from_ranks(target_ranks(lists, cases.targets), "ndcg", depth)
