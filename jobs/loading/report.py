"""Counts, by the rules of dbt's staging models, how many loaded rows the next build will use and how many not."""

from dataclasses import replace
from typing import Any

from jobs.loading.item_id_matches import EXAMPLES_LISTED, match_event_items
from jobs.loading.source_report import ColumnReport, SourceReport
from jobs.loading.staging_rules import ReadingRule, StagingRules
from jobs.warehouse.connection import Connection, count_rows, literal
from jobs.warehouse.warehouse_tables import is_warehouse_table

EXACT_ROWS = 5_000_000
"""The most rows that are all read for a report; of more rows, a sample is read and visitors are counted roughly."""
SAMPLE_ROWS = 500_000
"""The approximate number of rows in the sample."""
EXAMPLE_LENGTH = 80
"""The most characters of a value that a report shows."""
EVENT_TYPES_LISTED = 20
"""The most event types that a report lists; the most frequent ones are listed."""

MEASURE_EVENTS = """
    -- One scan of the incoming events: how many values there are, and how many of them staging reads
    with typed_events as (
        select
            {event_id} as event_id, {visitor_id} as visitor_id, {user_id} as user_id, {item_id} as item_id,
            {event_type} as event_type, {event_at} as event_at_text, {time} as event_at
        from {relation}
    ),
    dated_events as (
        select
            *,
            event_at < {earliest} as is_too_early,
            event_at > {latest} as is_in_future,
            event_at between {earliest} and {latest} as is_in_time
        from typed_events
    )
    select
        count(*) as measured_rows,
        count(event_id) as event_id, count(visitor_id) as visitor_id, count(user_id) as user_id,
        count(item_id) as item_id, count(event_type) as event_type, count(event_at_text) as event_at_given,
        count(event_at) as event_at,
        count(*) filter (where is_too_early) as too_early,
        count(*) filter (where is_in_future) as in_future,
        {first_time} as first_time,
        {last_time} as last_time,
        count(distinct (event_at at time zone 'UTC')::date) filter (where is_in_time) as days,
        count(*) filter (
            where is_in_time and event_id is not null and visitor_id is not null and item_id is not null
            and event_type is not null {and_known_type}
        ) as usable
    from dated_events
"""

MEASURE_ITEMS = """
    -- One scan of the incoming items: how many values there are, and how many of them staging reads
    with typed_items as (
        select
            {item_id} as item_id,
            coalesce({title}, {brand}, {category}, {description}) as any_text,
            {price} as price_text, {price_value} as price,
            {available} as available_text, {available_value} as available,
            {updated_at} as updated_at_text, {time} as updated_at
        from {relation}
    )
    select
        count(*) as measured_rows,
        count(item_id) as item_id, count(any_text) as texts,
        count(price_text) as price_given, count(price) as price,
        count(available_text) as available_given, count(available) as available,
        count(*) filter (where not available) as withdrawn,
        count(updated_at_text) as updated_at_given, count(updated_at) as updated_at,
        {first_time} as first_time,
        {last_time} as last_time,
        count(item_id) as usable
    from typed_items
"""

MEASURE_VISITORS = """
    -- One scan of the incoming visitors: how many values there are, and how many of them staging reads
    with typed_visitors as (
        select {visitor_id} as visitor_id, {updated_at} as updated_at_text, {time} as updated_at from {relation}
    )
    select
        count(*) as measured_rows, count(visitor_id) as visitor_id, count(visitor_id) as usable,
        count(updated_at_text) as updated_at_given, count(updated_at) as updated_at,
        {first_time} as first_time,
        {last_time} as last_time
    from typed_visitors
"""


MEASURE_IMPRESSIONS = """
    -- One scan of the incoming impressions: how many values there are, and how many of them staging reads
    with typed_impressions as (
        select
            {visitor_id} as visitor_id, {item_id} as item_id, {shown_at} as shown_at_text, {time} as shown_at,
            {rank} as rank_text, {rank_value} as rank, {propensity} as propensity_text, {propensity_value} as propensity
        from {relation}
    ),
    dated_impressions as (
        select
            *,
            shown_at < {earliest} as is_too_early,
            shown_at > {latest} as is_in_future,
            shown_at between {earliest} and {latest} as is_in_time
        from typed_impressions
    )
    select
        count(*) as measured_rows,
        count(visitor_id) as visitor_id, count(item_id) as item_id,
        count(shown_at_text) as shown_at_given, count(shown_at) as shown_at,
        count(rank_text) as rank_given, count(rank) as rank,
        count(propensity_text) as propensity_given, count(propensity) as propensity,
        count(*) filter (where is_too_early) as too_early,
        count(*) filter (where is_in_future) as in_future,
        {first_time} as first_time,
        {last_time} as last_time,
        count(*) filter (
            where is_in_time and visitor_id is not null and item_id is not null
            and (rank_text is null or rank is not null) and (propensity_text is null or propensity is not null)
        ) as usable
    from dated_impressions
"""


