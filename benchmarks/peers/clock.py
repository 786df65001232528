"""What every worker shares: its arguments, and the clock. Read by the peers' own interpreters: nothing but Python."""

import argparse
import json
import time
from pathlib import Path


def arguments() -> argparse.Namespace:
    """Return what is to be timed, on which sequences, and the sizes that all packages are given."""
    parser = argparse.ArgumentParser()
    parser.add_argument("model", choices=["sasrec", "bert4rec"])
    parser.add_argument("loss", choices=["full", "sampled"])
    parser.add_argument("events", type=Path, help="CSV of user, item, time: training events, oldest first")
    parser.add_argument("sizes", type=json.loads)
    parser.add_argument("batches", type=int, help="stop after so many; 0: after the epoch")
    return parser.parse_args()


class Clock:
    """Told of each batch that ends, it says what an epoch takes.

    The first batches are a warm-up: they count as much as the mean of the others.
    """

    def __init__(self, warm_up: int = 10) -> None:
        self.warm_up = warm_up
        self.ticks: list[float] = []

    def tick(self) -> None:
        """Note that a batch ended."""
        self.ticks.append(time.perf_counter())

    def report(self, batches: int, rows: int) -> None:
        """Print an epoch's seconds as JSON, given how many batches and rows of items it has."""
        warm = min(self.warm_up, len(self.ticks) - 2)
        each = (self.ticks[-1] - self.ticks[warm]) / (len(self.ticks) - 1 - warm)
        print(json.dumps({"seconds": each * batches, "batches": batches, "rows": rows}))
