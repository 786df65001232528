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
from benchmarks.chaos.harness import CommandHarness
from benchmarks.chaos.history import Night
from benchmarks.chaos.shop import ShopSize

EARLY_NIGHT = 10
MAX_TIME_RATIO, MAX_SIZE_RATIO = 1.3, 1.5  # times those of the tenth night
UNNAMED_GROWTH_BYTES = 100_000  # bytes by which a file may grow without being named
FEEDS = ("events", "items")


def run_soak(folder: Path, nights: int) -> tuple[list[float], list[dict[str, int]]]:
    """Return the processor seconds of each night, and the sizes of nextmart's files after each."""
    seconds, sizes = [], []
    with closing(CommandHarness(folder, nights)) as harness:
        never = nights + 1
        campaign = Campaign(
            folder,
            harness,
            0,
            ShopSize(new_visitors_per_night=0, new_items_per_night=0),
            full_refresh_every_nights=never,
        )
        campaign.command_runner.environment.pop("DBT_LOG_LEVEL_FILE")  # its log is one of the files that might grow
        with closing(campaign):
            for number in range(nights):
                campaign.run_night(Night(number))
                seconds.append(campaign.cpu_seconds_of_last_night)
                sizes.append(file_sizes_by_path(campaign.folder))
                warehouse = sizes[-1]["warehouse.duckdb"] / 1e6
                print(f"night {number + 1}: {seconds[-1]:.2f} s, warehouse {warehouse:.1f} MB", flush=True)
    return seconds, sizes


def file_sizes_by_path(folder: Path) -> dict[str, int]:
    """Return the sizes of all files below a shop's folder but its feeds, by path."""
    files = [path for path in folder.rglob("*") if path.is_file() and path.relative_to(folder).parts[0] not in FEEDS]
    return {str(path.relative_to(folder)): path.stat().st_size for path in files}


def median_around(values: list[float], index: int) -> float:
    """Return the median of a value and its neighbours, two on each side where there are as many."""
    return median(values[max(0, index - 2) : index + 3])


def main() -> None:
    """Print what the nights took and what grew."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.soak", description=__doc__)
    parser.add_argument("--nights", type=int, default=365)
    parser.add_argument("--folder", type=Path, help="kept: the shop after the last night; default: a new one")
    options = parser.parse_args()
    if options.nights <= EARLY_NIGHT + 2:
        parser.error(
            f"--nights: at least {EARLY_NIGHT + 3}, "
            f"since night {EARLY_NIGHT} and its neighbours are compared with the last"
        )
    folder = options.folder or Path(tempfile.mkdtemp(prefix="soak-"))
    folder.mkdir(parents=True, exist_ok=True)
    seconds, sizes = run_soak(folder, options.nights)
    early, late = sizes[EARLY_NIGHT - 1], sizes[-1]
    ratios = {
        "processor seconds of a night": (
            median_around(seconds, EARLY_NIGHT - 1),
            median_around(seconds, len(seconds) - 1),
            MAX_TIME_RATIO,
        ),
        "warehouse, MB": (early["warehouse.duckdb"] / 1e6, late["warehouse.duckdb"] / 1e6, MAX_SIZE_RATIO),
    }
    print(f"\n| what | night {EARLY_NIGHT} | night {len(seconds)} | ratio | limit |\n|---|---|---|---|---|")
    for name, (before, after, limit) in ratios.items():
        print(f"| {name} | {before:.2f} | {after:.2f} | {after / before:.2f} | {limit} |")
    grown = {
        name: (early.get(name, 0), size)
        for name, size in late.items()
        if size > early.get(name, 0) + UNNAMED_GROWTH_BYTES
    }
    print("\n| file that grew | bytes then | bytes now |\n|---|---|---|")
    for name, (before, after) in grown.items():
        print(f"| {name} | {before:,} | {after:,} |")
    print(f"\nfiles: {len(early)} after night {EARLY_NIGHT}, {len(late)} after night {len(seconds)}; kept: {folder}")
    sys.exit(any(after > limit * before for before, after, limit in ratios.values()))


if __name__ == "__main__":
    main()
