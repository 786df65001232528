"""The clock: the only place where commands and jobs read the time. Code that computes gets the time as an argument."""

from datetime import UTC, datetime


def now() -> datetime:
    """Return the present time in UTC."""
    return datetime.now(UTC)
