"""Reads and writes the table ``raw.loaded_files``, which lists the files of feeds that were loaded."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import duckdb

from jobs.errors import NextmartError
from jobs.loading.feed_files import FeedFile
from jobs.warehouse.connection import Connection

SELECT_LAST_LOADS = """
    -- The row of the last load of each file of a feed
    select path, bytes, modified_at, sha256, definition, loaded_at from raw.loaded_files
    where feed = ?
    qualify row_number() over (partition by path order by loaded_at desc) = 1
"""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True)
class LoadedFile:
    """A file of a feed that was loaded, as ``raw.loaded_files`` describes it.

    Attributes
    ----------
    masked_path : str
        The file's path, with ``${VARIABLE}`` in place of an environment variable's value.
    size_bytes : int
    modified_at : datetime
        The file's time of modification when it was loaded.
    sha256 : str
        Hash of its content, in hexadecimal digits.
    definition : mapping
        The feed's settings by which the file was loaded.
    loaded_at : datetime
    """

    masked_path: str
    size_bytes: int
    modified_at: datetime
    sha256: str
    definition: Mapping[str, Any]
    loaded_at: datetime


@dataclass(frozen=True)
class FileOnDisk:
    """A file of a feed as it is on the disk now.

    Attributes
    ----------
    feed_file : FeedFile
    size_bytes : int
    modified_at : datetime
    sha256 : str
        Hash of its content, in hexadecimal digits.
    """

    feed_file: FeedFile
    size_bytes: int
    modified_at: datetime
    sha256: str


def files_loaded_before(connection: Connection, feed_name: str) -> dict[str, LoadedFile]:
    """Return the loaded files of a feed, by masked path; none if the warehouse has no ``raw.loaded_files`` yet."""
    try:
        rows = connection.execute(SELECT_LAST_LOADS, [feed_name]).fetchall()
    except duckdb.CatalogException:
        return {}
    return {
        path: LoadedFile(path, size, modified_at, sha256, json.loads(definition), loaded_at)
        for path, size, modified_at, sha256, definition, loaded_at in rows
    }


def file_with_size_and_hash(file: FeedFile, loaded_file: LoadedFile | None) -> FileOnDisk:
    """Return a file of a feed with its size, time of modification and hash.

    The file's content is hashed only if its size or time of modification has changed since it was loaded.

    Parameters
    ----------
    loaded_file : LoadedFile, optional
        The same file when it was loaded before; None if it was not.

    Raises
    ------
    NextmartError
        If the file can't be read.
    """
    try:
        found = Path(file.path).stat()
        modified_at = _EPOCH + timedelta(microseconds=found.st_mtime_ns // 1000)
        if loaded_file and (found.st_size, modified_at) == (loaded_file.size_bytes, loaded_file.modified_at):
            return FileOnDisk(file, loaded_file.size_bytes, modified_at, loaded_file.sha256)
        with Path(file.path).open("rb") as stream:
            return FileOnDisk(file, found.st_size, modified_at, hashlib.file_digest(stream, "sha256").hexdigest())
    except OSError as error:
        raise NextmartError(f"can't read {file.masked_path}: {error.strerror}. Nothing was loaded.") from error


def record_loaded_file(
    connection: Connection,
    feed_name: str,
    file_on_disk: FileOnDisk,
    definition: Mapping[str, Any],
    row_counts: Mapping[str, int],
    loaded_at: datetime,
) -> None:
    """Record in ``raw.loaded_files`` that a file is loaded.

    Parameters
    ----------
    definition : mapping
        The feed's settings by which the file is loaded.
    row_counts : mapping
        ``read``, ``loaded`` and ``unreadable`` -> number of rows.
    """
    connection.execute(
        "insert into raw.loaded_files (feed, path, bytes, modified_at, sha256, definition, rows_read, rows_loaded, "
        "rows_unreadable, loaded_at) values (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        [
            feed_name,
            file_on_disk.feed_file.masked_path,
            file_on_disk.size_bytes,
            file_on_disk.modified_at,
            file_on_disk.sha256,
            json.dumps(definition, sort_keys=True),
            row_counts["read"],
            row_counts["loaded"],
            row_counts["unreadable"],
            loaded_at,
        ],
    )


def record_modification_time(connection: Connection, feed_name: str, file_on_disk: FileOnDisk) -> None:
    """Record the new time of modification of a loaded file that was rewritten with the same content."""
    connection.execute(
        "update raw.loaded_files set modified_at = ? where feed = ? and path = ? and sha256 = ?",
        [file_on_disk.modified_at, feed_name, file_on_disk.feed_file.masked_path, file_on_disk.sha256],
    )
