"""A compacted warehouse has every row and definition of the old one, and a kill leaves the old one or the new one."""

import os
import subprocess
import sys

import duckdb
import pytest

from jobs import files
from jobs.errors import NextmartError
from jobs.warehouse import compaction
from jobs.warehouse.compaction import FileSize, compact, is_worth_compacting
from jobs.warehouse.contents import open_read_only, read_definitions, read_row_counts_and_hashes

SHOP = """
    create schema ml; create schema staging;
    create sequence ml.numbers start 5;
    select nextval('ml.numbers');
    create table ml.things (
        id integer primary key, number bigint default nextval('ml.numbers'), name varchar not null check (name <> ''),
        seen_at timestamptz, vector float[], weights blob
    );
    insert into ml.things
    select i, nextval('ml.numbers'), 'thing ' || i, '2026-01-01'::timestamptz, [i, 0.5], 'abc'::blob
    from range(5000) as t (i);
    create index names on ml.things (name);
    create table ml.parts (id integer references ml.things (id));
    create view "warehouse".staging.shown as
    select * replace (upper(name) as name, id + 1 as id) from "warehouse".ml.things;
    create view staging.nested as select * from staging.shown;
    create macro ml.next_of(x) as x + 1;
    create macro ml.thing_of(y) as table select * from ml.things where id = y;
    comment on table ml.things is 'things'; comment on column ml.things.name is 'their names';
    comment on view staging.shown is 'what is shown'; comment on sequence ml.numbers is 'order';
    attach ':memory:' as shop; create table shop.main.orders as select 1 as order_id;
    create view staging.orders as select * from shop.main.orders;
    create table ml.deleted as select repeat('x', 1000) || i as text from range(20000) as t (i);
    checkpoint;
    drop table ml.deleted;
"""


@pytest.fixture
def warehouse(tmp_path):
    path = tmp_path / "warehouse.duckdb"
    with duckdb.connect(str(path)) as connection:
        connection.execute(SHOP)
    path.chmod(0o640)
    return path


def contents(path):
    with open_read_only(path, "warehouse") as connection:
        return read_row_counts_and_hashes(connection), read_definitions(connection)


def test_the_copy_has_all_rows_and_definitions_and_less_bytes(warehouse):
    before, bytes_before = contents(warehouse), warehouse.stat().st_size
    size = compact(warehouse)
    assert contents(warehouse) == before
    assert {kind for kind, *_ in before[1]} == {"table", "view", "sequence", "macro", "index", "column"}
    assert warehouse.stat().st_size < bytes_before / 2
    assert size.free_share < 0.2
    assert oct(warehouse.stat().st_mode & 0o777) == "0o640"
    assert [path.name for path in warehouse.parent.iterdir()] == ["warehouse.duckdb"]
    with duckdb.connect(str(warehouse)) as connection:
        assert connection.execute("select nextval('ml.numbers')").fetchone() == (5006,)
        assert connection.execute("select name from staging.nested where id = 2").fetchone() == ("THING 1",)
        with pytest.raises(duckdb.ConstraintException):
            connection.execute("insert into ml.things (id, name) values (1, 'again')")


@pytest.mark.parametrize(
    ("module", "function"),
    [("compaction", "read_row_counts_and_hashes"), ("files.os", "fsync"), ("files", "fsync_folder")],
)
def test_a_kill_leaves_a_whole_warehouse(warehouse, module, function):
    before = contents(warehouse)
    code = f"""
import os
from pathlib import Path
from jobs import files
from jobs.warehouse import compaction
{module}.{function} = lambda *arguments: os._exit(9)
compaction.compact(Path({str(warehouse)!r}))
"""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    assert subprocess.run([sys.executable, "-c", code], env=environment).returncode == 9
    assert contents(warehouse) == before
    compact(warehouse)
    assert contents(warehouse) == before
    assert [path.name for path in warehouse.parent.iterdir()] == ["warehouse.duckdb"]


def test_a_copy_that_differs_is_thrown_away(warehouse, monkeypatch):
    before = warehouse.read_bytes()
    rows = iter([{"ml.things": (5000, 1)}, {"ml.things": (4999, 1)}])
    monkeypatch.setattr(compaction, "read_row_counts_and_hashes", lambda connection: next(rows))
    with pytest.raises(NextmartError, match=r"differs in ml\.things"):
        compact(warehouse)
    assert warehouse.read_bytes() == before
    assert [path.name for path in warehouse.parent.iterdir()] == ["warehouse.duckdb"]


def test_too_little_space_is_said_before_anything_is_written(warehouse, monkeypatch):
    monkeypatch.setattr(files.shutil, "disk_usage", lambda folder: type("Usage", (), {"free": 10}))
    with pytest.raises(NextmartError, match=r"needs \d+ MB .* where 0 MB are free; the warehouse stays as it is"):
        compact(warehouse)
    assert [path.name for path in warehouse.parent.iterdir()] == ["warehouse.duckdb"]


def test_a_warehouse_that_another_process_has_open_to_write_stays(warehouse):
    code = f"import duckdb, time; c = duckdb.connect({str(warehouse)!r}); print('open', flush=True); time.sleep(60)"
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE) as holder:
        try:
            holder.stdout.readline()
            with pytest.raises(NextmartError, match="lock"):
                compact(warehouse)
        finally:
            holder.kill()


def test_a_write_ahead_log_stops_it(warehouse):
    warehouse.with_name("warehouse.duckdb.wal").write_bytes(b"")
    with pytest.raises(NextmartError, match=r"has written to .* just now"):
        compact(warehouse)


def test_a_link_to_the_warehouse_stays_a_link(warehouse, tmp_path):
    link = tmp_path / "link" / "warehouse.duckdb"
    link.parent.mkdir()
    link.symlink_to(warehouse)
    before = contents(warehouse)
    compact(link)
    assert link.is_symlink()
    assert contents(warehouse) == before


def test_only_large_files_with_much_free_are_compacted():
    mb = 1024**2
    assert is_worth_compacting(FileSize(100 * mb, 60 * mb), 0.5)
    assert not is_worth_compacting(FileSize(100 * mb, 40 * mb), 0.5)
    assert not is_worth_compacting(FileSize(10 * mb, 9 * mb), 0.5)
    assert not is_worth_compacting(FileSize(0, 0), 0.5)
