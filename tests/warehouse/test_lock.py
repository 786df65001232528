"""One command at a time: processes that hold the lock, are killed or stopped with it, and others that want it."""

import os
import signal
import subprocess
import sys
import threading
import time

import pytest
from holders import COMMAND, held_by

from jobs.errors import NextmartError
from jobs.warehouse.lock import HELD_BY_RUN, lock_file_path, take_lock, warehouse_lock

# a run whose build goes on for a minute if nobody ends it
HOLD_WITH_BUILD = """
import subprocess, sys
from pathlib import Path
from jobs.warehouse.lock import take_lock
lock = take_lock(Path(sys.argv[1]))
build = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"], pass_fds=lock.file_descriptors())
lock.record_build_pid(build.pid)
print(build.pid, flush=True)
sys.stdin.read()
"""


@pytest.fixture
def warehouse(tmp_path):
    return tmp_path / "warehouse.duckdb"


@pytest.fixture
def holder(warehouse):
    """Another process that holds the lock until its stdin closes."""
    with held_by(COMMAND, warehouse) as other:
        yield other


def refusal(warehouse):
    with pytest.raises(NextmartError) as refused:
        take_lock(warehouse)
    return str(refused.value)


def test_a_second_command_is_refused_at_once_and_told_who_has_the_warehouse(warehouse, holder):
    began = time.monotonic()
    said = refusal(warehouse)
    assert time.monotonic() - began < 1
    assert f"held by process {holder.pid} (-c " in said
    assert "since 20" in said
    assert "--wait" in said


def test_a_command_that_waits_gets_its_turn_when_the_other_ends(warehouse, holder, capfd):
    threading.Timer(0.3, holder.stdin.close).start()
    with warehouse_lock(warehouse, wait_seconds=20):
        assert f"waiting up to 20 s: {warehouse} is held by process {holder.pid}" in capfd.readouterr().err


def test_a_stopped_process_keeps_the_lock_and_a_killed_one_gives_it_back(warehouse, holder):
    os.kill(holder.pid, signal.SIGSTOP)
    assert str(holder.pid) in refusal(warehouse)
    holder.kill()  # SIGKILL ends a stopped process too
    with warehouse_lock(warehouse, wait_seconds=5):
        pass


@pytest.mark.skipif(os.name != "posix", reason="a build inherits the lock where descriptors are inherited")
def test_the_build_of_a_killed_run_keeps_the_lock_and_is_named(warehouse):
    run_with_build = [sys.executable, "-c", HOLD_WITH_BUILD, str(warehouse)]
    with subprocess.Popen(run_with_build, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as run:
        build_pid = int(run.stdout.readline())
        run.kill()
        run.wait()
        said = refusal(warehouse)
        assert f"process {build_pid}, the dbt build of process {run.pid}" in said
        assert "which has ended" in said
        os.kill(build_pid, signal.SIGKILL)
    with warehouse_lock(warehouse, wait_seconds=5):
        pass


def test_a_block_inside_another_of_the_same_process_has_the_same_lock(warehouse):
    with warehouse_lock(warehouse) as outer:
        with warehouse_lock(warehouse) as inner:
            assert inner is outer
        assert outer.is_held
    assert not outer.is_held


def test_another_name_of_the_same_warehouse_has_the_same_lock(warehouse, holder, tmp_path):
    warehouse.touch()
    (tmp_path / "link.duckdb").symlink_to(warehouse)
    assert lock_file_path(tmp_path / "link.duckdb") == lock_file_path(warehouse)
    assert str(holder.pid) in refusal(tmp_path / "link.duckdb")


def test_the_build_of_a_run_has_the_lock_of_the_run(warehouse, holder, monkeypatch):
    monkeypatch.setenv(HELD_BY_RUN, str(holder.pid))
    assert take_lock(warehouse).is_held_by_parent_run


def test_a_secret_on_the_command_line_stays_out_of_the_file(warehouse, monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", "sk-of-the-shop")
    monkeypatch.setattr(sys, "argv", ["/usr/bin/nextmart", "run", "--x=sk-of-the-shop"])
    with warehouse_lock(warehouse):
        assert '"nextmart run --x=<OPENAI_API_KEY>"' in lock_file_path(warehouse).read_text()


@pytest.mark.parametrize("text", ["", "{", '{"pid": 1}', "[]"])
def test_an_owner_that_cannot_be_read_is_another_command(warehouse, holder, text):
    lock_file_path(warehouse).write_text(text)
    assert "held by another command" in refusal(warehouse)


def test_a_folder_in_place_of_the_lock_is_named(warehouse):
    lock_file_path(warehouse).mkdir()
    assert f"can't write {lock_file_path(warehouse)}" in refusal(warehouse)
