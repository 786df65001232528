"""dbt-duckdb plugin: creates the tables that jobs own, and sets the time zone UTC on every connection of dbt.

So dbt can build an empty warehouse, ``dbt build --exclude tag:job`` works before any job has run, and no time zone in
a dbt profile shifts a date.
"""

from typing import Any

from dbt.adapters.duckdb.plugins import BasePlugin

from jobs.warehouse.connection import Connection, prepare_warehouse


class Plugin(BasePlugin):
    """The plugin class that dbt-duckdb looks for in the module named in ``profiles.yml``."""

    def configure_connection(self, conn: Connection) -> None:
        """Create the tables of the schemas ``raw`` and ``ml`` when dbt opens the warehouse file."""
        prepare_warehouse(conn)

    def configure_cursor(self, cursor: Connection) -> None:
        """Set the time zone UTC; dbt calls this after the profile's ``settings``, which may set another time zone."""
        cursor.execute("set TimeZone = 'UTC'")

    def initialize(self, config: dict[str, Any]) -> None:
        """Do nothing: the plugin has no settings."""
