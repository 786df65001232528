"""The data on which every model of an experiment is fitted and measured: one split of the history, read once."""

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from jobs.core.arrays import Bools, Longs
from jobs.core.cases import Cases
from jobs.core.catalog import Catalog
from jobs.core.sequences import Sequences
from jobs.errors import NextmartError
from jobs.evaluation.measure import hash_cases
from jobs.evaluation.protocols import Protocol, split_history, to_indexed_split
from jobs.evaluation.splits import Split
from jobs.evaluation.validation_splits import validation_split
from jobs.settings import Settings
from jobs.warehouse.connection import Connection
from jobs.warehouse.reading import cases_as_indices, read_catalog, read_sequences, sequences_as_indices


@dataclass(frozen=True)
class EvaluationData:
    """The data that every model of an experiment is fitted and measured on.

    Attributes
    ----------
    split : Split
    catalog : Catalog
        The catalogue, with the vectors of the embedding model that the warehouse serves.
    train : Sequences
        The sequences to fit on, without those held out for ``validation``.
    validation : Cases
        The cases that decide when training stops. They are the same for every seed, so that a model without randomness
        gives the same result for every seed.
    train_with_validation : Sequences or None
        All training sequences, those held out for ``validation`` included, for the second fit. None if the protocol
        defines its own validation cases, because there is no second fit then.
    test_cases : Cases
        The test cases, in the order of ``sequence_id``.
    item_counts : int64 array (items,)
        How often each item occurs, which novelty and serendipity need.
    segment_masks : name -> bool array (cases,)
        Parts of the test cases. ``tied``: the last two items have the same time, so that only the order of the rows
        decides which is the target; ``tie_free``: the others. ``warm_target``: the training part contains the target;
        ``cold_target``: the others. If one segment of a pair contains all cases, both are left out.
    allow_repeats : bool
        Whether a recommendation list may contain items of the case's input sequence.
    training_sequences : int or None
        The setting of this name: the most sequences that a model learns from, the newest, unless the experiment says
        another number for it. ``train`` and ``train_with_validation`` hold all sequences, whatever the number.
    """

    split: Split
    catalog: Catalog
    train: Sequences
    validation: Cases
    train_with_validation: Sequences | None
    test_cases: Cases
    item_counts: Longs
    segment_masks: dict[str, Bools]
    allow_repeats: bool
    training_sequences: int | None

    @property
    def data_hash(self) -> str:
        """A hash of all data that models are fitted and measured on, except the embeddings and the prices."""
        arrays = [self.catalog.item_ids, self.catalog.titles, self.catalog.categories, self.item_counts]
        for cases in (Cases(self.train, np.empty(0, np.int64)), self.validation, self.test_cases):
            arrays += [*arrays_of_sequences(cases.inputs), cases.targets]
        return hash_arrays([*arrays, np.array([self.allow_repeats])])

    @property
    def cases_hash(self) -> str:
        """A hash of the test cases' ids, inputs and targets; only ranks with an equal hash can be compared."""
        return hash_cases(self.split.test)


def arrays_of_sequences(sequences: Sequences) -> list[npt.NDArray[Any]]:
    """Return the arrays of sequences, without those that are None."""
    optional = (sequences.is_target, sequences.time_numbers)
    return [sequences.items, sequences.offsets, *(array for array in optional if array is not None)]


def hash_arrays(arrays: Iterable[npt.NDArray[Any]]) -> str:
    """Return the SHA-256 hash of arrays; each array's bytes follow their number, and texts are encoded as UTF-8."""
    digest = hashlib.sha256()
    for array in arrays:
        raw = "\0".join(array.tolist()).encode() if array.dtype == object else np.ascontiguousarray(array).tobytes()
        digest.update(f"{len(raw)}:".encode() + raw)
    return digest.hexdigest()


def read_evaluation_data(
    connection: Connection, settings: Settings, protocol: Protocol, test_limit: int = 0, sample_share: float = 1.0
) -> EvaluationData:
    """Read the history, split it by the protocol, and turn the parts into arrays.

    Parameters
    ----------
    test_limit : int
        The most test cases to keep, drawn at random with a fixed seed; 0 keeps all.
    sample_share : float
        Share of the sequences to keep, above 0 and at most 1. They are drawn at random with a fixed seed before the
        history is split, so the experiment is like that of a smaller shop with the same catalogue.

    Raises
    ------
    NextmartError
        If the history is too short to be split by the protocol.
    """
    dbt_vars = settings.job_vars()
    history = read_sequences(connection, with_targets=bool(dbt_vars.target_event_types))
    if sample_share < 1:
        history = history.sort("sequence_id").sample(fraction=sample_share, seed=0)
    split = split_history(history, protocol, settings)
    if split is None or split.test.is_empty():
        raise NextmartError(f"the history is too short for the protocol {protocol}: nothing to train on or to test")
    if 0 < test_limit < len(split.test):
        drawn = np.random.default_rng(0).choice(len(split.test), test_limit, replace=False)
        split = replace(split, test=split.test[np.sort(drawn)])
    catalog = read_catalog(connection, dbt_vars.chosen_embedding_model.dimensions)
    train, validation = hold_out_validation(split, settings)
    indexed = to_indexed_split(split, history, catalog)
    warm = indexed.has_warm_target
    tied = split.test["is_tied"].to_numpy()
    segment_masks = {"tied": tied, "tie_free": ~tied, "warm_target": warm, "cold_target": ~warm}
    return EvaluationData(
        split,
        catalog,
        sequences_as_indices(train, catalog),
        cases_as_indices(validation, catalog),
        indexed.train if split.validation is None else None,
        indexed.test_cases,
        indexed.item_counts,
        {name: rows for name, rows in segment_masks.items() if rows.any() and not rows.all()},
        dbt_vars.allow_repeats,
        settings.training_sequences,
    )


def hold_out_validation(split: Split, settings: Settings) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Return the sequences to fit on and the validation cases, which decide when training stops.

    If the protocol defines validation cases, the split already contains both. Else the newest training sequences are
    held out, as in the train job.
    """
    if split.validation is not None:
        return split.train, split.validation
    allow_repeats = settings.job_vars().allow_repeats
    return validation_split(
        split.train,
        settings.validation_limit,
        allow_repeats=allow_repeats,
        test_starts_at_a_date=split.name == "cutoff",
    )
