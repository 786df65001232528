"""Opening the warehouse for a command."""

from collections.abc import Collection, Iterable, Iterator
from contextlib import contextmanager
from time import monotonic

from jobs.interruption import stopping
from jobs.progress import say
from jobs.settings import Settings
from jobs.warehouse.attached import attach_needed, naming_databases
from jobs.warehouse.clock import now
from jobs.warehouse.clock_check import clock_warning
from jobs.warehouse.connection import Connection, connect, prepare_warehouse
from jobs.warehouse.lock import warehouse_lock
from jobs.warehouse.missing import require_warehouse


@contextmanager
def open_warehouse(
    settings: Settings,
    databases: Iterable[str] = (),
    *,
    view_schemas: Collection[str] | None = None,
    is_first_in_command: bool = True,
    create: bool = False,
) -> Iterator[Connection]:
    """Take the warehouse's lock, open the warehouse, and create the jobs' tables that are missing; close it at the end.

    Of the databases of ``[attach]``, those are attached that ``databases`` names, and those that views read; only views
    in ``view_schemas`` count, if that is given. The first opening in a command warns of a clock that has jumped.

    Raises
    ------
    NextmartError
        If there is no warehouse, unless ``create`` lets the command make one, or if another command still holds the
        warehouse after ``wait_seconds``.
    """
    if not create:
        require_warehouse(settings.warehouse)
    until = monotonic() + settings.wait_seconds
    with warehouse_lock(settings.warehouse, settings.wait_seconds):
        connection = connect(settings.warehouse, wait_seconds=max(0.0, until - monotonic()))
        try:
            prepare_warehouse(connection)
            if is_first_in_command and (warning := clock_warning(connection, now())):
                say(warning)
            attach_needed(connection, settings.attach, databases, view_schemas)
            # a query goes on in DuckDB's threads after a signal, and the next one would wait for its end
            with naming_databases(connection), stopping(connection.interrupt):
                yield connection
        finally:
            connection.close()
