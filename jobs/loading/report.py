"""Reports, by the rules of dbt's staging models, how many rows and values of a source the next build can use."""

from dataclasses import replace

from jobs.loading.item_id_matches import match_event_items
from jobs.loading.row_samples import sampled_relation_sql
from jobs.loading.source_report import SourceReport
from jobs.loading.staging_rules import StagingRules
from jobs.loading.table_reports.events import events_report
from jobs.loading.table_reports.impressions import impressions_report
from jobs.loading.table_reports.items import items_report
from jobs.loading.table_reports.visitors import visitors_report
from jobs.warehouse.connection import Connection, count_rows
from jobs.warehouse.warehouse_tables import is_warehouse_table


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
        return events_report(connection, staging_rules, table_to_sample, visitor_and_item_ids_relation)
    if table == "visitors":
        return visitors_report(connection, staging_rules, table_to_sample)
    if table == "impressions":
        return impressions_report(connection, staging_rules, table_to_sample)
    report = items_report(connection, staging_rules, table_to_sample)
    loaded_events = _loaded_events_relation(connection) if match_loaded_events else None
    if loaded_events is None:
        return report
    return replace(report, item_matches=match_event_items(connection, staging_rules.text_sql, loaded_events))


def _loaded_events_relation(connection: Connection) -> str | None:
    """Return the SQL of ``raw.events``, or of a sample of it; None if it has no rows or is a view."""
    rows = count_rows(connection, "raw.events") if is_warehouse_table(connection, "raw", "events") else 0
    return sampled_relation_sql(rows, "raw.events") if rows else None
