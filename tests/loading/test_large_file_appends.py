"""Large files of events, whose rows go from the files into the table, give the rows that small files give."""

import csv
from dataclasses import replace

import duckdb
import numpy as np
import polars as pl
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from jobs.commands.load import load, load_and_roll_back
from jobs.dbt_vars import default_vars
from jobs.errors import NextmartError
from jobs.loading import large_file_appends, large_file_hashes, row_hashes
from jobs.loading.feed_settings import read_feeds
from jobs.loading.large_file_appends import append_directly
from jobs.loading.sources import LoadRules, LoadSource, ReadOptions
from jobs.warehouse.clock import now
from jobs.warehouse.connection import prepare_warehouse
from jobs.warehouse.job_runs import JobRun

HEADER = ("event_id", "visitor_id", "item_id", "event_at", "user_id")
TEXTS = st.sampled_from(["", "a", "b", "A", "1"])
TIMES = st.sampled_from(["2026-01-01", "31/12/2026", "soon"])
ROWS = st.lists(st.tuples(TEXTS, TEXTS, st.sampled_from("xy"), TIMES, TEXTS), min_size=1)
FILES = st.lists(st.tuples(ROWS, st.booleans()), min_size=1, max_size=3)
LOADED = "select columns(* exclude (loaded_at)) from raw.events order by all"
REMEMBERED = "select path, rows_read, rows_loaded, rows_unreadable from raw.loaded_files order by all"
UNREADABLE = "select columns(* exclude (loaded_at)) from raw.unreadable_rows order by all"
RULES = LoadRules(default_vars())


@pytest.fixture(scope="module")
def warehouse():
    with duckdb.connect() as connection:
        connection.execute("set threads = 1")
        prepare_warehouse(connection)
        yield connection


@pytest.fixture
def connection(warehouse):
    emptied(warehouse)
    return warehouse


def emptied(connection):
    for table in ("events", "unreadable_rows", "loaded_files"):
        connection.execute(f"delete from raw.{table}")


def write(path, rows, header=HEADER):
    with path.open("w", newline="") as output:
        csv.writer(output).writerows([header, *rows])
    return LoadSource("events", str(path), read_options=ReadOptions(max_unreadable_share=0.5))


def loaded(connection, *sources):
    record = JobRun(run_id="test", job="load", started_at=now())
    load(connection, list(sources), record, RULES)
    return record.detail


def counted(connection, *sources):
    return {name: count for name, count in loaded(connection, *sources)["events"].items() if name != "report"}


def feed(folder, **keys):
    keys = {"kind": "events", "files": f"{folder}/*.csv", **keys}
    return read_feeds({"clicks": keys}, max_unreadable_share=0.5)[0]


