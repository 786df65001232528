"""DuckDB's extensions, found on this machine or in the network."""

from importlib.util import find_spec
from pathlib import Path

import duckdb

from jobs.errors import NextmartError
from jobs.warehouse.connection import Connection, literal


def load_extension(connection: Connection, name: str) -> None:
    """Load an extension: one that DuckDB has installed, else the one of a Python package, else one from the network.

    Parameters
    ----------
    name : str
        The extension's name, such as ``postgres_scanner``.

    Raises
    ------
    NextmartError
        If the extension is nowhere; the message says what to install.
    """
    packaged = _packaged_file(name)
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


def _packaged_file(name: str) -> Path | None:
    """Return the file of an extension in its Python package, which is made for one version of DuckDB; else None."""
    package = find_spec(f"duckdb_extension_{name}")
    if package is None or package.origin is None:
        return None
    file = Path(package.origin).parent / "extensions" / f"v{duckdb.__version__}" / f"{name}.duckdb_extension"
    return file if file.exists() else None
