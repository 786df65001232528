"""The report of a source of events: usable values, event types, visitors and users, and items in the catalogue."""

from jobs.loading.item_id_matches import match_event_items
from jobs.loading.row_samples import is_sampled, sampled_relation_sql
from jobs.loading.source_report import EXAMPLE_LENGTH, ColumnReport, SourceReport
from jobs.loading.staging_rules import StagingRules
from jobs.loading.table_reports.measurements import column_report, single_row, time_text_sql
from jobs.warehouse.connection import Connection, count_rows, literal

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


def events_report(
    connection: Connection, staging_rules: StagingRules, table_to_sample: str, visitor_and_item_ids_relation: str
) -> SourceReport:
    """Return the report of the events in ``incoming``; the parameters are those of ``make_source_report``."""
    row_count = count_rows(connection, "incoming")
    names = ("event_id", "visitor_id", "user_id", "item_id", "event_type")
    text_sql_of_column = {name: staging_rules.text_sql(name) for name in (*names, "event_at")}
    relation = sampled_relation_sql(row_count, table_to_sample)
    known_types = ", ".join(literal(name) for name in staging_rules.known_event_types)
    counts = single_row(
        connection,
        MEASURE_EVENTS.format(
            **text_sql_of_column,
            time=staging_rules.time_sql("event_at"),
            earliest=staging_rules.earliest_event_at_sql,
            latest=staging_rules.latest_event_at_sql,
            first_time=time_text_sql("min(event_at) filter (where is_in_time)"),
            last_time=time_text_sql("max(event_at) filter (where is_in_time)"),
            relation=relation,
            and_known_type=f"and event_type in ({known_types})" if known_types else "",
        ),
    )
    event_types, type_count = _count_event_types(connection, text_sql_of_column["event_type"])
    visitors, users = _count_visitors_and_users(
        connection, row_count, visitor_and_item_ids_relation, text_sql_of_column
    )
    known_names = staging_rules.known_event_types or tuple(event_types)
    return SourceReport(
        table="events",
        row_count=row_count,
        measured_row_count=counts["measured_rows"],
        usable_row_count=counts["usable"],
        column_reports={name: ColumnReport(counts[name], counts[name]) for name in names}
        | {
            "event_at": column_report(
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


def _count_visitors_and_users(
    connection: Connection, row_count: int, visitor_and_item_ids_relation: str, text_sql_of_column: dict[str, str]
) -> tuple[int, int]:
    """Return the numbers of different visitors and users. They are approximate if only a sample is measured."""
    if is_sampled(row_count):
        counts = "approx_count_distinct(visitor_id), approx_count_distinct(user_id)"
        row = connection.execute(f"select {counts} from {visitor_and_item_ids_relation}").fetchone() or (0, 0)
        return int(row[0]), int(row[1])
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
