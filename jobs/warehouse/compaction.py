"""Compacts the warehouse: replaces it, by a rename, with a copy without free blocks.

DuckDB reuses the blocks of deleted rows, and never gives them back. The copy is written beside the warehouse, compared
with it row by row, and made durable before the rename: a kill at any moment leaves the old file or the new one.
"""

from dataclasses import dataclass
from pathlib import Path

from jobs.errors import NextmartError
from jobs.files import copy_owner_and_mode, remove_database, replace_durably, require_disk_space, unfinished_path
from jobs.warehouse.connection import Connection, literal, quoted_name
from jobs.warehouse.contents import open_read_only, read_definitions, read_row_counts_and_hashes

SMALLEST_COMPACTED = 64 * 1024**2
"""The fewest bytes of a warehouse that is compacted; compacting a smaller file would gain little."""

FILE_SIZE = """
    select block_size * total_blocks as total_bytes, block_size * free_blocks as free_bytes
    from pragma_database_size() where database_name = current_database()
"""


@dataclass(frozen=True)
class FileSize:
    """The size of a warehouse file in bytes, and how many of the bytes are free blocks."""

    total_bytes: int
    free_bytes: int

    @property
    def free_share(self) -> float:
        """The share of the file that consists of free blocks."""
        return self.free_bytes / self.total_bytes if self.total_bytes else 0.0


def read_file_size(connection: Connection) -> FileSize:
    """Return the size of the open warehouse, by DuckDB's count of blocks."""
    return FileSize(*(connection.execute(FILE_SIZE).fetchone() or (0, 0)))


def is_worth_compacting(file_size: FileSize, min_free_share: float) -> bool:
    """Tell whether a file is large enough to compact, and at least ``min_free_share`` of it is free."""
    return file_size.total_bytes >= SMALLEST_COMPACTED and file_size.free_share >= min_free_share


def compact(warehouse: Path) -> FileSize:
    """Replace a warehouse, which no process has open to write, by a copy without free blocks; return the new size.

    The file must have no write-ahead log, so the caller checkpoints and closes it before. Meanwhile other processes may
    read the file; those that have it open keep the old file. None can open it to write, because it is open here.

    Raises
    ------
    NextmartError
        If the disk has too little space, the file is damaged, a process has written to it in between, or the copy
        differs; the warehouse then stays as it is.
    """
    warehouse = warehouse.resolve()  # a symbolic link is resolved, so that its target is replaced and the link stays
    unfinished = unfinished_path(warehouse)
    remove_database(unfinished)  # a killed compaction may have left an unfinished copy
    try:
        with open_read_only(warehouse, warehouse.stem) as connection:
            if warehouse.with_name(warehouse.name + ".wal").exists():
                raise NextmartError(f"a process has written to {warehouse} just now: compact it again later")
            size = read_file_size(connection)
            needed = round(1.1 * (size.total_bytes - size.free_bytes))
            require_disk_space(warehouse.parent, needed, f"compacting {warehouse}", "the warehouse stays as it is")
            connection.execute(f"attach {literal(str(unfinished))} as nextmart_compacted")
            connection.execute(f"copy from database {quoted_name(warehouse.stem)} to nextmart_compacted")
            connection.execute("detach nextmart_compacted")
            _require_equal_contents(connection, warehouse, unfinished)
            copy_owner_and_mode(warehouse, unfinished)
            replace_durably(unfinished, warehouse)
    finally:
        remove_database(unfinished)
    with open_read_only(warehouse, warehouse.stem) as connection:
        return read_file_size(connection)


def _require_equal_contents(connection: Connection, warehouse: Path, copy_path: Path) -> None:
    """Raise NextmartError if the copy lacks a row or a definition of the open warehouse."""
    with open_read_only(copy_path, warehouse.stem) as copied:
        expected, found = read_row_counts_and_hashes(connection), read_row_counts_and_hashes(copied)
        differing = sorted(table for table in expected if expected[table] != found.get(table))
        expected_definitions, found_definitions = read_definitions(connection), set(read_definitions(copied))
        differing += [f"{kind} {name}" for kind, name, *rest in expected_definitions
                      if (kind, name, *rest) not in found_definitions]  # fmt: skip
    if differing:
        raise NextmartError(
            f"the compacted copy of {warehouse} differs in {', '.join(differing)}; the warehouse stays as it is"
        )
