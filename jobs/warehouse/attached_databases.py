"""Attaches the databases that ``[attach.NAME]`` in ``nextmart.toml`` describes to a connection to the warehouse."""

import os
import re
from collections.abc import Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Final
from urllib.parse import unquote

import duckdb

from jobs.attached_database_settings import (
    AttachedDatabase,
    ConnectionDetails,
    passwords_in_location,
    read_connection_details,
)
from jobs.errors import NextmartError, UsageError, redact, register_secret
from jobs.warehouse.connection import SCHEMAS, Connection, literal, quoted_name
from jobs.warehouse.extensions import load_extension

EXTENSIONS: Final = {
    "sqlite": "sqlite_scanner",
    "postgres": "postgres_scanner",
    "mysql": "mysql_scanner",
    "ducklake": "ducklake",
}
"""Kind of database -> name of the DuckDB extension that reads it."""
SERVER_ERROR_PATTERN: Final = re.compile(
    "Postgres|MySQL|server closed the connection|connection to server|execute query"
)
"""A pattern of DuckDB's error messages for a server that stops answering or refuses a connection."""
MYSQL_SETTINGS: Final = """
    -- else a `timestamp` would be read in the server's own time zone
    set global mysql_session_time_zone = '+00:00';
    -- else each number above 0 in a `tinyint(1)` would be read as true
    set global mysql_tinyint1_as_boolean = false;
    -- else a date without a day, such as 2026-01-00, would be an error
    set global mysql_incomplete_dates_as_nulls = true;
"""
"""Settings of DuckDB's extension for MySQL; they are global, so that cursors have them too."""
RESERVED_NAMES: Final = ("system", "temp", "memory", "main", "information_schema", "pg_catalog")


def attach_databases(connection: Connection, databases: Mapping[str, AttachedDatabase]) -> None:
    """Attach databases under their names; a database that is attached already is left as it is.

    Raises
    ------
    UsageError
        If a database is named like the warehouse or one of its schemas, an environment variable is not set, or a file
        is missing.
    NextmartError
        If the extension of DuckDB can't be loaded, or the database refuses. No message shows a password.
    """
    attached = attached_database_names(connection)
    for name, database in databases.items():
        if name.lower() not in attached:
            _require_free_name(connection, name)
            attach_database(connection, name, database, f"[attach.{name}]")


def attach_needed_databases(
    connection: Connection,
    databases: Mapping[str, AttachedDatabase],
    database_names: Iterable[str] = (),
    searched_view_schemas: Collection[str] | None = None,
) -> None:
    """Attach the databases that ``database_names`` lists and the databases that views of the warehouse read.

    Parameters
    ----------
    searched_view_schemas : collection of str, optional
        Only views in these schemas are searched for databases; None: views in all schemas.
    """
    needed = {*database_names, *_database_names_in_views(connection, databases, searched_view_schemas)}
    attach_databases(connection, {name: database for name, database in databases.items() if name in needed})


@contextmanager
def name_databases_in_errors(connection: Connection) -> Iterator[None]:
    """If a server stops answering in a ``with`` block, raise an error that names the attached databases."""
    names = sorted(attached_database_names(connection))
    try:
        yield
    except duckdb.Error as error:
        if not names or not SERVER_ERROR_PATTERN.search(str(error)):
            raise
        listed = ", ".join(f"[attach.{name}]" for name in names)
        raise NextmartError(redact(f"{listed}: {error}")) from error


def attached_database_names(connection: Connection) -> set[str]:
    """Return the names of the databases that are attached beside the warehouse, in lower case."""
    rows = connection.execute(
        "select lower(database_name) from duckdb_databases() where not internal and database_name <> current_database()"
    ).fetchall()
    return {name for (name,) in rows}


def _database_names_in_views(
    connection: Connection, configured_names: Iterable[str], searched_view_schemas: Collection[str] | None
) -> set[str]:
    """Return which configured databases the warehouse's views name in their SQL; None searches views of all schemas."""
    views = connection.execute(
        "select schema_name, sql from duckdb_views() where database_name = current_database() and not internal"
    ).fetchall()
    texts = [sql for schema, sql in views if searched_view_schemas is None or schema in searched_view_schemas]
    return {
        name
        for name in configured_names
        if any(re.search(rf"\b{re.escape(name)}\b", text, re.IGNORECASE) for text in texts)
    }


