"""Measuring a fitted model on held-out cases, and storing its metrics and the rank of each case's target."""

import hashlib
import json
from dataclasses import dataclass

import numpy as np
import polars as pl
import pyarrow as pa

from jobs.core import metrics
from jobs.core.arrays import Bools, Ints, Longs
from jobs.core.cases import Cases
from jobs.core.catalog import Catalog
from jobs.models.scorer import Scorer, recommend
from jobs.warehouse.clock import now
from jobs.warehouse.connection import Connection

CUT_OFFS = (10, 20)
"""The list lengths k for which every metric is computed."""

SELECT_NEWEST_TARGET = """
    -- The time of the newest target among all cases that models were measured on, without the cases of this hash
    select max(newest_target_at) from ml.model_ranks where split = $split and cases_hash <> $cases_hash
"""


@dataclass(frozen=True, eq=False)
class Measurement:
    """A model's metrics on held-out cases, and the rank at which it listed each case's target.

    Attributes
    ----------
    metrics_by_segment : segment -> polars.DataFrame
        The metrics of each segment of the cases (:func:`jobs.core.metrics.evaluate`); the segment "all" has every case.
    target_ranks : int64 array (cases,)
        The rank of each case's target among the first ``max(CUT_OFFS)`` items of the list; 0 if the target is not among
        them (:func:`jobs.core.metrics.target_ranks`).
    """

    metrics_by_segment: dict[str, pl.DataFrame]
    target_ranks: Longs


def measure_scorer(
    scorer: Scorer,
    cases: Cases,
    catalog: Catalog,
    item_counts: Longs,
    *,
    segment_masks: dict[str, Bools] | None = None,
    allow_repeats: bool = False,
) -> Measurement:
    """Rank the full catalogue for each case, and compute the metrics of all cases and of each segment.

    The metrics of all cases include the scorer's fault rates (:meth:`jobs.models.scorer.Scorer.answer_fault_rates`),
    at the longest cut-off. Intra-list similarity is measured by the catalogue's embeddings, where it has any. Items
    that are not available today are ranked too: they may have been available at the time of the case.

    Parameters
    ----------
    item_counts : int64 array (items,)
        How often each item occurs, which novelty and serendipity need (:func:`jobs.core.metrics.evaluate`).
    segment_masks : name -> bool array (cases,), optional
        Parts of the cases that are also measured separately; a segment without any case is left out.
    allow_repeats : bool
        Whether a list may contain items that are targets in the case's input sequence.
    """
    _, lists = recommend(scorer, cases.inputs, max(CUT_OFFS), allow_repeats=allow_repeats)
    return measure_lists(lists, cases, catalog, item_counts, segment_masks, scorer.answer_fault_rates())


def measure_lists(
    lists: Ints,
    cases: Cases,
    catalog: Catalog,
    item_counts: Longs,
    segment_masks: dict[str, Bools] | None = None,
    answer_fault_rates: dict[str, float] | None = None,
) -> Measurement:
    """Compute the metrics of recommendation lists; other parameters are as in :func:`measure_scorer`.

    Parameters
    ----------
    lists : int32 array (cases, 20)
        Recommended item indices, best first; -1 ends a shorter list.
    answer_fault_rates : name -> value, optional
        The scorer's fault rates (:meth:`jobs.models.scorer.Scorer.answer_fault_rates`).
    """
    parts = {"all": np.ones(len(cases.targets), np.bool_), **(segment_masks or {})}
    vectors = catalog.embeddings if catalog.has_embedding_mask.any() else None
    metrics_by_segment = {
        name: metrics.evaluate(
            lists[part], cases.targets[part], item_counts, len(catalog), CUT_OFFS, item_vectors=vectors
        )
        for name, part in parts.items()
        if part.any()
    }
    rate_rows = [(name, max(CUT_OFFS), value, len(cases.targets)) for name, value in (answer_fault_rates or {}).items()]
    if rate_rows and "all" in metrics_by_segment:
        table = pl.DataFrame(rate_rows, schema=dict(list(metrics_by_segment["all"].schema.items())[:4]), orient="row")
        metrics_by_segment["all"] = pl.concat([metrics_by_segment["all"], table], how="diagonal")
    return Measurement(metrics_by_segment, metrics.target_ranks(lists, cases.targets))


def hash_cases(cases: pl.DataFrame) -> str:
    """Return the SHA-256 of a frame of cases, computed from each case's sequence_id, input items and target.

    If the cases say which input items are targets, that counts too: it decides what a list may hold.
    """
    columns = ["sequence_id", "items", "target", *(["is_target"] if "is_target" in cases.columns else [])]
    rows = cases.sort("sequence_id").select(columns).iter_rows()
    digest = hashlib.sha256()
    for row in rows:
        digest.update(json.dumps(row).encode())
    return digest.hexdigest()


def store_measurement(
    connection: Connection,
    model_version: str,
    split_name: str,
    cases_hash: str,
    measurement: Measurement,
    target_times: pl.Series | None = None,
) -> None:
    """Store a model's metrics and ranks on a split, in place of those stored before; store nothing if there is no case.

    Parameters
    ----------
    split_name : str
        The protocol and the part of the split, such as ``cutoff/test``.
    cases_hash : str
        The hash of the cases (:func:`hash_cases`): only ranks of the same cases can be compared.
    target_times : polars.Series of datetime[us, UTC] (cases,), optional
        When the target of each case happened (:func:`jobs.evaluation.validation_splits.target_times`). If given, the
        column ``new_cases`` says which cases are newer than every case that earlier calls stored with times.
    """
    if not len(measurement.target_ranks):
        return
    key = {"model_version": model_version, "split": split_name, "measured_at": now()}
    frames = [
        frame.with_columns(pl.lit(segment).alias("segment"))
        for segment, frame in measurement.metrics_by_segment.items()
    ]
    connection.register("measured", pl.concat(frames).to_arrow())
    connection.execute(
        "insert or replace into ml.model_metrics by name select $model_version as model_version, $split as split, "
        "metric, k, segment, value, n, ci_low, ci_high, $measured_at as measured_at from measured",
        key,
    )
    connection.unregister("measured")
    new_cases, newest_target_at = None, None
    if target_times is not None:
        newest_target_at = target_times.max()
        row = connection.execute(SELECT_NEWEST_TARGET, {"split": split_name, "cases_hash": cases_hash}).fetchone()
        seen_until = row[0] if row else None
        new_cases = [True] * len(target_times) if seen_until is None else (target_times > seen_until).to_list()
    ranks = {
        "target_ranks": pa.array([measurement.target_ranks], pa.list_(pa.int32())),
        "new_cases": pa.array([new_cases], pa.list_(pa.bool_())),
    }
    connection.register("ranks", pa.table(ranks))
    connection.execute(
        "insert or replace into ml.model_ranks by name select $model_version as model_version, $split as split, "
        "$cases_hash as cases_hash, target_ranks, $measured_at as measured_at, new_cases, "
        "$newest_target_at as newest_target_at from ranks",
        {**key, "cases_hash": cases_hash, "newest_target_at": newest_target_at},
    )
    connection.unregister("ranks")
