"""Reading what models are measured on: the test cases, with the counts of the training part that metrics need."""

from dataclasses import dataclass, replace
from datetime import datetime

import polars as pl

from jobs.core.catalog import Catalog
from jobs.evaluation.measure import hash_cases
from jobs.evaluation.newest_sequences import read_newest_training_sequences
from jobs.evaluation.protocols import IndexedSplit, split_history, to_indexed_split
from jobs.evaluation.splits import Split, cutoff_split
from jobs.evaluation.training_relation import find_training_relation
from jobs.settings import Settings
from jobs.warehouse.connection import Connection
from jobs.warehouse.reading import read_sequences


@dataclass(frozen=True)
class Holdout:
    """The held-out test part, as arrays.

    Attributes
    ----------
    protocol : str
        The name of the protocol that split the history.
    cases_hash : str
        The hash of the test cases (:func:`jobs.evaluation.measure.hash_cases`).
    indexed_split : IndexedSplit
        The test cases, and the sequences that the measured model has learnt from.
    """

    protocol: str
    cases_hash: str
    indexed_split: IndexedSplit


def read_holdout(
    connection: Connection,
    settings: Settings,
    catalog: Catalog,
    cutoff_at: datetime | None,
    training_sequences: int | None,
) -> Holdout | None:
    """Read the test part on which a model is measured; None if the history is too short to be split.

    Parameters
    ----------
    cutoff_at : datetime or None
        The date of the protocol ``cutoff`` when the model was trained.
    training_sequences : int or None
        The most sequences that the model could learn from, the newest; None if it has learnt from all. Metrics that
        need counts, and the segments of warm and cold targets, are about these sequences; but with the protocol
        ``paper`` the whole history is counted (:class:`jobs.evaluation.protocols.IndexedSplit`). With the protocol
        ``cutoff``, only these sequences and those that ended after the date are read into memory.
    """
    with_targets = bool(settings.job_vars().target_event_types)
    if training_sequences and settings.protocol == "cutoff":
        sequences, split = _read_cutoff_split(connection, settings, cutoff_at, training_sequences, with_targets)
    else:
        sequences = read_sequences(connection, with_targets=with_targets)
        split = split_history(sequences, settings.protocol, settings, cutoff_at)
        if split and training_sequences:
            split = replace(split, train=split.train.tail(training_sequences))
    if split is None:
        return None
    return Holdout(split.name, hash_cases(split.test), to_indexed_split(split, sequences, catalog))


def _read_cutoff_split(
    connection: Connection,
    settings: Settings,
    cutoff_at: datetime | None,
    training_sequences: int,
    with_targets: bool,
) -> tuple[pl.DataFrame, Split | None]:
    """Read the sequences that ended after the date, and split the history with the newest training sequences alone."""
    training_part = find_training_relation(connection, settings, cutoff_at)
    if training_part is None:
        return pl.DataFrame(), None
    train = read_newest_training_sequences(connection, settings, training_part, training_sequences)
    ended_later = read_sequences(
        connection,
        with_targets=with_targets,
        relation="(select * from sessions.sequences where ended_at >= $cutoff_at)",
        parameters={"cutoff_at": training_part.cutoff_at},
    )
    split = cutoff_split(ended_later, training_part.cutoff_at, settings.job_vars().allow_repeats)
    return ended_later, replace(split, train=train) if len(train) else None
