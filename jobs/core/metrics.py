"""Metrics of recommendation lists: accuracy, coverage, serendipity and novelty, with confidence intervals.

Every test case has one recommendation list and one relevant item, its target. The metrics are defined as in the code
released with arXiv 2309.09261 (dh-r/LLM-Sequential-Recommendation, tag RecSys23), and reproduce its published figures
to six decimals. All functions are pure: arrays in, arrays or a data frame out.

To measure a segment of the cases, pass only its rows: ``evaluate(lists[mask], targets[mask], ...)``.
Two models are compared on the same cases by the bootstrap interval of the difference of their `case_values`.
"""

from collections.abc import Iterable
from typing import Final

import numpy as np
import numpy.typing as npt
import polars as pl

from jobs.core.arrays import Doubles, Floats, Longs
from jobs.core.bootstrap import bootstrap_interval

Indices = npt.NDArray[np.integer]
"""Integer array of any width: item indices, counts or ranks."""

METRICS: Final = ("ndcg", "hit_rate", "mrr", "coverage", "serendipity", "novelty")
"""Names of the metrics that need no item vectors, in the order in which `evaluate` reports them."""

INTRA_LIST_SIMILARITY: Final = "intra_list_similarity"
"""Name of the metric that `evaluate` adds where it is given item vectors."""

NO_ITEM: Final = -1
"""Item index that stands for "no item": it fills up short lists, and marks a target outside the catalogue."""

LISTS_AT_ONCE: Final = 256
"""Number of lists whose vectors are compared at once; it bounds memory."""

_SCHEMA: Final = {
    "metric": pl.String,
    "k": pl.Int32,
    "value": pl.Float64,
    "n": pl.Int64,
    "ci_low": pl.Float64,
    "ci_high": pl.Float64,
}


def evaluate(
    recommended_lists: npt.ArrayLike,
    targets: npt.ArrayLike,
    item_counts: npt.ArrayLike,
    catalogue_size: int | None = None,
    ks: Iterable[int] = (10, 20),
    *,
    item_vectors: Floats | None = None,
    resample_count: int = 1000,
    confidence: float = 0.95,
    seed: int = 0,
) -> pl.DataFrame:
    """Compute every metric, with its confidence interval, of recommendation lists and their targets.

    Parameters
    ----------
    recommended_lists : int array (cases, width)
        Item indices, best first, distinct within a list; a shorter list is filled up with -1. A case with an empty
        list counts as a miss (the released code leaves such a case out; none of its lists is empty).
    targets : int array (cases,)
        The item that came next; -1 for an item outside the catalogue, which no list can hit.
    item_counts : int array (items,)
        Number of interactions of each item, for serendipity and novelty. arXiv 2309.09261 counts all its data, test
        included; a hold-out by date must count only the interactions before that date.
    catalogue_size : int, optional
        Number of items that could be recommended, the denominator of coverage; ``len(item_counts)`` by default.
    ks : iterable of int
        Cut-offs, each at most ``width``.
    item_vectors : float32 array (items, dimensions), optional
        Vectors for a further metric, `intra_list_similarities`. The metric is left out if no list has two items with a
        vector.
    resample_count, confidence, seed
        See `bootstrap_interval`. A metric's interval does not depend on which other cut-offs are measured.

    Returns
    -------
    polars.DataFrame
        One row per metric and cut-off: ``metric, k, value, n, ci_low, ci_high``. ``n`` is the number of cases behind
        the value; if it is 0, the value is null. Coverage has no interval: it is the share of items
        in the union of all lists, and a resample lacks about 37 % of the cases, so that its coverage is never higher.

    Raises
    ------
    ValueError
        If shapes disagree, an index is out of range, a list repeats an item or has a gap, or a cut-off is
        below 1 or above ``width``.
    """
    lists, next_items, counts = _validated_arrays(recommended_lists, targets, item_counts)
    size = len(counts) if catalogue_size is None else catalogue_size
    rows: list[tuple[object, ...]] = []
    for k in _validated_cut_offs(ks, lists.shape[1]):
        values = case_values(lists, next_items, counts, k)
        for number, metric in enumerate(METRICS):
            if metric == "coverage":
                rows.append((metric, k, coverage(lists, k, size), len(lists), None, None))
                continue
            defined = values[metric][~np.isnan(values[metric])]
            low, high = bootstrap_interval(
                defined, resample_count=resample_count, confidence=confidence, seed=(seed, k, number)
            )
            rows.append((metric, k, float(defined.mean()) if len(defined) else None, len(defined), low, high))
        if item_vectors is not None:
            similarities = intra_list_similarities(lists[:, :k], item_vectors)
            similarities = similarities[~np.isnan(similarities)]
            if len(similarities):
                low, high = bootstrap_interval(
                    similarities, resample_count=resample_count, confidence=confidence, seed=(seed, k, len(METRICS))
                )
                rows.append((INTRA_LIST_SIMILARITY, k, float(similarities.mean()), len(similarities), low, high))
    return pl.DataFrame(rows, schema=_SCHEMA, orient="row")


