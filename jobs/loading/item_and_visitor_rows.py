"""Makes the SQL that appends new rows of items and visitors to the raw tables.

A column that a feed lacks gets its value from the newest raw row of the item or visitor.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from jobs.loading.attributes import attribute_values_sql, merged_attributes_sql
from jobs.loading.mapping import TABLE_COLUMNS
from jobs.warehouse.dbt_macros import dbt_macros

INSERT_NEW_ROWS = """
    insert into raw.{table} by name
    with arrived as (select *, {key} as row_key, {is_dated} as is_dated from incoming),
    known as ({known}),
    newest as ({newest}),
    -- Columns that the feed lacks get the value of the item's or visitor's newest raw row. If a complete feed had
    -- withdrawn an item, the item gets the availability from before its withdrawal. Rows without an id all have the
    -- key '', but don't belong to one item, so they get no value of each other
    whole as (
        select arrived.row_key, arrived.is_dated, coalesce(newest.is_withdrawn, false) as is_withdrawn, {columns}
        from arrived
        left join newest on nullif(arrived.row_key, '') = newest.row_key
    ),
    -- A row is new if it differs from the newest raw row of its item or visitor. A row with a date (updated_at), or
    -- without an id, is new only if it differs from all raw rows of its item or visitor, unless the item has been
    -- withdrawn since. There are two joins, because a join with OR in its condition compares each row with each
    unlike_newest as (
        from whole anti join (from known where age = 1) as known on whole.row_key = known.row_key and {same_as_newest}
    )
    select {names}, $loaded_at as loaded_at
    from unlike_newest as whole
    anti join known
        on case when (whole.is_dated or whole.row_key = '') and not whole.is_withdrawn then whole.row_key end
            = known.row_key
        and {same}
"""

SELECT_NEWEST_ITEM_ROWS = """
    select known.*, withdrawn.item_id is not null as is_withdrawn, withdrawn.available as available_before
    from known
    left join raw.withdrawn_items as withdrawn
        on known.row_key = withdrawn.item_id and known.loaded_at = withdrawn.loaded_at
    where known.age = 1
"""

ID_COLUMN_OF_TABLE = {"items": "item_id", "visitors": "visitor_id"}
"""The column with the id of an item or a visitor, by table."""


@dataclass(frozen=True)
class LatestRowRules:
    """SQL expressions by which dbt's staging reads the id of a raw row, and finds the latest raw row of each id.

    Attributes
    ----------
    table : str
        ``items`` or ``visitors``.
    id_sql : str
        SQL of the item's or visitor's id as staging cleans it; the id is an empty text if the row has none.
    updated_at_sql : str
        SQL of the instant in ``updated_at``.
    latest_first_sql : str
        SQL of the sort order in which staging takes the first row of each item or visitor.
    """

    table: str
    id_sql: str
    updated_at_sql: str
    latest_first_sql: str


def latest_row_rules(table: str, dbt_vars: Mapping[str, Any]) -> LatestRowRules:
    """Return the SQL expressions of ``stg_items`` or ``stg_visitors``, with the given values of the dbt vars.

    Parameters
    ----------
    table : str
        ``items`` or ``visitors``.
    dbt_vars : mapping
        Values of the dbt vars.
    """
    macros = dbt_macros(dbt_vars=dbt_vars)
    updated_at = macros.updated_at_or_arrival()
    if table == "items":
        price, available_text = macros.to_price("price"), macros.blank_as_null("available")
        available = macros.to_availability(available_text)
        latest_first = macros.latest_item_row_sort_keys(
            updated_at=updated_at,
            price=price,
            available=f"coalesce({available}, true)",
            unread_price=f"case when {price} is null then {macros.null_word_as_null('price')} end",
            unread_available=f"case when {available} is null then {available_text} end",
            attributes="attributes",
        )
    else:
        latest_first = macros.latest_visitor_row_sort_keys(updated_at=updated_at, attributes="attributes")
    return LatestRowRules(
        table,
        id_sql=f"coalesce({macros.null_word_as_null(ID_COLUMN_OF_TABLE[table])}, '')",
        updated_at_sql=macros.to_timestamp_utc(macros.blank_as_null("updated_at")),
        latest_first_sql=latest_first,
    )


def loaded_rows_sql(latest_row_rules: LatestRowRules, ids_query: str) -> str:
    """Return a query of the rows that a raw table has of some items or visitors.

    The query adds the columns ``row_key``, the cleaned id, and ``age``: 1 for the newest row of an id, 2 for the row
    before, and so on.

    Parameters
    ----------
    ids_query : str
        SQL query of the ids of these items or visitors.
    """
    names = ", ".join(TABLE_COLUMNS[latest_row_rules.table])
    return f"""
        select *, row_number() over (partition by row_key order by {latest_row_rules.latest_first_sql}) as age
        from (
            select
                {names},
                loaded_at,
                {latest_row_rules.id_sql} as row_key,
                {latest_row_rules.updated_at_sql} as stated_at
            from raw.{latest_row_rules.table}
            where {latest_row_rules.id_sql} in ({ids_query})
        )
    """


def insert_new_rows_sql(
    latest_row_rules: LatestRowRules, given_columns: set[str], attribute_names: Sequence[str] = ()
) -> str:
    """Return the statement that inserts the new rows of ``incoming`` into a raw table; its parameter is ``$loaded_at``.

    Parameters
    ----------
    given_columns : set of str
        The raw columns that the feed has. The others get the values of the item's or visitor's newest raw row.
    attribute_names : sequence of str
        The attributes that the feed has. The others get the values of the newest raw row too, unless the feed has the
        whole column ``attributes``.
    """

    def value_sql(column: str) -> str:
        if column in given_columns:
            return f"arrived.{column}"
        if column == "attributes" and attribute_names:
            return merged_attributes_sql("newest.attributes", "arrived.attributes", attribute_names)
        if column == "available":
            return "case when newest.is_withdrawn then newest.available_before else newest.available end"
        return f"newest.{column}"

    names, of_items = TABLE_COLUMNS[latest_row_rules.table], latest_row_rules.table == "items"
    compared = [name for name in names if name in given_columns - {ID_COLUMN_OF_TABLE[latest_row_rules.table]}]
    same = [f"whole.{name} is not distinct from known.{name}" for name in compared]
    if attribute_names and "attributes" not in given_columns:
        values = (attribute_values_sql(f"{relation}.attributes", attribute_names) for relation in ("whole", "known"))
        same.append(" is not distinct from ".join(values))
    same_availability = ["whole.available is not distinct from known.available"] if of_items else []
    return INSERT_NEW_ROWS.format(
        table=latest_row_rules.table,
        key=latest_row_rules.id_sql,
        is_dated="updated_at is not null" if "updated_at" in given_columns else "false",
        known=loaded_rows_sql(latest_row_rules, f"select {latest_row_rules.id_sql} from incoming"),
        newest=SELECT_NEWEST_ITEM_ROWS if of_items else "select *, false as is_withdrawn from known where age = 1",
        columns=", ".join(f"{value_sql(name)} as {name}" for name in names),
        names=", ".join(names),
        same=" and ".join(same) or "true",
        same_as_newest=" and ".join(same + same_availability) or "true",
    )
