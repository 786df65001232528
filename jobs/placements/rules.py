"""Checks the SQL that users write as rules of placements, and evaluates a rule to a value for each item.

A rule is exactly one SQL expression. In a rule over items, ``COLUMN`` and ``item.COLUMN`` are columns of the item, and
``visitor.COLUMN`` is a column of the visitor. In a rule over visitors, ``COLUMN`` is a column of the visitor too.
"""

import re
from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

import duckdb
import numpy as np
import numpy.typing as npt

from jobs.core.arrays import Bools, Doubles, Ints
from jobs.dbt_vars import JobVars
from jobs.errors import NextmartError, UsageError, nearest_name_hint
from jobs.loading.expression_checks import require_one_expression, syntax_nodes
from jobs.placement_settings import PlacementSettings
from jobs.placements.rule_relations import ITEM_TABLE, VISITOR_TABLE, RuleRelations
from jobs.warehouse.connection import Connection, count_rows, quoted_name

RANDOM_FUNCTIONS = frozenset({"random", "uuid", "gen_random_uuid", "uuidv4", "uuidv7", "setseed"})
"""SQL functions that rules must not call: their values differ each time, so a list could not be made again."""

CLOCK_FUNCTIONS = frozenset(
    {
        *("now", "get_current_timestamp", "transaction_timestamp", "current_localtimestamp"),
        *("get_current_time", "current_localtime"),
    }
)
"""SQL functions of the present time that rules must not call.

dbt's tests evaluate each rule again, some minutes after the lists were filled. A rule that reads the clock may then say
something else, and the build stops. The present date may be read, because it changes only at midnight.
"""

CLOCK_WORDS = frozenset({"current_timestamp", "localtimestamp", "current_time", "localtime"})
"""Words without parentheses by which SQL names the present time; rules must not use them either."""

IO_ADVICE = "A rule reads the columns of items and visitors, and tables of the warehouse."

GROUPS_TABLE = "placement_groups"
"""Temporary table of a placement's groups of visitors, with the columns ``group_number`` and ``visitor``.

``visitor`` is a struct of the values that all visitors of the group share.
"""


@dataclass(frozen=True)
class CheckedExpression:
    """An SQL expression of a placement's rule, which has been checked.

    Attributes
    ----------
    setting_name : str
        Table and key of the rule in the settings, such as ``[placements.home] items``.
    sql : str
        The expression.
    visitor_columns : frozenset of str
        The visitor's columns that the expression names, in lower case.
    """

    setting_name: str
    sql: str
    visitor_columns: frozenset[str]


def require_parsable_rules(
    connection: Connection, placement_name: str, placement_settings: PlacementSettings, job_vars: JobVars
) -> None:
    """Check what can be checked of a placement's rules without the shop's data: the syntax of SQL, and the ranks.

    Raises
    ------
    UsageError
        If a rule is not exactly one SQL expression, or a pin's or slot's rank is larger than the list's length.
    """
    setting = f"[placements.{placement_name}]"
    slots = {f"slots.{rank}": sql for rank, sql in placement_settings.slots.items()}
    rules = {
        "items": placement_settings.items,
        "visitors": placement_settings.visitors,
        "boost": placement_settings.boost,
        **slots,
    }
    for key, sql in rules.items():
        if sql is not None:
            _parse_rule(connection, f"{setting} {key}", sql)
    k = placement_settings.k or job_vars.recommendations_per_visitor
    for key, ranks in (("pins", placement_settings.pins), ("slots", placement_settings.slots)):
        if ranks and max(ranks) > k:
            raise UsageError(
                f"{setting} {key}: rank {max(ranks)} lies behind the list's last, {k}; set k, or another rank"
            )


