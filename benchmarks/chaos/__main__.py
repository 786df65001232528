"""The command line of the campaign: ``python -m benchmarks.chaos --help``."""

import argparse
import sys
import tempfile
from contextlib import closing
from pathlib import Path

import benchmarks.chaos as package
from benchmarks.chaos.fault_kinds import FAULTS
from benchmarks.chaos.harness import CommandHarness
from benchmarks.chaos.history import Night, draw_history, history_as_json, history_from_json
from benchmarks.chaos.report import describe_broken_rule, report_as_markdown
from benchmarks.chaos.shop import ShopSize
from benchmarks.chaos.shrinking import CampaignSetup, make_reproducer, run_history, smallest_history


def main() -> None:
    """Read the options and simulate the nights; end with exit code 1 if a rule is broken."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.chaos", description=package.__doc__)
    parser.add_argument("--nights", type=int, default=100)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument(
        "--folder", type=Path, help="folder in which the shop stays as the last night left it; default: a new one"
    )
    parser.add_argument("--history", type=Path, help="simulate this file's nights instead of drawn ones")
    parser.add_argument("--only", nargs="+", choices=FAULTS, default=list(FAULTS), metavar="FAULT")
    parser.add_argument("--without", nargs="+", choices=FAULTS, default=[], metavar="FAULT")
    parser.add_argument("--visitors", type=int, default=ShopSize.visitor_count)
    parser.add_argument("--items", type=int, default=ShopSize.item_count)
    parser.add_argument("--refresh-every", type=int, default=10, help="nights between two full refreshes")
    parser.add_argument("--shrinks", type=int, default=12, help="the most attempts to find a smaller history")
    options = parser.parse_args()
    folder = options.folder or Path(tempfile.mkdtemp(prefix="chaos-"))
    folder.mkdir(parents=True, exist_ok=True)
    harness = CommandHarness(folder, options.nights)
    fault_names = set(options.only) - set(options.without)
    if not harness.can_inject_faults:
        print("no C compiler, or no Linux: without faults of the file system and of the clock")
        fault_names = {name for name in fault_names if FAULTS[name].exclusive_group not in ("process", "clock")}
    nights = (
        history_from_json(options.history.read_text())
        if options.history
        else draw_history(options.seed, options.nights, fault_names)
    )
    shop_size = ShopSize(options.visitors, options.items)
    setup = CampaignSetup(folder, harness, options.seed, shop_size, options.refresh_every)
    with closing(harness):
        has_broken_rule = run_campaign(setup, nights, options.shrinks)
    sys.exit(1 if has_broken_rule else 0)


def run_campaign(setup: CampaignSetup, nights: list[Night], max_attempts: int) -> bool:
    """Simulate a history and print what happened; if a rule is broken, print the smallest history that breaks it.

    Return whether a rule is broken.
    """
    tally, broken_rule, nights_lived = run_history(setup, nights, _print_line)
    _print_line(report_as_markdown(tally))
    if not broken_rule:
        _print_line(f"no broken rule in {tally.night_count} nights of seed {setup.seed}; kept: {setup.folder}")
        return False
    _print_line(f"{broken_rule.rule}\n{broken_rule.evidence}\nlooking for a smaller history")
    shrunk = smallest_history(nights_lived, make_reproducer(setup, broken_rule.rule), max_attempts, _print_line)
    path = setup.folder / "smallest.json"
    path.write_text(history_as_json(shrunk))
    _print_line(describe_broken_rule(setup.seed, broken_rule, shrunk, path))
    return True


def _print_line(text: str) -> None:
    print(text, flush=True)


if __name__ == "__main__":
    main()