def make_source_report(
    connection: Connection,
    table: str,
    staging_rules: StagingRules,
    *,
    table_to_sample: str = "incoming",
    visitor_and_item_ids_relation: str = "incoming",
    match_loaded_events: bool = False,
) -> SourceReport:
    """Report how many rows and values of a source dbt's staging models can read; ``incoming`` holds the source's rows.

    The temporary view or table ``incoming`` has the columns of the raw table ``table``. The items of events are looked
    up in ``raw.items``, the catalogue.

    Parameters
    ----------
    table_to_sample : str
        The table that holds the rows of ``incoming``. If there are many rows, only a sample of it is read. DuckDB
        takes a sample of a table fast, but reads all rows of a view.
    visitor_and_item_ids_relation : str
        A relation of the visitor, user and item ids of the incoming events; it may hold an event's ids several times.
    match_loaded_events : bool
        Whether a report of items says how many events of ``raw.events`` match the catalogue. If ``raw.events`` is a
        view, neither this report nor a report of visitors reads it, because a user's view may be slow.
    """
    if table == "events":
        return _events_report(connection, staging_rules, table_to_sample, visitor_and_item_ids_relation)
    if table == "visitors":
        return _visitors_report(connection, staging_rules, table_to_sample)
    if table == "impressions":
        return _impressions_report(connection, staging_rules, table_to_sample)
    report = _items_report(connection, staging_rules, table_to_sample)
    known_events = _loaded_events_relation(connection) if match_loaded_events else None
    return (
        replace(report, item_matches=match_event_items(connection, staging_rules.text_sql, known_events))
        if known_events
        else report
    )


def _loaded_events_relation(connection: Connection) -> str | None:
    """Return the SQL relation of the warehouse's events, or of a sample of them; None if there are no events."""
    rows = count_rows(connection, "raw.events") if is_warehouse_table(connection, "raw", "events") else 0
    return sampled_relation_sql(rows, "raw.events") if rows else None


def _events_report(
    connection: Connection, staging_rules: StagingRules, table_to_sample: str, visitor_and_item_ids_relation: str
) -> SourceReport:
    rows = count_rows(connection, "incoming")
    names = ("event_id", "visitor_id", "user_id", "item_id", "event_type")
    texts = {name: staging_rules.text_sql(name) for name in (*names, "event_at")}
    relation = sampled_relation_sql(rows, table_to_sample)
    known_types = ", ".join(literal(name) for name in staging_rules.known_event_types)
    counts = _single_row(
        connection,
        MEASURE_EVENTS.format(
            **texts,
            time=staging_rules.time_sql("event_at"),
            earliest=staging_rules.earliest_event_at_sql,
            latest=staging_rules.latest_event_at_sql,
            first_time=_time_text_sql("min(event_at) filter (where is_in_time)"),
            last_time=_time_text_sql("max(event_at) filter (where is_in_time)"),
            relation=relation,
            and_known_type=f"and event_type in ({known_types})" if known_types else "",
        ),
    )
    event_types, type_count = _count_event_types(connection, texts["event_type"])
    visitors, users = _count_visitors_and_users(connection, rows, visitor_and_item_ids_relation, texts)
    known_names = staging_rules.known_event_types or tuple(event_types)
    return SourceReport(
        table="events",
        row_count=rows,
        measured_row_count=counts["measured_rows"],
        usable_row_count=counts["usable"],
        column_reports={name: ColumnReport(counts[name], counts[name]) for name in names}
        | {
            "event_at": _column_report(
                connection, relation, counts, "event_at", staging_rules.text_sql, staging_rules.time_sql
            )
        },
        earliest_time=counts["first_time"],
        latest_time=counts["last_time"],
        too_early_time_count=counts["too_early"],
        future_time_count=counts["in_future"],
        days_with_events_count=counts["days"],
        event_type_counts=event_types,
        further_event_type_count=type_count - len(event_types),
        unknown_event_type_counts={name: count for name, count in event_types.items() if name not in known_names},
        visitor_count=visitors,
        user_count=users,
        item_matches=match_event_items(connection, staging_rules.text_sql, visitor_and_item_ids_relation),
    )


