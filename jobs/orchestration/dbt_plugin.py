"""dbt-duckdb plugin: attaches databases, creates the tables that jobs own, and sets UTC on every connection of dbt.

With the plugin, dbt can read views over attached databases, build an empty warehouse, and build without the jobs before
any job has run; no time zone in a dbt profile shifts a date; and the macro check_settings can ask for a check.
"""

from typing import Any

from dbt.adapters.duckdb.plugins import BasePlugin
from dbt.flags import get_flags
from dbt_common.exceptions import DbtRuntimeError

from jobs.errors import NextmartError
from jobs.orchestration.settings_check import dbt_var_names, settings_problem
from jobs.settings import load_settings
from jobs.warehouse.attached import attach_databases
from jobs.warehouse.connection import Connection, prepare_warehouse
from jobs.warehouse.dbt_tables import require_present_columns
from jobs.warehouse.sql_functions import register_functions


class Plugin(BasePlugin):
    """The plugin class that dbt-duckdb looks for in the module named in ``profiles.yml``."""

    def configure_connection(self, conn: Connection) -> None:
        """Give the tables of ``raw`` and ``ml`` their present shape, and attach databases, as dbt opens the warehouse.

        Raises
        ------
        DbtRuntimeError
            If a setting is wrong, a database can't be attached, a newer version of nextmart made the warehouse, or an
            earlier one built tables that need a full refresh.
        """
        try:
            settings = load_settings()
            prepare_warehouse(conn)
            register_functions(conn, {"dbt_var_names": dbt_var_names, "settings_problem": settings_problem})
            flags = get_flags()  # type: ignore[no-untyped-call]
            if flags.WHICH in ("build", "run") and not flags.FULL_REFRESH:
                require_present_columns(conn)
            attach_databases(conn, settings.attach)
        except NextmartError as error:  # dbt shows its own errors without a traceback
            raise DbtRuntimeError(str(error)) from error

    def configure_cursor(self, cursor: Connection) -> None:
        """Set the time zone UTC; dbt calls this after the profile's ``settings``, which may set another time zone."""
        cursor.execute("set TimeZone = 'UTC'")

    def initialize(self, config: dict[str, Any]) -> None:
        """Do nothing: the plugin has no settings."""
