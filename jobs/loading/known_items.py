"""The raw rows that the warehouse knows of items, which complete the rows of feeds that lack columns."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from jobs.loading.mapping import TABLE_COLUMNS
from jobs.warehouse.dbt_macros import dbt_macros

NEW_ITEMS = """
    insert into raw.items by name
    with arrived as (select *, {key} as item_key, {is_dated} as is_dated from incoming),
    known as ({known}),
    newest as (
        select known.*, withdrawn.item_id is not null as is_withdrawn, withdrawn.available as available_before
        from known
        left join raw.withdrawn_items as withdrawn
            on known.item_key = withdrawn.item_id and known.loaded_at = withdrawn.loaded_at
        where known.age = 1
    ),
    -- a column that the feed lacks keeps its known value; an item that a complete feed had withdrawn is available as
    -- it was before
    whole as (
        select arrived.item_key, arrived.is_dated, coalesce(newest.is_withdrawn, false) as is_withdrawn, {columns}
        from arrived
        left join newest on arrived.item_key = newest.item_key
    )
    select {names}, $loaded_at as loaded_at
    from whole
    -- A row of an item is new if it differs from the newest row that raw.items has of the item. A row with a date
    -- (updated_at) is new only if it differs from all rows of the item, unless the item has been withdrawn since
    anti join known on whole.item_key = known.item_key and {same} and (
        (known.age = 1 and whole.available is not distinct from known.available)
        or (whole.is_dated and not whole.is_withdrawn)
    )
"""


@dataclass(frozen=True)
class ItemRules:
    """SQL of dbt's staging of items, which says what one item is and which of an item's rows is its latest.

    Attributes
    ----------
    key : str
        The id by which staging knows an item; an empty text for none.
    stated_at : str
        The instant that ``updated_at`` states.
    latest_first : str
        The order in which the first row of an item is the one that staging takes.
    """

    key: str
    stated_at: str
    latest_first: str


def item_rules(variables: Mapping[str, Any]) -> ItemRules:
    """Return the rules of ``stg_items`` as SQL over the columns of ``raw.items`` and ``stated_at``.

    Parameters
    ----------
    variables : mapping
        Values of the dbt vars.
    """
    macros = dbt_macros(variables=variables)
    price, available_text = macros.to_price("price"), macros.blank_as_null("available")
    available = macros.to_availability(available_text)
    return ItemRules(
        key=f"coalesce({macros.null_word_as_null('item_id')}, '')",
        stated_at=macros.to_timestamp_utc(macros.blank_as_null("updated_at")),
        latest_first=macros.latest_item_first(
            updated_at=macros.item_updated_at(),
            price=price,
            available=f"coalesce({available}, true)",
            unread_price=f"case when {price} is null then {macros.null_word_as_null('price')} end",
            unread_available=f"case when {available} is null then {available_text} end",
        ),
    )


def known_items_sql(rules: ItemRules, keys: str) -> str:
    """Return the query of the raw rows of some items, with ``item_key`` and ``age``: 1 is an item's newest row.

    Parameters
    ----------
    keys : str
        Query of the items' keys.
    """
    names = ", ".join(TABLE_COLUMNS["items"])
    return f"""
        select *, row_number() over (partition by item_key order by {rules.latest_first}) as age
        from (
            select {names}, loaded_at, {rules.key} as item_key, {rules.stated_at} as stated_at
            from raw.items
            where {rules.key} in ({keys})
        )
    """


def new_items_sql(rules: ItemRules, given_columns: set[str]) -> str:
    """Return the statement that appends to ``raw.items`` what is new in ``incoming``; its parameter is ``$loaded_at``.

    Parameters
    ----------
    given_columns : set of str
        The columns that the feed has. The others keep their known values.
    """

    def value(column: str) -> str:
        if column in given_columns:
            return f"arrived.{column}"
        if column == "available":
            return "case when newest.is_withdrawn then newest.available_before else newest.available end"
        return f"newest.{column}"

    names = TABLE_COLUMNS["items"]
    same = [f"whole.{name} is not distinct from known.{name}" for name in names if name in given_columns - {"item_id"}]
    return NEW_ITEMS.format(
        key=rules.key,
        is_dated="updated_at is not null" if "updated_at" in given_columns else "false",
        known=known_items_sql(rules, f"select {rules.key} from incoming"),
        columns=", ".join(f"{value(name)} as {name}" for name in names),
        names=", ".join(names),
        same=" and ".join(same) or "true",
    )
