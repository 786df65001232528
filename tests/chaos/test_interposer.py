"""The campaign's faults happen where they are ordered: in a small process that writes, renames and reads the clock."""

import os
import subprocess
import sys
import time

import pytest

from benchmarks.chaos.orders import Action, Call, Orders, interposer

WRITES = """
import errno, os, sys
for number in range(5):
    descriptor = os.open(f"{sys.argv[1]}/{number}", os.O_WRONLY | os.O_CREAT)
    try:
        os.write(descriptor, b"0123456789")
    except OSError as error:
        print(errno.errorcode[error.errno])
    os.fsync(descriptor)
    os.close(descriptor)
    os.rename(f"{sys.argv[1]}/{number}", f"{sys.argv[1]}/{number}-named")
"""


@pytest.fixture(scope="module")
def library(tmp_path_factory):
    library = interposer(tmp_path_factory.mktemp("library"))
    if not library:
        pytest.skip("there is no C compiler here, or no Linux")
    return library


@pytest.fixture
def disturbed(library, tmp_path):
    """A folder with the interposer's orders (faults to inject), and a method that runs Python code under them."""
    folder = tmp_path / "watched"
    folder.mkdir()
    orders = Orders(tmp_path / "orders")
    orders.watch(folder)

    def run(code: str) -> subprocess.CompletedProcess:
        environment = {**os.environ, "LD_PRELOAD": str(library), "CHAOS_ORDERS": str(orders.path)}
        command = [sys.executable, "-S", "-c", code, str(folder)]
        return subprocess.run(
            command, env=environment, check=False, capture_output=True, text=True, start_new_session=True
        )

    run.folder, run.orders = folder, orders
    return run


def test_calls_are_counted_below_the_folder_alone(disturbed, tmp_path):
    assert disturbed(WRITES).returncode == 0
    assert disturbed.orders.counted() == {Call.WRITE: 5, Call.FSYNC: 5, Call.RENAME: 5, Call.UNLINK: 0}
    disturbed.orders.start_counting()
    disturbed.orders.watch(tmp_path / "another")
    assert disturbed(WRITES).returncode == 0
    assert set(disturbed.orders.counted().values()) == {0}


@pytest.mark.parametrize(
    ("action", "call", "left"),
    [
        (Action.KILL_GROUP, Call.WRITE, {"0-named": 10, "1-named": 10, "2": 0}),
        (Action.TEAR_AND_KILL, Call.WRITE, {"0-named": 10, "1-named": 10, "2": 5}),
        (Action.KILL_PROCESS, Call.FSYNC, {"0-named": 10, "1-named": 10, "2": 10}),
        (Action.KILL_GROUP, Call.RENAME, {"0-named": 10, "1-named": 10, "2": 10}),
    ],
)
def test_a_process_is_killed_at_the_call_that_was_ordered(disturbed, action, call, left):
    disturbed.orders.give(action, call, 3)
    assert disturbed(WRITES).returncode == -9
    assert {path.name: path.stat().st_size for path in disturbed.folder.iterdir()} == left
    assert disturbed.orders.fired_at == str(disturbed.folder / ("2-named" if call == Call.RENAME else "2"))


def test_a_full_disk_stays_full_until_the_orders_end(disturbed):
    disturbed.orders.give(Action.DISK_FULL, Call.WRITE, 4)
    assert disturbed(WRITES).stdout.split() == ["ENOSPC", "ENOSPC"]
    disturbed.orders.end()
    assert disturbed(WRITES).stdout == ""


def test_the_clock_differs_and_jumps_while_time_that_passes_does_not(disturbed):
    disturbed.orders.set_clock(86_400)
    disturbed.orders.give(Action.CLOCK_JUMP, Call.WRITE, 1, clock_jump_seconds=-7200)
    clocks = "import time, datetime; print(time.time(), datetime.datetime.now().timestamp(), time.monotonic());"
    before, at_once, monotonic_before, after, later, monotonic_after = map(
        float, disturbed(clocks + WRITES + clocks).stdout.split()
    )
    assert before == pytest.approx(time.time() + 86_400, abs=30)
    assert at_once == pytest.approx(before, abs=5)
    assert after == pytest.approx(before - 7200, abs=5)
    assert later == pytest.approx(after, abs=5)
    assert 0 <= monotonic_after - monotonic_before < 5
