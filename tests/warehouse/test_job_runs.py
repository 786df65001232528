"""A run's row in ``ml.job_runs`` on a disk that is full at the run's end."""

import duckdb
import pytest

from jobs.errors import NextmartError
from jobs.warehouse.connection import connect, prepare_warehouse
from jobs.warehouse.job_runs import job_run

STATUSES = "select status from ml.job_runs order by run_number"


class WithFullDisk:
    """A connection whose last update of a run fails."""

    def __init__(self, connection):
        self.connection = connection

    def execute(self, statement, *arguments):
        if statement.startswith("update ml.job_runs set finished_at = ?, status = ?"):
            raise duckdb.TransactionException("Failed to commit: No space left on device")
        return self.connection.execute(statement, *arguments)


@pytest.fixture
def connection(tmp_path):
    with connect(tmp_path / "warehouse.duckdb") as connection:
        prepare_warehouse(connection)
        yield connection


def test_a_finished_job_says_that_it_is_done(connection):
    says = "train is done, but the warehouse has no record of its end: .*No space left on device"
    with pytest.raises(NextmartError, match=says), job_run(WithFullDisk(connection), "train"):
        pass
    with job_run(connection, "train"):
        pass
    assert connection.execute(STATUSES).fetchall() == [("interrupted",), ("done",)]


def test_a_failed_job_reports_its_own_error(connection):
    with pytest.raises(ZeroDivisionError), job_run(WithFullDisk(connection), "train"):
        raise ZeroDivisionError
    assert connection.execute(STATUSES).fetchall() == [("running",)]
