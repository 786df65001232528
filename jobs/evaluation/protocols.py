"""Evaluation protocols: making a split of the history from the name of a protocol and the settings."""

from dataclasses import dataclass
from datetime import datetime
from typing import Literal

import numpy as np
import polars as pl

from jobs.core.arrays import Bools, Longs
from jobs.core.cases import Cases
from jobs.core.catalog import Catalog
from jobs.core.sequences import Sequences
from jobs.evaluation.sequence_frames import sequences_that_end_with_a_target
from jobs.evaluation.splits import Split, cutoff_split, holdout_cutoff, leave_one_out_split, paper_split
from jobs.settings import Settings
from jobs.warehouse.reading import cases_as_indices, items_as_indices, sequences_as_indices

Protocol = Literal["cutoff", "paper", "leave_one_out"]


@dataclass(frozen=True, eq=False)
class IndexedSplit:
    """A split as arrays of catalogue indices, with the item counts and target flags that its metrics need.

    Attributes
    ----------
    train : Sequences
        The training part.
    test_cases : Cases
        The test part, in the order of sequence_id.
    item_counts : int64 array (items,)
        How often each item occurs in the training part, which novelty and serendipity need. With the protocol ``paper``
        the whole history is counted, its test part included, as arXiv 2309.09261 does.
    has_warm_target : bool array (cases,)
        Whether the training part contains the case's target.
    """

    train: Sequences
    test_cases: Cases
    item_counts: Longs
    has_warm_target: Bools


def split_history(
    all_sequences: pl.DataFrame, protocol: Protocol, settings: Settings, cutoff_at: datetime | None = None
) -> Split | None:
    """Split the history by a protocol; return None if the history is too short to train on.

    Parameters
    ----------
    all_sequences : polars.DataFrame
        Sequences, as :mod:`jobs.evaluation.sequence_frames` describes them.
    cutoff_at : datetime, optional
        The date of the protocol ``cutoff``. Without it, the date is the setting ``cutoff_at``. If that is unset too,
        it is the date after which the share ``holdout_share`` of the events lies.

    Raises
    ------
    ValueError
        If the history lacks a column, or a ``sequence_id`` is null or occurs twice.
    """
    allow_repeats = settings.job_vars().allow_repeats
    if not _can_be_split(all_sequences, protocol, cutoff_at or settings.cutoff_at, allow_repeats):
        return None
    if protocol == "paper":
        split = paper_split(all_sequences)
    elif protocol == "leave_one_out":
        split = leave_one_out_split(all_sequences, allow_repeats)
    else:
        cutoff_at = cutoff_at or settings.cutoff_at or holdout_cutoff(all_sequences, settings.holdout_share)
        split = cutoff_split(all_sequences, cutoff_at, allow_repeats)
    return split if len(split.train) else None


def to_indexed_split(split: Split, all_sequences: pl.DataFrame, catalog: Catalog) -> IndexedSplit:
    """Turn a split into arrays of catalogue indices; items that the catalogue lacks are dropped."""
    train, cases = sequences_as_indices(split.train, catalog), cases_as_indices(split.test, catalog)
    counted = items_as_indices(all_sequences["items"], catalog) if split.name == "paper" else train
    item_counts = np.bincount(counted.items, minlength=len(catalog))
    return IndexedSplit(train, cases, item_counts, np.isin(cases.targets, train.items))


def _can_be_split(
    all_sequences: pl.DataFrame, protocol: Protocol, cutoff_at: datetime | None, allow_repeats: bool
) -> bool:
    """Tell whether the history is long enough for the protocol.

    ``paper`` needs two sequences, ``leave_one_out`` a sequence of three items (three different ones without
    ``allow_repeats``; where only some steps can be targets, one of an item and a target after it), and ``cutoff`` two
    different event times, unless its date is given.
    """
    if protocol == "paper":
        return len(all_sequences) >= 2
    if protocol == "leave_one_out" and "is_target" in all_sequences.columns:
        return not sequences_that_end_with_a_target(all_sequences, allow_repeats).is_empty()
    if protocol == "leave_one_out":
        items = all_sequences["items"].list
        return bool(((items.len() if allow_repeats else items.n_unique()) >= 3).any())
    return cutoff_at is not None or all_sequences["event_times"].explode().n_unique() >= 2
