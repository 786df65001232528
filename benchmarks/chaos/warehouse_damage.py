"""Restoring a warehouse that a torn write has damaged: nextmart must name the right command, and it must work."""

import json
from dataclasses import dataclass
from pathlib import Path

from benchmarks.chaos.broken_rule import BrokenRule
from benchmarks.chaos.faulty_commands import FaultyCommandRunner
from jobs.warehouse.backups import backup_read_error, replaced_warehouse_paths

RESTORE_COMMAND = "nextmart restore"


@dataclass(frozen=True)
class WarehouseRepair:
    """A repair of a warehouse: a description of the damage, and the backup copy that replaced the damaged file."""

    damage: str
    backup_copy: Path


def restore_warehouse_if_damaged(warehouse_file: Path, command_runner: FaultyCommandRunner) -> WarehouseRepair | None:
    """Restore a damaged warehouse from its newest copy, as a person would; return None if it is not damaged.

    DuckDB overwrites some blocks of the file. If it is killed in the middle of such a write, the block's checksum is
    wrong.

    Raises
    ------
    BrokenRule
        If nextmart does not name the command ``nextmart restore``, or if the command does not repair the warehouse.
    """
    if not warehouse_file.exists() or (damage := backup_read_error(warehouse_file, warehouse_file.stem)) is None:
        return None
    refused_backup = command_runner.run(("backup",), None)
    if refused_backup.exit_code != 1 or RESTORE_COMMAND not in refused_backup.output:
        raise BrokenRule("who has a damaged warehouse is told what to type", refused_backup)
    restored = command_runner.run(("restore", "--json"), None)
    damage_left = backup_read_error(warehouse_file, warehouse_file.stem)
    if restored.exit_code or damage_left:
        raise BrokenRule("a damaged warehouse can be restored", f"{damage}\n{restored}\n{damage_left}")
    for path in replaced_warehouse_paths(warehouse_file):
        path.unlink()
    return WarehouseRepair(damage, Path(json.loads(restored.stdout)["restored"]))
