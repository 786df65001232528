"""Measuring a fitted model on held-out cases, and keeping what was found: its metrics, and its ranks case by case."""

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


@dataclass(frozen=True, eq=False)
class Measured:
    """What a model did on held-out cases.

    Attributes
    ----------
    by_segment : segment -> polars.DataFrame
        As :func:`jobs.core.metrics.evaluate` returns it.
    ranks : int64 array (cases,)
        As :func:`jobs.core.metrics.target_ranks` gives them, among the first ``max(CUT_OFFS)``.
    """

    by_segment: dict[str, pl.DataFrame]
    ranks: Longs


def measure(
    scorer: Scorer, cases: Cases, catalog: Catalog, item_counts: Longs, *, segments: dict[str, Bools] | None = None,
    allow_repeats: bool = False,
) -> Measured:  # fmt: skip
    """Rank the full catalogue for each case, and compute the metrics of all cases and of each segment.

    Beside those of all cases stand the scorer's own rates, at the longest cut-off.
    Availability plays no part: an item that is withdrawn today could be what came next then.

    Parameters
    ----------
    item_counts : int array (items,)
        For novelty and serendipity, see :func:`jobs.core.metrics.evaluate`.
    segments : name -> bool array (cases,), optional
        Parts of the cases to measure by themselves; one without a case is left out.
    """
    _, lists = recommend(scorer, cases.inputs, max(CUT_OFFS), allow_repeats=allow_repeats)
    return measure_lists(lists, cases, catalog, item_counts, segments, scorer.rates())


def measure_lists(
    lists: Ints,
    cases: Cases,
    catalog: Catalog,
    item_counts: Longs,
    segments: dict[str, Bools] | None = None,
    rates: dict[str, float] | None = None,
) -> Measured:
    """Compute what :func:`measure` does, of lists: int32 array (cases, 20)."""
    everything = {"all": np.ones(len(cases.targets), np.bool_), **(segments or {})}
    by_segment = {
        name: metrics.evaluate(lists[rows], cases.targets[rows], item_counts, len(catalog), CUT_OFFS)
        for name, rows in everything.items()
        if rows.any()
    }
    rows = [(name, max(CUT_OFFS), value, len(cases.targets)) for name, value in (rates or {}).items()]
    if rows and "all" in by_segment:
        table = pl.DataFrame(rows, schema=dict(list(by_segment["all"].schema.items())[:4]), orient="row")
        by_segment["all"] = pl.concat([by_segment["all"], table], how="diagonal")
    return Measured(by_segment, metrics.target_ranks(lists, cases.targets))


def hash_cases(cases: pl.DataFrame) -> str:
    """Return the SHA-256 of a frame of cases, as a split has them: of ids, items shown and targets."""
    rows = cases.sort("sequence_id").select("sequence_id", "items", "target").iter_rows()
    digest = hashlib.sha256()
    for row in rows:
        digest.update(json.dumps(row).encode())
    return digest.hexdigest()


def store_measured(connection: Connection, model_version: str, split: str, cases_hash: str, measured: Measured) -> None:
    """Write metrics and ranks, in place of earlier ones of the same model and split; without a case, nothing."""
    if not len(measured.ranks):
        return
    key = {"model_version": model_version, "split": split, "measured_at": now()}
    frames = [frame.with_columns(pl.lit(segment).alias("segment")) for segment, frame in measured.by_segment.items()]
    connection.register("measured", pl.concat(frames).to_arrow())
    connection.execute(
        "insert or replace into ml.model_metrics by name select $model_version as model_version, $split as split, "
        "metric, k, segment, value, n, ci_low, ci_high, $measured_at as measured_at from measured",
        key,
    )
    connection.unregister("measured")
    connection.register("ranks", pa.table({"target_ranks": pa.array([measured.ranks], pa.list_(pa.int32()))}))
    connection.execute(
        "insert or replace into ml.model_ranks by name select $model_version as model_version, $split as split, "
        "$cases_hash as cases_hash, target_ranks, $measured_at as measured_at from ranks",
        {**key, "cases_hash": cases_hash},
    )
    connection.unregister("ranks")
