"""Appends a source's new rows to the raw tables; rows that the tables have already are left out."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

import duckdb

from jobs.errors import NextmartError
from jobs.loading.arrivals import Arrivals
from jobs.loading.item_and_visitor_rows import insert_new_rows_sql, latest_row_rules
from jobs.loading.mapping import APPEND_ONLY_TABLES, TABLE_COLUMNS
from jobs.loading.overtaken_rows import warn_of_overtaken_rows
from jobs.warehouse.connection import Connection, count_rows

INSERT_NEW_EVENTS_OR_IMPRESSIONS = """
    -- A row of events or impressions is new if no row of the raw table has the same values
    insert into raw.{table} by name
    select incoming.*, $loaded_at as loaded_at
    from incoming
    anti join raw.{table} as known on {same}
"""

INSERT_NEW_UNREADABLE_ROWS = """
    -- An unreadable row is new if raw.unreadable_rows does not have the same row of the same file
    insert into raw.unreadable_rows by name
    select incoming.*, $loaded_at as loaded_at
    from {arrivals} as incoming
    anti join raw.unreadable_rows as known
        on incoming.table_name = known.table_name
        and incoming.file = known.file
        and incoming.line = known.line
        and incoming.raw_row = known.raw_row
        and incoming.reason = known.reason
"""


def append_arrivals(
    connection: Connection, arrivals: Arrivals, dbt_vars: Mapping[str, Any], loaded_at: datetime
) -> dict[str, int]:
    """Append those rows of a source that its raw table lacks to this table, and return the numbers of rows.

    Afterwards, the temporary view ``incoming`` holds the source's mapped rows.

    Parameters
    ----------
    dbt_vars : mapping
        Values of the dbt vars, by which dbt's staging will read the rows.
    loaded_at : datetime
        The ``loaded_at`` of the new rows.

    Returns
    -------
    The numbers of rows that were ``read``, ``repeated`` (equal to another row of the files), ``known`` (in the raw
    table before) and ``loaded``; and of ``unreadable`` rows, if there are any

    Raises
    ------
    NextmartError
        If the raw table is a view.
    """
    connection.execute(f"create or replace temp view incoming as from {arrivals.relation}")
    if arrivals.loaded_row_counts_of_files:
        loaded_count = sum(arrivals.loaded_row_counts_of_files)
    else:
        loaded_count = _append_new_rows(connection, arrivals, dbt_vars, loaded_at)
    counts = {
        "read": arrivals.read_count,
        "repeated": arrivals.read_count - arrivals.count_without_repeats,
        "known": arrivals.count_without_repeats - loaded_count,
        "loaded": loaded_count,
    }
    if arrivals.unreadable_relation:
        insert_unreadable = INSERT_NEW_UNREADABLE_ROWS.format(arrivals=arrivals.unreadable_relation)
        connection.execute(insert_unreadable, {"loaded_at": loaded_at})
        counts["unreadable"] = arrivals.unreadable_count
    return counts


def _append_new_rows(
    connection: Connection, arrivals: Arrivals, dbt_vars: Mapping[str, Any], loaded_at: datetime
) -> int:
    """Append the rows of the temporary view ``incoming`` that the raw table lacks, and return their number."""
    table = arrivals.source.table
    if table in APPEND_ONLY_TABLES:
        columns = TABLE_COLUMNS[table]
        same = " and ".join(f"incoming.{column} is not distinct from known.{column}" for column in columns)
        insert = INSERT_NEW_EVENTS_OR_IMPRESSIONS.format(table=table, same=same)
    else:
        rules = latest_row_rules(table, dbt_vars)
        insert = insert_new_rows_sql(
            rules, set(arrivals.given_columns), list(arrivals.attribute_choice.column_of_attribute)
        )
    count_before = count_rows(connection, f"raw.{table}")
    try:
        connection.execute(insert, {"loaded_at": loaded_at})
        if table == "items" and "available" in arrivals.given_columns and "updated_at" not in arrivals.given_columns:
            # raw.withdrawn_items holds the items' availability before their withdrawal; this feed gives a newer one
            connection.execute(
                f"delete from raw.withdrawn_items where item_id in (select {rules.id_sql} from incoming)"
            )
    except (duckdb.CatalogException, duckdb.BinderException) as error:
        raise NextmartError(f"can't load into raw.{table}: is it a view of yours? {error}") from error
    loaded_count = count_rows(connection, f"raw.{table}") - count_before
    if loaded_count and table not in APPEND_ONLY_TABLES and "updated_at" in arrivals.given_columns:
        warn_of_overtaken_rows(connection, rules, loaded_at)
    return loaded_count
