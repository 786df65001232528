"""How nights of the campaign ended, in words: the report counts these outcomes for each kind of fault."""

import re
from collections.abc import Sequence

from benchmarks.chaos.commands import CommandResult
from benchmarks.chaos.fault_kinds import FAULTS
from benchmarks.chaos.warehouse_damage import RESTORE_COMMAND

CALM = "nothing"


def outcomes_by_fault(
    fault_names: set[str], command_results: Sequence[CommandResult], *, was_published: bool, was_restored: bool
) -> dict[str, str]:
    """Return, for each fault of a night, how the night ended in words; a night without faults has the key "nothing".

    If only some of the faults can have caused the end, the words for the other faults name those that can.

    Parameters
    ----------
    fault_names : set of str
        The night's faults.
    command_results : sequence of CommandResult
        The results of the night's commands.
    was_published : bool
        Whether the night ended with a publication.
    was_restored : bool
        Whether a backup copy has replaced a damaged warehouse.
    """
    last = command_results[-1]
    if was_published:
        outcome, causes = "done", fault_names
    elif was_restored:
        outcome, causes = (
            f"killed, the damaged file is restored with `{RESTORE_COMMAND}`",
            _faults_of_processes(fault_names),
        )
    elif any(command.exit_code < 0 for command in command_results):
        outcome, causes = "killed, goes on the next night", _faults_of_processes(fault_names)
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


def _faults_of_processes(fault_names: set[str]) -> set[str]:
    return {name for name in fault_names if FAULTS[name].exclusive_group == "process"}
