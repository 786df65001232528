"""`nextmart forget`: delete one visitor or user from the warehouse and the published file.

The published file is changed first, then the warehouse in one transaction. So a command that was killed between the two
still finds the person's events in the warehouse when it is run again. ``ml.deletions`` records the deletion without the
id of the person.
"""

import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import duckdb

from jobs.errors import NextmartError, UsageError, redact
from jobs.publishing.publish import withdraw_visitors
from jobs.settings import Settings
from jobs.warehouse.clock import now
from jobs.warehouse.connection import SCHEMAS, Connection, connect, count_rows, quoted_name, transaction
from jobs.warehouse.dbt_macros import dbt_macros
from jobs.warehouse.job_runs import JobRun

CREATE_ARRIVED_EVENTS = """
    -- The rows of raw.events with their row ids (raw_row_id). If raw.events is a view, it has no row ids, and may lack
    -- the column user_id
    create or replace temp view arrived as
    select
        raw_row_id,
        {visitor_id} as visitor_id,
        {user_id} as user_id,
        loaded_at
    from (
        select {raw_row_id} as raw_row_id, * from raw.events
        union all by name
        select null::varchar as user_id where false
    )
"""

CREATE_DEVICES = """
    -- Devices (visitor_ids) whose events without a login belong to the user: the last login on the device was the
    -- user's, or the user has logged in there and no build has processed a login on it yet
    create or replace temp table devices as
    select visitor_id from {user_mapping} where user_id = {id}
    union
    select visitor_id from arrived
    where user_id = {id} and visitor_id not in (select visitor_id from {user_mapping})
"""

# dbt tables that the statements read -> SQL of an empty relation, which is read as long as no build has made the table
EMPTY_RELATIONS = {
    "sessions.user_mapping": "(select null::varchar as visitor_id, null::varchar as user_id where false)",
    "staging.checked_events": """(
        select null::varchar as row_key, null::varchar as event_id, null::varchar as visitor_id,
            null::varchar as user_id, null::varchar as reject_reason, null::timestamptz as loaded_at, 0 as batch_id
        where false
    )""",
}

PERSON_CONDITIONS = {
    "visitor": "visitor_id = {id}",
    "user": "user_id = {id} or ({has_no_user} and visitor_id in (from devices))",
}

CREATE_CONCERNED_VISITORS = """
    -- Visitors whose derived rows are deleted. If other people share a device of the person, the next
    -- build makes their rows anew
    create or replace temp table concerned_visitors as
    select visitor_id from forgotten_arrivals where visitor_id is not null
    union
    select visitor_id from forgotten_events where visitor_id is not null
    union
    from devices
"""

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

OUT_OF_REACH = """
    -- What a service keeps that was made of visitors' histories: fine-tuned models, and uploaded files of examples
    select 'fine-tuned model ' || fine_tuned_model as name from ml.fine_tunes where fine_tuned_model is not null
    union
    select 'training file ' || file_id
    from ml.fine_tunes cross join unnest([training_file_id, validation_file_id]) as files(file_id)
    where file_id is not null
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
    -- Subtracts deleted rows from settled_count, the number of rows that a build has seen completely; otherwise the
    -- next build would overlook as many rows that arrived late
    update staging.event_batches set settled_count = settled_count - (
        select count(*) from forgotten_arrivals where loaded_at < settled_until
    )
    where batch_id = (select max(batch_id) from staging.event_batches)
"""

