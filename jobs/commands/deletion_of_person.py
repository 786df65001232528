"""Deletes the rows of a person, and prepares the rows of others for the next build.

The next build then makes the tables that it would make if the person's events had never arrived.
"""

import secrets
from collections.abc import Container

from jobs.commands.person import Person
from jobs.commands.rows_of_person import (
    id_in_unreadable_row_sql,
    relation_types_by_name,
    table_or_empty_relation,
)
from jobs.warehouse.clock import now
from jobs.warehouse.connection import SCHEMAS, Connection, execute_and_fetch_number, quoted_name
from jobs.warehouse.dbt_macros import dbt_macros

SELECT_TABLES_WITH_VISITORS = """
    -- Tables with rows of visitors, including tables that a killed dbt left half-built; views need no deletion. The
    -- table ml.model_ranks has no such rows: it holds no ids of cases, only a hash of all cases
    select columns.schema_name, columns.table_name
    from duckdb_columns() as columns
    semi join duckdb_tables() as tables on columns.table_oid = tables.table_oid
        and columns.database_oid = tables.database_oid
    where columns.database_name = current_database() and columns.column_name = 'visitor_id'
        and list_contains($schemas, columns.schema_name) and columns.schema_name <> 'raw'
        and columns.schema_name || '.' || columns.table_name not in (
            'staging.checked_events', 'staging.stg_visitors', 'catalog.visitor_history'
        )
    order by all
"""

TABLES_OF_ATTRIBUTES = ("raw.visitors", "staging.stg_visitors", "catalog.visitor_history")
"""Tables with attributes of visitors that the user's tools deliver."""

TABLES_OF_DEVICES = (*TABLES_OF_ATTRIBUTES, "raw.impressions")
"""Tables with rows on visitors that the user's tools deliver: attributes, and impressions. Rows of other people who
share a device with the forgotten user stay in these tables, because no build could make the rows again."""

CREATE_CONFLICTING_ROWS = """
    -- Rejected rows of an event whose kept row is deleted. Of all rows of one event, the first to arrive is kept
    -- (int_events_checked). If the kept row is deleted, the next row takes its place, and rows with the same values as
    -- the next row are no longer in conflict with the kept one. The row_key of a kept row is its event_id, or is made
    -- of event_id and item_id: the dbt var event_identity of the build says which
    create or replace temp table conflicting_rows as
    select
        row_key,
        kept_row_key,
        row_number() over first_come = 1 as is_next_row,
        {payload} is not distinct from first_value({payload}) over first_come as has_same_payload
    from (
        select rejected.*, kept.row_key as kept_row_key
        from staging.checked_events as rejected
        inner join forgotten_events as kept on rejected.event_id = kept.event_id
            and (kept.row_key = kept.event_id or kept.item_id = rejected.item_id)
        where rejected.reject_reason = 'duplicate_event_id'
            and (kept.reject_reason is null or kept.reject_reason = 'unknown_item')
            and rejected.row_key not in (select row_key from forgotten_events)
    )
    window first_come as (partition by kept_row_key order by {first_come_order})
"""

DELETE_EVENTS = """
    -- Deletes the events of the person, and rejected rows that are no longer in conflict with a kept row
    delete from staging.checked_events
    where row_key in (
        select row_key from forgotten_events
        union all
        select row_key from conflicting_rows where has_same_payload and not is_next_row
    )
"""

KEEP_NEXT_ROWS = """
    -- The next row of an event takes the place of the deleted one, as if it had arrived first
    update staging.checked_events set
        row_key = conflicting_rows.kept_row_key,
        reject_reason = case when item_id not in (select item_id from staging.stg_items) then 'unknown_item' end,
        raw_row = case when item_id not in (select item_id from staging.stg_items) then raw_row end,
        batch_id = $batch_id
    from conflicting_rows
    where checked_events.row_key = conflicting_rows.row_key and conflicting_rows.is_next_row
"""

REPROCESS_SHARED_DEVICES = """
    -- Gives the remaining events on shared devices the new batch_id, so that the next build processes them again
    update staging.checked_events set batch_id = $batch_id
    where visitor_id in (from concerned_visitors) and reject_reason is null
"""

FORGET_BASKETS = """
    -- Removes from baskets what tells whose they are, and keeps their items. The next build knows no session of the
    -- name 'forgotten', so it subtracts the pairs of these baskets from the counts of pairs
    update sessions.baskets set session_id = 'forgotten', event_count = null, ended_at = null
    where not is_live or session_id in (
        select session_id from sessions.session_items where visitor_id in (from concerned_visitors)
        union
        select session_id from sessions.session_totals where visitor_id in (from concerned_visitors)
    )
"""

CREATE_UNSHARED_SESSIONS = """
    -- Sessions of the tracker that belonged to several visitors, and now belong to one. The next build no longer cuts
    -- them by silence because of the other visitors
    create or replace temp table unshared_sessions as
    select source_session_id from staging.checked_events
    where reject_reason is null
        and source_session_id in (select source_session_id from forgotten_events where reject_reason is null)
    group by source_session_id
    having min(visitor_id) = max(visitor_id)
"""

REPROCESS_UNSHARED_SESSIONS = """
    -- Gives the events of these sessions the new batch_id, so that the next build processes them again
    update staging.checked_events set batch_id = $batch_id
    where source_session_id in (from unshared_sessions) and reject_reason is null
"""

