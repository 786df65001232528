"""Arguments and clock of the timed processes; it imports only the standard library, as environments lack nextmart."""

import argparse
import json
import time
from pathlib import Path


def parse_arguments() -> argparse.Namespace:
    """Return the command-line arguments: model, loss, file of events, sizes of the model, and number of batches."""
    parser = argparse.ArgumentParser()
    parser.add_argument("model", choices=["sasrec", "bert4rec"])
    parser.add_argument("loss", choices=["full", "sampled"])
    parser.add_argument("events", type=Path, help="CSV of user, item, time: training events, oldest first")
    parser.add_argument("sizes", type=json.loads)
    parser.add_argument("batches", type=int, help="stop after so many; 0: after the epoch")
    return parser.parse_args()


class BatchClock:
    """Times the batches of an epoch, and prints the seconds of the whole epoch.

    The first batches are slow, since they warm up; so the mean time of the others is counted for them too.
    """

    def __init__(self, warm_up_batch_count: int = 10) -> None:
        self.warm_up_batch_count = warm_up_batch_count
        self.batch_ends: list[float] = []

    def note_batch_end(self) -> None:
        """Record the time at which a batch has ended."""
        self.batch_ends.append(time.perf_counter())

    def print_epoch_seconds(self, batch_count: int, row_count: int) -> None:
        """Print, as JSON, the seconds of an epoch of ``batch_count`` batches, and the numbers of batches and rows."""
        warm = min(self.warm_up_batch_count, len(self.batch_ends) - 2)
        each = (self.batch_ends[-1] - self.batch_ends[warm]) / (len(self.batch_ends) - 1 - warm)
        print(json.dumps({"seconds": each * batch_count, "batches": batch_count, "rows": row_count}))
