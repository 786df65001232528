"""How good are recommendation lists: accuracy, coverage, serendipity and novelty, with intervals.

Every case has one list and one relevant item, its target. The definitions are those of the code that was
released with arXiv 2309.09261 (dh-r/LLM-Sequential-Recommendation, tag RecSys23), and give its published
figures to six decimals. Arrays in, arrays or a frame out; nothing here reads a clock or a file.

A segment of the cases is measured by passing its rows, ``evaluate(lists[mask], targets[mask], ...)``.
Two models are compared on the same cases by `bootstrap_interval` of the difference of their `case_values`.
"""

from collections.abc import Iterable
from typing import Final

import numpy as np
import numpy.typing as npt
import polars as pl

from jobs.core.arrays import Doubles, Longs

Indices = npt.NDArray[np.integer]

METRICS: Final = ("ndcg", "hit_rate", "mrr", "coverage", "serendipity", "novelty")
"""All metrics, in the order in which `evaluate` reports them."""

ABSENT: Final = -1
"""Index of "no item": fills up short lists, and stands for a target outside the catalogue."""

_MAX_CELLS: Final = 1024
_SCHEMA: Final = {
    "metric": pl.String,
    "k": pl.Int32,
    "value": pl.Float64,
    "n": pl.Int64,
    "ci_low": pl.Float64,
    "ci_high": pl.Float64,
}


def evaluate(
    recommended: npt.ArrayLike,
    targets: npt.ArrayLike,
    item_counts: npt.ArrayLike,
    catalogue_size: int | None = None,
    ks: Iterable[int] = (10, 20),
    *,
    resamples: int = 1000,
    confidence: float = 0.95,
    seed: int = 0,
) -> pl.DataFrame:
    """Measure lists against their targets.

    Parameters
    ----------
    recommended : int array (cases, width)
        Item indices, best first, distinct within a list; a shorter list ends in -1. A case whose list is
        empty counts as a miss (the released code leaves such a case out; none of its lists is empty).
    targets : int array (cases,)
        The item that came next; -1 for one outside the catalogue, which no list can hit.
    item_counts : int array (items,)
        Interactions of each item, for serendipity and novelty. The paper counts all its data, test included;
        a hold-out by date must count only what was known at that date.
    catalogue_size : int, optional
        Items that could be recommended, the denominator of coverage; ``len(item_counts)`` by default.
    ks : iterable of int
        Cut-offs, each at most ``width``.
    resamples, confidence, seed
        See `bootstrap_interval`. A metric's interval does not depend on which other cut-offs are asked for.

    Returns
    -------
    polars.DataFrame
        A row a metric and cut-off: ``metric, k, value, n, ci_low, ci_high``. ``n`` counts the cases behind
        the value. With none the value is null. Coverage has no interval: it is the size of a union, and
        resampling, which loses about 37 % of the cases, would only push it down.

    Raises
    ------
    ValueError
        If shapes disagree, an index is out of range, a list repeats an item or has a gap, or a cut-off is
        below 1 or above ``width``.
    """
    lists, wanted, counts = _checked(recommended, targets, item_counts)
    size = len(counts) if catalogue_size is None else catalogue_size
    rows: list[tuple[object, ...]] = []
    for k in _checked_cut_offs(ks, lists.shape[1]):
        values = case_values(lists, wanted, counts, k)
        for number, metric in enumerate(METRICS):
            if metric == "coverage":
                rows.append((metric, k, coverage(lists, k, size), len(lists), None, None))
                continue
            known = values[metric][~np.isnan(values[metric])]
            low, high = bootstrap_interval(known, resamples=resamples, confidence=confidence, seed=(seed, k, number))
            rows.append((metric, k, float(known.mean()) if len(known) else None, len(known), low, high))
    return pl.DataFrame(rows, schema=_SCHEMA, orient="row")


