"""dbt on a warehouse that another process holds: dbt waits as long as it should, or names that process."""

import threading
import time

import pytest
from harness import Warehouse
from holders import COMMAND, READER, held_by

from jobs.warehouse.lock import HELD_BY_RUN


@pytest.fixture
def shop(warehouse) -> Warehouse:
    warehouse.open().close()
    return warehouse


def run(shop: Warehouse) -> None:
    shop.run(select="stg_items")


def let_go_soon(process) -> None:
    threading.Timer(0.5, process.stdin.close).start()


@pytest.mark.parametrize("holder", [COMMAND, READER])
def test_dbt_typed_by_hand_fails_at_once_and_names_the_process(shop, holder):
    with held_by(holder, shop.path) as process:
        began = time.monotonic()
        with pytest.raises(AssertionError, match=rf"held by process {process.pid} \("):
            run(shop)
        assert time.monotonic() - began < 5


@pytest.mark.parametrize("holder", [COMMAND, READER])
def test_dbt_waits_as_long_as_the_setting_says(shop, holder, monkeypatch):
    monkeypatch.setenv("NEXTMART_WAIT_SECONDS", "20")
    with held_by(holder, shop.path) as process:
        let_go_soon(process)
        run(shop)
    assert shop.rows("staging.stg_items") == []


def test_the_build_of_a_run_waits_for_a_reader_that_opened_the_file_after_the_run_had_begun(shop, monkeypatch):
    with held_by(COMMAND, shop.path) as of_run, held_by(READER, shop.path) as reader:
        monkeypatch.setenv(HELD_BY_RUN, str(of_run.pid))
        let_go_soon(reader)
        run(shop)
    assert shop.rows("staging.stg_items") == []


def test_dbt_gives_the_lock_back(shop):
    run(shop)
    with held_by(COMMAND, shop.path):
        pass
