"""Measuring a fitted model on held-out cases, and keeping the figures in ``ml.model_metrics``."""

import numpy as np
import polars as pl

from jobs import metrics
from jobs.models.base import Bools, Cases, Catalog, Ints, Longs, Scorer, recommend
from jobs.warehouse import Connection, now

CUT_OFFS = (10, 20)


def measure(
    scorer: Scorer, cases: Cases, catalog: Catalog, item_counts: Longs, *, segments: dict[str, Bools] | None = None,
    allow_repeats: bool = False,
) -> dict[str, pl.DataFrame]:  # fmt: skip
    """Rank the full catalogue for each case and return the metrics of all cases and of each segment.

    Beside those of all cases stand the scorer's own rates, at the longest cut-off.
    Availability plays no part: an item that is withdrawn today could be what came next then.

    Parameters
    ----------
    item_counts : int array (items,)
        For novelty and serendipity, see :func:`jobs.metrics.evaluate`.
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
) -> dict[str, pl.DataFrame]:
    """Return the metrics of lists, int32 array (cases, 20), of all cases and of each segment, as :func:`measure`."""
    everything = {"all": np.ones(len(cases.targets), np.bool_), **(segments or {})}
    found = {
        name: metrics.evaluate(lists[rows], cases.targets[rows], item_counts, len(catalog), CUT_OFFS)
        for name, rows in everything.items()
        if rows.any()
    }
    rows = [(name, max(CUT_OFFS), value, len(cases.targets)) for name, value in (rates or {}).items()]
    if rows and "all" in found:
        table = pl.DataFrame(rows, schema=dict(list(found["all"].schema.items())[:4]), orient="row")
        found["all"] = pl.concat([found["all"], table], how="diagonal")
    return found


def store_metrics(connection: Connection, model_version: str, split: str, by_segment: dict[str, pl.DataFrame]) -> None:
    """Write metrics, in place of earlier ones of the same model, split and segment."""
    frames = [frame.with_columns(pl.lit(segment).alias("segment")) for segment, frame in by_segment.items()]
    if not frames:
        return
    connection.register("measured", pl.concat(frames).to_arrow())
    connection.execute(
        "insert or replace into ml.model_metrics by name select $model_version as model_version, $split as split, "
        "metric, k, segment, value, n, ci_low, ci_high, $measured_at as measured_at from measured",
        {"model_version": model_version, "split": split, "measured_at": now()},
    )
    connection.unregister("measured")
