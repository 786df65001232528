"""Reading what models are fitted on: the training part of the history, as arrays of catalogue indices."""

from dataclasses import dataclass
from datetime import datetime

import polars as pl

from jobs.core.cases import Cases
from jobs.core.catalog import Catalog
from jobs.core.sequences import Sequences
from jobs.evaluation.measure import hash_cases
from jobs.evaluation.protocols import split_history
from jobs.evaluation.splits import Split
from jobs.evaluation.validation_splits import target_times, validation_split
from jobs.settings import Settings
from jobs.warehouse.connection import Connection
from jobs.warehouse.reading import cases_as_indices, read_catalog, read_sequences, sequences_as_indices


@dataclass(frozen=True)
class TrainingData:
    """The arrays that models are fitted on: the training part of a split, with and without its newest sequences.

    Attributes
    ----------
    protocol : str
        The name of the protocol that split the history.
    data_cutoff_at : datetime
        The time at which the test part begins.
    catalog : Catalog
    all_sequences : Sequences
        All training sequences.
    older_sequences : Sequences
        The training sequences without the newest ones, which are held out for ``validation_cases``.
    validation_cases : Cases
        The cases made of the held-out sequences.
    cases_hash : str
        The hash of ``validation_cases`` (:func:`jobs.evaluation.measure.hash_cases`).
    target_times : polars.Series of datetime[us, UTC] (cases,)
        When the target of each validation case happened.
    """

    protocol: str
    data_cutoff_at: datetime
    catalog: Catalog
    all_sequences: Sequences
    older_sequences: Sequences
    validation_cases: Cases
    cases_hash: str
    target_times: pl.Series

    @classmethod
    def from_split(cls, split: Split, catalog: Catalog, validation_limit: int, allow_repeats: bool) -> "TrainingData":
        """Hold out the newest training sequences of a split, and turn all sequences into catalogue indices."""
        older_sequences, held_out = validation_split(
            split.train, validation_limit, allow_repeats=allow_repeats, test_starts_at_a_date=split.name == "cutoff"
        )
        return cls(
            split.name,
            split.cutoff_at,
            catalog,
            sequences_as_indices(split.train, catalog),
            sequences_as_indices(older_sequences, catalog),
            cases_as_indices(held_out, catalog),
            hash_cases(held_out),
            target_times(held_out, split.train),
        )


def read_training_data(
    connection: Connection, settings: Settings, cutoff_at: datetime | None = None
) -> tuple[int, TrainingData | None]:
    """Read the history and split it; the data frames are freed at the end, and only the arrays stay in memory.

    Parameters
    ----------
    cutoff_at : datetime, optional
        The date of the protocol ``cutoff``; without it, the date follows from the settings and the history.

    Returns
    -------
    tuple of int and TrainingData or None
        The number of sequences of the whole history, and the arrays; None if the history is too short to be split.
    """
    dbt_vars = settings.job_vars()
    history = read_sequences(connection, with_targets=bool(dbt_vars.target_event_types))
    split = split_history(history, settings.protocol, settings, cutoff_at)
    if split is None:
        return len(history), None
    catalog = read_catalog(connection, dbt_vars.chosen_embedding_model.dimensions)
    data = TrainingData.from_split(split, catalog, settings.validation_limit, dbt_vars.allow_repeats)
    return len(history), data