def case_values(lists: Indices, targets: Indices, item_counts: Indices, k: int) -> dict[str, Doubles]:
    """Return each case's value of every metric at cut-off ``k``, except coverage, which has no value for a single case.

    With r the target's rank among the first k items, ndcg is 1 / log2(r + 1), mrr is 1 / r and hit_rate is 1; all
    three are 0 if the target is absent (there is one relevant item, so the ideal DCG is 1). serendipity is hit_rate,
    but 0 for a target among the k most popular items. novelty is defined by `list_novelties`.
    Source: the released code of arXiv 2309.09261.

    Parameters
    ----------
    lists, targets, item_counts, k
        As in `evaluate`, but NumPy arrays that are not validated.

    Returns
    -------
    dict of str to float64 array (cases,)
        Metric name -> values. Only novelty holds NaN, for empty lists.
    """
    rank = target_ranks(lists[:, :k], targets)
    surprising = (rank > 0) & ~np.isin(targets, most_popular_items(item_counts, k))
    return {
        **{metric: case_values_from_ranks(rank, metric, k) for metric in ("ndcg", "hit_rate", "mrr")},
        "serendipity": surprising.astype(np.float64),
        "novelty": list_novelties(lists[:, :k], item_counts),
    }


def target_ranks(lists: Indices, targets: Indices) -> Longs:
    """Return each target's 1-based rank in its recommendation list, 0 if the list lacks it.

    Parameters
    ----------
    lists : int array (cases, width)
        Item indices, best first; short lists are filled up with -1.
    targets : int array (cases,)
        Item indices; a target of -1 has rank 0, even in a list that is filled up with -1.

    Returns
    -------
    int64 array (cases,)
    """
    if lists.shape[1] == 0:
        return np.zeros(len(lists), dtype=np.int64)
    is_target = (lists == targets[:, None]) & (targets[:, None] != NO_ITEM)
    return np.where(is_target.any(axis=1), is_target.argmax(axis=1) + 1, 0)


def case_values_from_ranks(ranks: Indices, metric: str, k: int) -> Doubles:
    """Return each case's value of ``ndcg``, ``hit_rate`` or ``mrr`` at cut-off ``k``, from its target's rank.

    Parameters
    ----------
    ranks : int array (cases,)
        As `target_ranks` returns them: 0 if the list lacks the target.
    metric : str
        ``ndcg``, ``hit_rate`` or ``mrr``.
    k : int
        Cut-off: a target that is not among the first ``k`` items counts as absent.

    Returns
    -------
    float64 array (cases,)
    """
    hit = (ranks > 0) & (ranks <= k)
    positive = np.maximum(ranks, 1)
    value = {"ndcg": 1.0 / np.log2(positive + 1.0), "hit_rate": np.ones(len(ranks)), "mrr": 1.0 / positive}[metric]
    return np.where(hit, value, 0.0)


def intra_list_similarities(lists: Indices, item_vectors: Floats) -> Doubles:
    """Return the mean cosine of each list's pairs of items; if it is near 1, the list's items are all alike.

    Source: C.-N. Ziegler, S. McNee, J. Konstan, G. Lausen, Improving recommendation lists through topic
    diversification, WWW 2005.

    Parameters
    ----------
    lists : int array (lists, k)
        Item indices; -1 past the end of a shorter list.
    item_vectors : float32 array (items, dimensions)
        Vectors of any length; items with a vector of zeros are left out.

    Returns
    -------
    float64 array (lists,)
        NaN for a list of fewer than two items with a vector.
    """
    means = np.full(len(lists), np.nan)
    for start in range(0, len(lists), LISTS_AT_ONCE):
        rows = slice(start, start + LISTS_AT_ONCE)
        vectors = item_vectors[lists[rows]].astype(np.float64)
        lengths = np.linalg.norm(vectors, axis=2, keepdims=True) * (lists[rows] != NO_ITEM)[:, :, None]
        units = np.divide(vectors, lengths, out=np.zeros_like(vectors), where=lengths > 0)
        counts = (lengths > 0).sum(axis=(1, 2))
        # the squared length of the sum of unit vectors is the sum of all cosines, which counts each pair twice, and
        # each item with itself
        sums = np.square(units.sum(axis=1)).sum(axis=1) - counts
        means[rows] = np.where(counts >= 2, sums / np.maximum(counts * (counts - 1), 1), np.nan)
    return means


