"""Targets of a publication: each holds the published tables whole, of one publication, whatever happens."""

import os
import subprocess
from pathlib import Path
from unittest.mock import Mock

import duckdb
import pytest
from pydantic import ValidationError
from test_publish import VISITORS, make_night, publish_from, rows_of

from jobs.errors import NextmartError
from jobs.publish_targets import PublishTarget
from jobs.publishing.targets import copying, parquet_folder
from jobs.publishing.targets.copying import copy_to_targets, require_all_targets_copied
from jobs.publishing.targets.published_tables import PublishedTable
from jobs.warehouse.attached_databases import attach_database
from jobs.warehouse.connection import connect, prepare_warehouse

LISTS = "select * from {} order by visitor_id, rank"
WHOLE = """
    select concat_ws(' ', min(model_version), max(model_version), count(*), (
        select min(model_version) from recommendations.visitor_recommendations_wide
    )) from recommendations.visitor_recommendations;
"""


@pytest.fixture
def warehouse(tmp_path):
    """A warehouse whose tables of night 1 are published."""
    with connect(tmp_path / "warehouse.duckdb") as connection:
        prepare_warehouse(connection)
        make_night(connection, 1)
        publish_from(connection, tmp_path / "published.duckdb")
        yield connection


@pytest.fixture
def published(warehouse, tmp_path) -> Path:
    return tmp_path / "published.duckdb"


@pytest.fixture
def server(postgres, monkeypatch):
    monkeypatch.setenv("SHOP_PASSWORD", postgres.password)
    yield postgres
    postgres.execute("drop schema if exists recommendations, recommendations_old, mine cascade")


def folder_target(folder: Path) -> dict[str, PublishTarget]:
    return {"[publish.files]": PublishTarget(type="parquet", path=str(folder))}


def postgres_target(server) -> dict[str, PublishTarget]:
    return {"[publish.bi]": PublishTarget(type="postgres", path=server.text())}


def lists_in(folder: Path) -> list[tuple]:
    return duckdb.sql(LISTS.format(f"'{folder}/current/visitor_recommendations.parquet'")).fetchall()


def published_lists(published: Path) -> list[tuple]:
    with duckdb.connect(str(published), read_only=True) as connection:
        return connection.execute(LISTS.format("recommendations.visitor_recommendations")).fetchall()


def test_a_folder_of_parquet_files_is_swapped_whole(warehouse, published, tmp_path, monkeypatch):
    folder = tmp_path / "files"
    for night in (1, 2, 3):
        make_night(warehouse, night)
        publish_from(warehouse, published)
        outcome = copy_to_targets(published, folder_target(folder))
        assert outcome["[publish.files]"]["rows"] == rows_of(night) + night + 1  # and one for each publication
        assert lists_in(folder) == published_lists(published)
        assert len(list((folder / "versions").iterdir())) == min(night, 2)  # readers may have the one before open

    make_night(warehouse, 4)
    publish_from(warehouse, published)
    before, folders_before = lists_in(folder), set((folder / "versions").iterdir())
    with monkeypatch.context() as patched:
        torn = Mock(side_effect=NextmartError("torn"))
        patched.setattr(PublishedTable, "require_same_row_count", torn)
        outcome = copy_to_targets(published, folder_target(folder))
        with pytest.raises(NextmartError, match=r"(?s)is published, but .*\[publish.files\]: torn.*nextmart publish"):
            require_all_targets_copied(outcome, published)
    assert lists_in(folder) == before
    assert set((folder / "versions").iterdir()) == folders_before  # a part of the copy would fill the disk

    (folder / "versions" / "000004").mkdir()  # as a publish that was killed leaves it
    (folder / "versions" / "000004" / "items.parquet").touch()
    copy_to_targets(published, folder_target(folder), may_keep_previous_files=False)
    assert lists_in(folder) == published_lists(published)
    assert len(list((folder / "versions").iterdir())) == 1


