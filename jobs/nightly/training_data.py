"""Reading what models are fitted on: the training part of the history, as arrays of catalogue indices."""

from dataclasses import dataclass
from datetime import datetime

import polars as pl

from jobs.core.cases import Cases
from jobs.core.catalog import Catalog
from jobs.core.sequences import Sequences
from jobs.evaluation.measure import hash_cases
from jobs.evaluation.newest_sequences import TrainingSequences, read_newest_sequences
from jobs.evaluation.protocols import split_history
from jobs.evaluation.splits import Split
from jobs.evaluation.training_relation import find_training_relation
from jobs.evaluation.validation_splits import target_times, validation_split
from jobs.settings import Settings
from jobs.warehouse.connection import Connection, count_rows
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
        All training sequences, or the newest of them: at most the setting ``training_sequences``.
    older_sequences : Sequences
        The training sequences without the newest ones, which are held out for ``validation_cases``; or the newest of
        those that are not held out, again at most ``training_sequences``.
    available_sequences : int
        The number of training sequences without the limit ``training_sequences``.
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
    available_sequences: int
    validation_cases: Cases
    cases_hash: str
    target_times: pl.Series

    @classmethod
    def from_split(cls, split: Split, catalog: Catalog, validation_limit: int, allow_repeats: bool) -> "TrainingData":
        """Hold out the newest training sequences of a split, and turn all sequences into catalogue indices."""
        older_sequences, held_out = validation_split(
            split.train, validation_limit, allow_repeats=allow_repeats, test_starts_at_a_date=split.name == "cutoff"
        )
        times = target_times(held_out, split.train)
        sequences = TrainingSequences(len(split.train), split.train, older_sequences, held_out, times)
        return cls.from_sequences(split.name, split.cutoff_at, sequences, catalog)

    @classmethod
    def from_sequences(
        cls, protocol: str, data_cutoff_at: datetime, sequences: TrainingSequences, catalog: Catalog
    ) -> "TrainingData":
        """Turn the frames of sequences and of validation cases into arrays of catalogue indices."""
        return cls(
            protocol,
            data_cutoff_at,
            catalog,
            sequences_as_indices(sequences.all_sequences, catalog),
            sequences_as_indices(sequences.older_sequences, catalog),
            sequences.training_count,
            cases_as_indices(sequences.validation_cases, catalog),
            hash_cases(sequences.validation_cases),
            sequences.target_times,
        )


def read_training_data(
    connection: Connection, settings: Settings, cutoff_at: datetime | None = None
) -> tuple[int, TrainingData | None]:
    """Read the history and split it; the data frames are freed at the end, and only the arrays stay in memory.

    With the setting ``training_sequences``, only the sequences that models learn from, and those of the validation
    cases, are read into memory.

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
    if settings.training_sequences:
        return _read_newest_training_data(connection, settings, cutoff_at, settings.training_sequences)
    history = read_sequences(connection, with_targets=bool(dbt_vars.target_event_types))
    split = split_history(history, settings.protocol, settings, cutoff_at)
    if split is None:
        return len(history), None
    catalog = read_catalog(connection, dbt_vars.chosen_embedding_model.dimensions)
    data = TrainingData.from_split(split, catalog, settings.validation_limit, dbt_vars.allow_repeats)
    return len(history), data


def _read_newest_training_data(
    connection: Connection, settings: Settings, cutoff_at: datetime | None, training_sequences: int
) -> tuple[int, TrainingData | None]:
    """Do what `read_training_data` does, for at most ``training_sequences`` sequences."""
    history_count = count_rows(connection, "sessions.sequences")
    training_part = find_training_relation(connection, settings, cutoff_at)
    if training_part is None or not training_part.count(connection):
        return history_count, None
    sequences = read_newest_sequences(connection, settings, training_part, training_sequences)
    catalog = read_catalog(connection, settings.job_vars().chosen_embedding_model.dimensions)
    data = TrainingData.from_sequences(training_part.protocol, training_part.cutoff_at, sequences, catalog)
    return history_count, data
