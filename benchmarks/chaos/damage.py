"""Checks on a warehouse that a torn write has damaged: nextmart must name the command that helps, which must help."""

import json
from dataclasses import dataclass
from pathlib import Path

from benchmarks.chaos.difference import Difference
from benchmarks.chaos.disturbance import Disturbance
from jobs.warehouse.backups import files_set_aside, why_unreadable

RESTORE_COMMAND = "nextmart restore"


@dataclass(frozen=True)
class Restored:
    """A repair of a warehouse: the damage, and the copy that took the place of the damaged file."""

    damage: str
    copy: Path


def restore_if_damaged(warehouse: Path, disturbance: Disturbance) -> Restored | None:
    """Put the newest copy in the place of a damaged warehouse, as a person does; return None for a sound warehouse.

    DuckDB writes some blocks of the file in place, so half of a write can leave a block with a wrong checksum.

    Raises
    ------
    Difference
        If nextmart does not name the command, or the command does not help.
    """
    if not warehouse.exists() or (damage := why_unreadable(warehouse, warehouse.stem)) is None:
        return None
    told = disturbance.run(("backup",), None)
    if told.code != 1 or RESTORE_COMMAND not in told.said:
        raise Difference("who has a damaged warehouse is told what to type", told)
    restored = disturbance.run(("restore", "--json"), None)
    damage_left = why_unreadable(warehouse, warehouse.stem)
    if restored.code or damage_left:
        raise Difference("a damaged warehouse can be restored", f"{damage}\n{restored}\n{damage_left}")
    for path in files_set_aside(warehouse):
        path.unlink()
    return Restored(damage, Path(json.loads(restored.stdout)["restored"]))