def _items_report(connection: Connection, staging_rules: StagingRules, table_to_sample: str) -> SourceReport:
    rows = count_rows(connection, "incoming")
    relation = sampled_relation_sql(rows, table_to_sample)
    names = ("item_id", "title", "brand", "category", "description", "price", "available", "updated_at")
    counts = _single_row(
        connection,
        MEASURE_ITEMS.format(
            **{name: staging_rules.text_sql(name) for name in names},
            price_value=staging_rules.price_sql("price"),
            available_value=staging_rules.availability_sql("available"),
            time=staging_rules.time_sql("updated_at"),
            first_time=_time_text_sql("min(updated_at)"),
            last_time=_time_text_sql("max(updated_at)"),
            relation=relation,
        ),
    )
    optional = {
        "price": staging_rules.price_sql,
        "available": staging_rules.availability_sql,
        "updated_at": staging_rules.time_sql,
    }
    return SourceReport(
        table="items",
        row_count=rows,
        measured_row_count=counts["measured_rows"],
        usable_row_count=counts["usable"],
        column_reports={"item_id": ColumnReport(counts["item_id"], counts["item_id"])}
        | {
            name: _column_report(connection, relation, counts, name, staging_rules.text_sql, rule)
            for name, rule in optional.items()
        },
        earliest_time=counts["first_time"],
        latest_time=counts["last_time"],
        items_with_text_count=counts["texts"],
        unavailable_item_count=counts["withdrawn"],
    )


def _visitors_report(connection: Connection, staging_rules: StagingRules, table_to_sample: str) -> SourceReport:
    rows = count_rows(connection, "incoming")
    relation = sampled_relation_sql(rows, table_to_sample)
    texts = {name: staging_rules.text_sql(name) for name in ("visitor_id", "updated_at")}
    counts = _single_row(
        connection,
        MEASURE_VISITORS.format(
            **texts,
            time=staging_rules.time_sql("updated_at"),
            first_time=_time_text_sql("min(updated_at)"),
            last_time=_time_text_sql("max(updated_at)"),
            relation=relation,
        ),
    )
    return SourceReport(
        table="visitors",
        row_count=rows,
        measured_row_count=counts["measured_rows"],
        usable_row_count=counts["usable"],
        column_reports={"visitor_id": ColumnReport(counts["visitor_id"], counts["visitor_id"])}
        | {
            "updated_at": _column_report(
                connection, relation, counts, "updated_at", staging_rules.text_sql, staging_rules.time_sql
            )
        },
        earliest_time=counts["first_time"],
        latest_time=counts["last_time"],
        visitor_count=rows,
        visitors_with_events_count=_count_visitors_with_events(connection, texts["visitor_id"]),
    )


def _impressions_report(connection: Connection, staging_rules: StagingRules, table_to_sample: str) -> SourceReport:
    rows = count_rows(connection, "incoming")
    relation = sampled_relation_sql(rows, table_to_sample)
    texts = {name: staging_rules.text_sql(name) for name in ("visitor_id", "item_id", "shown_at", "rank", "propensity")}
    counts = _single_row(
        connection,
        MEASURE_IMPRESSIONS.format(
            **texts,
            time=staging_rules.time_sql("shown_at"),
            rank_value=staging_rules.rank_sql("rank"),
            propensity_value=staging_rules.propensity_sql("propensity"),
            earliest=staging_rules.earliest_event_at_sql,
            latest=staging_rules.latest_event_at_sql,
            first_time=_time_text_sql("min(shown_at) filter (where is_in_time)"),
            last_time=_time_text_sql("max(shown_at) filter (where is_in_time)"),
            relation=relation,
        ),
    )
    reading_rules = {
        "shown_at": staging_rules.time_sql,
        "rank": staging_rules.rank_sql,
        "propensity": staging_rules.propensity_sql,
    }
    return SourceReport(
        table="impressions",
        row_count=rows,
        measured_row_count=counts["measured_rows"],
        usable_row_count=counts["usable"],
        column_reports={name: ColumnReport(counts[name], counts[name]) for name in ("visitor_id", "item_id")}
        | {
            name: _column_report(connection, relation, counts, name, staging_rules.text_sql, rule)
            for name, rule in reading_rules.items()
        },
        earliest_time=counts["first_time"],
        latest_time=counts["last_time"],
        too_early_time_count=counts["too_early"],
        future_time_count=counts["in_future"],
    )