DELETE_UNREADABLE_ROWS = """
    -- Deletes unreadable rows of events, visitors and impressions in which an id of the person stands as a word
    delete from raw.unreadable_rows
    where table_name in ('events', 'visitors', 'impressions') and exists (
        select 1 from (select trim($id) as id union select visitor_id from devices) as person
        where regexp_matches(raw_row, '(^|[^0-9A-Za-z])' || regexp_escape(person.id) || '([^0-9A-Za-z]|$)')
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


@dataclass(frozen=True)
class Person:
    """The person to forget: a visitor, or a user.

    A user's events include those without a login on the user's devices.
    """

    id_type: Literal["visitor", "user"]
    id: str

    @classmethod
    def from_ids(cls, visitor_id: str | None, user_id: str | None) -> "Person":
        """Return the person whose id is given, either as a visitor or as a user.

        Raises
        ------
        UsageError
            If no id is given, or both are, or the id is blank.
        """
        if visitor_id is not None and user_id is None and visitor_id.strip():
            return cls("visitor", visitor_id)
        if user_id is not None and visitor_id is None and user_id.strip():
            return cls("user", user_id)
        raise UsageError("say whom to forget: either --visitor ID or --user ID, which can't be blank")


def forget(connection: Connection, settings: Settings, person: Person, run_record: JobRun) -> list[str]:
    """Delete a person from the warehouse and the published file; record the deletion, without the person's id.

    A published file that can't be read stays as it is; the run's detail says so in ``published_problem``.

    Returns
    -------
    The ids of the visitors who lost events, or rows made from events

    Raises
    ------
    NextmartError
        If ``raw.events``, ``raw.visitors`` or ``raw.impressions`` is a view, from which nextmart can't delete, and the
        view still shows rows of the person; then nothing is changed.
    """
    try:
        visitor_ids = collect_rows_to_delete(connection, person, settings.job_vars().null_words)
        withdrawn_row_count, problem = _withdraw_visitors_if_readable(connection, settings.published, visitor_ids)
        if count_rows(connection, "forgotten_events"):
            _remove_training_checkpoints(settings)
        with transaction(connection):
            deleted = delete_collected_rows(connection, person, withdrawn_row_count)
        # a checkpoint empties the warehouse's write-ahead log, which still holds the deleted rows
        connection.execute("checkpoint")
    except duckdb.Error as error:
        # DuckDB's error message may quote the person's id, so it must not reach ml.job_runs
        raise NextmartError(str(error).replace(person.id.strip(), "…")) from error
    run_record.rows_out = withdrawn_row_count + sum(deleted.values())
    run_record.status = "running" if run_record.rows_out else "unchanged"
    due = connection.execute("select model_version from ml.models_due order by all").fetchall()
    run_record.detail = {
        "deleted": deleted,
        "published": withdrawn_row_count,
        "published_problem": problem.replace(person.id.strip(), "…"),
        "due_for_retraining": [name for (name,) in due],
        "out_of_reach": [name for (name,) in connection.execute(OUT_OF_REACH).fetchall()],
    }
    return visitor_ids


def _withdraw_visitors_if_readable(
    connection: Connection, published_file: Path, visitor_ids: list[str]
) -> tuple[int, str]:
    """Delete the rows of visitors from the published file; return the number of rows, and why the file can't be read.

    Raises
    ------
    duckdb.Error
        If the file can be read, but not be replaced: the disk is full, for example.
    """
    try:
        return withdraw_visitors(connection, published_file, visitor_ids), ""
    except duckdb.Error:
        problem = _published_file_read_error(published_file)
        if not problem:
            raise
        return 0, problem


def _published_file_read_error(published_file: Path) -> str:
    """Read every value of the published file; return the text of the error, or an empty text if there is none."""
    try:
        with connect(published_file, read_only=True) as copy:
            tables = copy.execute("select table_name from duckdb_tables() where schema_name = 'recommendations'")
            for (table,) in tables.fetchall():
                relation = f"recommendations.{quoted_name(table)}"
                copy.execute(f"select count(hash(rows)) from {relation} as rows")
    except (NextmartError, duckdb.Error) as error:
        return redact(str(error))
    return ""


def collect_rows_to_delete(connection: Connection, person: Person, null_words: Sequence[str] = ()) -> list[str]:
    """Copy the rows to delete into temporary tables; return the visitors who lose events or rows made from events.

    Parameters
    ----------
    null_words : sequence of str, optional
        The dbt var of that name: an event whose ``user_id`` is one of them has no user.
    """
    relation_types = _relation_types(connection)
    is_view = relation_types["raw.events"] == "VIEW"
    mapping, events = (name if name in relation_types else stand_in for name, stand_in in EMPTY_RELATIONS.items())
    rules, person_id = _render_event_macros(null_words), {"id": person.id}
    connection.execute(CREATE_ARRIVED_EVENTS.format(raw_row_id="null" if is_view else "rowid", **rules))
    if person.id_type == "user":
        connection.execute(CREATE_DEVICES.format(user_mapping=mapping, **rules), person_id)
    else:
        connection.execute(f"create or replace temp table devices as select {rules['id']} as visitor_id", person_id)
    for table, source in (("forgotten_arrivals", "arrived"), ("forgotten_events", events)):
        where = PERSON_CONDITIONS[person.id_type].format(**rules)
        connection.execute(f"create or replace temp table {table} as select * from {source} where {where}", person_id)
    if is_view and (count := count_rows(connection, "forgotten_arrivals")):
        raise NextmartError(
            f"raw.events is a view of yours, which still shows {count:,} events of this {person.id_type}: delete them "
            "in your own tables first (of a user, also those without a login on the devices that sessions.user_mapping "
            "gives to the user), then run this again. Nothing was changed."
        )
    for table in ("raw.visitors", "raw.impressions"):
        of_devices = f"{table} where {rules['visitor_id']} in (from devices)"
        if relation_types[table] == "VIEW" and (count := count_rows(connection, of_devices)):
            raise NextmartError(
                f"{table} is a view of yours, which still shows {count:,} rows of this {person.id_type}: delete them "
                "in your own tables first, then run this again. Nothing was changed."
            )
    connection.execute(CREATE_CONCERNED_VISITORS)
    return [visitor for (visitor,) in connection.execute("from concerned_visitors").fetchall()]


def delete_collected_rows(connection: Connection, person: Person, withdrawn_row_count: int) -> dict[str, int]:
    """Delete the rows that :func:`collect_rows_to_delete` found, in the caller's transaction.

    Returns
    -------
    dict of table -> number of deleted rows
    """
    relation_types = _relation_types(connection)
    is_built = "staging.checked_events" in relation_types
    events = "staging.checked_events" if is_built else EMPTY_RELATIONS["staging.checked_events"]
    batch_id = _execute_and_fetch_number(connection, SELECT_NEXT_BATCH_ID.format(events=events))
    deleted = {}
    if relation_types["raw.events"] != "VIEW":
        deleted["raw.events"] = _execute_and_fetch_number(
            connection, "delete from raw.events where rowid in (select raw_row_id from forgotten_arrivals)"
        )
    if count := _execute_and_fetch_number(connection, DELETE_UNREADABLE_ROWS, {"id": person.id}):
        deleted["raw.unreadable_rows"] = count
    for table in TABLES_OF_DEVICES:
        if relation_types.get(table) == "BASE TABLE":
            of_devices = f"{_render_event_macros()['visitor_id']} in (from devices)"
            if count := _execute_and_fetch_number(connection, f"delete from {table} where {of_devices}"):
                deleted[table] = count
    if "sessions.baskets" in relation_types:
        connection.execute(FORGET_BASKETS)
    tables = connection.execute(SELECT_TABLES_WITH_VISITORS, {"schemas": SCHEMAS}).fetchall()
    for schema, table in tables:
        of_visitors = "where visitor_id in (from concerned_visitors)"
        deleted[f"{schema}.{table}"] = _execute_and_fetch_number(
            connection, f"delete from {schema}.{quoted_name(table)} {of_visitors}"
        )
    if is_built:
        connection.execute(CREATE_CONFLICTING_ROWS.format(**_render_event_macros()))
        deleted["staging.checked_events"] = _execute_and_fetch_number(connection, DELETE_EVENTS)
        connection.execute(KEEP_NEXT_ROWS, {"batch_id": batch_id})
        connection.execute(REPROCESS_SHARED_DEVICES, {"batch_id": batch_id})
        connection.execute(CREATE_UNSHARED_SESSIONS)
        connection.execute(REPROCESS_UNSHARED_SESSIONS, {"batch_id": batch_id})
        for table in ("sessions.session_items", "sessions.session_totals"):
            if table in relation_types:
                connection.execute(f"delete from {table} where source_session_id in (from unshared_sessions)")
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


def _render_event_macros(null_words: Sequence[str] = ()) -> dict[str, str]:
    """Return pieces of SQL by name, rendered from dbt's macros, so that ids and events are compared as dbt does."""
    macros = dbt_macros("dialect.sql", "values.sql", "events.sql")
    return {
        "visitor_id": macros.blank_as_null("visitor_id"),
        "user_id": macros.blank_as_null("user_id"),
        "has_no_user": f"(user_id is null or {macros.default__is_null_word('user_id', null_words)})",
        "id": macros.blank_as_null("$id"),
        "payload": macros.compared_event_columns(),
        "first_come_order": macros.event_arrival_sort_keys("raw_row ->> 'event_at'"),
    }


def _relation_types(connection: Connection) -> dict[str, str]:
    """Return the type of every table and view: ``schema.table`` -> type, such as ``VIEW``."""
    return dict(
        connection.execute(
            "select table_schema || '.' || table_name, table_type from information_schema.tables "
            "where table_catalog = current_database()"
        ).fetchall()
    )


def _execute_and_fetch_number(
    connection: Connection, statement: str, bound_values: dict[str, str] | None = None
) -> int:
    """Execute a statement and return its single number; for a delete, that is the number of deleted rows."""
    number = connection.execute(statement, bound_values).fetchone()
    return int(number[0]) if number else 0


def _remove_training_checkpoints(settings: Settings) -> None:
    """Remove the checkpoints of killed fits: weights in checkpoints have learnt from events that will be deleted."""
    for path in (settings.work_folder / "checkpoints").glob("*"):
        path.unlink()
