"""The two temporary tables whose columns the rules of placements may name: one of items, one of visitors.

Attributes become columns of the types in ``catalog.attribute_types``. An attribute that has the name of another column
gets no column: a rule reads it as ``attributes ->> 'NAME'``.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from jobs.warehouse.connection import Connection, literal, quoted_name

SELECT_NEWEST_EVENT = "select max(ended_at) from sessions.sessions"

SQL_TYPES = {"number": "double", "boolean": "boolean", "date": "date", "time": "timestamptz", "text": "varchar"}
"""Type of an attribute -> type of its column in SQL; attributes of other types have columns of the type JSON."""

ITEMS = """
    select
        items.item_id, items.title, items.brand, items.category, items.description, items.price, items.available,
        items.updated_at, coalesce(popular.score, 0) as popularity, public_items.first_seen_at,
        {first_seen_days} as first_seen_days, variants.variant_group, items.attributes{attributes}
    from catalog.items as items
    left join recommendations.popular_items as popular on items.item_id = popular.item_id
    left join recommendations.items as public_items on items.item_id = public_items.item_id
    left join ml.item_variants as variants on items.item_id = variants.item_id
"""

VISITORS = """
    select
        coalesce(totals.visitor_id, items.visitor_id) as visitor_id, coalesce(totals.events, 0)::bigint as events,
        coalesce(totals.sessions, 0)::bigint as sessions, coalesce(totals.purchases, 0)::bigint as purchases,
        totals.first_seen_at, totals.last_seen_at, {last_seen_days} as last_seen_days, items.attributes{attributes}
    from (
        select
            visitor_id, sum(event_count) as events, count(*) as sessions, sum(purchase_count) as purchases,
            min(started_at) as first_seen_at, max(ended_at) as last_seen_at
        from sessions.sessions where not is_bot group by visitor_id
    ) as totals
    full join (
        from catalog.visitors where visitor_id not in (select visitor_id from sessions.bot_visitors)
    ) as items on totals.visitor_id = items.visitor_id
"""

ITEM_TABLE, VISITOR_TABLE = "placement_items", "placement_visitors"


@dataclass(frozen=True)
class RuleRelations:
    """The relations of items and of visitors whose columns the rules of placements may name.

    Attributes
    ----------
    items_query, visitors_query : str
        Queries of the two relations.
    item_columns, visitor_columns : tuple of str
        Names of their columns.
    """

    items_query: str
    visitors_query: str
    item_columns: tuple[str, ...]
    visitor_columns: tuple[str, ...]


def create_rule_relations(connection: Connection) -> RuleRelations:
    """Make the temporary tables that rules read: ``placement_items``, by item_id, and ``placement_visitors``."""
    row = connection.execute(SELECT_NEWEST_EVENT).fetchone()
    newest = "null::timestamptz" if row is None or row[0] is None else f"{literal(row[0].isoformat())}::timestamptz"
    items_query = ITEMS.format(
        first_seen_days=_sql_of_days_before_newest_event("public_items.first_seen_at", newest),
        attributes=_sql_of_attribute_columns(connection, "item", ITEMS),
    )
    visitors_query = VISITORS.format(
        last_seen_days=_sql_of_days_before_newest_event("totals.last_seen_at", newest),
        attributes=_sql_of_attribute_columns(connection, "visitor", VISITORS),
    )
    connection.execute(
        f"create or replace temp table {ITEM_TABLE} as "  # noqa: S608
        f"select row_number() over (order by item_id) - 1 as item_index, * from ({items_query}) order by item_id"
    )
    connection.execute(f"create or replace temp table {VISITOR_TABLE} as {visitors_query}")
    item_columns = [name for name in _column_names(connection, ITEM_TABLE) if name != "item_index"]
    return RuleRelations(
        items_query, visitors_query, tuple(item_columns), tuple(_column_names(connection, VISITOR_TABLE))
    )


def _sql_of_days_before_newest_event(instant_sql: str, newest_event_sql: str) -> str:
    """Return SQL of the whole days from an instant to the shop's newest event.

    The days are 0 for an instant after the newest event, and null where the instant is null.
    """
    days = f"greatest(0, floor((epoch({newest_event_sql}) - epoch({instant_sql})) / 86400))::integer"
    return f"case when {instant_sql} is not null then {days} end"


def _column_names(connection: Connection, relation_sql: str) -> list[str]:
    return [name for name, *_ in connection.execute(f"describe {relation_sql}").fetchall()]


def _sql_of_attribute_columns(connection: Connection, subject: str, relation_query_template: str) -> str:
    """Return SQL that adds a column for each attribute of items, or of visitors, to a select list.

    Parameters
    ----------
    subject : str
        ``item`` or ``visitor``.
    relation_query_template : str
        Template of the query to which the columns are added. Attributes that have the name of one of its columns are
        left out.
    """
    empty = relation_query_template.format(first_seen_days="null", last_seen_days="null", attributes="")
    taken_names = {name.lower() for name in _column_names(connection, f"({empty})")} | {"visitor", "item", "item_index"}
    types = connection.execute(
        "select name, type from catalog.attribute_types where subject = ? order by name", [subject]
    ).fetchall()
    return "".join(_select_terms_of_attributes(types, taken_names))


def _select_terms_of_attributes(attribute_types: Iterable[tuple[str, str]], taken_names: set[str]) -> Iterable[str]:
    for name, type_ in attribute_types:
        if name.lower() not in taken_names:
            taken_names.add(name.lower())
            pointer = literal("/" + name.replace("~", "~0").replace("/", "~1"))
            value = f"items.attributes ->> {pointer}" if type_ != "json" else f"items.attributes -> {pointer}"
            yield f", try_cast({value} as {SQL_TYPES.get(type_, 'json')}) as {quoted_name(name)}"
