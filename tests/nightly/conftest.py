"""A warehouse on which the jobs of a night run."""

from collections.abc import Iterator

import pytest
from tiny_warehouse import TinyWarehouse, items_of, let_minutes_pass


@pytest.fixture
def tiny(request, tmp_path, monkeypatch) -> Iterator[TinyWarehouse]:
    """The sequences ``HISTORY`` of the test's module, in a warehouse whose clock goes on a minute at each reading."""
    monkeypatch.chdir(tmp_path)
    let_minutes_pass(monkeypatch)
    warehouse = TinyWarehouse()
    warehouse.fill(request.module.HISTORY, items_of(request.module.HISTORY))
    yield warehouse
    warehouse.connection.close()
