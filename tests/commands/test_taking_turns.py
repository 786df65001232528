"""Commands that write take turns: each is refused, or waits, while another command has the warehouse."""

import os
import signal
import sys
import threading

import pytest
from holders import COMMAND, READER, held_by

from jobs.cli import load_commands, main
from jobs.warehouse.connection import connect, prepare_warehouse

WRITING = [
    "load --events events.csv",
    "load --events events.csv --check",
    "run",
    "publish",
    "embed",
    "train",
    "evaluate",
    "recommend",
    "pin a-model",
    "unpin",
    "rollback",
    "forget --visitor v",
    "place",
    "maintain",
    "backup",
    "restore --wait 0",
]


@pytest.fixture
def command(tmp_path, monkeypatch, capsys):
    """Run a command in a folder with a warehouse; return its exit code and what it says on stderr."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "events.csv").write_text(
        "event_id,visitor_id,item_id,event_type,event_at\ne1,v,lamp,view,2026-01-01 10:00:00\n"
    )
    with connect(tmp_path / "warehouse.duckdb") as connection:
        prepare_warehouse(connection)

    def run(*arguments: str) -> tuple[int, str]:
        monkeypatch.setattr(sys, "argv", ["nextmart", *arguments])
        with pytest.raises(SystemExit) as exit_:
            main()
        return exit_.value.code or 0, capsys.readouterr().err

    run.warehouse = tmp_path / "warehouse.duckdb"
    return run


def test_every_command_that_writes_is_refused_while_another_has_its_turn(command):
    with held_by(COMMAND, command.warehouse) as other:
        for typed in WRITING:
            code, said = command(*typed.split())
            assert (code, f"held by process {other.pid} (" in said) == (1, True), typed
        code, said = command("demo", "--folder", ".")
        assert (code, f"held by process {other.pid} (" in said) == (1, True)
    assert command.warehouse.exists()


@pytest.mark.parametrize("holder", [COMMAND, READER])
def test_a_command_that_waits_has_its_turn_later(command, holder):
    with held_by(holder, command.warehouse) as other:
        threading.Timer(0.3, other.stdin.close).start()
        code, said = command("load", "--events", "events.csv", "--wait", "20")
    assert code == 0, said
    assert f": warehouse.duckdb is held by process {other.pid}" in said
    assert said.startswith("waiting up to ")


def test_a_wait_below_zero_is_refused(command):
    assert command("load", "--wait", "-1")[0] == 2


@pytest.mark.parametrize(
    ("number", "source", "exit_code"), [(signal.SIGINT, "Ctrl-C", 130), (signal.SIGTERM, "SIGTERM", 143)]
)
def test_a_signal_in_a_query_ends_the_command_with_its_own_code(command, monkeypatch, number, source, exit_code):
    def endless(connection, sources, run_record, rules):
        threading.Timer(0.2, os.kill, (os.getpid(), number)).start()
        connection.execute("select count(*) from range(4000000000) as a (i) where i % 7 = 3")

    monkeypatch.setattr(load_commands, "load", endless)
    code, said = command("load", "--events", "events.csv")
    assert code == exit_code
    assert f"interrupted by {source}; what was committed stays" in said
    assert "type it again: nextmart load --events events.csv" in said
    with connect(command.warehouse) as connection:
        assert connection.execute("select status from ml.job_runs").fetchall() == [("interrupted",)]
