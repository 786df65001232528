"""`nextmart demo` in a folder where files of others are: it replaces only what a demo made."""

import subprocess
import sys

import duckdb
import pytest
from public_tables import make_public_tables
from test_load import EVENTS, Shell

from jobs.cli import night_commands
from jobs.warehouse.connection import connect

DEMO = ("demo", "--visitors", "20", "--items", "50", "--until", "2025-01-01", "--folder", ".")


@pytest.fixture
def shell(tmp_path, monkeypatch, capsys) -> Shell:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(night_commands, "run_dbt_build", build)
    monkeypatch.setattr(night_commands, "print_leaderboard_and_example_lists", lambda published, warehouse: None)
    return Shell(tmp_path, monkeypatch, capsys)


def build(settings, *arguments, **options) -> None:
    """Stand for dbt, which makes the public tables."""
    with connect(settings.warehouse) as connection:
        make_public_tables(connection)


def contents(shell) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in shell.folder.iterdir() if path.is_file()}


def load_a_shop(shell, warehouse: str = "warehouse.duckdb") -> None:
    shell.write("events.csv", EVENTS + "e1,v1,i1,view,2026-01-01 10:00:00\n")
    assert shell("load", "--events", "events.csv", "--warehouse", warehouse)[0] == 0


def test_a_real_warehouse_stays(shell):
    load_a_shop(shell)
    before = contents(shell)
    code, said = shell(*DEMO)
    assert code == 1
    assert f"{shell.folder / 'warehouse.duckdb'} is no demo's" in said
    assert "--folder" in said
    assert contents(shell) == before


def test_what_a_real_warehouse_published_stays(shell):
    load_a_shop(shell, "elsewhere.duckdb")
    build(night_commands.load_settings(warehouse="elsewhere.duckdb"))
    assert shell("publish", "--warehouse", "elsewhere.duckdb")[0] == 0
    before = contents(shell)
    code, said = shell(*DEMO)
    assert code == 1
    assert f"{shell.folder / 'published.duckdb'} is no demo's" in said
    assert contents(shell) == before


def test_files_that_are_no_databases_stay(shell):
    shell.write("published.duckdb", "notes")
    assert shell(*DEMO)[0] == 1
    shell.write("warehouse.duckdb", "notes")
    code, said = shell(*DEMO)
    assert code == 1
    assert "warehouse.duckdb" in said
    assert contents(shell) == {"published.duckdb": b"notes", "warehouse.duckdb": b"notes"}


def test_a_demo_is_made_anew_until_somebody_loads_rows_into_it(shell):
    for _ in range(2):
        code, said = shell(*DEMO)
        assert code == 0, said
    assert shell.rows("select count(distinct visitor_id) > 10 from raw.events") == [(True,)]
    with duckdb.connect("published.duckdb", read_only=True) as reader:
        assert reader.execute("select count(*) from recommendations_for('v1')").fetchone() == (5,)
    load_a_shop(shell)
    before = contents(shell)
    code, said = shell(*DEMO)
    assert code == 1
    assert "rows were loaded into it" in said
    assert contents(shell) == before


def test_a_demo_that_was_killed_before_its_shop_was_made_is_made_anew(shell, monkeypatch):
    def die(*arguments: object, **options: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(night_commands, "make_demo_shop", die)
        assert shell(*DEMO)[0] == 130
    connect(shell.folder / "warehouse.duckdb").close()
    code, said = shell(*DEMO)
    assert code == 0, said


def test_a_demo_that_another_process_has_open_stays(shell):
    code, said = shell(*DEMO)
    assert code == 0, said
    before = contents(shell)
    hold = "import duckdb, sys; connection = duckdb.connect(sys.argv[1]); print('open', flush=True); sys.stdin.read()"
    command = [sys.executable, "-c", hold, "warehouse.duckdb"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as holder:
        assert holder.stdout.readline() == b"open\n"
        code, said = shell(*DEMO)
        holder.stdin.close()
    assert code == 1
    assert f"is held by process {holder.pid}" in said
    assert contents(shell) == before


def test_the_demo_leaves_the_work_folder_of_a_shop_alone(shell):
    shell.write(".nextmart/checkpoints/of-the-shop", "epoch 7")
    code, said = shell(*DEMO)
    assert code == 0, said
    assert [path.name for path in (shell.folder / ".nextmart").rglob("*")] == ["checkpoints", "of-the-shop"]
