"""Copies of the warehouse: a damaged block is found, never replaces a good copy, and a restore puts one back."""

import shutil

import duckdb
import pytest

from jobs import files
from jobs.errors import NextmartError
from jobs.warehouse.backups import (
    backup_read_error,
    drop_old_backups,
    list_backups,
    replaced_warehouse_paths,
    restore_backup,
    take_backup,
)
from jobs.warehouse.connection import connect
from jobs.warehouse.contents import open_read_only, read_row_counts_and_hashes
from jobs.warehouse.error_advice import damage_advice

PAGE = 4096

# DuckDB's checksum of a block can miss zeros over equal words of eight bytes, because equal words cancel out in it
FILL = """
    create schema raw; create schema ml;
    create table raw.events as select md5(i::varchar) as event_id, hash(i) as number from range(100000) as t (i);
    create table ml.models as
    select id, string_agg(md5(concat(id, '-', part)))::blob as weights
    from range(4) as models (id), range(16000) as parts (part)
    group by id;
"""


@pytest.fixture(scope="module")
def filled(tmp_path_factory):
    path = tmp_path_factory.mktemp("filled") / "warehouse.duckdb"
    with duckdb.connect(str(path), config={"threads": 1}) as connection:  # several write the rows in any order
        connection.execute(FILL)
    return path


@pytest.fixture
def warehouse(filled, tmp_path):
    return shutil.copy(filled, tmp_path / "warehouse.duckdb")


def rows_of(path):
    with open_read_only(path, "warehouse") as connection:
        return read_row_counts_and_hashes(connection)


def tear(path, offset):
    """Write zeros over a page, as a write that a power cut broke off may leave one."""
    with path.open("r+b") as file:
        file.seek(offset)
        file.write(bytes(PAGE))


def test_copies_are_numbered_verified_and_the_newest_are_kept(warehouse, tmp_path):
    folder = tmp_path / "backups"
    for _ in range(4):
        backup = take_backup(warehouse, folder)
        drop_old_backups(folder, warehouse, 2)
    assert [copy.sequence_number for copy in list_backups(folder, warehouse)] == [4, 3]
    assert sorted(path.name for path in folder.iterdir()) == ["warehouse.000003.duckdb", "warehouse.000004.duckdb"]
    assert rows_of(backup.path) == rows_of(warehouse)
    assert backup_read_error(backup.path, "warehouse") is None


def test_a_warehouse_whose_name_has_signs_of_patterns_has_copies_and_files_set_aside(filled, tmp_path):
    warehouse = shutil.copy(filled, tmp_path / "shop[1].duckdb")
    copy = take_backup(warehouse, tmp_path / "backups")
    assert list_backups(tmp_path / "backups", warehouse) == [copy]
    kept = restore_backup(copy, warehouse)
    assert replaced_warehouse_paths(warehouse) == [kept]


def test_behind_a_link_files_set_aside_are_found_and_a_log_stops_a_copy(warehouse, tmp_path):
    (tmp_path / "disk").mkdir()
    behind = warehouse.rename(tmp_path / "disk" / "warehouse.duckdb")
    warehouse.symlink_to(behind)
    copy = take_backup(warehouse, tmp_path / "backups")
    kept = restore_backup(copy, warehouse)
    assert replaced_warehouse_paths(warehouse) == [kept]
    behind.with_name("warehouse.duckdb.wal").write_bytes(b"rows that are not in the file yet")
    with pytest.raises(NextmartError, match="copy it again later"):
        take_backup(warehouse, tmp_path / "backups")


def test_a_page_of_zeros_anywhere_is_found_or_holds_nothing(filled, tmp_path):
    expected, found = rows_of(filled), 0
    torn = tmp_path / "torn.duckdb"
    pages = filled.stat().st_size // PAGE
    for page in (0, 1, 2, *range(3, pages, max(1, pages // 24))):
        shutil.copy(filled, torn)
        tear(torn, page * PAGE)
        if backup_read_error(torn, "warehouse"):
            found += 1
        else:  # zeros over a block that is free, or over what was zeros before
            assert rows_of(torn) == expected, page
    assert found > 20


@pytest.mark.parametrize("page", [0, 1, 3, 64 + 3, 200])
def test_a_damaged_warehouse_takes_no_copys_place_and_can_be_put_back(warehouse, tmp_path, page):
    folder, expected = tmp_path / "backups", rows_of(warehouse)
    good = take_backup(warehouse, folder)
    tear(warehouse, page * PAGE)
    with pytest.raises(NextmartError, match=r"can't be (read|opened)"):
        take_backup(warehouse, folder)
    assert [path.name for path in folder.iterdir()] == [good.path.name]
    damaged = warehouse.read_bytes()
    kept = restore_backup(good, warehouse)
    assert rows_of(warehouse) == expected
    assert kept.read_bytes() == damaged
    assert good.path.exists()


@pytest.mark.parametrize("page", [0, 1, 2])
def test_a_warehouse_that_cant_be_opened_names_the_restore(warehouse, page):
    tear(warehouse, page * PAGE)
    if backup_read_error(warehouse, "warehouse"):
        with pytest.raises(NextmartError, match="nextmart restore"):
            connect(warehouse)
    else:
        assert page == 2  # the older of two headers, which DuckDB no longer needs


def test_an_error_that_means_no_damage_names_no_restore():
    assert damage_advice("Catalog Error: Table with name events does not exist!") == ""


def test_a_damaged_copy_is_not_put_back(warehouse, tmp_path):
    copy = take_backup(warehouse, tmp_path / "backups")
    tear(copy.path, 3 * PAGE)
    before = warehouse.read_bytes()
    with pytest.raises(NextmartError, match=r"can't be (read|opened)"):
        restore_backup(copy, warehouse)
    assert warehouse.read_bytes() == before
    assert sorted(path.name for path in tmp_path.iterdir()) == ["backups", "warehouse.duckdb"]


def test_a_write_ahead_log_of_before_is_kept_and_not_played_into_the_copy(warehouse, tmp_path):
    copy, expected = take_backup(warehouse, tmp_path / "backups"), rows_of(warehouse)
    log = warehouse.with_name("warehouse.duckdb.wal")
    log.write_bytes(b"half a log")
    kept = restore_backup(copy, warehouse)
    assert kept.with_name(kept.name + ".wal").read_bytes() == b"half a log"
    assert not log.exists()
    assert rows_of(warehouse) == expected


def test_a_missing_warehouse_is_put_back(warehouse, tmp_path):
    copy, expected = take_backup(warehouse, tmp_path / "backups"), rows_of(warehouse)
    warehouse.unlink()
    assert restore_backup(copy, warehouse) is None
    assert rows_of(warehouse) == expected


def test_too_little_space_is_said_and_no_copy_goes(warehouse, tmp_path, monkeypatch):
    copy = take_backup(warehouse, tmp_path / "backups")
    monkeypatch.setattr(files.shutil, "disk_usage", lambda folder: type("Usage", (), {"free": 10}))
    with pytest.raises(NextmartError, match=r"needs \d+ MB .* nothing was copied"):
        take_backup(warehouse, tmp_path / "backups")
    assert list_backups(tmp_path / "backups", warehouse) == [copy]
