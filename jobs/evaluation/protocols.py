"""Evaluation protocols: a protocol's name and the settings give one split of the history."""

from datetime import datetime
from typing import Literal

import polars as pl

from jobs.core.catalog import Catalog
from jobs.core.sequences import Sequences
from jobs.evaluation.splits import Split, cutoff_split, holdout_cutoff, leave_one_out_split, paper_split
from jobs.settings import Settings
from jobs.warehouse.reading import index_items

Protocol = Literal["cutoff", "paper", "leave_one_out"]


def split_history(
    history: pl.DataFrame, protocol: Protocol, settings: Settings, cutoff_at: datetime | None = None
) -> Split | None:
    """Split the history by a protocol; None where there is too little of it to train on.

    Parameters
    ----------
    history : polars.DataFrame
        Sequences, in the columns of ``jobs.evaluation.splits.SEQUENCE_COLUMNS``.
    cutoff_at : datetime, optional
        The date of the protocol ``cutoff``; by default that of the settings, or the one that leaves ``holdout_share``
        of the events after it.

    Raises
    ------
    ValueError
        If columns or ids of the history are wrong.
    """
    if not _is_long_enough(history, protocol, cutoff_at or settings.cutoff_at):
        return None
    if protocol == "paper":
        split = paper_split(history)
    elif protocol == "leave_one_out":
        split = leave_one_out_split(history)
    else:
        cutoff_at = cutoff_at or settings.cutoff_at or holdout_cutoff(history, settings.holdout_share)
        split = cutoff_split(history, cutoff_at, settings.job_vars().allow_repeats)
    return split if len(split.train) else None


def counted_sequences(history: pl.DataFrame, split: Split, catalog: Catalog) -> Sequences:
    """Return the sequences whose items count for novelty and serendipity: what was known when training ended.

    The paper counts the whole history, its test part included.
    """
    return index_items((history if split.name == "paper" else split.train)["items"], catalog)


def _is_long_enough(history: pl.DataFrame, protocol: Protocol, cutoff_at: datetime | None) -> bool:
    if protocol == "paper":
        return len(history) >= 2
    if protocol == "leave_one_out":
        return bool((history["items"].list.len() >= 3).any())
    return cutoff_at is not None or history["event_times"].explode().n_unique() >= 2
