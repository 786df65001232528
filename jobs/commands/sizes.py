"""Measures the bytes and rows of the warehouse, its tables and the files beside it, for `nextmart status`."""

from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from jobs.progress import without_control_characters
from jobs.settings import Settings
from jobs.warehouse.backups import list_backups, replaced_warehouse_paths
from jobs.warehouse.compaction import read_file_size
from jobs.warehouse.connection import Connection, count_rows, literal, quoted_name
from jobs.warehouse.contents import TABLES

TABLES_SHOWN = 8

BLOCKS = """
    -- The blocks of the file that hold rows of a table
    select distinct block from (
        select block_id as block from pragma_storage_info({table})
        union all
        select unnest(additional_block_ids) from pragma_storage_info({table})
    )
    where block >= 0
"""


def read_sizes(connection: Connection, settings: Settings) -> dict[str, Any]:
    """Return the sizes, in bytes, of the warehouse, its tables and the files beside it, ready for JSON.

    A block of the file that several tables share is counted in equal parts for each of these tables. ``tables`` is in
    the order of size, largest first.
    """
    size = read_file_size(connection)
    backups = list_backups(settings.backup_folder, settings.warehouse)
    return {
        "warehouse": {"bytes": _total_file_bytes([settings.warehouse]), "free_share": round(size.free_share, 3)},
        "published": {"bytes": _total_file_bytes([settings.published])},
        "logs": {"bytes": _total_file_bytes((settings.work_folder / "logs").glob("*"))},
        "checkpoints": {"bytes": _total_file_bytes((settings.work_folder / "checkpoints").glob("*"))},
        "backups": {
            "bytes": sum(backup.size_bytes for backup in backups),
            "copies": len(backups),
            "newest": str(backups[0].path) if backups else None,
            "newest_taken_at": backups[0].taken_at if backups else None,
        },
        "set_aside": [
            {"file": str(path), "bytes": _total_file_bytes([path])}
            for path in replaced_warehouse_paths(settings.warehouse)
        ],
        "tables": _table_sizes(connection),
    }


def size_lines(sizes: dict[str, Any]) -> list[str]:
    """Return the sizes (:func:`read_sizes`) of the files and of the largest tables as lines for the terminal."""
    warehouse, backups, tables = sizes["warehouse"], sizes["backups"], sizes["tables"]
    lines = [
        _size_line("warehouse file", warehouse["bytes"], f"{100 * warehouse['free_share']:.0f} % of it free"),
        _size_line("published file", sizes["published"]["bytes"]),
        _size_line("dbt's logs", sizes["logs"]["bytes"]),
    ]
    if sizes["checkpoints"]["bytes"]:
        lines.append(_size_line("checkpoints of trainings", sizes["checkpoints"]["bytes"]))
    if backups["copies"]:
        copies = "1 copy, of" if backups["copies"] == 1 else f"{backups['copies']} copies, newest of"
        newest = f"{copies} {backups['newest_taken_at']:%Y-%m-%d %H:%M} UTC"
        lines.append(_size_line("backups", backups["bytes"], newest))
    else:
        lines.append(f"{'backups':<32}{'none':>12}  (setting backups_kept)")
    lines += [_size_line(f"set aside: {Path(file['file']).name}", file["bytes"]) for file in sizes["set_aside"]]
    lines += [_size_line(table["table"], table["bytes"], f"{table['rows']:,} rows") for table in tables[:TABLES_SHOWN]]
    if len(tables) > TABLES_SHOWN:
        rest = tables[TABLES_SHOWN:]
        lines.append(_size_line(f"{len(rest)} smaller tables", sum(table["bytes"] for table in rest)))
    return lines


def _size_line(label: str, byte_count: float, note: str = "") -> str:
    return without_control_characters(f"{label:<32}{byte_count / 1e6:>9,.1f} MB{f'  {note}' if note else ''}")


def _total_file_bytes(paths: Iterable[Path]) -> int:
    return sum(path.stat().st_size for path in paths if path.is_file())


def _table_sizes(connection: Connection) -> list[dict[str, Any]]:
    blocks, row_counts = {}, {}
    for schema, table in connection.execute(TABLES).fetchall():
        name, relation = f"{schema}.{table}", f"{quoted_name(schema)}.{quoted_name(table)}"
        query = BLOCKS.format(table=literal(relation))
        blocks[name] = [block for (block,) in connection.execute(query).fetchall()]
        row_counts[name] = count_rows(connection, relation)
    sharing_tables = Counter(block for of_table in blocks.values() for block in of_table)
    block_size = (connection.execute("select max(block_size) from pragma_database_size()").fetchone() or (0,))[0]
    sizes = [
        {
            "table": name,
            "rows": row_counts[name],
            "bytes": round(sum(block_size / sharing_tables[block] for block in of_table)),
        }
        for name, of_table in blocks.items()
    ]
    return sorted(sizes, key=lambda size: (-size["bytes"], size["table"]))
