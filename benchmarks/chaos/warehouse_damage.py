"""Checks on a warehouse that a torn write has damaged: nextmart must name the command that helps, which must help."""

import json
from dataclasses import dataclass
from pathlib import Path

from benchmarks.chaos.broken_rule import BrokenRule
from benchmarks.chaos.faulty_commands import FaultyCommandRunner
from jobs.warehouse.backups import backup_read_error, replaced_warehouse_paths

RESTORE_COMMAND = "nextmart restore"


@dataclass(frozen=True)
class WarehouseRepair:
    """A repair of a warehouse: the damage, and the copy that took the place of the damaged file."""

    damage: str
    backup_copy: Path


def restore_if_damaged(warehouse: Path, command_runner: FaultyCommandRunner) -> WarehouseRepair | None:
    """Put the newest copy in the place of a damaged warehouse, as a person does; return None for a sound warehouse.

    DuckDB writes some blocks of the file in place, so half of a write can leave a block with a wrong checksum.

    Raises
    ------
    BrokenRule
        If nextmart does not name the command, or the command does not help.
    """
    if not warehouse.exists() or (damage := backup_read_error(warehouse, warehouse.stem)) is None:
        return None
    refused_backup = command_runner.run(("backup",), None)
    if refused_backup.exit_code != 1 or RESTORE_COMMAND not in refused_backup.output:
        raise BrokenRule("who has a damaged warehouse is told what to type", refused_backup)
    restored = command_runner.run(("restore", "--json"), None)
    damage_left = backup_read_error(warehouse, warehouse.stem)
    if restored.exit_code or damage_left:
        raise BrokenRule("a damaged warehouse can be restored", f"{damage}\n{restored}\n{damage_left}")
    for path in replaced_warehouse_paths(warehouse):
        path.unlink()
    return WarehouseRepair(damage, Path(json.loads(restored.stdout)["restored"]))