SELECT_NEXT_BATCH_ID = """
    -- The batch_id of the next build: above every earlier one, and above 1, with which a full refresh begins
    select greatest(1, (select max(batch_id) from {events}), (select max(batch_id) from ml.deletions)) + 1
"""

REDUCE_SETTLED_COUNT = """
    -- Subtracts the deleted rows from settled_count, the number of rows that had arrived before settled_until. If the
    -- next build counts more rows there, some of them are late, and it reads all rows again. Without this update it
    -- would miss late rows, up to as many as were deleted
    update staging.event_batches set settled_count = settled_count - (
        select count(*) from forgotten_arrivals where loaded_at < settled_until
    )
    where batch_id = (select max(batch_id) from staging.event_batches)
"""

DELETE_UNREADABLE_ROWS = f"""
    -- Deletes unreadable rows in which an id of the person stands
    delete from raw.unreadable_rows
    where exists (
        select 1 from (select trim($id) as id union select visitor_id from devices) as person
        where {id_in_unreadable_row_sql("person.id")}
    )
"""

INSERT_DELETION = """
    insert into ml.deletions by name
    select $deletion_id as deletion_id, $deleted_at as deleted_at, $scope as scope, $batch_id as batch_id,
        $raw_event_count as raw_event_count, count(*) as usable_event_count, $session_count as session_count,
        $recommendation_count as recommendation_count, $published_count as published_count,
        min(loaded_at) as first_loaded_at,
        (select coalesce(max(model_number), 0) from ml.models) as model_number
    from forgotten_events
    where reject_reason is null
"""


def delete_collected_rows(connection: Connection, person: Person, withdrawn_row_count: int) -> dict[str, int]:
    """Delete the rows that :func:`collect_rows_to_delete` found, in the caller's transaction.

    Returns
    -------
    dict of table -> number of deleted rows
    """
    relation_types = relation_types_by_name(connection)
    checked_events = table_or_empty_relation("staging.checked_events", relation_types)
    batch_id = execute_and_fetch_number(connection, SELECT_NEXT_BATCH_ID.format(events=checked_events))
    deleted = {}
    if relation_types["raw.events"] != "VIEW":
        deleted["raw.events"] = execute_and_fetch_number(
            connection, "delete from raw.events where rowid in (select raw_row_id from forgotten_arrivals)"
        )
    if count := execute_and_fetch_number(connection, DELETE_UNREADABLE_ROWS, {"id": person.id}):
        deleted["raw.unreadable_rows"] = count
    visitor_id_sql = dbt_macros("dialect.sql").blank_as_null("visitor_id")
    for table in TABLES_OF_DEVICES:
        if relation_types.get(table) == "BASE TABLE":
            statement = f"delete from {table} where {visitor_id_sql} in (from devices)"
            if count := execute_and_fetch_number(connection, statement):
                deleted[table] = count
    if "sessions.baskets" in relation_types:
        connection.execute(FORGET_BASKETS)
    tables = connection.execute(SELECT_TABLES_WITH_VISITORS, {"schemas": SCHEMAS}).fetchall()
    for schema, table in tables:
        relation = f"{schema}.{quoted_name(table)}"
        deleted[f"{schema}.{table}"] = execute_and_fetch_number(
            connection, f"delete from {relation} where visitor_id in (from concerned_visitors)"
        )
    if "staging.checked_events" in relation_types:
        deleted["staging.checked_events"] = _delete_checked_events(connection, batch_id, relation_types)
    if "staging.event_batches" in relation_types:
        connection.execute(REDUCE_SETTLED_COUNT)
    if withdrawn_row_count or any(deleted.values()):
        deletion_row = {
            "deletion_id": secrets.token_hex(8),
            "deleted_at": now(),
            "scope": person.id_type,
            "batch_id": batch_id,
            "raw_event_count": deleted.get("raw.events", 0),
            "published_count": withdrawn_row_count,
            "session_count": deleted.get("sessions.session_totals", 0),
            "recommendation_count": deleted["ml.recommendations"],
        }
        connection.execute(INSERT_DELETION, deletion_row)
    return deleted


def _delete_checked_events(connection: Connection, batch_id: int, existing_relations: Container[str]) -> int:
    """Delete the person's rows of ``staging.checked_events``; mark the rows of others that have to be processed again.

    Parameters
    ----------
    batch_id : int
        The ``batch_id`` of the next build, which the marked rows get.

    Returns
    -------
    Number of deleted rows
    """
    macros = dbt_macros("events.sql")
    connection.execute(
        CREATE_CONFLICTING_ROWS.format(
            payload=macros.compared_event_columns(),
            first_come_order=macros.event_arrival_sort_keys("raw_row ->> 'event_at'"),
        )
    )
    deleted_row_count = execute_and_fetch_number(connection, DELETE_EVENTS)
    connection.execute(KEEP_NEXT_ROWS, {"batch_id": batch_id})
    connection.execute(REPROCESS_SHARED_DEVICES, {"batch_id": batch_id})
    connection.execute(CREATE_UNSHARED_SESSIONS)
    connection.execute(REPROCESS_UNSHARED_SESSIONS, {"batch_id": batch_id})
    for table in ("sessions.session_items", "sessions.session_totals"):
        if table in existing_relations:
            connection.execute(f"delete from {table} where source_session_id in (from unshared_sessions)")
    return deleted_row_count
