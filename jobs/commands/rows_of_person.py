"""Finds the rows of a person who is to be forgotten, and copies them into temporary tables.

``deletion_of_person`` reads these tables. ``forgotten_arrivals`` has the person's rows of ``raw.events``, and
``forgotten_events`` those of ``staging.checked_events``. ``devices`` has the visitor_ids of the person, and
``concerned_visitors`` those of all visitors whose derived rows are deleted.
"""

from collections.abc import Container, Sequence

from jobs.commands.person import Person
from jobs.errors import NextmartError
from jobs.warehouse.connection import Connection, count_rows
from jobs.warehouse.dbt_macros import dbt_macros

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
    where user_id = {id} and visitor_id is not null and visitor_id not in (select visitor_id from {user_mapping})
"""

EMPTY_RELATIONS = {
    "sessions.user_mapping": "(select null::varchar as visitor_id, null::varchar as user_id where false)",
    "staging.checked_events": """(
        select null::varchar as row_key, null::varchar as event_id, null::varchar as visitor_id,
            null::varchar as user_id, null::varchar as reject_reason, null::timestamptz as loaded_at, 0 as batch_id
        where false
    )""",
}
"""A dbt table -> SQL of an empty relation, which is read instead until a build has made the table."""

PERSON_CONDITIONS = {
    "visitor": "visitor_id = {id}",
    "user": "user_id = {id} or ({has_no_user} and visitor_id in (from devices))",
}

CREATE_CONCERNED_VISITORS = """
    -- Visitors whose derived rows are deleted. If other people share a device of the person, the next build makes their
    -- rows anew
    create or replace temp table concerned_visitors as
    select visitor_id from forgotten_arrivals where visitor_id is not null
    union
    select visitor_id from forgotten_events where visitor_id is not null
    union
    from devices
"""


def id_in_unreadable_row_sql(id_sql: str) -> str:
    """Return the SQL condition that a person's id stands as a word in a row of ``raw.unreadable_rows``.

    A part of a word doesn't count, because nearly every text has a short id such as 7 in it. Rows of items name nobody.
    """
    return (
        "table_name in ('events', 'visitors', 'impressions') and regexp_matches("
        f"raw_row, '(^|[^0-9A-Za-z])' || regexp_escape({id_sql}) || '([^0-9A-Za-z]|$)')"
    )


def collect_rows_to_delete(connection: Connection, person: Person, null_words: Sequence[str] = ()) -> list[str]:
    """Copy the rows to delete into temporary tables; return the visitors who lose events or rows made from events.

    Parameters
    ----------
    null_words : sequence of str, optional
        The dbt var of that name: an event whose ``user_id`` or ``visitor_id`` is one of them has no user or no visitor.

    Raises
    ------
    NextmartError
        If ``raw.events``, ``raw.visitors`` or ``raw.impressions`` is a view that shows rows of the person.
    """
    relation_types = relation_types_by_name(connection)
    is_view = relation_types["raw.events"] == "VIEW"
    id_sql, person_id = _render_id_macros(null_words), {"id": person.id}
    connection.execute(CREATE_ARRIVED_EVENTS.format(raw_row_id="null" if is_view else "rowid", **id_sql))
    if person.id_type == "user":
        user_mapping = table_or_empty_relation("sessions.user_mapping", relation_types)
        connection.execute(CREATE_DEVICES.format(user_mapping=user_mapping, **id_sql), person_id)
    else:
        connection.execute(f"create or replace temp table devices as select {id_sql['id']} as visitor_id", person_id)
    checked_events = table_or_empty_relation("staging.checked_events", relation_types)
    for table, source in (("forgotten_arrivals", "arrived"), ("forgotten_events", checked_events)):
        where = PERSON_CONDITIONS[person.id_type].format(**id_sql)
        connection.execute(f"create or replace temp table {table} as select * from {source} where {where}", person_id)
    if is_view and (count := count_rows(connection, "forgotten_arrivals")):
        raise NextmartError(
            f"raw.events is a view of yours, which still shows {count:,} events of this {person.id_type}: delete them "
            "in your own tables first (of a user, also those without a login on the devices that sessions.user_mapping "
            "gives to the user), then run this again. Nothing was changed."
        )
    for table in ("raw.visitors", "raw.impressions"):
        rows_of_devices = f"{table} where {id_sql['visitor_id']} in (from devices)"
        if relation_types[table] == "VIEW" and (count := count_rows(connection, rows_of_devices)):
            raise NextmartError(
                f"{table} is a view of yours, which still shows {count:,} rows of this {person.id_type}: delete them "
                "in your own tables first, then run this again. Nothing was changed."
            )
    connection.execute(CREATE_CONCERNED_VISITORS)
    return [visitor for (visitor,) in connection.execute("from concerned_visitors").fetchall()]


def _render_id_macros(null_words: Sequence[str]) -> dict[str, str]:
    """Return pieces of SQL by name, rendered from dbt's macros, so that ids are compared as dbt compares them."""
    macros = dbt_macros("dialect.sql", "values.sql")
    return {
        "visitor_id": macros.default__null_word_as_null("visitor_id", null_words),
        "user_id": macros.default__null_word_as_null("user_id", null_words),
        "has_no_user": f"(user_id is null or {macros.default__is_null_word('user_id', null_words)})",
        "id": macros.blank_as_null("$id"),
    }


def table_or_empty_relation(table: str, existing_relations: Container[str]) -> str:
    """Return the name of a dbt table, or the SQL of an empty relation if no build has made the table."""
    return table if table in existing_relations else EMPTY_RELATIONS[table]


def relation_types_by_name(connection: Connection) -> dict[str, str]:
    """Return the type of every table and view: ``schema.table`` -> type, such as ``VIEW``."""
    return dict(
        connection.execute(
            "select table_schema || '.' || table_name, table_type from information_schema.tables "
            "where table_catalog = current_database()"
        ).fetchall()
    )
