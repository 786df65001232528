"""Keeps the rules of placements in the table ``ml.placement_rules``; dbt's tests check the lists by these rules."""

from collections.abc import Iterator, Mapping
from datetime import datetime

import pyarrow as pa

from jobs.placements.placement import VARIANT_COLUMN, Placement
from jobs.placements.rule_relations import RuleRelations
from jobs.warehouse.connection import Connection, count_rows

RuleRow = tuple[str | None, str, str | None, str]
"""A row of ``ml.placement_rules``: values of the columns placement, rule, target and definition."""

ROW_SCHEMA = pa.schema([(name, pa.string()) for name in ("placement", "rule", "target", "definition")])


CHANGED_RULES = """
    (from ml.placement_rules except all from new_rules) union all (from new_rules except all from ml.placement_rules)
"""


def rows_of_rules(
    rule_relations: RuleRelations, placements_with_exclusion_start: Mapping[str, tuple[Placement, datetime | None]]
) -> list[RuleRow]:
    """Return the rules of placements as rows of the table ``ml.placement_rules``.

    Parameters
    ----------
    placements_with_exclusion_start : name -> (Placement, datetime or None)
        Each placement, with the time after which events count for its key ``exclude``.
    """
    rules: list[RuleRow] = [
        (None, "items_query", None, rule_relations.items_query),
        (None, "visitors_query", None, rule_relations.visitors_query),
    ]
    for placement, exclusion_start in placements_with_exclusion_start.values():
        rules += [(placement.name, *rule) for rule in _stored_rules_of_placement(placement, exclusion_start)]
    return rules


def write_rule_rows(connection: Connection, rule_rows: list[RuleRow]) -> bool:
    """Replace the rows of the table ``ml.placement_rules``; return whether the rows have changed."""
    columns = zip(*rule_rows, strict=True)
    connection.register("new_rules", pa.table(dict(zip(ROW_SCHEMA.names, map(list, columns), strict=True)), ROW_SCHEMA))
    has_changed = count_rows(connection, f"({CHANGED_RULES})") > 0
    if has_changed:
        connection.execute("delete from ml.placement_rules")
        connection.execute("insert into ml.placement_rules from new_rules")
    connection.unregister("new_rules")
    return has_changed


def _stored_rules_of_placement(
    placement: Placement, exclusion_start: datetime | None
) -> Iterator[tuple[str, str | None, str]]:
    settings = placement.settings
    yield "k", None, str(placement.k)
    yield "repeats", None, str(placement.allow_repeats).lower()
    yield "fallback", None, settings.fallback
    if placement.boost_expression:
        yield "boost", None, placement.boost_expression.sql
    if settings.diversity:
        yield "diversity", None, str(settings.diversity)
    if placement.item_condition:
        yield "items", None, placement.item_condition.sql
    if placement.visitor_condition:
        yield "visitors", None, placement.visitor_condition.sql
    if settings.exclude and exclusion_start:
        yield "exclude_since", None, exclusion_start.isoformat()
        for event_type in settings.exclude.event_types:
            yield "exclude_event", None, event_type
    for column, limit in settings.max_per.items():
        yield "max_per", column, str(limit)
    if settings.one_per_variant:
        yield "max_per", VARIANT_COLUMN, "1"
    for rank, item in settings.pins.items():
        yield "pin", str(rank), item
    for rank, rule in placement.slot_conditions.items():
        yield "slot", str(rank), rule.sql
