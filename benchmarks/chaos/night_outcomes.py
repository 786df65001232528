"""Words for how a night of the campaign ended: the report's table has them for each fault of the night."""

import re
from collections.abc import Sequence

from benchmarks.chaos.commands import CommandResult
from benchmarks.chaos.fault_kinds import FAULTS
from benchmarks.chaos.warehouse_damage import RESTORE_COMMAND

CALM = "nothing"


def outcomes_by_fault(
    fault_names: set[str], results: Sequence[CommandResult], *, has_published: bool, was_restored: bool
) -> dict[str, str]:
    """Return how a night ended, in words, by the name of each fault of the night; a calm night has the name "nothing".

    Where only some of the faults can have caused the end, the words for the other faults name these causes.

    Parameters
    ----------
    fault_names : set of str
        The night's faults.
    results : sequence of CommandResult
        The night's commands.
    has_published : bool
        Whether the night ended with a publication.
    was_restored : bool
        Whether a copy took the place of a damaged warehouse.
    """
    last = results[-1]
    if has_published:
        outcome, causes = "done", fault_names
    elif was_restored:
        outcome, causes = f"killed, the damaged file is restored with `{RESTORE_COMMAND}`", _process_faults(fault_names)
    elif any(command.exit_code < 0 for command in results):
        outcome, causes = "killed, goes on the next night", _process_faults(fault_names)
    else:
        command = last.arguments[0]
        outcome = f"`{command}` fails and says why"
        causes = {
            name
            for name in fault_names
            if (words := FAULTS[name].permitted_failures.get(command)) and re.search(words, last.output)
        }
    outcomes = {}
    for name in sorted(fault_names):
        outcomes[name] = f"refused there, then {outcome}" if name == "wrong_folder" else outcome
        if causes and name not in causes:
            outcomes[name] = f"with {' and '.join(sorted(causes))}: {outcomes[name]}"
    return outcomes or {CALM: outcome}


def _process_faults(fault_names: set[str]) -> set[str]:
    return {name for name in fault_names if FAULTS[name].exclusive_group == "process"}
