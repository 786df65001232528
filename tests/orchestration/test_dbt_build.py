"""The build's process: how it ends when the command that started it is interrupted or killed."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from jobs.errors import NextmartError
from jobs.interruption import Interruption, interruptible
from jobs.orchestration import dbt_build
from jobs.settings import load_settings
from jobs.warehouse.lock import take_lock

# a dbt that goes on for a minute, watched as the real one is
SLOW_BUILD = """
import sys, time, types
from pathlib import Path
dbt = types.ModuleType("dbt.cli.main")
def cli():
    Path("build.pid").write_text(str(__import__("os").getpid()))
    print("building", flush=True)
    time.sleep(60)
dbt.cli = cli
sys.modules["dbt.cli.main"] = dbt
from jobs.orchestration.dbt_child import main
main()
"""
BUILD_WITH_FULL_LOG = """
import logging, sys, types
dbt = types.ModuleType("dbt.cli.main")
def cli():
    log = logging.Logger("dbt")
    log.addHandler(logging.FileHandler("/dev/full"))
    log.info("a line")
    log.info("another line")
dbt.cli = cli
sys.modules["dbt.cli.main"] = dbt
from jobs.orchestration.dbt_child import main
main()
"""
RUN = f"""
from jobs.orchestration import dbt_build
from jobs.settings import load_settings
dbt_build.BUILD_CODE = {SLOW_BUILD!r}
dbt_build.run_dbt_build(load_settings())
"""


@pytest.fixture
def folder(tmp_path, monkeypatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / ".nextmart" / "target").mkdir(parents=True)
    return tmp_path


def is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return Path(f"/proc/{pid}/stat").read_text().split()[2] != "Z" if Path("/proc").exists() else True


def wait_until(condition, seconds=20) -> bool:
    deadline = time.monotonic() + seconds
    while not condition() and time.monotonic() < deadline:
        time.sleep(0.02)
    return bool(condition())


def build_pid(folder: Path) -> int:
    path = folder / "build.pid"
    assert wait_until(lambda: path.exists() and path.read_text())
    return int(path.read_text())


@pytest.mark.parametrize(("number", "exit_code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_ends_the_build_and_says_what_was_committed(folder, monkeypatch, capfd, number, exit_code):
    monkeypatch.setattr(dbt_build, "BUILD_CODE", SLOW_BUILD)

    def interrupt():
        build_pid(folder)
        os.kill(os.getpid(), number)

    threading.Thread(target=interrupt).start()
    began = time.monotonic()
    with pytest.raises(Interruption) as interruption, interruptible():
        dbt_build.run_dbt_build(load_settings())
    assert interruption.value.exit_code == exit_code
    assert time.monotonic() - began < 20
    assert not is_alive(build_pid(folder))
    assert "nothing was published" in capfd.readouterr().err
    take_lock(load_settings().warehouse).release()


def test_a_build_that_another_process_killed_is_told_with_the_signal_and_what_to_type(folder, monkeypatch):
    monkeypatch.setattr(dbt_build, "BUILD_CODE", SLOW_BUILD)
    threading.Thread(target=lambda: os.kill(build_pid(folder), signal.SIGKILL)).start()
    with pytest.raises(NextmartError, match=r"(?s)killed \(SIGKILL\).*memory.*No table was built.*nextmart run"):
        dbt_build.run_dbt_build(load_settings())


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no disk here that is always full")
@pytest.mark.parametrize(
    ("error_of_duckdb", "advice"),
    [
        ("Out of Memory Error: failed to allocate data of size 16.0 MiB", "then type the same command again"),
        ("IO Error: Corrupt database file: computed checksum", "`nextmart restore`"),
    ],
    ids=["memory", "damage"],
)
def test_a_build_that_lacks_memory_or_finds_damage_says_what_to_type(folder, monkeypatch, error_of_duckdb, advice):
    monkeypatch.setattr(dbt_build, "BUILD_CODE", "import sys; sys.exit(1)")
    monkeypatch.setattr(dbt_build, "failure_texts", lambda *_: [f"failed: model baskets: {error_of_duckdb}"])
    with pytest.raises(NextmartError) as error:
        dbt_build.run_dbt_build(load_settings())
    assert advice in str(error.value)


def test_a_log_that_cant_be_written_is_told_once_and_fails_no_build(folder, monkeypatch, capfd):
    monkeypatch.setattr(dbt_build, "BUILD_CODE", BUILD_WITH_FULL_LOG)
    dbt_build.run_dbt_build(load_settings())
    said = capfd.readouterr().err
    assert said.count("WARN: the log of dbt lacks lines: no space is left on that disk") == 1
    assert "Traceback" not in said


@pytest.mark.parametrize("is_stopped", [False, True])
def test_a_build_ends_soon_after_the_command_that_started_it_was_killed(folder, is_stopped):
    with subprocess.Popen([sys.executable, "-c", RUN], stderr=subprocess.PIPE, text=True) as run:
        pid = build_pid(folder)
        if is_stopped:
            run.send_signal(signal.SIGSTOP)
            time.sleep(0.2)
            assert is_alive(pid)  # a stopped command still owns its build
        with pytest.raises(NextmartError, match=str(run.pid)):
            take_lock(load_settings().warehouse)
        run.kill()
        assert wait_until(lambda: not is_alive(pid), seconds=5)
        assert "the command that started it has ended" in run.stderr.read()
    take_lock(load_settings().warehouse).release()


def test_committed_stages_and_jobs_are_named(tmp_path):
    nodes = {
        "model.shop.stg_events": {"resource_type": "model", "path": "staging/stg_events.sql"},
        "model.shop.embed_items": {"resource_type": "model", "path": "jobs/embed_items.py"},
        "model.shop.sessions": {"resource_type": "model", "path": "sessions/sessions.sql"},
        "model.shop.sequences": {"resource_type": "model", "path": "sessions/sequences.sql"},
        "model.shop.items": {"resource_type": "model", "path": "catalog/items.sql"},
    }
    manifest = tmp_path / "manifest.json"
    manifest.write_text(
        json.dumps({"nodes": {name: {"config": {"materialized": "table"}, **node} for name, node in nodes.items()}})
    )
    log = dbt_build.BuildLog(manifest, verbose=False)
    assert log.describe_committed_work() == "No table was built."

    def event(name, node=None, status=""):
        data = {"node_info": {"unique_id": node, "node_name": node.split(".")[-1], "node_status": status,
                              "node_finished_at": "then" if status == "success" else ""}} if node else {}  # fmt: skip
        return json.dumps({"data": data, "info": {"name": name, "msg": "", "level": "info", "ts": "2026-01-01T00:00Z"}})

    built = ("model.shop.stg_events", "model.shop.embed_items", "model.shop.sessions")
    list(log.terminal_lines([event("ConcurrencyLine"), *(event("LogModelResult", node, "success") for node in built)]))
    assert log.describe_committed_work() == (
        "Kept is what was committed (done: staging, embed_items; partly done: sessions)."
    )
