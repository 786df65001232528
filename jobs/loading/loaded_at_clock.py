"""The times at which rows arrive (``loaded_at``): each is later than all before it, whatever the clock says.

Builds find new rows, and the newest row of an item, by ``loaded_at``. A row that got a time before that of a known row
would be overlooked.
"""

from datetime import datetime, timedelta

from jobs.progress import say
from jobs.warehouse.clock import now
from jobs.warehouse.clock_check import CLOCK_TOLERANCE
from jobs.warehouse.connection import Connection
from jobs.warehouse.own_tables import own_tables

TABLES = ("events", "items", "visitors", "impressions", "unreadable_rows", "withdrawn_items", "loaded_files")


class LoadedAtClock:
    """Gives each source of a load its ``loaded_at``.

    Parameters
    ----------
    newest_loaded_at : datetime or None
        The newest ``loaded_at`` of the raw tables; None if they hold no row.
    """

    def __init__(self, newest_loaded_at: datetime | None) -> None:
        self._newest = newest_loaded_at

    @classmethod
    def of_warehouse(cls, connection: Connection) -> "LoadedAtClock":
        """Return the times for a load into a warehouse; warn if the clock is behind the newest row.

        A user's own view that stands in for a raw table is not looked at, because no load appends to it.
        """
        present = sorted(own_tables(connection, "raw").intersection(TABLES))
        maxima = " union all ".join(
            f"select max(loaded_at) as loaded_at from raw.{table} where isfinite(loaded_at)" for table in present
        )
        row = connection.execute(f"select max(loaded_at) from ({maxima})").fetchone() if present else None
        newest = row[0] if row else None
        if newest and newest - now() > CLOCK_TOLERANCE:
            say(
                f"WARN: the clock says {now():%Y-%m-%d %H:%M:%S} UTC, but the newest rows were loaded at "
                f"{newest:%Y-%m-%d %H:%M:%S} UTC: one of the two is wrong. The rows of this load count as later ones, "
                "with a loaded_at just after that time."
            )
        return cls(newest)

    def next_loaded_at(self) -> datetime:
        """Return the time of the next source: the present, or just after the newest row where that is later."""
        present = now()
        self._newest = present if self._newest is None else max(present, self._newest + timedelta(microseconds=1))
        return self._newest
