"""dbt-duckdb plugin: waits for the warehouse, attaches databases, creates the tables that jobs own, and sets UTC.

Because of the plugin, a `dbt build` typed by hand and other commands take turns at the warehouse. dbt can read views
over attached databases, build in an empty warehouse, and build tables that read a job's table before the job has ever
run. Dates don't change if a profile sets a time zone. The plugin also registers the functions that the macro
check_settings calls.
"""

from pathlib import Path
from typing import Any, Final

from dbt.adapters.duckdb.credentials import DuckDBCredentials
from dbt.adapters.duckdb.plugins import BasePlugin
from dbt.flags import get_flags
from dbt_common.exceptions import DbtRuntimeError

from jobs.errors import NextmartError
from jobs.orchestration.settings_check import dbt_var_names, settings_problem
from jobs.progress import say
from jobs.settings import load_settings
from jobs.warehouse.attached_databases import attach_databases
from jobs.warehouse.clock import now
from jobs.warehouse.clock_check import clock_warning
from jobs.warehouse.connection import Connection, connect, prepare_warehouse
from jobs.warehouse.dbt_tables import require_current_columns
from jobs.warehouse.lock import SECONDS_FOR_READERS, WarehouseLock, take_lock
from jobs.warehouse.sql_functions import register_functions

IN_MEMORY: Final = ":memory:"


class Plugin(BasePlugin):
    """The plugin class that dbt-duckdb looks for in the module named in ``profiles.yml``."""

    warehouse_lock: WarehouseLock | None = None

    def update_connection_config(self, creds: DuckDBCredentials, config: dict[str, Any]) -> None:
        """Take the lock of the warehouse, and wait until no other program has the file open; then dbt opens it.

        dbt keeps the lock as long as it keeps the file open.

        Raises
        ------
        DbtRuntimeError
            If another command, or another program, still holds the warehouse after the wait.
        """
        if creds.is_motherduck or creds.path == IN_MEMORY:
            return
        warehouse = Path(creds.path)
        try:
            wait_seconds = load_settings().wait_seconds
            self.warehouse_lock = take_lock(warehouse, wait_seconds)
            wait_seconds = (
                max(wait_seconds, SECONDS_FOR_READERS) if self.warehouse_lock.is_held_by_parent_run else wait_seconds
            )
            connect(warehouse, wait_seconds=wait_seconds, config=config).close()
        except NextmartError as error:
            raise DbtRuntimeError(str(error)) from error

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
            is_typed_by_hand = self.warehouse_lock and not self.warehouse_lock.is_held_by_parent_run
            if is_typed_by_hand and (warning := clock_warning(conn, now())):
                say(warning)
            register_functions(conn, {"dbt_var_names": dbt_var_names, "settings_problem": settings_problem})
            flags = get_flags()  # type: ignore[no-untyped-call]
            if flags.WHICH in ("build", "run") and not flags.FULL_REFRESH:
                require_current_columns(conn)
            attach_databases(conn, settings.attach)
        except NextmartError as error:  # dbt shows its own errors without a traceback
            raise DbtRuntimeError(str(error)) from error

    def configure_cursor(self, cursor: Connection) -> None:
        """Set the time zone UTC; dbt calls this after the profile's ``settings``, which may set another time zone."""
        cursor.execute("set TimeZone = 'UTC'")

    def initialize(self, config: dict[str, Any]) -> None:
        """Do nothing: the plugin has no settings."""
