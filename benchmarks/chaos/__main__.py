"""The command line of the campaign: ``python -m benchmarks.chaos --help``."""

import argparse
import sys
import tempfile
from contextlib import closing
from pathlib import Path

import benchmarks.chaos as package
from benchmarks.chaos.catalogue import FAULTS
from benchmarks.chaos.history import Night, draw_history, history_as_json, history_from_json
from benchmarks.chaos.machine import Machine
from benchmarks.chaos.report import markdown, say_difference
from benchmarks.chaos.shop import Size
from benchmarks.chaos.shrinking import Trial, live_through, shows, smallest


def main() -> None:
    """Live through a history, and end with exit code 1 at the first difference."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.chaos", description=package.__doc__)
    parser.add_argument("--nights", type=int, default=100)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--folder", type=Path, help="kept: the shop as the last night left it; default: a new one")
    parser.add_argument("--history", type=Path, help="live through this file's nights instead of drawn ones")
    parser.add_argument("--only", nargs="+", choices=FAULTS, default=list(FAULTS), metavar="FAULT")
    parser.add_argument("--without", nargs="+", choices=FAULTS, default=[], metavar="FAULT")
    parser.add_argument("--visitors", type=int, default=Size.visitors)
    parser.add_argument("--items", type=int, default=Size.items)
    parser.add_argument("--refresh-every", type=int, default=10, help="nights between two full refreshes")
    parser.add_argument("--shrinks", type=int, default=12, help="the most attempts to find a smaller history")
    options = parser.parse_args()
    folder = options.folder or Path(tempfile.mkdtemp(prefix="chaos-"))
    folder.mkdir(parents=True, exist_ok=True)
    machine = Machine(folder, options.nights)
    names = set(options.only) - set(options.without)
    if not machine.can_disturb:
        print("no C compiler, or no Linux: without faults of the file system and of the clock")
        names = {name for name in names if FAULTS[name].group not in ("process", "clock")}
    history = (
        history_from_json(options.history.read_text())
        if options.history
        else draw_history(options.seed, options.nights, names)
    )
    size = Size(options.visitors, options.items)
    trial = Trial(folder, machine, options.seed, size, options.refresh_every)
    with closing(machine):
        has_difference = run_campaign(trial, history, options.shrinks)
    sys.exit(1 if has_difference else 0)


def run_campaign(trial: Trial, history: list[Night], shrinks: int) -> bool:
    """Live through a history and print what happened; at a difference, print the smallest history that shows it."""
    tally, difference, lived = live_through(trial, history, _say)
    _say(markdown(tally))
    if not difference:
        _say(f"no difference in {tally.nights} nights of seed {trial.seed}; kept: {trial.folder}")
        return False
    _say(f"{difference.rule}\n{difference.evidence}\nlooking for a smaller history")
    shrunk = smallest(lived, shows(trial, difference.rule), shrinks, _say)
    path = trial.folder / "smallest.json"
    path.write_text(history_as_json(shrunk))
    _say(say_difference(trial.seed, difference, shrunk, path))
    return True


def _say(line: str) -> None:
    print(line, flush=True)


if __name__ == "__main__":
    main()
