"""Finds published files besides the one of the settings, such as those of the option ``--published``.

A command changes only the file that it is given. But a person who is forgotten may stand in the other files too.
"""

from pathlib import Path
from typing import Final

import duckdb

from jobs.warehouse.connection import Connection, literal, quoted_name

SELECT_PUBLISHED_FILES: Final = """
    select distinct published_file from ml.publication_changes
    where outcome <> 'held' and published_file is not null
    order by published_file
"""

SELECT_TABLES_WITH_VISITORS: Final = """
    select table_name from duckdb_columns()
    where database_name = 'other' and schema_name = 'recommendations' and column_name = 'visitor_id'
    order by table_name
"""


def other_files_holding_visitors(connection: Connection, published_file: Path, visitor_ids: list[str]) -> list[Path]:
    """Return the files besides ``published_file`` to which the warehouse was published and that hold these visitors.

    A file that can't be read is taken for one that holds them; one that is gone is left out.
    """
    known = [Path(name) for (name,) in connection.execute(SELECT_PUBLISHED_FILES).fetchall()]
    others = [path for path in known if path.is_file() and path.resolve() != published_file.resolve()]
    return [path for path in others if _may_hold_visitors(path, visitor_ids)]


def _may_hold_visitors(published_file: Path, visitor_ids: list[str]) -> bool:
    try:
        with duckdb.connect() as connection:
            connection.execute(f"attach {literal(str(published_file))} as other (read_only)")
            tables = connection.execute(SELECT_TABLES_WITH_VISITORS).fetchall()
            return any(
                connection.execute(
                    f"select true from other.recommendations.{quoted_name(table)} "  # noqa: S608
                    "where list_contains($visitors::varchar[], visitor_id) limit 1",
                    {"visitors": visitor_ids},
                ).fetchone()
                for (table,) in tables
            )
    except duckdb.Error:
        return True
