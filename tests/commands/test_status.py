"""``nextmart status`` on a warehouse that nothing has built, and on one that a night has."""

from datetime import UTC, datetime

import duckdb
import pytest

from jobs.commands.status import read_status
from jobs.commands.terminal import print_status
from jobs.settings import Settings
from jobs.warehouse.connection import prepare_warehouse


@pytest.fixture
def connection():
    with duckdb.connect() as connection:
        connection.execute("set TimeZone = 'UTC'")
        prepare_warehouse(connection)
        yield connection


def test_what_is_not_built_yet_is_null(connection, tmp_path, capsys):
    found = read_status(connection, Settings(published=tmp_path / "published.duckdb"))
    assert (found["newest_build"], found["freshness"], found["live_model"]) == (None, [], None)
    assert found["counts"]["events left for the next run"] is None
    print_status(found)
    assert "not built yet" in capsys.readouterr().out


@pytest.mark.parametrize(("metrics", "said"), [("", "not measured on the hold-out"), ("'ndcg'", "nDCG@20 0.1250")])
def test_a_live_model_is_named_also_if_it_was_never_measured(connection, tmp_path, capsys, metrics, said):
    connection.execute("""
        insert into ml.models by name
        select 'm1' as model_version, 'popularity' as model, '{}' as parameters, 'f' as fingerprint,
            1 as training_rows, 0 as seed, '2026-01-02'::timestamptz as started_at, started_at as finished_at,
            'live' as status, '1' as code_version, 1 as model_number, '2026-01-01'::timestamptz as data_cutoff_at
    """)
    connection.execute(f"""
        insert into ml.model_metrics by name
        select 'm1' as model_version, 'cutoff/test' as split, metric, 20 as k, 'all' as segment, 0.125 as value,
            1 as n, now() as measured_at
        from (select unnest([{metrics}]::varchar[]) as metric)
    """)
    print_status(read_status(connection, Settings(published=tmp_path / "published.duckdb")))
    assert f"live model: m1 (history before 2026-01-01, {said})\n" in capsys.readouterr().out


def test_the_newest_build_is_shown(connection, tmp_path, capsys):
    connection.execute("""
        create schema staging;
        create table staging.event_batches as
        select unnest([1, 2]) as batch_id, 200 as event_count, 4 as rejected_count, 10 as late_count,
            1 as very_late_count, unnest([900, 700]) as waiting_count;
        create table staging.source_freshness as
        select 'raw.events' as source_table, '2026-06-01 03:00:00+00'::timestamptz newest_loaded_at, null newest_at
        union all
        select 'raw.items', null, null;
        create schema sessions;
        create table sessions.bot_visitors as select unnest(['v1', 'v2', 'v3']) as visitor_id
    """)
    found = read_status(connection, Settings(published=tmp_path / "published.duckdb"))
    assert found["counts"]["events left for the next run"] == 700
    assert found["counts"]["visitors that are bots"] == 3
    assert found["newest_build"] == {
        "batch_id": 2,
        "event_count": 200,
        "rejected_count": 4,
        "late_count": 10,
        "very_late_count": 1,
    }
    assert found["freshness"][0]["newest_loaded_at"] == datetime(2026, 6, 1, 3, tzinfo=UTC)
    print_status(found)
    said = capsys.readouterr().out
    assert "200: 5.0 % late, 2.0 % rejected" in said
    assert "2026-06-01 03:00 UTC" in said
    assert "raw.items" in said


def test_texts_that_wait_for_a_vector_are_shown(connection, tmp_path, capsys):
    connection.execute("""
        create schema catalog;
        create table catalog.embedding_backlog
            (item_id varchar, status varchar, error varchar, missing_since timestamptz);
        insert into catalog.embedding_backlog values
            ('a', 'missing', null, '2026-06-01 03:00:00+00'), ('b', 'missing', null, '2026-06-02 03:00:00+00'),
            ('c', 'failed', 'not allowed', '2026-06-02 03:00:00+00');
        insert into ml.embedding_batches values
            ('s1', 'b1', 'ada', 8, 'in_progress', 1200, 9000, 0, null, 'r', '2026-06-03 03:00:00+00', null),
            ('s2', 'b2', 'ada', 8, 'completed', 1200, 9000, 1200, null, 'r', '2026-06-03 03:00:00+00', now())
    """)
    found = read_status(connection, Settings(published=tmp_path / "published.duckdb"))
    assert [(row["status"], row["items"]) for row in found["embedding_backlog"]] == [("failed", 1), ("missing", 2)]
    assert [row["batch_id"] for row in found["embedding_batches"]] == ["b1"]
    print_status(found)
    said = " ".join(capsys.readouterr().out.split())
    assert "embeddings: items failed 1 (not allowed)" in said
    assert "embeddings: items to come 2 since 2026-06-01 03:00 UTC" in said
    assert "1,200 texts of ada, in_progress, handed in 2026-06-03 03:00 UTC" in said


def test_each_placement_is_shown_with_its_lists(connection, tmp_path, capsys):
    connection.execute(
        "insert into ml.placement_lists by name select 'home' as placement, unnest(['a', 'b']) as visitor_id, 3 as k, "
        "unnest([3, 1]) as length, 'm' as model_version, 0 as list_hash, 'r' as run_id, "
        "timestamptz '2026-06-01 03:00:00+00' as generated_at"
    )
    found = read_status(connection, Settings(published=tmp_path / "published.duckdb", placements={"mail": {"k": 3}}))
    assert [(row["placement"], row["visitors"], row["rows"]) for row in found["placements"]] == [
        ("home", 2, 4), ("mail", 0, 0)
    ]  # fmt: skip
    print_status(found)
    said = capsys.readouterr().out
    assert "2 visitors, 1 of them short, 4 rows, newest 2026-06-01 03:00 UTC" in said
    assert "no lists" in said
