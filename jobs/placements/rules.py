"""SQL that users write as rules of placements: checked, and evaluated to one value for each item of the catalogue.

A rule is exactly one SQL expression. Its plain columns are those of the item (also as ``item.COLUMN``), and
``visitor.COLUMN`` is a column of the visitor. A rule over visitors alone names the visitor's columns either way.
"""

import re
from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

import duckdb
import numpy as np
import numpy.typing as npt

from jobs.core.arrays import Bools, Doubles, Ints
from jobs.dbt_vars import Vars
from jobs.errors import NextmartError, UsageError, nearest
from jobs.loading.expressions import require_one_expression, syntax_nodes
from jobs.placement_settings import PlacementSettings
from jobs.placements.rule_relations import ITEM_TABLE, VISITOR_TABLE, RuleRelations
from jobs.warehouse.connection import Connection, quoted

RANDOM_FUNCTIONS = frozenset({"random", "uuid", "gen_random_uuid", "uuidv4", "uuidv7", "setseed"})
"""Functions that give other values each time: a list made with them could not be made again."""

IO_ADVICE = "A rule reads the columns of items and visitors, and tables of the warehouse."

GROUPS_TABLE = "placement_groups"
"""Temporary table of a placement's groups of visitors: ``group_number``, and the struct ``visitor`` of their values."""


@dataclass(frozen=True)
class Rule:
    """An SQL expression that has been checked.

    Attributes
    ----------
    place : str
        Where it stands in the settings, such as ``[placements.home] items``.
    sql : str
    visitor_columns : frozenset of str
        The visitor's columns that it names, in lower case.
    """

    place: str
    sql: str
    visitor_columns: frozenset[str]


def require_rules(connection: Connection, name: str, placement: PlacementSettings, dbt_vars: Vars) -> None:
    """Check what can be checked of a placement's rules before a night: texts that are SQL expressions, and ranks.

    Raises
    ------
    UsageError
        If a rule is more or other than one expression, or a rank lies behind the list's last.
    """
    place = f"[placements.{name}]"
    slots = {f"slots.{rank}": sql for rank, sql in placement.slots.items()}
    rules = {"items": placement.items, "visitors": placement.visitors, "boost": placement.boost, **slots}
    for key, sql in rules.items():
        if sql is not None:
            _parse(connection, f"{place} {key}", sql)
    k = placement.k or dbt_vars.recommendations_per_visitor
    for key, ranks in (("pins", placement.pins), ("slots", placement.slots)):
        if ranks and max(ranks) > k:
            raise UsageError(
                f"{place} {key}: rank {max(ranks)} lies behind the list's last, {k}; set k, or another rank"
            )


def check_item_rule(
    connection: Connection, place: str, sql: str, relations: RuleRelations, *, is_number: bool = False
) -> Rule:
    """Check a condition, or a number, over items and the visitor.

    Raises
    ------
    UsageError
        If the text is not one expression, names an unknown column (the nearest is named), or is of another type.
    """
    tree = _parse(connection, place, sql)
    columns = set()
    for node in syntax_nodes(tree):
        names = [name.lower() for name in node.get("column_names", ())] if node.get("class") == "COLUMN_REF" else []
        if names[:1] == ["visitor"]:
            columns.add(names[1] if names[1:] else "")
    if "" in columns:
        raise UsageError(f"{place}: write visitor.COLUMN; columns: {', '.join(relations.visitor_columns)}")
    if "visitor_id" in columns:
        raise UsageError(
            f"{place}: visitor.visitor_id would make every visitor a group of its own; use a column that visitors share"
        )
    empty = (
        f"(select item.*, visitors.visitor from {ITEM_TABLE} as item, (select {struct_of(relations.visitor_columns)} "  # noqa: S608
        f"as visitor from {VISITOR_TABLE} limit 0) as visitors) as item"
    )
    known = [*relations.item_columns, *(f"visitor.{name}" for name in relations.visitor_columns)]
    query = f"select item_index, ({sql}\n) as value from {empty}"  # noqa: S608
    _require_type(connection, place, sql, query, known, is_number)
    return Rule(place, sql, frozenset(columns))


def check_visitor_rule(connection: Connection, place: str, sql: str, relations: RuleRelations) -> Rule:
    """Check a condition over visitors; see :func:`check_item_rule`."""
    _parse(connection, place, sql)
    query = f"select visitor_id, ({sql}\n) as value from {VISITOR_TABLE} as visitor"  # noqa: S608
    _require_type(connection, place, sql, query, relations.visitor_columns, False)
    return Rule(place, sql, frozenset())


def struct_of(columns: Collection[str]) -> str:
    """Return SQL of a struct of columns, each under its own name; without columns, of one field that is always true."""
    fields = ", ".join(f"{quoted(name)}: {quoted(name)}" for name in sorted(columns))
    return "{" + (fields or "everyone: true") + "}"


def require_column(place: str, name: str, columns: Collection[str]) -> str:
    """Return the column of that name, whatever its case.

    Raises
    ------
    UsageError
        If there is no such column; the nearest one is named.
    """
    for column in columns:
        if column.lower() == name.lower():
            return column
    raise UsageError(f"{place}: items have no column or attribute '{name}'; {nearest(name, columns)}")


