"""Gives new rows their ``loaded_at``, which is later than that of all earlier rows, even if the clock was set back.

Builds find new rows, and the newest row of an item, by ``loaded_at``. They would overlook a row with an earlier time
than a row that they have read.
"""

from datetime import datetime, timedelta

from jobs.progress import say
from jobs.warehouse.clock import now
from jobs.warehouse.clock_check import CLOCK_TOLERANCE
from jobs.warehouse.connection import Connection
from jobs.warehouse.warehouse_tables import warehouse_tables

TABLES = ("events", "items", "visitors", "impressions", "unreadable_rows", "withdrawn_items", "loaded_files")


class LoadedAtClock:
    """Gives each source of a load a ``loaded_at`` that is later than all ``loaded_at`` before it.

    Parameters
    ----------
    newest_loaded_at : datetime or None
        The newest ``loaded_at`` of the raw tables; None if they hold no row.
    """

    def __init__(self, newest_loaded_at: datetime | None) -> None:
        self._newest = newest_loaded_at

    @classmethod
    def of_warehouse(cls, connection: Connection) -> "LoadedAtClock":
        """Return a clock that goes on from the newest row of a warehouse; warn if that row is from the future.

        A user's own view in place of a raw table is not looked at, because no load appends to it.
        """
        present = sorted(warehouse_tables(connection, "raw").intersection(TABLES))
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
        """Return the ``loaded_at`` of the next source: now, or a microsecond after the newest one if that is later."""
        present = now()
        self._newest = present if self._newest is None else max(present, self._newest + timedelta(microseconds=1))
        return self._newest
