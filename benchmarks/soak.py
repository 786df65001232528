"""A year of undisturbed nights of a shop with constant traffic, watched for nights that get slower and files that grow.

The shop of :mod:`benchmarks.chaos`, without its faults: as many visitors, items and events each day, and each night's
tables and publication are checked as there. Printed are, for the tenth night and the last, the processor time of the
night's commands (the median of five neighbours), the size of the warehouse, and every file of nextmart's that grew.
Limits: the last night takes at most 1.3 times as long as the tenth, and the warehouse has at most 1.5 times its size.
Run: ``python -m benchmarks.soak``; ends with exit code 1 where a limit is passed.
"""

import argparse
import sys
import tempfile
from contextlib import closing
from pathlib import Path
from statistics import median

from benchmarks.chaos.campaign import Campaign
from benchmarks.chaos.history import Night
from benchmarks.chaos.machine import Machine
from benchmarks.chaos.shop import Size

EARLY = 10
MOST_TIME, MOST_SIZE = 1.3, 1.5  # times those of the tenth night
SMALL = 100_000  # bytes by which a file may grow without being named
FEEDS = ("events", "items")


def soak(folder: Path, nights: int) -> tuple[list[float], list[dict[str, int]]]:
    """Return the processor seconds of each night, and the sizes of nextmart's files after each."""
    seconds, sizes = [], []
    with closing(Machine(folder, nights)) as machine:
        never = nights + 1
        campaign = Campaign(folder, machine, 0, Size(new_visitors=0, new_items=0), refresh_every=never)
        campaign.disturbance.environment.pop("DBT_LOG_LEVEL_FILE")  # its log is one of the files that might grow
        with closing(campaign):
            for number in range(nights):
                campaign.live(Night(number))
                seconds.append(campaign.cpu_seconds_of_last_night)
                sizes.append(file_sizes(campaign.folder))
                warehouse = sizes[-1]["warehouse.duckdb"] / 1e6
                print(f"night {number + 1}: {seconds[-1]:.2f} s, warehouse {warehouse:.1f} MB", flush=True)
    return seconds, sizes


def file_sizes(folder: Path) -> dict[str, int]:
    """Return the sizes of all files below a shop's folder but its feeds, by path."""
    files = [path for path in folder.rglob("*") if path.is_file() and path.relative_to(folder).parts[0] not in FEEDS]
    return {str(path.relative_to(folder)): path.stat().st_size for path in files}


def around(values: list[float], place: int) -> float:
    """Return the median of a value and its neighbours, two on each side where there are as many."""
    return median(values[max(0, place - 2) : place + 3])


def main() -> None:
    """Print what the nights took and what grew."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.soak", description=__doc__)
    parser.add_argument("--nights", type=int, default=365)
    parser.add_argument("--folder", type=Path, help="kept: the shop after the last night; default: a new one")
    options = parser.parse_args()
    if options.nights <= EARLY + 2:
        parser.error(
            f"--nights: at least {EARLY + 3}, since night {EARLY} and its neighbours are compared with the last"
        )
    folder = options.folder or Path(tempfile.mkdtemp(prefix="soak-"))
    folder.mkdir(parents=True, exist_ok=True)
    seconds, sizes = soak(folder, options.nights)
    early, late = sizes[EARLY - 1], sizes[-1]
    ratios = {
        "processor seconds of a night": (around(seconds, EARLY - 1), around(seconds, len(seconds) - 1), MOST_TIME),
        "warehouse, MB": (early["warehouse.duckdb"] / 1e6, late["warehouse.duckdb"] / 1e6, MOST_SIZE),
    }
    print(f"\n| what | night {EARLY} | night {len(seconds)} | ratio | limit |\n|---|---|---|---|---|")
    for name, (before, after, limit) in ratios.items():
        print(f"| {name} | {before:.2f} | {after:.2f} | {after / before:.2f} | {limit} |")
    grown = {name: (early.get(name, 0), size) for name, size in late.items() if size > early.get(name, 0) + SMALL}
    print("\n| file that grew | bytes then | bytes now |\n|---|---|---|")
    for name, (before, after) in grown.items():
        print(f"| {name} | {before:,} | {after:,} |")
    print(f"\nfiles: {len(early)} after night {EARLY}, {len(late)} after night {len(seconds)}; kept: {folder}")
    sys.exit(any(after > limit * before for before, after, limit in ratios.values()))


if __name__ == "__main__":
    main()
