"""The report of a source of visitors: usable values, and the number of visitors who have events."""

from jobs.loading.row_samples import sampled_relation_sql
from jobs.loading.source_report import ColumnReport, SourceReport
from jobs.loading.staging_rules import StagingRules
from jobs.loading.table_reports.measurements import column_report, single_row, time_text_sql
from jobs.warehouse.connection import Connection, count_rows
from jobs.warehouse.warehouse_tables import is_warehouse_table

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


def visitors_report(connection: Connection, staging_rules: StagingRules, table_to_sample: str) -> SourceReport:
    """Return the report of the visitors in ``incoming``; the parameters are those of ``make_source_report``."""
    row_count = count_rows(connection, "incoming")
    relation = sampled_relation_sql(row_count, table_to_sample)
    text_sql_of_column = {name: staging_rules.text_sql(name) for name in ("visitor_id", "updated_at")}
    counts = single_row(
        connection,
        MEASURE_VISITORS.format(
            **text_sql_of_column,
            time=staging_rules.time_sql("updated_at"),
            first_time=time_text_sql("min(updated_at)"),
            last_time=time_text_sql("max(updated_at)"),
            relation=relation,
        ),
    )
    return SourceReport(
        table="visitors",
        row_count=row_count,
        measured_row_count=counts["measured_rows"],
        usable_row_count=counts["usable"],
        column_reports={"visitor_id": ColumnReport(counts["visitor_id"], counts["visitor_id"])}
        | {
            "updated_at": column_report(
                connection, relation, counts, "updated_at", staging_rules.text_sql, staging_rules.time_sql
            )
        },
        earliest_time=counts["first_time"],
        latest_time=counts["last_time"],
        visitor_count=row_count,
        visitors_with_events_count=_count_visitors_with_events(connection, text_sql_of_column["visitor_id"]),
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
