"""Loads DuckDB's extensions from this machine or, if they are not installed, from the network."""

from importlib.util import find_spec
from pathlib import Path

import duckdb

from jobs.errors import NextmartError
from jobs.warehouse.connection import Connection, literal


def load_extension(connection: Connection, name: str) -> None:
    """Load a DuckDB extension: the installed one, else the one in a Python package, else one from the network.

    Parameters
    ----------
    name : str
        The extension's name, such as ``postgres_scanner``.

    Raises
    ------
    NextmartError
        If the extension can't be found or downloaded; the message says what to install.
    """
    packaged = _packaged_extension_file(name)
    attempts = [f"load {name}", f"load {literal(str(packaged))}" if packaged else "", f"install {name}; load {name}"]
    for attempt in filter(None, attempts):
        try:
            connection.execute(attempt)
            return
        except duckdb.Error as error:
            reason = str(error).strip().splitlines()[0]
    raise NextmartError(
        f"DuckDB {duckdb.__version__} can't load its extension {name}: {reason}\n"
        "Install it with `pip install 'nextmart[databases]'`, or let this machine reach extensions.duckdb.org once."
    )


def _packaged_extension_file(name: str) -> Path | None:
    """Return the extension's file in its Python package if it fits the installed version of DuckDB, else None."""
    package = find_spec(f"duckdb_extension_{name}")
    if package is None or package.origin is None:
        return None
    file = Path(package.origin).parent / "extensions" / f"v{duckdb.__version__}" / f"{name}.duckdb_extension"
    return file if file.exists() else None
