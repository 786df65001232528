"""Reads the catalogue and the sequences from the warehouse, as the arrays that models take."""

import itertools
from collections.abc import Mapping
from datetime import datetime

import duckdb
import numpy as np
import polars as pl

from jobs.core.arrays import Floats, Ints
from jobs.core.cases import Cases
from jobs.core.catalog import Catalog
from jobs.core.sequences import Sequences
from jobs.dbt_vars import JobVars
from jobs.warehouse.connection import Connection

SEQUENCES_AT_ONCE = 50_000
SEQUENCE_COLUMNS_SQL = "sequence_id, visitor_id, items, event_times, ended_at"


def read_catalog(connection: Connection, dimensions: int) -> Catalog:
    """Read every item of ``catalog.items``, with its embedding; items without an embedding get a vector of zeros.

    Parameters
    ----------
    dimensions : int
        The length of the embeddings.
    """
    item_ids, available, titles, categories, prices = (
        np.asarray(column)
        for column in connection.execute(
            "select item_id, available, coalesce(title, ''), coalesce(category, ''), "
            "coalesce(price::double, 'nan'::double) from catalog.items order by item_id"
        )
        .fetchnumpy()
        .values()
    )
    return Catalog(
        item_ids.astype(np.object_),
        read_embeddings(connection, len(item_ids), dimensions, "catalog.item_embeddings"),
        available.astype(np.bool_),
        titles.astype(np.object_),
        categories.astype(np.object_),
        prices,
    )


def read_embeddings(
    connection: Connection,
    item_count: int,
    dimensions: int,
    relation: str,
    bound_values: dict[str, object] | None = None,
) -> Floats:
    """Read the catalogue items' embeddings from a table or query.

    Parameters
    ----------
    item_count : int
        The number of items in ``catalog.items``.
    dimensions : int
        The length of the embeddings.
    relation : str
        SQL text of a table or query with the columns ``item_id`` and ``embedding``.
    bound_values : dict, optional
        Values of the named SQL parameters in ``relation``.

    Returns
    -------
    float32 array (items, dimensions)
        In the order of the catalogue; zeros for items without an embedding.
    """
    embeddings = np.zeros((item_count, dimensions), np.float32)
    batches = connection.execute(
        f"select item_index, embedding from {relation} "  # noqa: S608
        "inner join (select item_id, row_number() over (order by item_id) - 1 as item_index from catalog.items) "
        "using (item_id)",
        bound_values or {},
    ).to_arrow_reader(10_000)
    for batch in batches:
        embeddings[batch["item_index"].to_numpy()] = batch["embedding"].flatten().to_numpy().reshape(-1, dimensions)
    return embeddings


def read_sequences(
    connection: Connection,
    *,
    with_targets: bool = False,
    relation: str = "sessions.sequences",
    parameters: Mapping[str, object] | None = None,
) -> pl.DataFrame:
    """Read sequences from the warehouse: one row for each, in no particular order.

    The column ``items`` holds lists of categoricals: an event's item takes 4 bytes, not the 16 or more of its item_id.
    Rows are read in batches, so that no more than one batch of item_ids is in memory as text.

    Parameters
    ----------
    with_targets : bool
        Whether to read the column ``is_target`` too. It is needed only if the dbt var ``target_event_types`` is set:
        otherwise every step is a target.
    relation : str
        SQL text of a relation with the columns of the table ``sessions.sequences``, which is read by default.
    parameters : mapping, optional
        Values of the named SQL parameters in ``relation``.
    """
    columns = f"{SEQUENCE_COLUMNS_SQL}, is_target" if with_targets else SEQUENCE_COLUMNS_SQL
    query = f"select {columns} from {relation}"  # noqa: S608
    reader = connection.execute(query, parameters).to_arrow_reader(SEQUENCES_AT_ONCE)
    batches = itertools.chain([reader.schema.empty_table()], reader)  # a table without rows has no batch
    items = pl.col("items").cast(pl.List(pl.Categorical))
    return pl.concat([pl.DataFrame(pl.from_arrow(batch)).with_columns(items) for batch in batches])


