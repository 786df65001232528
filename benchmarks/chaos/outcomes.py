"""Words for how a night of the campaign ended: the report's table has them for each fault of the night."""

import re
from collections.abc import Sequence

from benchmarks.chaos.catalogue import FAULTS
from benchmarks.chaos.commands import Ended
from benchmarks.chaos.damage import RESTORE_COMMAND

CALM = "nothing"


def outcomes(names: set[str], ended: Sequence[Ended], *, has_settled: bool, was_restored: bool) -> dict[str, str]:
    """Return how a night ended, in words, by the name of each fault of the night; a calm night has the name "nothing".

    Where only some of the faults can have caused the end, the words for the other faults name these causes.

    Parameters
    ----------
    names : set of str
        The night's faults.
    ended : sequence of Ended
        The night's commands.
    has_settled : bool
        Whether the night ended with a publication.
    was_restored : bool
        Whether a copy took the place of a damaged warehouse.
    """
    last = ended[-1]
    if has_settled:
        outcome, causes = "done", names
    elif was_restored:
        outcome, causes = f"killed, the damaged file is restored with `{RESTORE_COMMAND}`", _process_faults(names)
    elif any(command.code < 0 for command in ended):
        outcome, causes = "killed, goes on the next night", _process_faults(names)
    else:
        command = last.arguments[0]
        outcome = f"`{command}` fails and says why"
        causes = {name for name in names if (words := FAULTS[name].fails.get(command)) and re.search(words, last.said)}
    said = {}
    for name in sorted(names):
        said[name] = f"refused there, then {outcome}" if name == "wrong_folder" else outcome
        if causes and name not in causes:
            said[name] = f"with {' and '.join(sorted(causes))}: {said[name]}"
    return said or {CALM: outcome}


def _process_faults(names: set[str]) -> set[str]:
    return {name for name in names if FAULTS[name].group == "process"}
