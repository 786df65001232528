"""Warns of new rows that change nothing, because an earlier row of the same item or visitor counts as newer."""

from datetime import datetime

from jobs.loading.item_and_visitor_rows import LatestRowRules, loaded_rows_sql
from jobs.progress import on_one_line, say
from jobs.warehouse.connection import Connection, count_rows, literal

COUNT_OVERTAKEN_ROWS = """
    with loaded_rows as ({loaded_rows})
    select count(*), min(new.row_key)
    from loaded_rows as new
    inner join loaded_rows as newest on new.row_key = newest.row_key
    where
        new.loaded_at = $loaded_at and new.stated_at is not null and new.row_key <> ''
        and newest.age = 1 and newest.loaded_at < $loaded_at and newest.stated_at is null
"""


def warn_of_overtaken_rows(connection: Connection, latest_row_rules: LatestRowRules, loaded_at: datetime) -> None:
    """Warn of rows loaded at ``loaded_at`` whose ``updated_at`` lies before the arrival of a row that states none.

    Staging keeps the newest row of each item and visitor. A row whose ``updated_at`` is missing or can't be read is as
    new as its arrival. So a row with an older ``updated_at`` changes nothing if it arrives later.
    """
    table = f"raw.{latest_row_rules.table}"
    if not count_rows(connection, f"(from {table} where loaded_at < {literal(loaded_at.isoformat())} limit 1)"):
        return
    new_ids = f"select {latest_row_rules.id_sql} from {table} where loaded_at = $loaded_at"
    query = COUNT_OVERTAKEN_ROWS.format(loaded_rows=loaded_rows_sql(latest_row_rules, new_ids))
    count, example = connection.execute(query, {"loaded_at": loaded_at}).fetchall()[0]
    if count:
        say(
            on_one_line(
                f"WARN: {latest_row_rules.table}: {count:,} {'row changes' if count == 1 else 'rows change'} nothing, "
                f"such as that of '{example}': the updated_at lies before the arrival of a known row that states no "
                "updated_at. To let rows count from their arrival, load them with --map updated_at=null; in a feed: "
                'map = {updated_at = "null"}'
            )
        )