@pytest.mark.parametrize("link_target", [None, "releases/7", "versions/7/lib"])
def test_a_folder_of_others_is_left_alone(published, tmp_path, link_target):
    folder = tmp_path / "files"
    current = folder / parquet_folder.CURRENT_LINK_NAME
    if link_target:
        (folder / link_target).mkdir(parents=True)
        current.symlink_to(link_target)
    else:
        current.mkdir(parents=True)
    outcome = copy_to_targets(published, folder_target(folder))
    assert "current is no link of nextmart's: move it away" in outcome["[publish.files]"]["problem"]
    assert (current.readlink() == Path(link_target)) if link_target else current.is_dir()


def test_a_numbered_folder_of_others_stays(published, tmp_path):
    other = tmp_path / "files" / "versions" / "2026"
    other.mkdir(parents=True)
    (other / "notes.txt").touch()
    assert "rows" in copy_to_targets(published, folder_target(tmp_path / "files"))["[publish.files]"]
    assert (other / "notes.txt").exists()


def test_a_hidden_file_of_a_file_manager_keeps_no_earlier_publication(published, tmp_path):
    folder = tmp_path / "files"
    copy_to_targets(published, folder_target(folder))
    (folder / "current" / ".DS_Store").touch()
    copy_to_targets(published, folder_target(folder), may_keep_previous_files=False)
    assert [path.name for path in (folder / "versions").iterdir()] == ["000002"]


def test_another_file_gets_the_same_bytes_and_replaces_only_publications(published, tmp_path):
    mirror, foreign, schema = (tmp_path / f"{stem}.duckdb" for stem in ("mirror", "shop", "Sessions"))
    with duckdb.connect(str(foreign)) as connection:
        connection.execute("create table orders as select 1 as order_id")
    targets = {
        f"[publish.{path.stem}]": PublishTarget(type="duckdb", path=str(path))
        for path in (mirror, foreign, published, schema)
    }
    for _ in range(2):
        outcomes = copy_to_targets(published, targets)
    assert mirror.read_bytes() == published.read_bytes()
    assert outcomes["[publish.mirror]"]["rows"] > 0
    assert "has not published" in outcomes["[publish.shop]"]["problem"]
    assert "is the published file itself" in outcomes["[publish.published]"]["problem"]
    assert "that is the name of a schema in it" in outcomes["[publish.Sessions]"]["problem"]
    assert not schema.exists()
    with duckdb.connect(str(foreign), read_only=True) as connection:
        assert connection.execute("from orders").fetchall() == [(1,)]


def test_a_lake_gets_all_tables_in_one_snapshot(warehouse, published, tmp_path):
    lake = tmp_path / "shop.ducklake"
    target = {"[publish.lake]": PublishTarget(type="ducklake", path=str(lake), schema_name="lists")}
    for night in (1, 2):
        make_night(warehouse, night)
        publish_from(warehouse, published)
        assert "rows" in copy_to_targets(published, target)["[publish.lake]"]
    with duckdb.connect() as connection:
        connection.execute("set TimeZone = 'UTC'")
        attach_database(connection, "lake", target["[publish.lake]"].attached_database(), "[publish.lake]")
        assert connection.execute(LISTS.format("lake.lists.visitor_recommendations")).fetchall() == published_lists(
            published
        )
        [(snapshots,)] = connection.execute("select count(*) from ducklake_snapshots('lake')").fetchall()
        assert snapshots == 3  # the empty lake's, and one for each publication


