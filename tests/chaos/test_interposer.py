"""The campaign's faults happen at the named call of a small process that writes, renames and reads the clock."""

import os
import subprocess
import sys
import time

import pytest

from benchmarks.chaos.fault_injector import FaultAction, FaultInjector, SystemCall, compile_interposer

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
    library = compile_interposer(tmp_path_factory.mktemp("library"))
    if not library:
        pytest.skip("there is no C compiler here, or no Linux")
    return library


@pytest.fixture
def run_with_faults(library, tmp_path):
    """A function that runs Python code under the faults of its ``fault_injector``, in its ``folder``."""
    folder = tmp_path / "watched"
    folder.mkdir()
    fault_injector = FaultInjector(tmp_path / "faults")
    fault_injector.limit_to_folder(folder)

    def run(code: str) -> subprocess.CompletedProcess:
        environment = {**os.environ, "LD_PRELOAD": str(library), "CHAOS_FAULT_FILE": str(fault_injector.fault_file)}
        command = [sys.executable, "-S", "-c", code, str(folder)]
        return subprocess.run(
            command, env=environment, check=False, capture_output=True, text=True, start_new_session=True
        )

    run.folder, run.fault_injector = folder, fault_injector
    return run


def test_calls_are_counted_below_the_folder_alone(run_with_faults, tmp_path):
    assert run_with_faults(WRITES).returncode == 0
    assert run_with_faults.fault_injector.call_counts() == {
        SystemCall.WRITE: 5,
        SystemCall.FSYNC: 5,
        SystemCall.RENAME: 5,
        SystemCall.UNLINK: 0,
    }
    run_with_faults.fault_injector.reset_call_counts()
    run_with_faults.fault_injector.limit_to_folder(tmp_path / "another")
    assert run_with_faults(WRITES).returncode == 0
    assert set(run_with_faults.fault_injector.call_counts().values()) == {0}


@pytest.mark.parametrize(
    ("action", "call", "left"),
    [
        (FaultAction.KILL_GROUP, SystemCall.WRITE, {"0-named": 10, "1-named": 10, "2": 0}),
        (FaultAction.TEAR_AND_KILL, SystemCall.WRITE, {"0-named": 10, "1-named": 10, "2": 5}),
        (FaultAction.KILL_PROCESS, SystemCall.FSYNC, {"0-named": 10, "1-named": 10, "2": 10}),
        (FaultAction.KILL_GROUP, SystemCall.RENAME, {"0-named": 10, "1-named": 10, "2": 10}),
    ],
)
def test_a_process_is_killed_at_the_call_that_was_named(run_with_faults, action, call, left):
    run_with_faults.fault_injector.inject(action, call, 3)
    assert run_with_faults(WRITES).returncode == -9
    assert {path.name: path.stat().st_size for path in run_with_faults.folder.iterdir()} == left
    assert run_with_faults.fault_injector.path_of_fault == str(
        run_with_faults.folder / ("2-named" if call == SystemCall.RENAME else "2")
    )


def test_a_full_disk_stays_full_until_the_faults_are_cleared(run_with_faults):
    run_with_faults.fault_injector.inject(FaultAction.DISK_FULL, SystemCall.WRITE, 4)
    assert run_with_faults(WRITES).stdout.split() == ["ENOSPC", "ENOSPC"]
    run_with_faults.fault_injector.clear()
    assert run_with_faults(WRITES).stdout == ""


def test_the_clock_differs_and_jumps_while_time_that_passes_does_not(run_with_faults):
    run_with_faults.fault_injector.shift_clock(86_400)
    run_with_faults.fault_injector.inject(FaultAction.CLOCK_JUMP, SystemCall.WRITE, 1, clock_jump_seconds=-7200)
    clocks = "import time, datetime; print(time.time(), datetime.datetime.now().timestamp(), time.monotonic());"
    before, at_once, monotonic_before, after, later, monotonic_after = map(
        float, run_with_faults(clocks + WRITES + clocks).stdout.split()
    )
    assert before == pytest.approx(time.time() + 86_400, abs=30)
    assert at_once == pytest.approx(before, abs=5)
    assert after == pytest.approx(before - 7200, abs=5)
    assert later == pytest.approx(after, abs=5)
    assert 0 <= monotonic_after - monotonic_before < 5
