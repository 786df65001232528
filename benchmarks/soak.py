"""Simulate a year of nights without faults for a shop with constant traffic; find out what gets slower or larger.

The shop is that of :mod:`benchmarks.chaos`, with the same numbers of visitors, items and events each day. Each night's
tables and publication are checked as in the campaign there. The benchmark compares the last night with the tenth: the
CPU time of the night's commands (as the median of five nights around it), the size of the warehouse, and the size of
each other file of nextmart. The last night may take at most 1.3 times as long as the tenth, and the warehouse may have
at most 1.5 times its size then.
Run: ``python -m benchmarks.soak``; it ends with exit code 1 if a limit is exceeded.
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
MAX_TIME_RATIO, MAX_SIZE_RATIO = 1.3, 1.5  # the limits: time and size of the last night, divided by those of the tenth
UNNAMED_GROWTH_BYTES = 100_000  # files that grow by at most so many bytes are not printed
FEEDS = ("events", "items")


def run_soak(folder: Path, night_count: int) -> tuple[list[float], list[dict[str, int]]]:
    """Simulate the nights; return each night's CPU seconds, and the sizes in bytes of nextmart's files after it."""
    seconds, sizes = [], []
    with closing(CommandHarness(folder, night_count)) as harness:
        never = night_count + 1
        campaign = Campaign(
            folder,
            harness,
            0,
            ShopSize(new_visitors_per_night=0, new_items_per_night=0),
            full_refresh_every_nights=never,
        )
        campaign.command_runner.environment.pop(
            "DBT_LOG_LEVEL_FILE"
        )  # so that dbt writes its full log, which might grow
        with closing(campaign):
            for number in range(night_count):
                campaign.run_night(Night(number))
                seconds.append(campaign.cpu_seconds_of_last_night)
                sizes.append(file_sizes_by_path(campaign.folder))
                warehouse_megabytes = sizes[-1]["warehouse.duckdb"] / 1e6
                print(f"night {number + 1}: {seconds[-1]:.2f} s, warehouse {warehouse_megabytes:.1f} MB", flush=True)
    return seconds, sizes


def file_sizes_by_path(folder: Path) -> dict[str, int]:
    """Return path -> size in bytes of each file in a shop's folder, except the files of its feeds."""
    files = [path for path in folder.rglob("*") if path.is_file() and path.relative_to(folder).parts[0] not in FEEDS]
    return {str(path.relative_to(folder)): path.stat().st_size for path in files}


def median_around(values: list[float], index: int) -> float:
    """Return the median of a value and its neighbours: two on each side, or fewer at the ends of the list."""
    return median(values[max(0, index - 2) : index + 3])


def main() -> None:
    """Run the benchmark; print the times and sizes of the tenth night and the last, and check the limits."""
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
