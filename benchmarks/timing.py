"""Helpers of the benchmarks: the folder of data sets, the timing of calls, and the printing of times."""

import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

Result = TypeVar("Result")


def data_folder() -> Path:
    """Return the folder of data sets: ``$NEXTMART_DATA`` if it is set, else ``shared/data`` beside the checkout."""
    default = Path(__file__).resolve().parents[2] / "shared" / "data"
    return Path(os.environ.get("NEXTMART_DATA", default))


def shortest_times(calls_by_name: dict[str, Callable[[], Result]], repeats: int) -> dict[str, tuple[float, Result]]:
    """Time each call ``repeats`` times, and return its shortest time and last result.

    The calls take turns, so that a slow period of the machine affects all of them.

    Returns
    -------
    dict of (float, result)
        Name of the call -> shortest wall-clock time in seconds, and the result of the last repeat.
    """
    best: dict[str, tuple[float, Result]] = {}
    for _ in range(repeats):
        for name, call in calls_by_name.items():
            start = time.perf_counter()
            result = call()
            seconds = time.perf_counter() - start
            best[name] = (min(seconds, best[name][0]) if name in best else seconds, result)
    return best


def print_timing(measured_name: str, seconds: float, ratio: float) -> None:
    """Print a line with the name of what was timed, its seconds, and the ratio to the time it is compared with."""
    print(f"{measured_name}, {seconds:.3f}, {ratio:.2f}", flush=True)