def test_readers_of_postgresql_see_whole_publications_only(warehouse, published, server):
    copy_to_targets(published, postgres_target(server))
    reader = subprocess.Popen(
        [str(server.programs / "psql"), "--host=127.0.0.1", f"--port={server.port}", f"--username={server.user}",
         "--dbname=postgres", "--no-align", "--tuples-only", "--no-psqlrc"],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        env={**os.environ, "PGPASSWORD": server.password},
    )  # fmt: skip
    reader.stdin.write(WHOLE.replace("\n", " ").replace(";", " \\watch i=0.01 c=1000000\n"))
    reader.stdin.flush()
    nights = range(2, 5)
    for night in nights:
        make_night(warehouse, night)
        publish_from(warehouse, published)
        assert "rows" in copy_to_targets(published, postgres_target(server))["[publish.bi]"]
    reader.terminate()
    output, errors = reader.communicate()
    seen = {line for line in output.splitlines() if line.startswith("g")}
    whole = {f"g{night:04} g{night:04} {5 * (VISITORS + night)} g{night:04}" for night in (1, *nights)}
    assert seen <= whole
    assert len(seen) > 1
    assert "ERROR" not in errors


def test_rights_views_keys_and_comments_of_postgresql_follow_the_swap(warehouse, published, server):
    target = postgres_target(server)
    copy_to_targets(published, target)
    server.execute("""
        create schema mine;
        create view mine.top with (security_barrier = true) as
            select visitor_id, model_version from recommendations.visitor_recommendations where rank = 1;
        drop role if exists analyst;
        create role analyst;
        grant usage on schema recommendations to analyst;
        grant select on recommendations.visitor_recommendations to analyst;
        grant select (rank, item_id), update (rank) on recommendations.popular_items to analyst;
        drop role if exists dashboard;
        create role dashboard;
        alter default privileges in schema recommendations grant select on tables to dashboard;
    """)
    make_night(warehouse, 2)
    warehouse.execute("create table recommendations.trending_items as select 'i1' as item_id, 1 as rank")
    publish_from(warehouse, published)
    assert "problem" not in copy_to_targets(published, target)["[publish.bi]"]
    assert server.execute("""
        select column_name, privilege_type from information_schema.column_privileges
        where grantee = 'analyst' and table_name = 'popular_items' order by 1, 2
    """) == "item_id|SELECT\nrank|SELECT\nrank|UPDATE\n"  # fmt: skip
    assert server.execute("select distinct model_version from mine.top") == "g0002\n"
    assert server.execute("select reloptions from pg_class where relname = 'top'") == "{security_barrier=true}\n"
    assert server.execute("""
        set role analyst; select count(*) from recommendations.visitor_recommendations where visitor_id = 'v1'
    """) == "5\n"  # fmt: skip
    assert server.execute("""
        select table_name from information_schema.table_privileges where grantee = 'dashboard'
    """) == "trending_items\n", "only the new table"  # fmt: skip
    warehouse.execute("create or replace table recommendations.items as select 'i1' as item_id")
    publish_from(warehouse, published)
    assert "problem" not in copy_to_targets(published, target)["[publish.bi]"]
    assert server.execute("""
        select table_name from information_schema.table_privileges where grantee = 'dashboard' order by 1
    """) == "items\ntrending_items\n"  # fmt: skip
    assert "Index Scan" in server.execute("""
        set enable_seqscan = off;
        explain select * from recommendations.visitor_recommendations where visitor_id = 'v1' and rank = 1
    """)
    assert server.execute("""
        select obj_description('recommendations.visitor_recommendations'::regclass),
            col_description('recommendations.popular_items'::regclass, 1)
    """) == "Tonight's lists.|1 is most popular.\n"  # fmt: skip
    assert server.execute("select nspname from pg_namespace where nspname like 'recommendations%'") == (
        "recommendations\n"
    )

    server.execute("create materialized view mine.kept as select * from recommendations.popular_items")
    make_night(warehouse, 3)
    publish_from(warehouse, published)
    problem = copy_to_targets(published, target)["[publish.bi]"]["problem"]
    assert problem.startswith("mine.kept depends on a table of the schema recommendations")
    assert server.execute("select distinct model_version from mine.top") == "g0002\n"


