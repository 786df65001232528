"""Counts how many item ids of events the catalogue has, and finds respellings by which it would have more of them.

A respelling is, for example, an id in lower case.
"""

from jobs.loading.source_report import EXAMPLE_LENGTH, EXAMPLES_LISTED, ItemMatches, Respelling
from jobs.loading.staging_rules import ReadingRule
from jobs.warehouse.connection import Connection, count_rows, literal

RESPELLINGS = {
    "without leading zeros": "coalesce(nullif(ltrim({id}, '0'), ''), {id})",
    "in lower case": "lower({id})",
    "in upper case": "upper({id})",
    "without `.0`": r"regexp_replace({id}, '\.0+$', '')",
    "trimmed": r"regexp_replace({id}, '^[\s\p{{Z}}\p{{C}}]+|[\s\p{{Z}}\p{{C}}]+$', '', 'g')",
    "without quote signs": r"trim({id}, '''\"')",
}
"""Description of a respelling of an id -> its SQL, with the placeholder ``{id}``."""

RESPELT_SIDES = ("events", "catalogue", "both")
"""The ids that a respelling can change. If respelling several of these matches equally many ids, the earliest in this
tuple is proposed."""

CREATE_ITEM_SPELLINGS = """
    -- The distinct spellings go to a table, so that the slow rule for ids reads each spelling once; in one query
    -- DuckDB would apply the rule to every row.
    create or replace temp table item_spellings as
    select item_id, count(*) as row_count from {events} group by item_id
"""

CREATE_ITEM_IDS_OF_EVENTS = """
    -- Each item id of the events: how many rows have it, and whether the catalogue has it
    create or replace temp table item_ids_of_events as
    with ids as (
        select {item_id} as item_id, sum(row_count)::bigint as row_count
        from item_spellings
        where {item_id} is not null
        group by all
    )
    select *, item_id in (select {item_id} from raw.items where {item_id} is not null) as is_known from ids
"""

COUNT_NEAR_MISSES = """
    -- For each way to respell ids, the unknown ids that match the catalogue if the events' ids are respelt, if the
    -- catalogue's are, or if both are
    with unknown_ids as (select item_id from item_ids_of_events where not is_known),
    respelt_ids as (
        select item_id, unnest({respellings}, recursive := true) from unknown_ids
    ),
    keys as (select distinct way, key from respelt_ids),
    catalogue_ids as (
        select distinct item_id, unnest({respellings}, recursive := true)
        from (select {item_id} as item_id from raw.items)
        where item_id is not null
    ),
    catalogue_keys as (
        -- is_plain: an id of the catalogue is spelt like the key without a respelling
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


def match_event_items(
    connection: Connection, staging_text_rule: ReadingRule, events_relation: str = "incoming"
) -> ItemMatches:
    """Count how many item ids of the events in a relation are in ``raw.items``, with examples of unknown ids."""
    item_id_sql = staging_text_rule("item_id")
    connection.execute(CREATE_ITEM_SPELLINGS.format(events=events_relation))
    connection.execute(CREATE_ITEM_IDS_OF_EVENTS.format(item_id=item_id_sql))
    counts = connection.execute(
        "select count(*), coalesce(sum(row_count), 0)::bigint, count(*) filter (where is_known), "
        "coalesce(sum(row_count) filter (where is_known), 0)::bigint from item_ids_of_events"
    ).fetchone()
    ids, rows, known_ids, known_rows = counts or (0, 0, 0, 0)
    unknown = dict(
        connection.execute(
            f"select left(item_id, {EXAMPLE_LENGTH}), row_count from item_ids_of_events where not is_known "
            f"order by row_count desc, item_id limit {EXAMPLES_LISTED}"
        ).fetchall()
    )
    has_catalogue = count_rows(connection, "(from raw.items limit 1)") > 0
    near_misses = _helpful_respellings(connection, item_id_sql) if unknown and has_catalogue else ()
    return ItemMatches(ids, rows, known_ids, known_rows, unknown, near_misses, has_catalogue)


def _helpful_respellings(connection: Connection, item_id_sql: str) -> tuple[Respelling, ...]:
    """Return the respellings by which ids that the catalogue lacks would match its ids, the best respelling first."""
    ways = ", ".join(
        f"{{'way': {literal(way)}, 'key': {sql.format(id='item_id')}}}" for way, sql in RESPELLINGS.items()
    )
    found = connection.execute(COUNT_NEAR_MISSES.format(respellings=f"[{ways}]", item_id=item_id_sql)).fetchall()
    order = list(RESPELLINGS)
    near_misses = []
    for way, in_events, in_catalogue, in_both in found:
        counts = zip((in_events, in_catalogue, in_both), RESPELT_SIDES, strict=True)
        ids, where = max(counts, key=lambda pair: pair[0])
        near_misses.append(Respelling(way, where, ids))
    return tuple(
        sorted(
            near_misses,
            key=lambda miss: (
                -miss.matched_id_count,
                RESPELT_SIDES.index(miss.respelt_side),
                order.index(miss.description),
            ),
        )
    )
