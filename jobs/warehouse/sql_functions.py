"""SQL functions that are written in Python, because DuckDB lacks them; dbt's models call these functions."""

import html

import duckdb
import pyarrow as pa
from duckdb.func import PythonUDFType


def register_functions(connection: duckdb.DuckDBPyConnection) -> None:
    """Register this module's SQL functions, unless they are, for all of this process's connections to a DuckDB file."""
    registered = connection.execute("select count(*) from duckdb_functions() where function_name = 'unescape_html'")
    if registered.fetchone() == (0,):
        # The function takes Arrow arrays: with a call for each row, a million texts took two minutes, not a second.
        connection.create_function("unescape_html", _unescape_array, ["VARCHAR"], "VARCHAR", type=PythonUDFType.ARROW)


def unescape_html(text: str) -> str:
    """Replace HTML's character references, such as ``&amp;``, again and again until none is left.

    A shop's feed may escape a text once, twice (``&amp;amp;``) or not at all, and may change over time. The function
    returns the same text in all these cases, and unescaping a text a second time changes nothing. Every replacement is
    shorter than its reference, so the loop ends.
    """
    while (plain := html.unescape(text)) != text:
        text = plain
    return text


def _unescape_array(texts: pa.Array) -> pa.Array:
    return pa.array([None if text is None else unescape_html(text) for text in texts.to_pylist()], pa.string())
