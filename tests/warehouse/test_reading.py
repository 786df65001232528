"""Sequences are read in batches, and become arrays of catalogue indices."""

from datetime import UTC, datetime

import numpy as np
import polars as pl
import pytest

from jobs.core.catalog import Catalog
from jobs.warehouse import reading
from jobs.warehouse.connection import connect

CREATE = """
    create schema sessions;
    create table sessions.sequences as
        select
            's' || number as sequence_id,
            'v' || number as visitor_id,
            list_transform(range(number % 4), place -> 'item-' || (number + place) % 7) as items,
            list_transform(range(number % 4), place -> make_timestamptz(place)) as event_times,
            make_timestamptz(number) as ended_at
        from range($count) as numbers (number);
"""


@pytest.mark.parametrize("count", [0, 5000])
def test_sequences_are_the_same_whatever_the_batches(tmp_path, monkeypatch, count):
    with connect(tmp_path / "warehouse.duckdb") as connection:
        schema, table = CREATE.split(";")[:2]
        connection.execute(schema)
        connection.execute(table, {"count": count})
        whole = reading.read_sequences(connection)
        monkeypatch.setattr(reading, "SEQUENCES_AT_ONCE", 100)
        in_batches = reading.read_sequences(connection)
        expected = connection.execute(f"select {reading.SEQUENCE_COLUMNS_SQL} from sessions.sequences").fetchall()
    assert whole.schema["items"] == pl.List(pl.Categorical)
    assert in_batches.sort("sequence_id").rows() == whole.sort("sequence_id").rows()
    assert sorted(whole.select("sequence_id", "items").rows()) == sorted((row[0], row[2]) for row in expected)


def test_targets_are_read_where_they_are_wanted(tmp_path):
    with connect(tmp_path / "warehouse.duckdb") as connection:
        connection.execute(CREATE.split(";")[0])
        connection.execute(
            "create table sessions.sequences as select 's' as sequence_id, 'v' as visitor_id, "
            "['a', '?', 'b'] as items, [true, true, false] as is_target, "
            "list_transform(range(3), place -> make_timestamptz(place)) as event_times, make_timestamptz(2) as ended_at"
        )
        assert "is_target" not in reading.read_sequences(connection).columns
        frame = reading.read_sequences(connection, with_targets=True)
    item_ids = np.array(["a", "b"], dtype=object)
    catalog = Catalog(item_ids, np.zeros((2, 2), np.float32), np.ones(2, np.bool_), item_ids, item_ids)
    sequences = reading.sequences_as_indices(frame, catalog)
    assert sequences.items.tolist() == [0, 1]
    assert sequences.is_target.tolist() == [True, False]
    assert reading.sequences_as_indices(frame.drop("is_target"), catalog).is_target is None


@pytest.mark.parametrize(
    ("times", "numbered_alike"),
    [
        # order lines of one time, across an item that the catalogue lacks, and none across sequences
        ([[1, 2, 2, 2], [2, 3]], [(0,), (1, 2), (3,), (4,)]),
        ([[1, 1, 1, 1], [1, 1]], [(0, 1, 2), (3, 4)]),
        ([[1, 2, 3, 4], [4, 5]], None),
    ],
)
def test_items_of_one_time_have_one_number(times, numbered_alike):
    item_ids = np.array(["a", "b"], dtype=object)
    catalog = Catalog(item_ids, np.zeros((2, 2), np.float32), np.ones(2, np.bool_), item_ids, item_ids)
    moments = [[datetime(2026, 1, day, tzinfo=UTC) for day in row] for row in times]
    frame = pl.DataFrame({"items": [["a", "b", "?", "a"], ["b", "b"]], "event_times": moments})
    sequences = reading.sequences_as_indices(frame, catalog)
    assert sequences.items.tolist() == [0, 1, 0, 1, 1]
    if numbered_alike is None:
        assert sequences.time_numbers is None
    else:
        numbers, rows = sequences.time_numbers.tolist(), sequences.row_of_each_item().tolist()
        places_by_time = {}
        for place, key in enumerate(zip(rows, numbers, strict=True)):
            places_by_time.setdefault(key, []).append(place)
        assert [tuple(places) for places in places_by_time.values()] == numbered_alike
        assert all(a <= b for a, b, same in zip(numbers, numbers[1:], np.diff(rows) == 0, strict=False) if same)


@pytest.mark.parametrize("dtype", [pl.String, pl.Categorical])
def test_items_become_indices_and_unknown_ones_are_dropped(dtype):
    item_ids = np.array(["a", "b", "c"], dtype=object)
    catalog = Catalog(item_ids, np.zeros((3, 2), np.float32), np.ones(3, np.bool_), item_ids, item_ids)
    lists = pl.Series([["c", "?", "a"], [], ["?"], ["b", "b"]], dtype=pl.List(dtype))
    sequences = reading.items_as_indices(lists, catalog)
    assert sequences.items.tolist() == [2, 0, 1, 1]
    assert sequences.offsets.tolist() == [0, 2, 2, 2, 4]
    assert sequences.items.dtype == np.int32