def case_values(lists: Indices, targets: Indices, item_counts: Indices, k: int) -> dict[str, Doubles]:
    """Return what each case adds to each metric at cut-off ``k``; coverage is no mean of cases.

    With r the target's rank among the first k items: ndcg is 1 / log2(r + 1), mrr is 1 / r, hit_rate is 1,
    and each is 0 if it is absent (one relevant item, so the ideal DCG is 1). serendipity is hit_rate, but 0
    for a target among the k most counted items. novelty is that of `list_novelty`.
    Source: the released code of arXiv 2309.09261.

    Parameters
    ----------
    lists, targets, item_counts, k
        As in `evaluate`, but arrays, and not checked.

    Returns
    -------
    dict of str to float64 array (cases,)
        NaN only in novelty, where a list is empty.
    """
    rank = target_ranks(lists[:, :k], targets)
    surprising = (rank > 0) & ~np.isin(targets, most_counted(item_counts, k))
    return {
        **{metric: rank_values(rank, metric, k) for metric in ("ndcg", "hit_rate", "mrr")},
        "serendipity": surprising.astype(np.float64),
        "novelty": list_novelty(lists[:, :k], item_counts),
    }


def target_ranks(lists: Indices, targets: Indices) -> Longs:
    """Return each target's 1-based place in its list, 0 where it is absent.

    Parameters
    ----------
    lists : int array (cases, width)
    targets : int array (cases,)
        A target of -1 is absent, also from a list that ends in -1.

    Returns
    -------
    int64 array (cases,)
    """
    if lists.shape[1] == 0:
        return np.zeros(len(lists), dtype=np.int64)
    found = (lists == targets[:, None]) & (targets[:, None] != ABSENT)
    return np.where(found.any(axis=1), found.argmax(axis=1) + 1, 0)


def rank_values(ranks: Indices, metric: str, k: int) -> Doubles:
    """Return what each case adds to ``ndcg``, ``hit_rate`` or ``mrr`` at ``k``, from its target's rank.

    Parameters
    ----------
    ranks : int array (cases,)
        As `target_ranks` gives them: 0 where the target is absent.

    Returns
    -------
    float64 array (cases,)
    """
    hit = (ranks > 0) & (ranks <= k)
    shown = np.maximum(ranks, 1)
    value = {"ndcg": 1.0 / np.log2(shown + 1.0), "hit_rate": np.ones(len(ranks)), "mrr": 1.0 / shown}[metric]
    return np.where(hit, value, 0.0)


def most_counted(item_counts: Indices, k: int) -> Longs:
    """Return the ``k`` items with the highest counts, fewer if fewer were ever counted.

    The order is total: by count, then by ascending index. (The paper leaves ties open; on its Beauty data
    neither cut-off falls on one, so any order gives its figures.)
    """
    order = np.argsort(-item_counts.astype(np.int64), kind="stable")[:k]
    return order[item_counts[order] > 0]


def list_novelty(lists: Indices, item_counts: Indices) -> Doubles:
    """Return the mean of -log2(count / all counts) over each list's items.

    Source: the released code of arXiv 2309.09261. There every item was counted at least once; here an item
    never counted is taken as counted once, the rarest that a count can show, so that the mean stays finite.

    Parameters
    ----------
    lists : int array (cases, width)
    item_counts : int array (items,)

    Returns
    -------
    float64 array (cases,)
        NaN for an empty list, and everywhere if nothing was counted at all.
    """
    total = int(item_counts.sum())
    if not total:
        return np.full(len(lists), np.nan)
    surprise = np.append(-np.log2(np.maximum(item_counts, 1) / total), 0.0)  # the last one is read by -1
    length = (lists != ABSENT).sum(axis=1)
    return np.where(length > 0, surprise[lists].sum(axis=1) / np.maximum(length, 1), np.nan)


def coverage(lists: Indices, k: int, catalogue_size: int) -> float | None:
    """Return the share of the catalogue that appears in any list's first ``k`` items.

    Source: the released code of arXiv 2309.09261 (union of the cut lists over all items of the data).

    Returns
    -------
    float or None
        None without cases or without a catalogue.

    Raises
    ------
    ValueError
        If the lists hold more items than the catalogue.
    """
    shown = np.unique(lists[:, :k])
    distinct = int((shown != ABSENT).sum())
    if distinct > catalogue_size:
        raise ValueError(f"lists hold {distinct} distinct items, the catalogue only {catalogue_size}")
    return distinct / catalogue_size if catalogue_size and len(lists) else None


