"""The bench on which every model of an experiment is measured: one split of the history, read once."""

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
from jobs.evaluation.protocols import Protocol, counted_sequences, split_history
from jobs.evaluation.splits import Split, validation_split
from jobs.settings import Settings
from jobs.warehouse.connection import Connection
from jobs.warehouse.reading import index_cases, index_items, read_catalog, read_sequences


@dataclass(frozen=True)
class EvaluationData:
    """What every model gets, and is measured on.

    Attributes
    ----------
    split : Split
    catalog : Catalog
        With the vectors of the embedding model that serves.
    train : Sequences
        What is fitted on, without the sequences behind ``validation``.
    validation : Cases
        The same for every seed, so that what has no randomness comes out the same.
    everything : Sequences or None
        ``train`` with the sequences behind ``validation``, to be fitted on again; None where the protocol has a
        validation part of its own.
    cases : Cases
        The test part, in the order of sequence_id.
    item_counts : int array (items,)
        For novelty and serendipity.
    segments : name -> bool array (cases,)
        ``tied``: which of the last items is the target is an accident; ``warm_target``: train holds it. A pair that
        puts all cases on one side is left out.
    allow_repeats : bool
    """

    split: Split
    catalog: Catalog
    train: Sequences
    validation: Cases
    everything: Sequences | None
    cases: Cases
    item_counts: Longs
    segments: dict[str, Bools]
    allow_repeats: bool

    @property
    def data_hash(self) -> str:
        """A hash of all that a model is made of and measured on, but the embeddings."""
        arrays = [self.catalog.item_ids, self.catalog.titles, self.catalog.categories, self.item_counts]
        for cases in (Cases(self.train, np.empty(0, np.int64)), self.validation, self.cases):
            arrays += [cases.inputs.items, cases.inputs.offsets, cases.targets]
        return hash_of([*arrays, np.array([self.allow_repeats])])

    @property
    def cases_hash(self) -> str:
        """A hash of the test cases' ids and targets: ranks are comparable where it is the same."""
        return hash_cases(self.split.test)


def hash_of(arrays: Iterable[npt.NDArray[Any]]) -> str:
    """Return the SHA-256 of arrays, their borders included; texts as UTF-8."""
    digest = hashlib.sha256()
    for array in arrays:
        raw = "\0".join(array.tolist()).encode() if array.dtype == object else np.ascontiguousarray(array).tobytes()
        digest.update(f"{len(raw)}:".encode() + raw)
    return digest.hexdigest()


def read_evaluation_data(
    connection: Connection, settings: Settings, protocol: Protocol, test_limit: int = 0
) -> EvaluationData:
    """Read the history, split it by the protocol, and put the parts into arrays.

    Parameters
    ----------
    test_limit : int
        So many of the test cases, drawn by chance; 0: all.

    Raises
    ------
    NextmartError
        If the history is too short for the protocol.
    """
    dbt_vars = settings.job_vars()
    frame = read_sequences(connection)
    split = split_history(frame, protocol, settings)
    if split is None or split.test.is_empty():
        raise NextmartError(f"the history is too short for the protocol {protocol}: nothing to train on or to test")
    if 0 < test_limit < len(split.test):
        drawn = np.random.default_rng(0).choice(len(split.test), test_limit, replace=False)
        split = replace(split, test=split.test[np.sort(drawn)])
    catalog = read_catalog(connection, dbt_vars.embedding.dimensions)
    train, validation = held_out(split, settings)
    known = index_items(split.train["items"], catalog)
    counted = counted_sequences(frame, split, catalog)
    cases = index_cases(split.test, catalog)
    warm = np.isin(cases.targets, known.items)
    tied = split.test["is_tied"].to_numpy()
    segments = {"tied": tied, "tie_free": ~tied, "warm_target": warm, "cold_target": ~warm}
    return EvaluationData(
        split,
        catalog,
        index_items(train["items"], catalog),
        index_cases(validation, catalog),
        known if split.validation is None else None,
        cases,
        np.bincount(counted.items, minlength=len(catalog)),
        {name: rows for name, rows in segments.items() if rows.any() and not rows.all()},
        dbt_vars.allow_repeats,
    )


def held_out(split: Split, settings: Settings) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Return what to fit on and the cases that decide when to stop: the protocol's own, or taken as `train` does."""
    if split.validation is not None:
        return split.train, split.validation
    allow_repeats = settings.job_vars().allow_repeats
    return validation_split(split.train, settings.validation_limit, allow_repeats=allow_repeats)
