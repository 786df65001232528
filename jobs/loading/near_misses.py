"""Item ids of events that the catalogue lacks, and what would make them match: leading zeros, case, `.0`, blanks."""

from jobs.loading.source_report import ItemMatches, NearMiss
from jobs.loading.staging_rules import Rule
from jobs.warehouse.connection import Connection, literal

EXAMPLE_COUNT = 5
"""Number of values that are shown of a kind."""

RESPELLINGS = {
    "without leading zeros": "coalesce(nullif(ltrim({id}, '0'), ''), {id})",
    "in lower case": "lower({id})",
    "in upper case": "upper({id})",
    "without `.0`": r"regexp_replace({id}, '\.0+$', '')",
    "trimmed": r"regexp_replace({id}, '^[\s\p{{Z}}\p{{C}}]+|[\s\p{{Z}}\p{{C}}]+$', '', 'g')",
    "without quote signs": r"trim({id}, '''\"')",
}
"""Ways to respell an id, in words -> SQL over the placeholder ``{id}``. """

SIDES = ("events", "catalogue", "both")
"""Whose ids may be respelt. Of equally good ways, the one for the first of these is told."""

CREATE_SPELLINGS = """
    -- A table of its own: the rule for ids, which is slow, reads each spelling once. Inside one query, DuckDB applies a
    -- filter by the rule to every row.
    create or replace temp table item_spellings as
    select item_id, count(*) as row_count from {events} group by item_id
"""

CREATE_FOUND_ITEMS = """
    -- Each item id of the events: how many rows have it, and whether the catalogue has it
    create or replace temp table found_items as
    with ids as (
        select {text} as item_id, sum(row_count)::bigint as row_count
        from item_spellings
        where {text} is not null
        group by all
    )
    select *, item_id in (select {text} from raw.items where {text} is not null) as is_known from ids
"""

COUNT_NEAR_MISSES = """
    -- For each way to respell ids, the unknown ids that match the catalogue if the events' ids are respelt, if the
    -- catalogue's are, or if both are
    with unknown_ids as (select item_id from found_items where not is_known),
    respelt_ids as (
        select item_id, unnest({respellings}, recursive := true) from unknown_ids
    ),
    keys as (select distinct way, key from respelt_ids),
    catalogue_ids as (
        select distinct item_id, unnest({respellings}, recursive := true)
        from (select {text} as item_id from raw.items)
        where item_id is not null
    ),
    catalogue_keys as (
        -- whether an id of the catalogue has the key as its own spelling
        select way, key, bool_or(item_id = key) as is_plain
        from catalogue_ids
        semi join keys using (way, key)
        group by way, key
    )
    select
        respelt_ids.way,
        count(*) filter (where catalogue_keys.is_plain) as in_events,
        count(*) filter (where respelt_ids.key = respelt_ids.item_id) as in_catalogue,
        count(*) as in_both
    from respelt_ids
    inner join catalogue_keys using (way, key)
    group by respelt_ids.way
"""


def match_items(connection: Connection, text_rule: Rule, events: str = "incoming") -> ItemMatches:
    """Compare the item ids of the relation ``events`` with those of ``raw.items``."""
    text = text_rule("item_id")
    connection.execute(CREATE_SPELLINGS.format(events=events))
    connection.execute(CREATE_FOUND_ITEMS.format(text=text))
    counts = connection.execute(
        "select count(*), coalesce(sum(row_count), 0)::bigint, count(*) filter (where is_known), "
        "coalesce(sum(row_count) filter (where is_known), 0)::bigint from found_items"
    ).fetchone()
    ids, rows, known_ids, known_rows = counts or (0, 0, 0, 0)
    unknown = dict(
        connection.execute(
            f"select left(item_id, 80), row_count from found_items where not is_known "
            f"order by row_count desc, item_id limit {EXAMPLE_COUNT}"
        ).fetchall()
    )
    near_misses = _near_misses(connection, text) if unknown else ()
    return ItemMatches(ids, rows, known_ids, known_rows, unknown, near_misses)


def _near_misses(connection: Connection, text: str) -> tuple[NearMiss, ...]:
    """Return the ways to respell ids that would make unknown ids match, the best first."""
    ways = ", ".join(
        f"{{'way': {literal(way)}, 'key': {sql.format(id='item_id')}}}" for way, sql in RESPELLINGS.items()
    )
    found = connection.execute(COUNT_NEAR_MISSES.format(respellings=f"[{ways}]", text=text)).fetchall()
    order = list(RESPELLINGS)
    near_misses = []
    for way, in_events, in_catalogue, in_both in found:
        ids, where = max(zip((in_events, in_catalogue, in_both), SIDES, strict=True), key=lambda pair: pair[0])
        near_misses.append(NearMiss(way, where, ids))
    return tuple(sorted(near_misses, key=lambda miss: (-miss.ids, SIDES.index(miss.where), order.index(miss.way))))
