"""Simulate a year of nights without faults for a shop with constant traffic; find out what gets slower or larger.

The shop is that of :mod:`benchmarks.chaos`, with the same numbers of visitors, items and events each day. Each night's
tables and publication are checked as in the campaign there. The benchmark compares the shop's last week with the week
around its tenth night: the CPU time of the commands. A machine can change its speed within the hour that a year takes.
So the early week is simulated once more, in a young shop with the same events, whose nights take turns with the last
nights of the year. The benchmark also compares the size of the warehouse, and of each other file of nextmart, after the
last night and after the tenth. A night of the last week may take at most 1.3 times as long as one of the early week,
and the warehouse may have at most 1.5 times the size that it had after the tenth night.
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
WEEK = 7  # the compared nights: models are trained once a week
LAST_EARLY_NIGHT = EARLY_NIGHT + WEEK // 2
MAX_TIME_RATIO, MAX_SIZE_RATIO = 1.3, 1.5  # the limits: time and size of the last night, divided by those of the tenth
UNNAMED_GROWTH_BYTES = 100_000  # files that grow by at most so many bytes are not printed
FEEDS = ("events", "items")


class SoakedShop:
    """A shop with constant traffic, with the CPU seconds of each of its nights and the sizes of its files after it."""

    def __init__(self, folder: Path, harness: CommandHarness, name: str) -> None:
        never = sys.maxsize
        size = ShopSize(new_visitors_per_night=0, new_items_per_night=0)
        self.campaign = Campaign(folder / name, harness, 0, size, full_refresh_every_nights=never)
        # so that dbt writes its full log, which might grow
        self.campaign.command_runner.environment.pop("DBT_LOG_LEVEL_FILE")
        self.name = name
        self.seconds: list[float] = []
        self.sizes: list[dict[str, int]] = []

    def run_night(self) -> None:
        """Simulate the next night."""
        self.campaign.run_night(Night(len(self.seconds)))
        self.seconds.append(self.campaign.cpu_seconds_of_last_night)
        self.sizes.append(file_sizes_by_path(self.campaign.folder))
        megabytes = self.sizes[-1]["warehouse.duckdb"] / 1e6
        print(
            f"{self.name} shop, night {len(self.seconds)}: {self.seconds[-1]:.2f} s, warehouse {megabytes:.1f} MB",
            flush=True,
        )

    def close(self) -> None:
        """Stop the shop's fake embedding service."""
        self.campaign.close()

    def seconds_of_last_week(self) -> float:
        """Return the median CPU seconds of the last seven nights."""
        return median(self.seconds[-WEEK:])


def run_soak(folder: Path, night_count: int) -> tuple[SoakedShop, SoakedShop]:
    """Simulate the nights of a shop, the last of them in turns with those of a young one; return both shops."""
    with (
        closing(CommandHarness(folder, night_count)) as harness,
        closing(old := SoakedShop(folder, harness, "old")),
        closing(young := SoakedShop(folder, harness, "young")),
    ):
        for _ in range(night_count - WEEK):
            old.run_night()
        for _ in range(LAST_EARLY_NIGHT - WEEK):
            young.run_night()
        for _ in range(WEEK):
            young.run_night()
            old.run_night()
    return old, young


def file_sizes_by_path(folder: Path) -> dict[str, int]:
    """Return path -> size in bytes of each file in a shop's folder, except the files of its feeds."""
    files = [path for path in folder.rglob("*") if path.is_file() and path.relative_to(folder).parts[0] not in FEEDS]
    return {str(path.relative_to(folder)): path.stat().st_size for path in files}


def main() -> None:
    """Run the benchmark; print the times and sizes of the tenth night and the last, and check the limits."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.soak", description=__doc__)
    parser.add_argument("--nights", type=int, default=365)
    parser.add_argument("--folder", type=Path, help="kept: the shop after the last night; default: a new one")
    options = parser.parse_args()
    if options.nights <= LAST_EARLY_NIGHT:
        parser.error(
            f"--nights: at least {LAST_EARLY_NIGHT + 1}, because the last week is compared with the week "
            f"around night {EARLY_NIGHT}"
        )
    folder = options.folder or Path(tempfile.mkdtemp(prefix="soak-"))
    folder.mkdir(parents=True, exist_ok=True)
    old, young = run_soak(folder, options.nights)
    early, late = old.sizes[EARLY_NIGHT - 1], old.sizes[-1]
    ratios = {
        "processor seconds of a night": (young.seconds_of_last_week(), old.seconds_of_last_week(), MAX_TIME_RATIO),
        "warehouse, MB": (early["warehouse.duckdb"] / 1e6, late["warehouse.duckdb"] / 1e6, MAX_SIZE_RATIO),
    }
    print(f"\n| what | night {EARLY_NIGHT} | night {len(old.seconds)} | ratio | limit |\n|---|---|---|---|---|")
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
    print(
        f"\nfiles: {len(early)} after night {EARLY_NIGHT}, {len(late)} after night {len(old.seconds)}; kept: {folder}"
    )
    sys.exit(any(after > limit * before for before, after, limit in ratios.values()))


if __name__ == "__main__":
    main()
