"""dbt-duckdb plugin: every connection that dbt opens finds the tables that jobs own, and is in UTC.

So an empty warehouse builds, ``dbt build --exclude tag:job`` needs no job to have run, and no profile moves a date.
"""

from typing import Any

from dbt.adapters.duckdb.plugins import BasePlugin

from jobs.warehouse.connection import Connection, prepare


class Plugin(BasePlugin):
    """Named in ``profiles.yml``; dbt-duckdb looks for this class."""

    def configure_connection(self, conn: Connection) -> None:
        """Make ``raw`` and ``ml`` once, when dbt opens the file."""
        prepare(conn)

    def configure_cursor(self, cursor: Connection) -> None:
        """Set the zone; called after the profile's ``settings``, where somebody may have written another one."""
        cursor.execute("set TimeZone = 'UTC'")

    def initialize(self, config: dict[str, Any]) -> None:
        """Take no settings."""
