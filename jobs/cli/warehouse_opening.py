"""Opening the warehouse for a command."""

from collections.abc import Collection, Iterable, Iterator
from contextlib import contextmanager
from time import monotonic

from jobs.interruption import stopping
from jobs.progress import say
from jobs.settings import Settings
from jobs.warehouse.attached import attach_needed_databases, name_databases_in_errors
from jobs.warehouse.clock import now
from jobs.warehouse.clock_check import clock_warning
from jobs.warehouse.connection import Connection, connect, prepare_warehouse
from jobs.warehouse.lock import warehouse_lock
from jobs.warehouse.missing import require_warehouse


@contextmanager
def open_warehouse(
    settings: Settings,
    databases_to_attach: Iterable[str] = (),
    *,
    view_schemas: Collection[str] | None = None,
    is_first_opening: bool = True,
    create_if_missing: bool = False,
) -> Iterator[Connection]:
    """Take the warehouse's lock, open the warehouse, and create the jobs' tables that are missing; close it at the end.

    Of the databases of ``[attach]``, those are attached that ``databases_to_attach`` names, and those that views read;
    only views in ``view_schemas`` count, if that is given. The first opening in a command warns of a clock that has
    jumped.

    Raises
    ------
    NextmartError
        If there is no warehouse, unless ``create_if_missing`` lets the command make one, or if another command still
        holds the warehouse after ``wait_seconds``.
    """
    if not create_if_missing:
        require_warehouse(settings.warehouse)
    until = monotonic() + settings.wait_seconds
    with warehouse_lock(settings.warehouse, settings.wait_seconds):
        connection = connect(settings.warehouse, wait_seconds=max(0.0, until - monotonic()))
        try:
            prepare_warehouse(connection)
            if is_first_opening and (warning := clock_warning(connection, now())):
                say(warning)
            attach_needed_databases(connection, settings.attach, databases_to_attach, view_schemas)
            # a query goes on in DuckDB's threads after a signal, and the next one would wait for its end
            with name_databases_in_errors(connection), stopping(connection.interrupt):
                yield connection
        finally:
            connection.close()
