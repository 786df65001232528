"""Waits until another process closes a warehouse, or releases its lock."""

import time
from pathlib import Path
from typing import Final

from jobs.progress import say

SECONDS_BETWEEN_TRIES: Final = 0.1


class WarehouseWait:
    """A wait of limited length for the process that holds a warehouse; the user is told once that the wait has begun.

    Parameters
    ----------
    warehouse : Path
    wait_seconds : float
        Length of the wait, which begins when this object is made.
    """

    def __init__(self, warehouse: Path, wait_seconds: float) -> None:
        self._warehouse = warehouse
        self._wait_seconds = wait_seconds
        self._deadline = time.monotonic() + wait_seconds
        self._has_said_so = False

    def is_over(self) -> bool:
        """Return whether the wait has lasted its full length."""
        return time.monotonic() >= self._deadline

    def pause(self, holder: str) -> None:
        """Pause until the next try; before the first pause, tell the user who holds the warehouse."""
        if not self._has_said_so:
            say(f"waiting up to {self._wait_seconds:.0f} s: {self._warehouse} is held by {holder}")
            self._has_said_so = True
        time.sleep(min(SECONDS_BETWEEN_TRIES, max(0.0, self._deadline - time.monotonic())))
