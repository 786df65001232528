"""The SQL that users write for ``--map`` and ``--where``: exactly one expression, which reads nothing but its row.

DuckDB's own parser judges the text, so whatever expression DuckDB understands is understood here.
"""

import json
from collections.abc import Iterator
from typing import Any

from jobs.errors import NextmartError, UsageError
from jobs.warehouse.connection import Connection

TABLE_FUNCTIONS = frozenset({"unnest", "range", "generate_series", "json_each", "json_tree"})
"""Table functions that a subquery may call: they make rows of values, and read nothing."""
REACHING_FUNCTIONS = frozenset({"getenv", "write_log", "nextval", "setseed", "current_setting", "current_query"})
"""Scalar functions that reach out of the row: to the environment, to settings or to the log."""

NOT_ONE_EXPRESSION = "{option}{text}: write exactly one SQL expression; this is more or other than one"
NO_SELECT = "not implemented"
"""DuckDB's type of error for a text that its parser understands, and that is no list of SELECT statements."""


def require_one_expression(connection: Connection, option: str, text: str, *, allow_io: bool = False) -> None:
    """Check that a text is exactly one SQL expression, and that the expression reads no file.

    Parameters
    ----------
    option : str
        What the user wrote in front of the expression, such as ``--map item_id=``; for the message.
    allow_io : bool
        Whether the expression may read files and call functions that reach out of the warehouse.

    Raises
    ------
    NextmartError
        If DuckDB's parser doesn't understand the text.
    UsageError
        If the text is more or other than one expression, or the expression reads files.
    """
    parsed = _parse(connection, f"select {text}\n")
    if parsed["error"] and parsed["error_type"] == NO_SELECT:
        raise UsageError(NOT_ONE_EXPRESSION.format(option=option, text=text))
    if parsed["error"]:
        raise NextmartError(f"{option}{text}: {parsed['error_message']}. Write exactly one SQL expression")
    # in parentheses too, the text must be an expression: `select (a) from t` and `select a order by b` are none
    nodes = [statement["node"] for statement in parsed["statements"]]
    columns = [column for node in nodes for column in node.get("select_list", [])]
    rests = [{name: part for name, part in node.items() if name != "select_list"} for node in nodes]
    [plain] = [statement["node"] for statement in _parse(connection, "select 1")["statements"]]
    one_expression = rests == [{name: part for name, part in plain.items() if name != "select_list"}]
    if not one_expression or len(columns) != 1 or columns[0]["alias"] or _names_many_columns(columns[0]):
        raise UsageError(NOT_ONE_EXPRESSION.format(option=option, text=text))
    reached = sorted(set(_reached(columns[0])))
    if reached and not allow_io:
        raise UsageError(
            f"{option}{text}: the expression reaches out of its row with {', '.join(reached)}. "
            "If that is what you want, add --allow-sql-io."
        )


def _parse(connection: Connection, statement: str) -> dict[str, Any]:
    """Return DuckDB's syntax tree of SELECT statements, or the error of DuckDB's parser."""
    row = connection.execute("select json_serialize_sql(?)", [statement]).fetchone()
    parsed: dict[str, Any] = json.loads(row[0]) if row else {}
    return parsed


def _nodes(tree: Any) -> Iterator[dict[str, Any]]:
    """Yield every node of a syntax tree, from the top down."""
    if isinstance(tree, dict):
        yield tree
        for part in tree.values():
            yield from _nodes(part)
    elif isinstance(tree, list):
        for part in tree:
            yield from _nodes(part)


def _names_many_columns(expression: Any) -> bool:
    """Tell whether an expression stands for several columns: a star, or ``columns(...)`` that is not unpacked."""
    if isinstance(expression, list):
        return any(map(_names_many_columns, expression))
    if not isinstance(expression, dict) or expression.get("class") == "SUBQUERY":
        return False
    if expression.get("type") in ("STAR", "OPERATOR_UNPACK"):
        return bool(expression["type"] == "STAR")
    return any(map(_names_many_columns, expression.values()))


def _reached(expression: dict[str, Any]) -> Iterator[str]:
    """Yield the names of what an expression reads beside its row: functions that read files, and files as tables."""
    for node in _nodes(expression):
        if node.get("type") == "TABLE_FUNCTION":
            name = node["function"].get("function_name", "")
            if name.lower() not in TABLE_FUNCTIONS:
                yield f"{name}()"
        elif node.get("type") == "BASE_TABLE":
            # DuckDB reads a file, or an address, that stands where a table's name is expected
            if any(sign in node["table_name"] for sign in "./\\:*?"):
                yield f"'{node['table_name']}'"
        elif node.get("type") == "SHOW_REF":
            yield "show"
        elif node.get("class") == "FUNCTION" and node.get("function_name", "").lower() in REACHING_FUNCTIONS:
            yield f"{node['function_name']}()"