def _count_visitors_with_events(connection: Connection, visitor_id_sql: str) -> int | None:
    """Return how many of the incoming visitors have events, or None if ``raw.events`` is empty or a view.

    All events are read, but only their visitor ids: in a sample of events, most visitors would have none.
    """
    if not is_warehouse_table(connection, "raw", "events") or not count_rows(connection, "(from raw.events limit 1)"):
        return None
    # the distinct spellings go to a table, so that the slow rule for visitors' ids reads each spelling once
    connection.execute("create or replace temp table visitor_spellings as select distinct visitor_id from raw.events")
    ids = [f"(select {visitor_id_sql} as visitor_id from {table})" for table in ("incoming", "visitor_spellings")]
    return count_rows(connection, f"{ids[0]} semi join {ids[1]} using (visitor_id)")


def sampled_relation_sql(row_count: int, relation: str) -> str:
    """Return the SQL of a relation, or of a sample of it if it has more rows than are read for a report."""
    if row_count <= EXACT_ROWS:
        return relation
    return f"(select * from {relation} tablesample system({100 * SAMPLE_ROWS / row_count}%) repeatable (1))"


def _count_visitors_and_users(
    connection: Connection, row_count: int, visitor_and_item_ids_relation: str, text_sql_of_column: dict[str, str]
) -> tuple[int, int]:
    """Return the numbers of different visitors and users. Of more than ``EXACT_ROWS`` rows they are approximate."""
    if row_count > EXACT_ROWS:
        counts = "approx_count_distinct(visitor_id), approx_count_distinct(user_id)"
        visitors, users = connection.execute(f"select {counts} from {visitor_and_item_ids_relation}").fetchone() or (
            0,
            0,
        )
        return int(visitors), int(users)
    # distinct ids are selected before the slow staging rule for ids, so that the rule reads each id once
    visitors, users = (
        count_rows(
            connection,
            f"(select distinct {text_sql_of_column[name]} as id from (select distinct {name} from incoming)) where id "
            "is not null",
        )
        for name in ("visitor_id", "user_id")
    )
    return visitors, users


def _column_report(
    connection: Connection,
    relation: str,
    measured_counts: dict[str, Any],
    column: str,
    text_rule: ReadingRule,
    reading_rule: ReadingRule,
) -> ColumnReport:
    """Return how many values of a column ``reading_rule`` reads, and the most frequent values that it can't read."""
    given, read = measured_counts[f"{column}_given"], measured_counts[column]
    unread = {}
    if read < given:
        query = (
            f"select left({text_rule(column)}, {EXAMPLE_LENGTH}) as value, count(*) from {relation} "
            f"where {text_rule(column)} is not null and {reading_rule(column)} is null "
            f"group by value order by count(*) desc, value limit {EXAMPLES_LISTED}"
        )
        unread = dict(connection.execute(query).fetchall())
    return ColumnReport(given, read, unread)


def _count_event_types(connection: Connection, event_type_sql: str) -> tuple[dict[str, int], int]:
    """Return the most frequent event types with their numbers of rows, and the total number of event types."""
    # the distinct spellings go to a table, so that the slow rule for texts reads each spelling once
    connection.execute(
        "create or replace temp table event_type_spellings as "
        "select event_type, count(*) as row_count from incoming group by event_type"
    )
    found = connection.execute(
        f"select left({event_type_sql}, {EXAMPLE_LENGTH}) as value, sum(row_count)::bigint as row_count, "
        "count(*) over () "
        f"from event_type_spellings where {event_type_sql} is not null "
        f"group by value order by row_count desc, value limit {EVENT_TYPES_LISTED}"
    ).fetchall()
    return {value: row_count for value, row_count, _ in found}, found[0][2] if found else 0


def _single_row(connection: Connection, query: str) -> dict[str, Any]:
    """Return the single row of a query's result: column name -> value."""
    result = connection.execute(query)
    names = [column[0] for column in result.description or ()]
    return dict(zip(names, result.fetchone() or (), strict=True))


def _time_text_sql(instant_sql: str) -> str:
    """Return the SQL that writes an instant as a text in UTC, to the second."""
    return f"strftime({instant_sql} at time zone 'UTC', '%Y-%m-%d %H:%M:%S')"
