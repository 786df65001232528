"""SQL functions that are written in Python, because DuckDB lacks them; dbt's models call these functions."""

from collections.abc import Callable, Mapping

import duckdb
import pyarrow as pa
from duckdb.func import PythonUDFType

from jobs.warehouse.plain_text import plain_text, unescape_html

FUNCTIONS: dict[str, Callable[[str], str]] = {"unescape_html": unescape_html, "plain_text": plain_text}
"""Name of an SQL function -> Python function; each maps a text to a text."""


def register_functions(
    connection: duckdb.DuckDBPyConnection, functions: Mapping[str, Callable[[str], str]] = FUNCTIONS
) -> None:
    """Register SQL functions for all of this process's connections to a DuckDB file; skip those registered already."""
    for name, function in functions.items():
        if not _is_registered(connection, name):
            # The functions take Arrow arrays, because a call for each row would take two minutes for a million texts; a
            # call for each array takes a second.
            connection.create_function(name, _vectorize(function), ["VARCHAR"], "VARCHAR", type=PythonUDFType.ARROW)


def _is_registered(connection: duckdb.DuckDBPyConnection, name: str) -> bool:
    """Tell whether DuckDB knows an SQL function, by calling it; listing all functions takes a hundred times longer."""
    try:
        connection.execute(f"select {name}(null)")
    except duckdb.CatalogException:
        return False
    return True


def _vectorize(function: Callable[[str], str]) -> Callable[[pa.Array], pa.Array]:
    """Turn a function of one text into a function of an Arrow array of texts; a null stays null."""

    def apply_to_array(texts: pa.Array) -> pa.Array:
        return pa.array([None if text is None else function(text) for text in texts.to_pylist()], pa.string())

    return apply_to_array
