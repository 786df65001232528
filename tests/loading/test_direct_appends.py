"""Large files of events, which are appended to an empty table directly, give the rows that small ones give."""

import csv

import duckdb
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from jobs.commands.load import load
from jobs.dbt_vars import default_vars
from jobs.errors import NextmartError
from jobs.loading import direct_appends
from jobs.loading.arrivals import read_source
from jobs.loading.direct_appends import append_directly
from jobs.loading.raw_rows import append_arrivals
from jobs.loading.sources import LoadRules, ReadOptions, SourceFiles
from jobs.warehouse.clock import now
from jobs.warehouse.connection import prepare_warehouse
from jobs.warehouse.job_runs import JobRun

HEADER = ("event_id", "visitor_id", "item_id", "event_at", "user_id")
TEXTS = st.sampled_from(["", "a", "b", "A", "1"])
TIMES = st.sampled_from(["2026-01-01", "soon"])
ROWS = st.lists(st.tuples(TEXTS, TEXTS, st.sampled_from("xy"), TIMES, TEXTS), min_size=1)
LOADED = "select columns(* exclude (loaded_at)) from raw.events order by all"
VARIABLES = default_vars()


@pytest.fixture(scope="module")
def warehouse():
    with duckdb.connect() as connection:
        connection.execute("set threads = 1")
        prepare_warehouse(connection)
        yield connection


@pytest.fixture
def connection(warehouse):
    warehouse.execute("delete from raw.events; delete from raw.unreadable_rows")
    return warehouse


def write(path, rows, header=HEADER):
    with path.open("w", newline="") as output:
        csv.writer(output).writerows([header, *rows])
    return SourceFiles("events", str(path), options=ReadOptions(max_unreadable_share=0.5))


@settings(max_examples=8, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(rows=ROWS, has_ids=st.booleans(), parts=st.sampled_from([1 << 26, 3]))
def test_both_ways_give_the_same_rows(warehouse, tmp_path, monkeypatch, rows, has_ids, parts):
    monkeypatch.setattr(direct_appends, "HASHES_IN_MEMORY", parts)
    source = write(tmp_path / "e.csv", *((rows,) if has_ids else ([row[1:] for row in rows], HEADER[1:])))
    outcomes = []
    for is_direct in (True, False):
        warehouse.execute("delete from raw.events")
        arrivals = (append_directly if is_direct else read_source)(warehouse, source, default_vars())
        counts = append_arrivals(warehouse, arrivals, VARIABLES, arrivals.appended_at or now())
        outcomes.append((counts, arrivals.notes, warehouse.execute(LOADED).fetchall()))
    assert outcomes[0] == outcomes[1]
    # again, nothing is new
    assert append_arrivals(warehouse, read_source(warehouse, source, default_vars()), VARIABLES, now())["loaded"] == 0


def loaded(connection, *sources):
    record = JobRun(run_id="test", job="load", started_at=now())
    load(connection, list(sources), record, LoadRules(default_vars()))
    return {name: count for name, count in record.detail["events"].items() if name != "report"}


def test_a_load_of_large_files(connection, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(direct_appends, "DIRECT_BYTES", 0)
    lines = [(f"o{n // 2}", "v", f"i{n}", "2026-01-01", "") for n in range(20)]
    first, second = write(tmp_path / "e.csv", lines + lines[:1]), write(tmp_path / "e2.csv", lines[:2])
    assert loaded(connection, first, second) == {"read": 23, "repeated": 1, "known": 2, "loaded": 20}
    assert "10 event_ids stand in rows of several items" in capsys.readouterr().err
    assert direct_appends.can_append_directly(connection, first) is False  # the table has rows
    with duckdb.connect() as other:
        other.execute("create schema raw; create view raw.events as select 1 as event_id where false")
        assert direct_appends.can_append_directly(other, first) is False


def test_what_is_wrong_is_said_or_set_aside_as_for_small_files(connection, tmp_path, monkeypatch):
    monkeypatch.setattr(direct_appends, "DIRECT_BYTES", 0)
    for name, content, words in (
        ("empty.csv", "visitor_id,item_id,event_at\n", "holds no rows"),
        ("other.csv", "a,b\n1,2\n", "has no column visitor_id"),
        ("broken.csv", "visitor_id,item_id,event_at\n" + "v\n" * 9, "9 of 9 rows can't be read"),
    ):
        (tmp_path / name).write_text(content)
        with pytest.raises(NextmartError, match=words):
            loaded(connection, SourceFiles("events", str(tmp_path / name)))
        assert connection.execute(LOADED).fetchall() == []
    source = write(tmp_path / "e.csv", [("1", "v", "i", "2026-01-01", ""), ("broken",)])
    assert loaded(connection, source) == {"read": 1, "repeated": 0, "known": 0, "loaded": 1, "unreadable": 1}


def test_repeated_hashes_are_found_in_every_part(connection, monkeypatch):
    monkeypatch.setattr(direct_appends, "HASHES_IN_MEMORY", 100)
    connection.execute("insert into raw.events (event_id) select (n % 900)::varchar from range(1000) t(n)")
    found = direct_appends._repeated_hashes(connection, "hash(event_id)", 1000)
    expected = connection.execute("select hash(n::varchar) from range(100) t(n)").fetchnumpy()
    assert np.array_equal(found, np.sort(next(iter(expected.values()))))