@settings(
    max_examples=4,
    deadline=None,
    phases=[Phase.reuse, Phase.generate],
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(files=FILES, known=ROWS, has_formats=st.booleans(), few=st.sampled_from([0.05, 1]))
def test_both_ways_give_the_same_rows_counts_and_reports(
    warehouse, tmp_path, monkeypatch, files, known, has_formats, few
):
    for old in tmp_path.glob("*.csv"):
        old.unlink()
    for number, (rows, has_ids) in enumerate(files):
        header = HEADER if has_ids else HEADER[1:]
        lines = [row[-len(header) :] for row in rows] + [("broken",)] * (number == 1)
        write(tmp_path / f"{number}.csv", lines, header)
    monkeypatch.setattr(large_file_appends, "MAX_POSSIBLE_REPEAT_SHARE", few)
    monkeypatch.setattr(row_hashes, "HASHES_IN_MEMORY", 3)
    clicks = feed(tmp_path, time_format="%d/%m/%Y" if has_formats else [])
    outcomes = []
    for direct_bytes in (0, 1 << 40):
        monkeypatch.setattr(large_file_hashes, "MIN_DIRECT_APPEND_BYTES", direct_bytes)
        emptied(warehouse)
        if few == 1:
            loaded(warehouse, write(tmp_path / "known.txt", known))
        tables = [loaded(warehouse, clicks)]
        outcomes.append(tables + [warehouse.execute(query).fetchall() for query in (LOADED, REMEMBERED, UNREADABLE)])
    assert outcomes[0] == outcomes[1]
    # again, nothing is new
    warehouse.execute("delete from raw.loaded_files")
    monkeypatch.setattr(large_file_hashes, "MIN_DIRECT_APPEND_BYTES", 0)
    assert loaded(warehouse, clicks)["events"]["loaded"] == 0


LINES = [(f"o{n // 2}", "v", f"i{n}", "2026-01-01", "") for n in range(20)]


@pytest.fixture
def is_direct(monkeypatch):
    """Append all files of events directly, and list what was appended so."""
    appended = []

    def append(connection, arrivals, *arguments):
        appended.append(arrivals.source.path)
        return append_directly(connection, arrivals, *arguments)

    monkeypatch.setattr(large_file_hashes, "MIN_DIRECT_APPEND_BYTES", 0)
    monkeypatch.setattr("jobs.commands.load.append_directly", append)
    return appended


def test_a_value_that_depends_on_other_rows_is_that_of_the_whole_file(connection, tmp_path, is_direct):
    rows = [(f"e{n}", "v", f"i{n}", "2026-01-01", "me" if n == 0 else "") for n in range(40)]
    source = replace(
        write(tmp_path / "e.csv", rows), column_map={"user_id": "max(user_id) over (partition by visitor_id)"}
    )
    assert counted(connection, source)["loaded"] == 40
    connection.execute("delete from raw.events where event_id <> 'e7'")
    assert counted(connection, source) == {"read": 40, "repeated": 0, "known": 1, "loaded": 39}
    assert connection.execute("select distinct user_id from raw.events").fetchall() == [("me",)]
    assert is_direct == [source.path] * 2


def test_files_of_a_command_line_are_appended_directly_to_a_table_of_text(connection, tmp_path, capsys, is_direct):
    first, second = write(tmp_path / "e.csv", LINES + LINES[:1]), write(tmp_path / "e2.csv", LINES[:2])
    assert counted(connection, first, second) == {"read": 23, "repeated": 1, "known": 2, "loaded": 20}
    assert "10 event_ids stand in rows of several items" in capsys.readouterr().err
    assert is_direct == [first.path, second.path]
    for others in (
        "create view raw.events as select 1 as event_id where false",
        # the hashes of numbers are others than those of texts
        "create table raw.events (event_id int, visitor_id text, user_id text, item_id text, event_type text, "
        "event_at text, source_session_id text, user_agent text, loaded_at timestamptz)",
    ):
        with duckdb.connect() as other:
            other.execute(f"create schema raw; {others}")
            assert not large_file_hashes.can_append_directly(other, "events", [1])


def test_parquet_files_of_two_types_are_one_batch(connection, tmp_path, capsys, is_direct):
    for name, ids in (("a", [1.0, 2.0]), ("b", ["2", "3"])):
        rows = {"event_id": ids, "visitor_id": ids, "item_id": ids, "event_at": ["2026-01-01"] * 2}
        pl.DataFrame(rows).write_parquet(tmp_path / f"{name}.parquet")
    clicks = feed(tmp_path, files=f"{tmp_path}/*.parquet")
    assert counted(connection, clicks) == {"read": 4, "repeated": 1, "known": 0, "loaded": 3}
    assert connection.execute("select event_id from raw.events order by all").fetchall() == [("1",), ("2",), ("3",)]
    assert [row[1:] for row in connection.execute(REMEMBERED).fetchall()] == [(2, 2, 0), (2, 1, 0)]
    assert "a.parquet: ids that the file holds as decimal numbers are loaded without '.0'" in capsys.readouterr().err
    assert is_direct == ["2 files"]


def test_what_is_wrong_is_said_or_set_aside_as_for_small_files(connection, tmp_path, is_direct):
    for name, content, words in (
        ("empty.csv", "visitor_id,item_id,event_at\n", "holds no rows"),
        ("other.csv", "a,b\n1,2\n", "has no column visitor_id"),
        ("broken.csv", "visitor_id,item_id,event_at\n" + "v\n" * 9, "9 of 9 rows can't be read"),
    ):
        (tmp_path / name).write_text(content)
        with pytest.raises(NextmartError, match=words):
            counted(connection, LoadSource("events", str(tmp_path / name)))
        assert connection.execute(LOADED).fetchall() == []
    source = write(tmp_path / "e.csv", [("1", "v", "i", "2026-01-01", ""), ("broken",)])
    assert counted(connection, source) == {"read": 1, "repeated": 0, "known": 0, "loaded": 1, "unreadable": 1}
    assert is_direct == [source.path]


def test_rows_that_differ_or_fail_in_the_second_reading_go_the_other_way(connection, tmp_path, capsys, is_direct):
    rows = [(str(n), "v", "i", "2026-01-01", "") for n in range(4000)]
    half = replace(write(tmp_path / "half.csv", rows), where_sql="random() < 0.5")
    counts = counted(connection, half)
    assert 0 < counts["read"] == counts["loaded"] == len(connection.execute(LOADED).fetchall()) < 4000
    write(tmp_path / "bytes.csv", [("a", "v", "i", "2026-01-01", "?"), ("b", "v", "i", "2026-01-01", "u")])
    path = tmp_path / "bytes.csv"
    path.write_bytes(path.read_bytes().replace(b"?", b"\xff"))
    capsys.readouterr()
    assert counted(connection, feed(tmp_path, files=str(path)))["unreadable"] == 1
    assert capsys.readouterr().err.count("1 rows can't be read") == 1
    assert is_direct


def test_a_load_that_fails_at_its_end_leaves_nothing(connection, tmp_path, monkeypatch, is_direct):
    write(tmp_path / "e.csv", LINES)
    with monkeypatch.context() as broken:
        broken.setattr("jobs.commands.load.record_loaded_file", None)
        with pytest.raises(TypeError):
            loaded(connection, feed(tmp_path))
    assert len(is_direct) == 1
    assert connection.execute(LOADED).fetchall() == []
    assert counted(connection, feed(tmp_path))["loaded"] == 20


def test_a_check_appends_directly_too_and_takes_all_back(connection, tmp_path, is_direct):
    run_record, _ = load_and_roll_back(connection, [write(tmp_path / "e.csv", LINES)], RULES)
    assert (run_record.detail["events"]["loaded"], len(is_direct)) == (20, 1)
    assert connection.execute(LOADED).fetchall() == []


def test_repeated_hashes_are_found_in_every_part(connection, monkeypatch):
    monkeypatch.setattr(row_hashes, "HASHES_IN_MEMORY", 100)
    hashes = "(select hash((n % 900)::varchar) as row_hash from range(1000) t(n))"
    found, row_count = row_hashes.repeated_hashes(connection, hashes)
    assert row_count == 200
    expected = connection.execute("select hash(n::varchar) from range(100) t(n)").fetchnumpy()
    assert np.array_equal(found, np.sort(next(iter(expected.values()))))
