"""Opens the warehouse for a command, under the warehouse's lock."""

from collections.abc import Collection, Iterable, Iterator
from contextlib import contextmanager
from time import monotonic

from jobs.interruption import call_on_signal
from jobs.progress import say
from jobs.settings import Settings
from jobs.warehouse.attached_databases import attach_needed_databases, name_databases_in_errors
from jobs.warehouse.clock import now
from jobs.warehouse.clock_check import clock_warning
from jobs.warehouse.connection import Connection, connect, prepare_warehouse
from jobs.warehouse.lock import warehouse_lock
from jobs.warehouse.missing_warehouse import require_warehouse


@contextmanager
def open_warehouse(
    settings: Settings,
    databases_to_attach: Iterable[str] = (),
    *,
    schemas_whose_views_are_read: Collection[str] | None = None,
    is_first_opening_of_command: bool = True,
    create_if_missing: bool = False,
) -> Iterator[Connection]:
    """Take the warehouse's lock, open the warehouse, and create the jobs' tables that are missing; close it at the end.

    Parameters
    ----------
    databases_to_attach : iterable of str
        Names of databases of the setting ``[attach]`` that are attached; those that views read are attached too.
    schemas_whose_views_are_read : collection of str, optional
        Only views in these schemas are searched for databases to attach; None: views in all schemas.
    is_first_opening_of_command : bool
        Whether the command has not opened the warehouse before. Only the first opening warns of a clock that jumped.
    create_if_missing : bool
        Whether to make an empty warehouse if there is none.

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
            if is_first_opening_of_command and (warning := clock_warning(connection, now())):
                say(warning)
            attach_needed_databases(connection, settings.attach, databases_to_attach, schemas_whose_views_are_read)
            # a signal interrupts the query, which would go on in DuckDB's threads, so that the next query had to wait
            with name_databases_in_errors(connection), call_on_signal(connection.interrupt):
                yield connection
        finally:
            connection.close()
