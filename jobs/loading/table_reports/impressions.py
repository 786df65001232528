"""The report of a source of impressions: usable values, and times that staging accepts."""

from jobs.loading.row_samples import sampled_relation_sql
from jobs.loading.source_report import ColumnReport, SourceReport
from jobs.loading.staging_rules import StagingRules
from jobs.loading.table_reports.measurements import column_report, single_row, time_text_sql
from jobs.warehouse.connection import Connection, count_rows

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


def impressions_report(connection: Connection, staging_rules: StagingRules, table_to_sample: str) -> SourceReport:
    """Return the report of the impressions in ``incoming``; the parameters are those of ``make_source_report``."""
    row_count = count_rows(connection, "incoming")
    relation = sampled_relation_sql(row_count, table_to_sample)
    text_sql_of_column = {
        name: staging_rules.text_sql(name) for name in ("visitor_id", "item_id", "shown_at", "rank", "propensity")
    }
    counts = single_row(
        connection,
        MEASURE_IMPRESSIONS.format(
            **text_sql_of_column,
            time=staging_rules.time_sql("shown_at"),
            rank_value=staging_rules.rank_sql("rank"),
            propensity_value=staging_rules.propensity_sql("propensity"),
            earliest=staging_rules.earliest_event_at_sql,
            latest=staging_rules.latest_event_at_sql,
            first_time=time_text_sql("min(shown_at) filter (where is_in_time)"),
            last_time=time_text_sql("max(shown_at) filter (where is_in_time)"),
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
        row_count=row_count,
        measured_row_count=counts["measured_rows"],
        usable_row_count=counts["usable"],
        column_reports={name: ColumnReport(counts[name], counts[name]) for name in ("visitor_id", "item_id")}
        | {
            name: column_report(connection, relation, counts, name, staging_rules.text_sql, rule)
            for name, rule in reading_rules.items()
        },
        earliest_time=counts["first_time"],
        latest_time=counts["last_time"],
        too_early_time_count=counts["too_early"],
        future_time_count=counts["in_future"],
    )
