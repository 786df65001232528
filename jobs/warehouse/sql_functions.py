"""SQL functions that dbt's models call and DuckDB lacks."""

import html

import duckdb
import pyarrow as pa
from duckdb.func import PythonUDFType


def register(connection: duckdb.DuckDBPyConnection) -> None:
    """Make the functions known to every connection of this process to the same file."""
    found = connection.execute("select count(*) from duckdb_functions() where function_name = 'unescape_html'")
    if found.fetchone() == (0,):
        # by Arrow arrays: called row by row, a million texts took two minutes instead of a second
        connection.create_function("unescape_html", _unescape_array, ["VARCHAR"], "VARCHAR", type=PythonUDFType.ARROW)


def unescape_html(text: str) -> str:
    """Replace HTML's character references until none is left.

    Feeds escape a text once, twice (``&amp;amp;``) or not at all, and a shop's feed changes its mind: so each of them
    gives the same text, and a text that is cleaned again stays as it is. Every replacement is shorter than its
    reference, so this ends.
    """
    while (plain := html.unescape(text)) != text:
        text = plain
    return text


def _unescape_array(texts: pa.Array) -> pa.Array:
    return pa.array([None if text is None else unescape_html(text) for text in texts.to_pylist()], pa.string())
