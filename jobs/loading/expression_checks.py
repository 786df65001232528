"""Checks the SQL that users write for ``--map`` and ``--where``: it must be one expression over the columns of a row.

DuckDB's own parser parses the text, so every expression that DuckDB understands is allowed.
"""

import json
from collections.abc import Iterator
from typing import Any

from jobs.errors import NextmartError, UsageError
from jobs.warehouse.connection import Connection

HARMLESS_TABLE_FUNCTIONS = frozenset({"unnest", "range", "generate_series", "json_each", "json_tree"})
"""Table functions that a user's expression may call, because they make rows from values and read no file or table."""
FORBIDDEN_FUNCTIONS = frozenset({"getenv", "write_log", "nextval", "setseed", "current_setting", "current_query"})
"""Scalar functions that a user's expression may not call: they use the environment, settings or the log."""

ALLOW_IO_ADVICE = "If that is what you want, add --allow-sql-io."

NOT_ONE_EXPRESSION_MESSAGE = "{option}{text}: write exactly one SQL expression; this is more or other than one"
NO_SELECT_ERROR = "not implemented"
"""The error type that DuckDB's parser reports for valid SQL that is not a SELECT statement."""


def require_one_expression(
    connection: Connection, option: str, text: str, *, allow_io: bool = False, io_advice: str = ALLOW_IO_ADVICE
) -> dict[str, Any]:
    """Raise an error unless a text is exactly one SQL expression that reads nothing but its row.

    Parameters
    ----------
    option : str
        The text in front of the expression on the command line, such as ``--map item_id=``, for the error message.
    allow_io : bool
        Whether the expression may read files and call ``FORBIDDEN_FUNCTIONS``.
    io_advice : str
        What the user can do if the expression does so although ``allow_io`` is false; it ends the error message.

    Returns
    -------
    DuckDB's syntax tree of the expression

    Raises
    ------
    NextmartError
        If DuckDB's parser doesn't understand the text.
    UsageError
        If the text is more or other than one expression, or the expression reads more than its row.
    """
    parsed = _parse_select(connection, f"select {text}\n")
    if parsed["error"] and parsed["error_type"] == NO_SELECT_ERROR:
        raise UsageError(NOT_ONE_EXPRESSION_MESSAGE.format(option=option, text=text))
    if parsed["error"]:
        raise NextmartError(f"{option}{text}: {parsed['error_message']}. Write exactly one SQL expression")
    # a text such as `(a) from t` or `a order by b` is valid after SELECT, but it is more than one expression
    nodes = [statement["node"] for statement in parsed["statements"]]
    columns = [column for node in nodes for column in node.get("select_list", [])]
    other_clauses = [{name: part for name, part in node.items() if name != "select_list"} for node in nodes]
    [select_1_node] = [statement["node"] for statement in _parse_select(connection, "select 1")["statements"]]
    one_expression = other_clauses == [{name: part for name, part in select_1_node.items() if name != "select_list"}]
    if not one_expression or len(columns) != 1 or columns[0]["alias"] or _makes_several_columns(columns[0]):
        raise UsageError(NOT_ONE_EXPRESSION_MESSAGE.format(option=option, text=text))
    source_names = sorted(set(_names_of_outside_sources(columns[0])))
    if source_names and not allow_io:
        raise UsageError(
            f"{option}{text}: the expression reaches out of its row with {', '.join(source_names)}. {io_advice}"
        )
    expression: dict[str, Any] = columns[0]
    return expression


def _parse_select(connection: Connection, statement: str) -> dict[str, Any]:
    """Return DuckDB's syntax tree of SELECT statements as a dictionary; after a syntax error, the parser's error."""
    row = connection.execute("select json_serialize_sql(?)", [statement]).fetchone()
    parsed: dict[str, Any] = json.loads(row[0]) if row else {}
    return parsed


def syntax_nodes(syntax_tree: Any) -> Iterator[dict[str, Any]]:
    """Yield every node of DuckDB's syntax tree: each node before the nodes in it."""
    if isinstance(syntax_tree, dict):
        yield syntax_tree
        for part in syntax_tree.values():
            yield from syntax_nodes(part)
    elif isinstance(syntax_tree, list):
        for part in syntax_tree:
            yield from syntax_nodes(part)


def has_window_function(expression: Any) -> bool:
    """Tell whether an expression, or a part of DuckDB's syntax tree of it, has a window function outside subqueries."""
    if isinstance(expression, list):
        return any(map(has_window_function, expression))
    if not isinstance(expression, dict) or expression.get("class") == "SUBQUERY":
        return False
    return expression.get("class") == "WINDOW" or any(map(has_window_function, expression.values()))


def _makes_several_columns(expression: Any) -> bool:
    """Tell whether an expression makes several columns, as ``*`` and ``columns(...)`` do, but not ``*columns(...)``."""
    if isinstance(expression, list):
        return any(map(_makes_several_columns, expression))
    if not isinstance(expression, dict) or expression.get("class") == "SUBQUERY":
        return False
    if expression.get("type") in ("STAR", "OPERATOR_UNPACK"):
        return bool(expression["type"] == "STAR")
    return any(map(_makes_several_columns, expression.values()))


def _names_of_outside_sources(expression: dict[str, Any]) -> Iterator[str]:
    """Yield the names of what an expression reads besides its row: functions such as ``read_csv()``, and files."""
    for node in syntax_nodes(expression):
        if node.get("type") == "TABLE_FUNCTION":
            name = node["function"].get("function_name", "")
            if name.lower() not in HARMLESS_TABLE_FUNCTIONS:
                yield f"{name}()"
        elif node.get("type") == "BASE_TABLE":
            # DuckDB reads a file if a path or an address stands where a table's name should be
            if any(sign in node["table_name"] for sign in "./\\:*?"):
                yield f"'{node['table_name']}'"
        elif node.get("type") == "SHOW_REF":
            yield "show"
        elif node.get("class") == "FUNCTION" and node.get("function_name", "").lower() in FORBIDDEN_FUNCTIONS:
            yield f"{node['function_name']}()"
