"""The version of a warehouse's schema: runs pending migrations, and checks that this version of nextmart fits it."""

import importlib
import pkgutil
import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from importlib.metadata import version
from typing import Final

import duckdb

from jobs.errors import NextmartError
from jobs.files import sql_text
from jobs.warehouse import migrations

UPGRADE_ADVICE = "`nextmart maintain` upgrades it, and so does `nextmart run`"

DDL_FILES: Final = ("raw", "schema_versions", "ml")
"""The files of ``sql/ddl``, which make the tables of the schemas ``raw`` and ``ml``."""

INSERT_VERSION = """
    insert into ml.schema_versions by name
    select
        $version as version, $name as name, now() as applied_at, $nextmart_version as nextmart_version,
        $full_refresh_reason as full_refresh_reason
"""

EXISTING_RELATIONS = """
    select table_schema || '.' || table_name from information_schema.tables where table_catalog = current_database()
"""

FULL_REFRESH_REASONS = """
    select full_refresh_reason from ml.schema_versions
    where full_refresh_reason is not null and full_refreshed_at is null
    order by version
"""


@dataclass(frozen=True)
class Migration:
    """A migration from one version of the schema to the next.

    Attributes
    ----------
    version : int
        The version of the schema after the migration.
    full_refresh_reason : str or None
        A text that says which rows, built by dbt before the migration, keep an old meaning until dbt builds them anew;
        None if there are no such rows.
    """

    version: int
    name: str
    upgrade: Callable[[duckdb.DuckDBPyConnection], None]
    full_refresh_reason: str | None

    def run(self, connection: duckdb.DuckDBPyConnection) -> None:
        """Run the migration and record it, in the caller's transaction."""
        _create_version_table(connection)
        self.upgrade(connection)
        # a warehouse that dbt has not built yet needs no full refresh
        was_built = "staging.checked_events" in _existing_relations(connection)
        _record_version(connection, self, self.full_refresh_reason if was_built else None)


@cache
def all_migrations() -> tuple[Migration, ...]:
    """Return the migrations of the package ``migrations``, in the order of their versions."""
    steps = []
    for module in pkgutil.iter_modules(migrations.__path__):
        if numbered := re.fullmatch(r"m(\d{4})_(\w+)", module.name):
            code = importlib.import_module(f"{migrations.__name__}.{module.name}")
            number, name = numbered.groups()
            steps.append(
                Migration(int(number), name.replace("_", " "), code.upgrade, getattr(code, "FULL_REFRESH", None))
            )
    return tuple(sorted(steps, key=lambda step: step.version))


def newest_version() -> int:
    """Return the newest version of the schema that this version of nextmart knows."""
    return all_migrations()[-1].version


def pending_upgrade_steps(connection: duckdb.DuckDBPyConnection) -> list[Callable[[duckdb.DuckDBPyConnection], None]]:
    """Return the pending steps of a warehouse's upgrade, in order; the caller runs each in a transaction.

    Raises
    ------
    NextmartError
        If a newer version of nextmart has upgraded the warehouse.
    """
    relations = _existing_relations(connection)
    if not relations & _relations_of_ddl():
        return [_create_all_tables]
    present_version = _read_version(connection, relations)
    steps: list[Callable[[duckdb.DuckDBPyConnection], None]] = [
        step.run for step in all_migrations() if step.version > present_version
    ]
    # the DDL runs only if something is missing, because executing DDL has to wait for other writers
    return [*steps, _create_missing_tables] if steps or not _relations_of_ddl() <= relations else []


def require_current_version(connection: duckdb.DuckDBPyConnection) -> None:
    """Check the schema's version of a warehouse that is open read-only, and so can't be upgraded.

    Raises
    ------
    NextmartError
        If an earlier or a newer version of nextmart made the warehouse; the message says what to type.
    """
    relations = _existing_relations(connection)
    found = _read_version(connection, relations)
    if "ml.job_runs" in relations and found < newest_version():
        raise NextmartError(
            f"this warehouse was made by an earlier version of nextmart (schema version {found}, now "
            f"{newest_version()}). {UPGRADE_ADVICE}."
        )


def _read_version(connection: duckdb.DuckDBPyConnection, relation_names: set[str]) -> int:
    """Return the version of a warehouse's schema, 0 if it has no version table; raise NextmartError if it is newer."""
    if "ml.schema_versions" not in relation_names:
        return 0
    found, upgraded_by = connection.execute(
        "select version, nextmart_version from ml.schema_versions order by version desc limit 1"
    ).fetchone() or (0, None)
    if found > newest_version():
        raise NextmartError(
            f"this warehouse has the schema version {found}, of nextmart {upgraded_by}; this is nextmart "
            f"{version('nextmart')}, which knows versions up to {newest_version()}. Install nextmart {upgraded_by} or "
            "a later one, or put a copy from before the upgrade in its place: `nextmart restore --list`. Nothing was "
            "changed."
        )
    return int(found)


def first_version_time(connection: duckdb.DuckDBPyConnection) -> datetime | None:
    """Return when the first version of a warehouse's schema was recorded; None if it has no table of versions yet.

    That is when the warehouse was made, or when it was first upgraded. All copies of a warehouse have the same time,
    and warehouses that were made separately have different times.
    """
    if "ml.schema_versions" not in _existing_relations(connection):
        return None
    row = connection.execute("select applied_at from ml.schema_versions order by version limit 1").fetchone()
    return row[0] if row else None


def full_refresh_reasons(connection: duckdb.DuckDBPyConnection) -> list[str]:
    """Return why dbt has to build all rows anew: a text for each migration that changed what its rows mean."""
    return [reason for (reason,) in connection.execute(FULL_REFRESH_REASONS).fetchall()]


def record_full_refresh(connection: duckdb.DuckDBPyConnection) -> None:
    """Record that dbt has built all rows anew, so that no reason for a full refresh is left."""
    connection.execute(
        "update ml.schema_versions set full_refreshed_at = now() "
        "where full_refresh_reason is not null and full_refreshed_at is null"
    )


def _create_all_tables(connection: duckdb.DuckDBPyConnection) -> None:
    """Create the tables of an empty warehouse, and record that their shape is the newest one."""
    _create_missing_tables(connection)
    _record_version(connection, all_migrations()[-1], None)


def _create_missing_tables(connection: duckdb.DuckDBPyConnection) -> None:
    for file in DDL_FILES:
        connection.execute(sql_text(f"ddl/{file}.sql"))


def _create_version_table(connection: duckdb.DuckDBPyConnection) -> None:
    connection.execute(sql_text("ddl/schema_versions.sql"))


def _record_version(
    connection: duckdb.DuckDBPyConnection, migration: Migration, full_refresh_reason: str | None
) -> None:
    connection.execute(
        INSERT_VERSION,
        {
            "version": migration.version,
            "name": migration.name,
            "nextmart_version": version("nextmart"),
            "full_refresh_reason": full_refresh_reason,
        },
    )


def _existing_relations(connection: duckdb.DuckDBPyConnection) -> set[str]:
    """Return the names of the warehouse's tables and views, such as ``raw.events``."""
    return {relation for (relation,) in connection.execute(EXISTING_RELATIONS).fetchall()}


@cache
def _relations_of_ddl() -> frozenset[str]:
    """Return the names of the tables that ``sql/ddl`` creates, such as ``raw.events``."""
    ddl = "\n".join(sql_text(f"ddl/{file}.sql") for file in DDL_FILES)
    return frozenset(re.findall(r"create table if not exists (\w+\.\w+)", ddl))