def bootstrap_interval(
    values: npt.ArrayLike,
    *,
    resamples: int = 1000,
    confidence: float = 0.95,
    seed: int | tuple[int, ...] = 0,
) -> tuple[float | None, float | None]:
    """Return the percentile bootstrap interval of a mean over cases.

    Drawing n cases with replacement is drawing, for each distinct value, how often it occurs: one multinomial
    draw a resample. That is the same distribution for a small part of the work, in memory that does not grow
    with n. Of more than 1,024 distinct values, neighbours share a cell and its mean, which leaves the mean as
    it is and takes less than (range / 1024)^2 / 4 from the variance.
    Source: B. Efron, R. Tibshirani, An Introduction to the Bootstrap (1993), chapter 13.

    Parameters
    ----------
    values : float array (n,)
        One number a case, none NaN. For a paired comparison, the difference of two models' values.
    resamples : int
        0 leaves the interval out.
    confidence : float
        Share of the resampled means inside the interval.
    seed : int or tuple of int

    Returns
    -------
    tuple of float or None
        Low and high end; None without values or resamples.

    Raises
    ------
    ValueError
        If ``confidence`` is not between 0 and 1, or ``resamples`` is negative.
    """
    if not 0 < confidence < 1 or resamples < 0:
        raise ValueError(f"confidence must lie in (0, 1) and resamples be >= 0: {confidence}, {resamples}")
    sample = np.asarray(values, dtype=np.float64)
    if not len(sample) or not resamples:
        return None, None
    means, occurrences = _cells(sample)
    shares = occurrences / len(sample)
    drawn = np.random.default_rng(seed).multinomial(len(sample), shares, size=resamples)
    tail = (1 - confidence) / 2
    low, high = np.quantile(drawn @ means / len(sample), [tail, 1 - tail])
    return float(low), float(high)


def _cells(sample: Doubles) -> tuple[Doubles, Longs]:
    """Distinct values and how often each occurs; cells of neighbours, by their mean, where there are many."""
    distinct, occurrences = np.unique(sample, return_counts=True)
    if len(distinct) <= _MAX_CELLS:
        return distinct, occurrences
    width = (distinct[-1] - distinct[0]) / _MAX_CELLS
    cell = np.minimum(((sample - distinct[0]) / width).astype(np.int64), _MAX_CELLS - 1)
    occurrences = np.bincount(cell, minlength=_MAX_CELLS)
    used = occurrences > 0
    return np.bincount(cell, sample, _MAX_CELLS)[used] / occurrences[used], occurrences[used]


def _checked(
    recommended: npt.ArrayLike, targets: npt.ArrayLike, item_counts: npt.ArrayLike
) -> tuple[Indices, Indices, Indices]:
    lists, wanted, counts = (_integers(part) for part in (recommended, targets, item_counts))
    if lists.ndim != 2 or wanted.shape != lists.shape[:1] or counts.ndim != 1:
        raise ValueError(
            "need lists (cases, width), targets (cases,), item_counts (items,); "
            f"got {lists.shape}, {wanted.shape}, {counts.shape}"
        )
    for name, indices in (("recommended", lists), ("targets", wanted)):
        if indices.size and (indices.min() < ABSENT or indices.max() >= len(counts)):
            raise ValueError(f"{name} must hold indices from -1 to {len(counts) - 1}")
    if counts.size and counts.min() < 0:
        raise ValueError("item_counts must not be negative")
    if ((lists[:, :-1] == ABSENT) & (lists[:, 1:] != ABSENT)).any():
        raise ValueError("a list has -1 before an item")
    ordered = np.sort(lists, axis=1)
    if ((ordered[:, :-1] == ordered[:, 1:]) & (ordered[:, 1:] != ABSENT)).any():
        raise ValueError("a list holds an item twice")
    return lists, wanted, counts


def _integers(part: npt.ArrayLike) -> Indices:
    array = np.asarray(part)
    if not array.size and array.dtype.kind == "f":  # what numpy makes of []
        return array.astype(np.int64)
    if array.dtype.kind not in "iu":
        raise ValueError(f"indices and counts must be integers, got {array.dtype}")
    return array


def _checked_cut_offs(ks: Iterable[int], width: int) -> list[int]:
    cut_offs = sorted(set(ks))
    if cut_offs and not 1 <= cut_offs[0] <= cut_offs[-1] <= width:
        raise ValueError(f"cut-offs must lie between 1 and the lists' width {width}, got {cut_offs}")
    return cut_offs