def target_items_sql(dbt_vars: JobVars, sequences: str) -> str:
    """Return SQL of the items of a sequence that are targets: those that a list without repeats leaves out.

    Parameters
    ----------
    sequences : str
        The name by which a query calls a relation with the columns ``items`` and, if the dbt var ``target_event_types``
        is set, ``is_target``.
    """
    items = f"{sequences}.items"
    return f"list_where({items}, {sequences}.is_target)" if dbt_vars.target_event_types else items


def read_frame(connection: Connection, query: str, parameters: Mapping[str, object] | None = None) -> pl.DataFrame:
    """Return the rows of a query as a data frame; ``parameters`` are the values of the query's parameters by name."""
    frame = pl.from_arrow(connection.execute(query, parameters).to_arrow_table())
    assert isinstance(frame, pl.DataFrame)  # noqa: S101 - a table never becomes a Series
    return frame


def newest_loaded_at(connection: Connection) -> datetime | None:
    """Return the latest ``loaded_at`` of the events that models can learn from; None if dbt has built no events yet."""
    try:
        row = connection.execute(
            "select max(loaded_at) from staging.checked_events where reject_reason is null"
        ).fetchone()
    except duckdb.CatalogException:
        return None
    return row[0] if row else None


def sequences_as_indices(frame: pl.DataFrame, catalog: Catalog) -> Sequences:
    """Turn a frame into sequences of the catalogue's indices.

    The frame has the column ``items``, and may have the columns ``is_target`` and ``event_times``.
    """
    optional = (frame[name] if name in frame.columns else None for name in ("is_target", "event_times"))
    return items_as_indices(frame["items"], catalog, *optional)


def items_as_indices(
    item_id_lists: pl.Series,
    catalog: Catalog,
    is_target_lists: pl.Series | None = None,
    event_time_lists: pl.Series | None = None,
) -> Sequences:
    """Turn lists of item_ids into sequences of the items' indices in the catalogue; unknown item_ids are dropped.

    Parameters
    ----------
    item_id_lists : polars.Series of list of str or categorical (rows,)
    is_target_lists : polars.Series of list of bool (rows,), optional
        For each item of a list, whether it is a target (:class:`jobs.core.sequences.Sequences`).
    event_time_lists : polars.Series of list of datetime (rows,), optional
        The time of each item of a list, never decreasing. Without it, the sequences have no time numbers.
    """
    item_ids = pl.Series("item_id", catalog.item_ids, dtype=pl.String).cast(pl.Categorical)
    item_indices = pl.DataFrame(item_ids).with_row_index("item_index")
    flat = item_id_lists.explode(empty_as_null=False, keep_nulls=False).cast(pl.Categorical).to_frame("item_id")
    indices = flat.join(item_indices, on="item_id", how="left", maintain_order="left")["item_index"]
    lengths = item_id_lists.list.len().fill_null(0).to_numpy()
    is_target = None
    if is_target_lists is not None:
        is_target = is_target_lists.explode(empty_as_null=False, keep_nulls=False).to_numpy().astype(np.bool_)
    sequences = Sequences(
        indices.cast(pl.Int32).fill_null(-1).to_numpy(),
        np.concatenate([[0], lengths.cumsum()]).astype(np.int64),
        is_target,
        None if event_time_lists is None else _number_times(event_time_lists),
    )
    # unknown items have the index -1, which is the last entry of the array: False drops them
    return sequences.keep_items(np.append(np.ones(len(catalog), np.bool_), np.False_)).with_least_time_numbers()


def _number_times(event_time_lists: pl.Series) -> Ints:
    """Return a number for the time of each event: equal for neighbours of one time, and one higher after a change."""
    times = event_time_lists.explode(empty_as_null=False, keep_nulls=False).to_physical().to_numpy()
    is_other = np.ones(len(times), np.bool_)
    np.not_equal(times[1:], times[:-1], out=is_other[1:])
    return is_other.cumsum(dtype=np.int32)


def cases_as_indices(cases: pl.DataFrame, catalog: Catalog) -> Cases:
    """Turn a table of cases (input items and a target) into arrays of catalogue indices; an unknown target is -1."""
    return Cases(sequences_as_indices(cases, catalog), catalog.find_indices(cases["target"].cast(pl.String).to_numpy()))