def commonest_reason_shares(reason_items: Indices) -> Doubles:
    """Return the share of each list's commonest reason among the list's items that have a reason.

    Parameters
    ----------
    reason_items : int array (lists, k)
        The index of the item that is the reason for each item of a list; -1 where there is none.

    Returns
    -------
    float64 array (lists,)
        Between 1 / k and 1; NaN for a list without any reason.
    """
    has_reason = reason_items != NO_ITEM
    same = (reason_items[:, :, None] == reason_items[:, None, :]) & has_reason[:, :, None]
    highest = same.sum(axis=1).max(axis=1, initial=0)
    counts = has_reason.sum(axis=1)
    return np.where(counts > 0, highest / np.maximum(counts, 1), np.nan)


def most_popular_items(item_counts: Indices, k: int) -> Longs:
    """Return the indices of the ``k`` items with the highest counts; items with count 0 are left out.

    Items are ordered by descending count, equal counts by ascending index. (arXiv 2309.09261 does not say how it orders
    equal counts; on its Beauty data neither cut-off falls between equal counts, so any order gives its figures.)
    """
    order = np.argsort(-item_counts.astype(np.int64), kind="stable")[:k]
    return order[item_counts[order] > 0]


def list_novelties(lists: Indices, item_counts: Indices) -> Doubles:
    """Return each list's novelty: the mean of -log2(item count / sum of all counts) over its items, in bits.

    Source: the released code of arXiv 2309.09261, whose items all have a count of at least 1. Here an item with
    count 0 is treated as if its count were 1, so that the mean stays finite.

    Parameters
    ----------
    lists : int array (cases, width)
        Item indices; short lists are filled up with -1.
    item_counts : int array (items,)
        Number of interactions of each item.

    Returns
    -------
    float64 array (cases,)
        NaN for an empty list, and for every list if all counts are 0.
    """
    total = int(item_counts.sum())
    if not total:
        return np.full(len(lists), np.nan)
    # Index -1 (NO_ITEM) selects the additional last element, 0.0.
    surprise = np.append(-np.log2(np.maximum(item_counts, 1) / total), 0.0)
    length = (lists != NO_ITEM).sum(axis=1)
    return np.where(length > 0, surprise[lists].sum(axis=1) / np.maximum(length, 1), np.nan)


def coverage(lists: Indices, k: int, catalogue_size: int) -> float | None:
    """Return the share of the catalogue's items that appear among the first ``k`` items of at least one list.

    Source: the released code of arXiv 2309.09261 (number of items in the union of the lists, each cut at ``k``,
    divided by the number of items in the data).

    Returns
    -------
    float or None
        None if there are no cases, or ``catalogue_size`` is 0.

    Raises
    ------
    ValueError
        If the lists hold more distinct items than ``catalogue_size``.
    """
    listed = np.unique(lists[:, :k])
    distinct = int((listed != NO_ITEM).sum())
    if distinct > catalogue_size:
        raise ValueError(f"lists hold {distinct} distinct items, the catalogue only {catalogue_size}")
    return distinct / catalogue_size if catalogue_size and len(lists) else None


def _validated_arrays(
    recommended_lists: npt.ArrayLike, targets: npt.ArrayLike, item_counts: npt.ArrayLike
) -> tuple[Indices, Indices, Indices]:
    lists, next_items, counts = (_as_integer_array(values) for values in (recommended_lists, targets, item_counts))
    if lists.ndim != 2 or next_items.shape != lists.shape[:1] or counts.ndim != 1:
        raise ValueError(
            "need lists (cases, width), targets (cases,), item_counts (items,); "
            f"got {lists.shape}, {next_items.shape}, {counts.shape}"
        )
    for name, indices in (("recommended_lists", lists), ("targets", next_items)):
        if indices.size and (indices.min() < NO_ITEM or indices.max() >= len(counts)):
            raise ValueError(f"{name} must hold indices from -1 to {len(counts) - 1}")
    if counts.size and counts.min() < 0:
        raise ValueError("item_counts must not be negative")
    if ((lists[:, :-1] == NO_ITEM) & (lists[:, 1:] != NO_ITEM)).any():
        raise ValueError("a list has -1 before an item")
    ordered = np.sort(lists, axis=1)
    if ((ordered[:, :-1] == ordered[:, 1:]) & (ordered[:, 1:] != NO_ITEM)).any():
        raise ValueError("a list holds an item twice")
    return lists, next_items, counts


def _as_integer_array(values: npt.ArrayLike) -> Indices:
    array = np.asarray(values)
    if not array.size and array.dtype.kind == "f":  # NumPy makes a float array of an empty list
        return array.astype(np.int64)
    if array.dtype.kind not in "iu":
        raise ValueError(f"indices and counts must be integers, got {array.dtype}")
    return array


def _validated_cut_offs(ks: Iterable[int], width: int) -> list[int]:
    cut_offs = sorted(set(ks))
    if cut_offs and not 1 <= cut_offs[0] <= cut_offs[-1] <= width:
        raise ValueError(f"cut-offs must lie between 1 and the lists' width {width}, got {cut_offs}")
    return cut_offs
