"""The only place where commands and jobs read the current time. Code that computes gets the time as an argument."""

from datetime import UTC, datetime
from time import monotonic


def now() -> datetime:
    """Return the current time in UTC."""
    return datetime.now(UTC)


def monotonic_seconds() -> float:
    """Return the seconds since some fixed moment: differences measure durations, whatever is done to the clock."""
    return monotonic()