def make_checked_item_rule(
    connection: Connection, setting_name: str, sql: str, rule_relations: RuleRelations, *, must_be_number: bool = False
) -> CheckedExpression:
    """Check a rule over items, which may name columns of the visitor too, and return the checked rule.

    Parameters
    ----------
    setting_name : str
        Table and key of the rule in the settings.
    must_be_number : bool
        Whether the rule's value has to be a number; else it has to be a condition.

    Raises
    ------
    UsageError
        If the text is not exactly one SQL expression, or names an unknown column (the message names the nearest known
        one), or its value has another type.
    """
    tree = _parse_rule(connection, setting_name, sql)
    columns = set()
    for node in syntax_nodes(tree):
        names = [name.lower() for name in node.get("column_names", ())] if node.get("class") == "COLUMN_REF" else []
        if names[:1] == ["visitor"]:
            columns.add(names[1] if names[1:] else "")
    if "" in columns:
        raise UsageError(f"{setting_name}: write visitor.COLUMN; columns: {', '.join(rule_relations.visitor_columns)}")
    if "visitor_id" in columns:
        raise UsageError(
            f"{setting_name}: visitor.visitor_id would make every visitor a group of its own; use a column that "
            "visitors share"
        )
    empty = (
        f"(select item.*, visitors.visitor from {ITEM_TABLE} as item, "  # noqa: S608
        f"(select {struct_sql(rule_relations.visitor_columns)} as visitor from {VISITOR_TABLE} limit 0) as visitors"
        ") as item"
    )
    known = [*rule_relations.item_columns, *(f"visitor.{name}" for name in rule_relations.visitor_columns)]
    query = f"select item_index, ({sql}\n) as value from {empty}"  # noqa: S608
    _require_type(connection, setting_name, sql, query, known, must_be_number)
    return CheckedExpression(setting_name, sql, frozenset(columns))


def make_checked_visitor_rule(
    connection: Connection, setting_name: str, sql: str, rule_relations: RuleRelations
) -> CheckedExpression:
    """Check a rule over visitors, which has to be a condition, and return the checked rule.

    The errors are those of :func:`make_checked_item_rule`.
    """
    _parse_rule(connection, setting_name, sql)
    query = f"select visitor_id, ({sql}\n) as value from {VISITOR_TABLE} as visitor"  # noqa: S608
    _require_type(connection, setting_name, sql, query, rule_relations.visitor_columns, False)
    return CheckedExpression(setting_name, sql, frozenset())


def struct_sql(column_names: Collection[str]) -> str:
    """Return SQL of a struct with a field for each column; the struct of no columns gets a field that is true."""
    fields = ", ".join(f"{quoted_name(name)}: {quoted_name(name)}" for name in sorted(column_names))
    return "{" + (fields or "everyone: true") + "}"


def find_required_column(setting_name: str, column_name: str, column_names: Collection[str]) -> str:
    """Return the column of items that has a name, in whatever case the name is written.

    Parameters
    ----------
    setting_name : str
        The setting that holds the name, for messages.

    Raises
    ------
    UsageError
        If no column has the name; the message says which name is nearest.
    """
    for column in column_names:
        if column.lower() == column_name.lower():
            return column
    raise UsageError(
        f"{setting_name}: items have no column or attribute '{column_name}'; "
        f"{nearest_name_hint(column_name, column_names)}"
    )


def evaluate_item_condition(connection: Connection, rule: CheckedExpression, group_number: int) -> Bools:
    """Return a bool array (items,): whether a rule's condition is true for the item and a group of visitors."""
    return _evaluate_for_items(connection, rule, "coalesce({}, false)", group_number).astype(np.bool_)


def evaluate_boost(connection: Connection, rule: CheckedExpression, group_number: int) -> Doubles:
    """Return a float64 array (items,): the boost, at least 0, that a rule gives each item for a group of visitors.

    A null, an infinite number and a NaN count as 1.
    """
    values = _evaluate_for_items(connection, rule, "coalesce(({})::double, 1)", group_number).astype(np.float64)
    return np.maximum(np.where(np.isfinite(values), values, 1), 0)


def value_codes_of_column(connection: Connection, column: str) -> Ints:
    """Return an int32 array (items,): the same code for items with the same value in a column.

    An item without a value has the code -1.
    """
    column_sql = quoted_name(column)
    query = (
        f"select case when {column_sql} is null then -1 else dense_rank() over (order by {column_sql}) end "  # noqa: S608
        f"from {ITEM_TABLE} order by item_index"
    )
    return _read_single_column(connection, query, {}).astype(np.int32)


def create_visitor_groups(
    connection: Connection,
    placement_name: str,
    visitor_condition: CheckedExpression | None,
    grouping_columns: Collection[str],
) -> int:
    """Make the temporary tables of a placement's visitors and of their groups; return the number of groups.

    Visitors with the same values in ``grouping_columns`` form a group. The table ``visitors_of_placement`` has the
    visitors, with the columns ``visitor_id`` and ``group_number`` (from 0), and ``placement_groups`` has the groups.

    Parameters
    ----------
    placement_name : str
        Name of the placement.
    visitor_condition : CheckedExpression or None
        Condition for the visitors who get a list; None: all visitors get one.
    """
    where = f"coalesce(({visitor_condition.sql}\n), false)" if visitor_condition else "true"
    try:
        connection.execute(
            "create or replace temp table visitors_of_placement as "  # noqa: S608
            "select visitor_id, visitor, dense_rank() over (order by visitor) - 1 as group_number "
            f"from (select visitor_id, {struct_sql(grouping_columns)} as visitor "
            f"from {VISITOR_TABLE} as visitor where {where})"
        )
    except duckdb.Error as error:
        raise NextmartError(
            f"{visitor_condition.setting_name if visitor_condition else placement_name}: {_first_line(error)}"
        ) from error
    connection.execute(
        f"create or replace temp table {GROUPS_TABLE} as "  # noqa: S608
        "select group_number, any_value(visitor) as visitor from visitors_of_placement group by group_number"
    )
    return count_rows(connection, GROUPS_TABLE)


