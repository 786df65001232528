"""The data set Amazon Beauty for the benchmarks: each reviewer's reviewed items, the oldest review first."""

import numpy as np
import polars as pl

from benchmarks.timing import data_folder
from jobs.core.catalog import Catalog
from jobs.core.sequences import Sequences

SEQUENCE_COLUMNS = {"reviewer_id": "visitor_id", "asin": "items", "review_date": "event_times"}


def reviewer_histories() -> pl.DataFrame:
    """Return a row for each reviewer, with the columns of sequences that ``jobs.evaluation.splits`` reads."""
    path = data_folder() / "amazon_beauty" / "interactions.parquet"
    if not path.exists():
        raise SystemExit(f"real data is absent: {path} (set NEXTMART_DATA to the folder that holds amazon_beauty/)")
    return (
        pl.read_parquet(path)
        .sort("reviewer_id", "unix_review_time", "pos_ticoserec")
        .rename(SEQUENCE_COLUMNS)
        .with_columns(pl.col("event_times").cast(pl.Datetime("us", "UTC")))
        .group_by("visitor_id", maintain_order=True)
        .agg("items", "event_times", pl.col("event_times").last().alias("ended_at"))
        .with_columns(pl.col("visitor_id").alias("sequence_id"))
    )


def as_sequences_and_catalogue(item_lists: pl.Series) -> tuple[Sequences, Catalog]:
    """Return lists of item ids as sequences of item indices, with a catalogue of these items without embeddings."""
    indices = item_lists.explode().rank("dense") - 1
    item_ids = item_lists.explode().unique().sort().to_numpy().astype(np.object_)
    offsets = np.concatenate([[0], item_lists.list.len().cum_sum().to_numpy()]).astype(np.int64)
    catalog = Catalog(item_ids, np.zeros((len(item_ids), 1), np.float32), np.ones(len(item_ids), np.bool_))
    return Sequences(indices.cast(pl.Int32).to_numpy(), offsets), catalog
