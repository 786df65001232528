"""Impressions load as events do: each row once, values checked, broken rows set aside with file and line."""

import sys

import pytest

from jobs.cli import main
from jobs.warehouse.connection import connect

SHOWN = """impression_id,client,placement,item_id,rank,ts,propensity
a,v1,home,lamp,1,2026-06-01 10:00,0.5
a,v1,home,lamp,1,2026-06-01 10:00,0.5
b,v1,home,vase,2,2026-06-01 10:00,1.5
c,v2,,lamp,x,2026-06-01 11:00
d,v2,home,lamp,first,2026-06-01 11:00,
"""


@pytest.fixture
def load(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("NEXTMART_MAX_UNREADABLE_SHARE", "0.5")

    def run(*arguments: str) -> str:
        monkeypatch.setattr(sys, "argv", ["nextmart", "load", *arguments])
        with pytest.raises(SystemExit) as exit_:
            main()
        output = capsys.readouterr()
        assert not exit_.value.code, output
        return output.err + output.out

    run.folder = tmp_path
    return run


def rows(folder, query: str) -> list[tuple]:
    with connect(folder / "warehouse.duckdb", read_only=True) as connection:
        return connection.execute(query).fetchall()


def test_a_file_of_impressions_is_loaded_once_and_described(load):
    (load.folder / "shown.csv").write_text(SHOWN)
    options = ("--impressions", "shown.csv", "--map", "visitor_id=client", "--map", "shown_at=ts")
    said = load(*options)
    assert "impressions: 3 loaded of 4 read (1 repeated, 0 known before, 1 unreadable and set aside)" in said
    assert "100 % read (2026-06-01 10:00 to 2026-06-01 11:00)" in said
    assert "WARN: impressions: only 66.7 % of ranks can be used; not read: 'first' (1)" in said
    assert "WARN: impressions: only 50.0 % of propensities can be used; not read: '1.5' (1)" in said
    assert rows(load.folder, "select * exclude (loaded_at) from raw.impressions order by 1") == [
        ("a", "v1", "home", "lamp", "1", "2026-06-01 10:00", "0.5"),
        ("b", "v1", "home", "vase", "2", "2026-06-01 10:00", "1.5"),
        ("d", "v2", "home", "lamp", "first", "2026-06-01 11:00", None),
    ]
    assert rows(load.folder, "select table_name, file, line from raw.unreadable_rows") == [
        ("impressions", "shown.csv", 5)
    ]
    assert "0 loaded of 4 read (1 repeated, 3 known before" in load(*options)


def test_feeds_of_impressions_take_new_files_and_give_ids(load):
    (load.folder / "nextmart.toml").write_text('[feeds.impressions]\nfiles = "shown-*.csv"\n')
    for day in (1, 2):
        (load.folder / f"shown-{day}.csv").write_text(
            f"visitor_id,item_id,shown_at\nv1,lamp,2026-06-0{day}\nv1,vase,2026-06-01\n"
        )
    said = load()
    assert "feed impressions: 3 loaded of 4 read (1 repeated, 0 known before)" in said
    assert rows(load.folder, "select path, rows_loaded from raw.loaded_files order by path") == [
        ("shown-1.csv", 2), ("shown-2.csv", 1),
    ]  # fmt: skip
    assert rows(
        load.folder, "select count(distinct impression_id), min(length(impression_id)) from raw.impressions"
    ) == [(3, 32)]
    assert "no new file" in load()
