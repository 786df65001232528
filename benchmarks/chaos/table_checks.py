"""Checks of the warehouse's tables: plain Python makes the same tables from the shop's ledger of delivered rows."""

from datetime import datetime, timedelta

import duckdb

from benchmarks.chaos.broken_rule import BrokenRule, require_equal_rows
from benchmarks.chaos.shop import Row, SimulatedShop
from tests.dbt_project.reference import READ_EVENTS, REFERENCE, Event, sessionize
from tests.embedding.fake_openai import vector_of

CLOCK_SKEW = timedelta(minutes=60)  # the default of the dbt var clock_skew_minutes
EVENT_COLUMNS = ("event_id", "visitor_id", "user_id", "item_id", "event_type", "event_at")


def check_tables(
    connection: duckdb.DuckDBPyConnection, shop: SimulatedShop, sequence_scope: str, vector_dimensions: int
) -> None:
    """Compare the tables of events, sessions, sequences and items with those that plain Python makes.

    Parameters
    ----------
    sequence_scope : str
        The dbt var ``sequence_scope`` of the last build. Sequences are compared only if it is ``session``; for other
        scopes, the comparison with a full refresh checks them.
    vector_dimensions : int
        Number of dimensions of the fake service's vectors.

    Raises
    ------
    BrokenRule
        If a table differs.
    """
    connection.execute("set TimeZone = 'UTC'")
    rows = connection.execute(f"select {', '.join(EVENT_COLUMNS)} from raw.events").fetchall()
    ledger = [tuple(row[column] for column in EVENT_COLUMNS) for row in shop.delivered_events.values()]
    require_equal_rows("raw.events holds each delivered event once", rows, ledger)
    _check_event_tables(connection, shop, sequence_scope)
    _check_catalogue_tables(connection, shop, vector_dimensions)


def _check_event_tables(connection: duckdb.DuckDBPyConnection, shop: SimulatedShop, sequence_scope: str) -> None:
    loaded_at = dict(connection.execute("select event_id, loaded_at from raw.events").fetchall())
    usable: list[Event] = []
    rejected: list[tuple[str | None, str]] = []
    for event_id, row in shop.delivered_events.items():
        event_or_reason = _event_or_reject_reason(row, loaded_at[event_id], shop)
        if isinstance(event_or_reason, Event):
            usable.append(event_or_reason)
        else:
            rejected.append((event_id, event_or_reason))
    require_equal_rows(
        "staging.stg_events holds each usable event once",
        connection.execute(READ_EVENTS).fetchall(),
        [_event_as_row(event) for event in usable],
    )
    require_equal_rows(
        "staging.rejected_events holds each other event with its reason",
        connection.execute("select event_id, reason from staging.rejected_events").fetchall(),
        rejected,
    )
    sessions = sessionize(usable)
    for query, rows_of_sessions in REFERENCE.items():
        table = query.split(" from ")[1]
        if sequence_scope == "session" or table != "sessions.sequences":
            require_equal_rows(
                f"{table} is what plain Python makes", connection.execute(query).fetchall(), rows_of_sessions(sessions)
            )


def _event_or_reject_reason(row: Row, loaded_at: datetime, shop: SimulatedShop) -> Event | str:
    """Return the event that a delivered row holds, or the reason why the build must reject the row."""
    if row["item_id"] is None:
        return "missing_item_id"
    try:
        event_at = datetime.fromisoformat(str(row["event_at"]))
    except ValueError:
        return "unparsable_event_at"
    if event_at > loaded_at + CLOCK_SKEW:
        return "event_at_in_future"
    if row["item_id"] not in shop.delivered_items:
        return "unknown_item"
    return Event(
        str(row["visitor_id"]),
        event_at,
        str(row["event_id"]),
        row["item_id"],
        str(row["event_type"]),
        None,
        row["user_id"],
    )


def _event_as_row(event: Event) -> tuple:
    return (
        event.visitor_id, event.event_at, event.event_id, event.item_id, event.event_type, event.source_session_id,
        event.user_id, event.bot_reason,
    )  # fmt: skip


def _check_catalogue_tables(connection: duckdb.DuckDBPyConnection, shop: SimulatedShop, vector_dimensions: int) -> None:
    expected = [
        (item, row["title"], row["category"], item in shop.newest_catalogue_item_ids and row["available"] == "yes")
        for item, row in shop.delivered_items.items()
    ]
    found = connection.execute("select item_id, title, category, available from catalog.items").fetchall()
    require_equal_rows("catalog.items holds what the last list says", found, expected)
    vectors = connection.execute(
        "select item_id, text, embedding from catalog.item_embeddings "
        "join catalog.item_texts using (item_id, text_hash)"
    ).fetchall()
    for item, text, vector in vectors:
        right = vector_of(text, vector_dimensions)
        if abs(right / (right @ right) ** 0.5 - vector).max() > 1e-5 and abs(right - vector).max() > 1e-5:
            raise BrokenRule(
                "catalog.item_embeddings holds the vector of the item's text", f"{item}: {text!r} {vector}"
            )
