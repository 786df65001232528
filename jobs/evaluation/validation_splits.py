"""Held-out parts of the training part: validation cases, and folds for a hyper-parameter search."""

from itertools import pairwise

import numpy as np
import polars as pl

from jobs.evaluation.sequence_frames import (
    cut_after_first_target_of_last_time,
    cut_after_last_target,
    make_cases,
    sequences_that_end_with_a_target,
    sort_sequences_by_end,
)
from jobs.evaluation.splits import Split, count_of_share, split_whole_sequences

MAX_HELD_OUT_SHARE = 0.1
"""The largest share of the training sequences with two items or more that is held out for validation."""


def validation_split(
    train: pl.DataFrame,
    max_cases: int = 2000,
    max_sequence_share: float = MAX_HELD_OUT_SHARE,
    allow_repeats: bool = True,
    test_starts_at_a_date: bool = False,
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Hold out the newest training sequences, to decide when training stops and which model is best.

    Of the n sequences with two items or more, those that ended last are held out. Their number is
    min(ceil(max_sequence_share * n), max_cases), but at most n - 1. The last item of a held-out sequence is the target,
    unless the test part is made at a date.
    If only some steps can be targets (column ``is_target``), ``max_cases`` limits the held-out sequences with a target.
    The others that ended meanwhile are held out too, though they give no case: a model that learns from them would know
    events that are later than the targets.

    The released code of arXiv 2309.09261 holds out 500 random sequences instead. Random sequences resemble the past,
    but the test part does not. The newest sequences matter for the fit: on the Beauty data of arXiv 2309.09261, V-SKNN
    loses 18 % of its test nDCG@20 without the newest tenth of its training sequences, and 3 % without a random tenth.
    So a model must be fitted again with the held-out sequences before it is used (`jobs.models.base.Model.refit`).

    Parameters
    ----------
    train : polars.DataFrame
        Training sequences, without the test part.
    max_cases : int
        The most sequences to hold out, at least 0.
    max_sequence_share : float
        The largest share of the n sequences to hold out, between 0 and 1, both included.
    allow_repeats : bool
        Whether an item may be the target if its sequence already contains it. If not, the target is the last item
        that is new to its sequence, and what follows is dropped: a list without the items of its sequence could
        never contain a repeat. Of the cases of UCI Online Retail, 43 % would have a repeat as target.
    test_starts_at_a_date : bool
        Whether the test part is made at a date (protocol ``cutoff``). A test case's input then holds no item of the
        target's time, such as an earlier line of the same order, and neither does a validation case's: its target is
        the first item of its sequence's last time. The choice of the target matters: on UCI Online Retail, the recency
        correction of popularity doubles nDCG@20 if the targets are last items, and halves it if they are the items that
        came next.

    Returns
    -------
    tuple of polars.DataFrame
        The remaining sequences (also those of fewer than two items) and the held-out cases.

    Raises
    ------
    ValueError
        If the share or the number is out of range, a column is missing, or a ``sequence_id`` is null or occurs twice.
    """
    if not 0 <= max_sequence_share <= 1 or max_cases < 0:
        raise ValueError(
            f"max_sequence_share must lie in [0, 1] and max_cases be >= 0, got {max_sequence_share} and {max_cases}"
        )
    ordered = sort_sequences_by_end(train)
    long_enough = ordered.filter(pl.col("items").list.len() >= 2)
    most = most_held_out(len(long_enough), max_sequence_share)
    held_out = _newest_with_cases(long_enough.tail(most), max_cases, allow_repeats)
    rest = ordered.join(held_out, on="sequence_id", how="anti", maintain_order="left")
    return rest, make_validation_cases(held_out, allow_repeats, test_starts_at_a_date)


def most_held_out(long_enough_count: int, max_sequence_share: float = MAX_HELD_OUT_SHARE) -> int:
    """Return how many of the training sequences with two items or more `validation_split` may hold out at most."""
    return max(0, min(count_of_share(long_enough_count, max_sequence_share), long_enough_count - 1))


def make_validation_cases(held_out: pl.DataFrame, allow_repeats: bool, test_starts_at_a_date: bool) -> pl.DataFrame:
    """Make the cases of the sequences that `validation_split` holds out; some sequences may give none."""
    cut = cut_after_first_target_of_last_time if test_starts_at_a_date else cut_after_last_target
    return make_cases(cut(held_out, allow_repeats))


def _newest_with_cases(sequences: pl.DataFrame, max_cases: int, allow_repeats: bool) -> pl.DataFrame:
    """Return the newest of some sequences, which come oldest first, so many that at most ``max_cases`` give a case.

    If every step can be a target, each sequence counts as a case, also one that holds nothing but repeats.
    """
    if "is_target" not in sequences.columns or not max_cases:
        return sequences.tail(max_cases)
    give_case = sequences_that_end_with_a_target(sequences, allow_repeats)["sequence_id"]
    if len(give_case) <= max_cases:
        return sequences
    oldest = sequences["sequence_id"].index_of(give_case[-max_cases])
    return sequences[oldest:]


def target_times(cases: pl.DataFrame, sequences: pl.DataFrame) -> pl.Series:
    """Return when the target of each case happened, in the order of the cases.

    Parameters
    ----------
    cases : polars.DataFrame
        Cases that were made of ``sequences``: the input and the target of each are the first items of its sequence.
    sequences : polars.DataFrame

    Returns
    -------
    polars.Series of datetime[us, UTC] (cases,)
    """
    with_times = cases.join(
        sequences.select("sequence_id", "event_times"), on="sequence_id", how="left", maintain_order="left"
    )
    return with_times.select(pl.col("event_times").list.get(pl.col("items").list.len())).to_series()


def forward_folds(train: pl.DataFrame, bin_count: int = 4, allow_repeats: bool = True) -> list[Split]:
    """Return folds for a hyper-parameter search: each trains on sequences that ended first, and tests on the next ones.

    Sequences are sorted by their end and cut into ``bin_count`` parts of equal size; if the number of sequences is not
    divisible, the first parts have one more. Fold i trains on parts 1 to i. Its test part is part i + 1, made into
    cases as in :func:`jobs.evaluation.splits.paper_split`.
    Source: released code of arXiv 2309.09261 (forward chaining over the training sequences, 4 bins).

    Parameters
    ----------
    train : polars.DataFrame
        Training sequences, without the test part.
    bin_count : int
        At least 2.
    allow_repeats : bool
        Whether an item may be the target if its sequence already contains it (`validation_split`).

    Returns
    -------
    list of Split
        One split fewer than ``bin_count``.

    Raises
    ------
    ValueError
        If there are fewer sequences than bins, fewer than two bins, a column is missing, or a ``sequence_id`` is null
        or occurs twice.
    """
    ordered = sort_sequences_by_end(train)
    if not 2 <= bin_count <= len(ordered):
        raise ValueError(f"{len(ordered)} sequences cannot be cut into {bin_count} bins")
    ends = np.cumsum([len(part) for part in np.array_split(np.arange(len(ordered)), bin_count)]).tolist()
    return [
        split_whole_sequences(f"fold {number}", ordered.head(start), ordered[start:end], allow_repeats)
        for number, (start, end) in enumerate(pairwise(ends), start=1)
    ]