def _require_free_name(connection: Connection, name: str) -> None:
    """Raise UsageError if the name of a database would make names in the warehouse ambiguous."""
    row = connection.execute("select current_database()").fetchone()
    if row and name.lower() == str(row[0]).lower():
        raise UsageError(
            f"[attach.{name}]: in SQL, the warehouse file itself is called '{row[0]}'. Choose another name for the "
            "database, such as 'shop'."
        )
    rows = connection.execute(
        "select lower(schema_name) from duckdb_schemas() where database_name = current_database()"
    ).fetchall()
    if name.lower() in {*SCHEMAS, *RESERVED_NAMES, *(schema for (schema,) in rows)}:
        raise UsageError(
            f"[attach.{name}]: in SQL, '{name}' is a schema of the warehouse or a name of DuckDB's own. Choose another "
            "name for the database, such as 'shop'."
        )


def attach_database(connection: Connection, name: str, database: AttachedDatabase, setting_name: str) -> None:
    """Attach another database to the connection under a name.

    Parameters
    ----------
    setting_name : str
        Name of the setting that describes the database, for messages: ``[attach.shop]``.

    Raises
    ------
    UsageError
        If an environment variable is not set, or the file of a database that is only read is missing.
    NextmartError
        If the extension of DuckDB can't be loaded, or the database refuses. No message shows a password.
    """
    server_type, _ = database.server_type_and_location()
    connection_details = read_connection_details(setting_name, database)
    _register_secrets(setting_name, connection_details)
    if server_type is None and database.read_only:
        _require_file(setting_name, database, connection_details.connection_text)
    options = ["read_only"] if database.read_only else []
    if database.type != "ducklake":  # the connection text of a DuckLake begins with "ducklake:", which tells the type
        options.append(f"type {database.type}")
    if server_type == "postgres":  # without a limit, libpq waits minutes for a server that doesn't answer
        os.environ.setdefault("PGCONNECT_TIMEOUT", "10")
    try:
        for extension in _required_extensions(database, server_type):
            load_extension(connection, extension)
        if database.type == "mysql":
            connection.execute(MYSQL_SETTINGS)
        if connection_details.secret_options:
            secret_name = _create_duckdb_secret(connection, name, connection_details)
            options.append(f"{'meta_secret' if database.type == 'ducklake' else 'secret'} {literal(secret_name)}")
        in_parentheses = f" ({', '.join(options)})" if options else ""
        connection.execute(
            f"attach {literal(connection_details.connection_text)} as {quoted_name(name)}{in_parentheses}"
        )
    except NextmartError as error:
        raise type(error)(f"{setting_name}: {error}") from error
    except duckdb.Error as error:
        message = (
            f"can't attach the {database.type} database, whose path is '{database.path}': "
            f"{_reason_without_connection_text(error)}"
        )
        raise NextmartError(redact(f"{setting_name}: {message}")) from None


def _register_secrets(setting_name: str, connection_details: ConnectionDetails) -> None:
    """Register the secrets of a database, so that no message of this process shows them."""
    uri = connection_details.secret_options.get("uri", "")
    passwords = [connection_details.secret_options.get("password", ""), *passwords_in_location(uri)]
    for secret in (uri, *passwords, *map(unquote, passwords)):
        register_secret(secret, f"password of {setting_name}")


def _require_file(setting_name: str, database: AttachedDatabase, connection_text: str) -> None:
    """Raise UsageError if a database's file is missing or, for SQLite, is no SQLite file."""
    file = connection_text.removeprefix("ducklake:")
    file = file.partition(":")[2] if database.type == "ducklake" and re.match(r"(sqlite|duckdb):", file) else file
    if "://" not in file and not Path(file).is_file():
        raise UsageError(f"{setting_name}: there is no file {file}")
    if database.type == "sqlite":
        with Path(file).open("rb") as opened:
            beginning = opened.read(16)
        if beginning not in (b"", b"SQLite format 3\0"):
            raise UsageError(f"{setting_name}: {file} is no SQLite database")


def _required_extensions(database: AttachedDatabase, server_type: str | None) -> list[str]:
    """Return the names of the extensions that a database needs."""
    kinds = [database.type, server_type] if database.type != "ducklake" else ["ducklake", server_type or "sqlite"]
    return [extension for kind, extension in EXTENSIONS.items() if kind in kinds]


def _create_duckdb_secret(connection: Connection, database_name: str, connection_details: ConnectionDetails) -> str:
    """Store a database's password as a temporary DuckDB secret, and return the secret's name."""
    secret_name = f"nextmart_{database_name.lower()}"
    values = ", ".join(f"{option} {literal(value)}" for option, value in connection_details.secret_options.items())
    connection.execute(
        f"create or replace temporary secret {secret_name} (type {connection_details.server_type}, {values})"
    )
    return secret_name


def _reason_without_connection_text(error: duckdb.Error) -> str:
    """Return DuckDB's reason why it can't attach a database, without the connection text in front of the reason."""
    beginning = r'^.*?(connect to Postgres at|MySQL database with parameters) ".*?": '
    return re.sub(beginning, "", str(error).strip(), flags=re.DOTALL)
