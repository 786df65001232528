"""The report of a source of items: usable values, and numbers of items with a text and of unavailable items."""

from jobs.loading.row_samples import sampled_relation_sql
from jobs.loading.source_report import ColumnReport, SourceReport
from jobs.loading.staging_rules import StagingRules
from jobs.loading.table_reports.measurements import column_report, single_row, time_text_sql
from jobs.warehouse.connection import Connection, count_rows

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


def items_report(connection: Connection, staging_rules: StagingRules, table_to_sample: str) -> SourceReport:
    """Return the report of the items in ``incoming``; the parameters are those of ``make_source_report``."""
    row_count = count_rows(connection, "incoming")
    relation = sampled_relation_sql(row_count, table_to_sample)
    names = ("item_id", "title", "brand", "category", "description", "price", "available", "updated_at")
    counts = single_row(
        connection,
        MEASURE_ITEMS.format(
            **{name: staging_rules.text_sql(name) for name in names},
            price_value=staging_rules.price_sql("price"),
            available_value=staging_rules.availability_sql("available"),
            time=staging_rules.time_sql("updated_at"),
            first_time=time_text_sql("min(updated_at)"),
            last_time=time_text_sql("max(updated_at)"),
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
        row_count=row_count,
        measured_row_count=counts["measured_rows"],
        usable_row_count=counts["usable"],
        column_reports={"item_id": ColumnReport(counts["item_id"], counts["item_id"])}
        | {
            name: column_report(connection, relation, counts, name, staging_rules.text_sql, rule)
            for name, rule in optional.items()
        },
        earliest_time=counts["first_time"],
        latest_time=counts["last_time"],
        items_with_text_count=counts["texts"],
        unavailable_item_count=counts["withdrawn"],
    )