def _evaluate_for_items(
    connection: Connection, rule: CheckedExpression, value_sql_template: str, group_number: int
) -> npt.NDArray[Any]:
    query = (
        f"select {value_sql_template.format(f'({rule.sql}' + chr(10) + ')')} as value "  # noqa: S608
        f"from (select item.*, visitors.visitor from {ITEM_TABLE} as item, "
        f"(from {GROUPS_TABLE} where group_number = $group_number) as visitors) as item "
        "order by item_index"
    )
    try:
        return _read_single_column(connection, query, {"group_number": group_number})
    except duckdb.Error as error:
        raise NextmartError(f"{rule.setting_name}: {_first_line(error)}") from error


def _read_single_column(connection: Connection, query: str, bound_values: dict[str, Any]) -> npt.NDArray[Any]:
    [values] = connection.execute(query, bound_values).fetchnumpy().values()
    return np.asarray(values)


def _parse_rule(connection: Connection, setting_name: str, sql: str) -> dict[str, Any]:
    tree = require_one_expression(connection, f"{setting_name}: ", sql, io_advice=IO_ADVICE)
    for node in syntax_nodes(tree):
        name = str(node.get("function_name", "")).lower()
        if node.get("class") == "FUNCTION" and name in RANDOM_FUNCTIONS:
            raise UsageError(
                f"{setting_name}: {name}() gives another value each time, so that lists could not be made again"
            )
        word = ".".join(node.get("column_names", [])).lower()
        if (node.get("class") == "FUNCTION" and name in CLOCK_FUNCTIONS) or word in CLOCK_WORDS:
            raise UsageError(
                f"{setting_name}: {name or word} gives another value when the build tests the lists, minutes later. "
                "Write first_seen_days or last_seen_days, or current_date"
            )
        if node.get("class") == "WINDOW":
            raise UsageError(f"{setting_name}: a rule judges one item by itself; functions with 'over' look at others")
    return tree


def _require_type(
    connection: Connection,
    setting_name: str,
    sql: str,
    query: str,
    known_column_names: Collection[str],
    must_be_number: bool,
) -> None:
    """Raise UsageError if DuckDB can't resolve a rule's names and types, or the rule's value has the wrong type."""
    try:
        *_, (_, type_, *_) = connection.execute(f"describe {query}").fetchall()
    except duckdb.Error as error:
        raise UsageError(f"{setting_name}: {_explain_error(_first_line(error), sql, known_column_names)}") from error
    if type_ == '"NULL"' or (
        type_ != "BOOLEAN" if not must_be_number else not re.match(r"U?\w*INT|DEC|DOUB|FLOAT", type_)
    ):
        wanted = "a number, such as 1 + margin" if must_be_number else "a condition, such as price < 50"
        raise UsageError(f"{setting_name}: write {wanted}; this is {type_.lower()}: {sql}")


def _explain_error(message: str, sql: str, known_column_names: Collection[str]) -> str:
    """Return DuckDB's message on a rule, or a clearer one if the rule names an unknown column or is an aggregate."""
    unknown = re.search(r'Referenced column "(.+?)" not found|does not have a column named "(.+?)"', message)
    of_visitor = re.search(r'Could not find key "(.+?)" in struct', message)
    if of_visitor:
        hint = nearest_name_hint(
            f"visitor.{of_visitor[1]}", [name for name in known_column_names if name.startswith("visitor.")]
        )
        return f"visitors have no column or attribute '{of_visitor[1]}'; {hint}"
    if unknown:
        name = unknown[1] or unknown[2]
        return f"there is no column or attribute '{name}'; {nearest_name_hint(name, known_column_names)}"
    if "GROUP BY" in message:
        return f"a rule judges one item by itself, without count(), sum() and the like: {sql}"
    return f"{message}: {sql}"


def _first_line(error: duckdb.Error) -> str:
    return str(error).partition("\n")[0]