def item_conditions(connection: Connection, rule: Rule, group_number: int) -> Bools:
    """Return whether a condition is true for each item, for a group of visitors: bool array (items,)."""
    return _values(connection, rule, "coalesce({}, false)", group_number).astype(np.bool_)


def item_boosts(connection: Connection, rule: Rule, group_number: int) -> Doubles:
    """Return a rule's number for each item, for a group of visitors: float64 array (items,), at least 0.

    Null and what is no finite number count as 1.
    """
    values = _values(connection, rule, "coalesce(({})::double, 1)", group_number).astype(np.float64)
    return np.maximum(np.where(np.isfinite(values), values, 1), 0)


def item_codes(connection: Connection, column: str) -> Ints:
    """Return a number for each item by its value in a column: int32 array (items,); -1 for an item without a value."""
    query = (
        f"select case when {quoted(column)} is null then -1 else dense_rank() over (order by {quoted(column)}) end "  # noqa: S608
        f"from {ITEM_TABLE} order by item_index"
    )
    return _column(connection, query, {}).astype(np.int32)


def create_scope(connection: Connection, placement: str, rule: Rule | None, visitor_columns: Collection[str]) -> int:
    """Fill ``placement_scope`` with a placement's visitors, and ``placement_groups`` with their groups; count groups.

    Visitors with the same values in the given columns are a group. ``placement_scope`` has the columns ``visitor_id``
    and ``group_number``, which counts from 0.
    """
    where = f"coalesce(({rule.sql}\n), false)" if rule else "true"
    try:
        connection.execute(
            "create or replace temp table placement_scope as "  # noqa: S608
            "select visitor_id, visitor, dense_rank() over (order by visitor) - 1 as group_number "
            f"from (select visitor_id, {struct_of(visitor_columns)} as visitor "
            f"from {VISITOR_TABLE} as visitor where {where})"
        )
    except duckdb.Error as error:
        raise NextmartError(f"{rule.place if rule else placement}: {_first_line(error)}") from error
    connection.execute(
        f"create or replace temp table {GROUPS_TABLE} as "  # noqa: S608
        "select group_number, any_value(visitor) as visitor from placement_scope group by group_number"
    )
    row = connection.execute(f"select count(*) from {GROUPS_TABLE}").fetchone()  # noqa: S608
    return int(row[0]) if row else 0


def _values(connection: Connection, rule: Rule, wrapped: str, group_number: int) -> npt.NDArray[Any]:
    query = (
        f"select {wrapped.format(f'({rule.sql}' + chr(10) + ')')} as value from (select item.*, visitors.visitor "  # noqa: S608
        f"from {ITEM_TABLE} as item, (from {GROUPS_TABLE} where group_number = $group_number) as visitors) as item "
        "order by item_index"
    )
    try:
        return _column(connection, query, {"group_number": group_number})
    except duckdb.Error as error:
        raise NextmartError(f"{rule.place}: {_first_line(error)}") from error


def _column(connection: Connection, query: str, parameters: dict[str, Any]) -> npt.NDArray[Any]:
    [values] = connection.execute(query, parameters).fetchnumpy().values()
    return np.asarray(values)


def _parse(connection: Connection, place: str, sql: str) -> dict[str, Any]:
    tree = require_one_expression(connection, f"{place}: ", sql, io_advice=IO_ADVICE)
    for node in syntax_nodes(tree):
        name = str(node.get("function_name", "")).lower()
        if node.get("class") == "FUNCTION" and name in RANDOM_FUNCTIONS:
            raise UsageError(f"{place}: {name}() gives another value each time, so that lists could not be made again")
        if node.get("class") == "WINDOW":
            raise UsageError(f"{place}: a rule judges one item by itself; functions with 'over' look at others")
    return tree


def _require_type(
    connection: Connection, place: str, sql: str, query: str, known_columns: Collection[str], is_number: bool
) -> None:
    """Raise UsageError if DuckDB can't bind a rule, or its value is no condition (or no number)."""
    try:
        *_, (_, type_, *_) = connection.execute(f"describe {query}").fetchall()
    except duckdb.Error as error:
        raise UsageError(f"{place}: {_explained(_first_line(error), sql, known_columns)}") from error
    if type_ == '"NULL"' or (type_ != "BOOLEAN" if not is_number else not re.match(r"U?\w*INT|DEC|DOUB|FLOAT", type_)):
        wanted = "a number, such as 1 + margin" if is_number else "a condition, such as price < 50"
        raise UsageError(f"{place}: write {wanted}; this is {type_.lower()}: {sql}")


def _explained(message: str, sql: str, known_columns: Collection[str]) -> str:
    """Return DuckDB's message, or what it means where a column is unknown."""
    unknown = re.search(r'Referenced column "(.+?)" not found|does not have a column named "(.+?)"', message)
    of_visitor = re.search(r'Could not find key "(.+?)" in struct', message)
    if of_visitor:
        hint = nearest(f"visitor.{of_visitor[1]}", [name for name in known_columns if name.startswith("visitor.")])
        return f"visitors have no column or attribute '{of_visitor[1]}'; {hint}"
    if unknown:
        name = unknown[1] or unknown[2]
        return f"there is no column or attribute '{name}'; {nearest(name, known_columns)}"
    if "GROUP BY" in message:
        return f"a rule judges one item by itself, without count(), sum() and the like: {sql}"
    return f"{message}: {sql}"


def _first_line(error: duckdb.Error) -> str:
    return str(error).partition("\n")[0]