def test_a_query_that_reads_the_tables_for_long_delays_no_publication(warehouse, published, server):
    target = postgres_target(server)
    copy_to_targets(published, target)
    with duckdb.connect() as reader:
        attach_database(reader, "bi", target["[publish.bi]"].attached_database(), "[attach.bi]")
        reader.execute("begin; from bi.recommendations.popular_items")
        make_night(warehouse, 2)
        publish_from(warehouse, published)
        assert "problem" not in copy_to_targets(published, target)["[publish.bi]"]
        assert "g0002" in server.execute(WHOLE)
        problem = copy_to_targets(published, target)["[publish.bi]"]["problem"]
        assert "the schema recommendations_old is in the way" in problem
    assert "problem" not in copy_to_targets(published, target)["[publish.bi]"]


def test_a_target_that_fails_stops_no_other_and_shows_no_password(published, tmp_path, monkeypatch):
    monkeypatch.setenv("SHOP_PASSWORD", "very-secret")
    text = "host=127.0.0.1 port=1 dbname=bi user=writer password=${SHOP_PASSWORD}"
    targets = {"[publish.bi]": PublishTarget(type="postgres", path=text), **folder_target(tmp_path / "files")}
    outcomes = copy_to_targets(published, targets)
    assert "rows" in outcomes["[publish.files]"]
    [line] = copying.problem_lines(outcomes)
    assert line.startswith("[publish.bi]: can't attach the postgres database")
    assert "very-secret" not in line


@pytest.mark.parametrize(
    ("target", "message"),
    [
        ({"type": "postgres", "path": "host=db password=secret"}, "holds a password"),
        ({"type": "mysql", "path": "host=db"}, "Input should be 'parquet'"),
        ({"type": "parquet", "path": " "}, "pattern"),
        ({"type": "postgres", "path": "host=db", "schema_name": "my schema"}, "pattern"),
    ],
)
def test_a_target_that_makes_no_sense_is_refused(target, message):
    with pytest.raises(ValidationError, match=message):
        PublishTarget.model_validate(target)


def test_an_id_with_a_null_byte_or_too_long_for_an_index_stops_no_publication_in_postgresql(
    warehouse, published, server, capsys
):
    id_, shown = "v" + chr(0), "v\N{REPLACEMENT CHARACTER}"
    warehouse.execute(
        "update recommendations.visitor_recommendations set visitor_id = ? where visitor_id = 'v1'", [id_]
    )
    warehouse.execute(
        "create table recommendations.changes as select 'default' as placement, 'v2' as visitor_id, [?] as old_items, "
        "null::timestamptz as changed_at",
        [id_],
    )
    many_bytes = "(select string_agg(md5(i::varchar), '') from range(300) as numbers (i))"
    warehouse.execute(
        f"update recommendations.visitor_recommendations set visitor_id = {many_bytes} where visitor_id = 'v3'"
    )
    publish_from(warehouse, published)
    outcome = copy_to_targets(published, postgres_target(server))["[publish.bi]"]
    assert "problem" not in outcome, outcome
    left_out = "WARN: [publish.bi]: 5 rows of visitor_recommendations are left out, because PostgreSQL can't index"
    assert left_out in capsys.readouterr().err
    count = "select count(*) from recommendations.visitor_recommendations where visitor_id = "
    assert server.execute(f"{count}'{shown}'") == "5\n"
    assert server.execute("select old_items[1] from recommendations.changes") == f"{shown}\n"


def test_lists_of_changes_are_arrays_in_postgresql(warehouse, published, server):
    warehouse.execute(
        "create table recommendations.changes as from (values ('default', 'v1', null, ['a', 'b']), "
        "('default', 'v2', ['c'], null)) as lists (placement, visitor_id, old_items, new_items)"
    )
    warehouse.execute("alter table recommendations.changes add column changed_at timestamptz")
    publish_from(warehouse, published)
    assert "rows" in copy_to_targets(published, postgres_target(server))["[publish.bi]"]
    lists = server.execute("select new_items[2], old_items[1] from recommendations.changes order by visitor_id")
    assert lists == "b|\n|c\n"
