"""Publishing: the file is complete, and readers never see an unfinished file or a failure."""

import itertools
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import duckdb
import pytest
from polling_reader import poll_while_block_runs

from jobs import files
from jobs.errors import NextmartError
from jobs.publishing import publish as publishing
from jobs.publishing.publish import publish, withdraw_visitors
from jobs.settings import Settings
from jobs.warehouse.connection import connect, prepare_warehouse
from jobs.warehouse.job_runs import job_run

VISITORS = 40

# Every row has the number of its night, so that a mixture of two nights would be noticed.
NIGHT = """
    create schema if not exists recommendations;
    create or replace table recommendations.visitor_recommendations as
    select 'v' || visitor as visitor_id, rank::integer as rank, 'i' || rank as item_id, 'Title ' || rank as title,
        1 / rank as score, 'llmseqsim' as source, 'i0' as reason_item_id, 'because of Title 0' as reason,
        'llmseqsim' as model, '{generation}' as model_version, now() as generated_at
    from range({visitors}) as visitors (visitor) cross join range(1, 6) as ranks (rank);
    create or replace table recommendations.visitor_recommendations_wide as
    select visitor_id, min(item_id) as item_1, max(model_version) as model_version
    from recommendations.visitor_recommendations group by visitor_id;
    create or replace table recommendations.similar_items as
    select 'i' || item as item_id, 1 as rank, 'i' || (item + 1) as similar_item_id, 'Title ' || item as title,
        'Title ' || (item + 1) as similar_title, 0.5 as score, '{generation}' as embedding_model
    from range({visitors}) as items (item);
    create or replace table recommendations.popular_items as
    select (item + 1)::integer as rank, 'i' || item as item_id, '{generation}' as title, 100.0 - item as score
    from range(30) as items (item);
    create or replace table recommendations.model_leaderboard as
    select 'llmseqsim' as model, '{generation}' as model_version, 'ndcg' as metric, 20 as k, 0.5 as value;
    comment on table recommendations.visitor_recommendations is 'Tonight''s lists.';
    comment on column recommendations.visitor_recommendations.score is 'Not a probability: it''s a cosine.';
    comment on column recommendations.popular_items.rank is '1 is most popular.';
"""

GENERATIONS = """
    with rows as (
        select model_version as generation from recommendations.visitor_recommendations
        union all select model_version from recommendations.visitor_recommendations_wide
        union all select embedding_model from recommendations.similar_items
        union all select title from recommendations.popular_items
        union all select model_version from recommendations.model_leaderboard
        union all select model_version from recommendations.publication
    )
    select min(generation), max(generation), count(*) from rows
"""


def rows_of(generation: int) -> int:
    return 7 * (VISITORS + generation) + 30 + 1 + 1


@pytest.fixture
def warehouse(tmp_path):
    """A warehouse with public tables of night 1."""
    with connect(tmp_path / "warehouse.duckdb") as connection:
        prepare_warehouse(connection)
        make_night(connection, 1)
        yield connection


@pytest.fixture
def target(tmp_path) -> Path:
    return tmp_path / "published.duckdb"


def make_night(connection, generation: int) -> None:
    connection.execute(NIGHT.format(generation=f"g{generation:04}", visitors=VISITORS + generation))


def publish_from(connection, target: Path):
    with job_run(connection, "publish") as run:
        publish(connection, Settings(published=target), run)
    return run


def read(target: Path, query: str, *parameters: object) -> list[tuple]:
    with duckdb.connect(str(target), read_only=True) as copy:
        return copy.execute(query, parameters).fetchall()


def generation_in(target: Path) -> int:
    """Return the generation of a published file, which must be whole."""
    [(lowest, highest, rows)] = read(target, GENERATIONS)
    assert lowest == highest
    assert rows == rows_of(int(lowest[1:]))
    return int(lowest[1:])


def test_the_file_holds_every_public_table_and_nothing_else(warehouse, target):
    run = publish_from(warehouse, target)
    found = read(target, "select table_schema || '.' || table_name from information_schema.tables order by 1")
    assert [name for (name,) in found] == [
        "recommendations.model_leaderboard",
        "recommendations.popular_items",
        "recommendations.publication",
        "recommendations.publication_changes",
        "recommendations.similar_items",
        "recommendations.visitor_recommendations",
        "recommendations.visitor_recommendations_wide",
    ]
    for table in run.detail["rows"]:
        query = f"from recommendations.{table} order by all"
        assert read(target, query) == warehouse.execute(query).fetchall()
    assert run.rows_out == rows_of(1) - 1  # all rows but the one of the table publication
    assert read(target, "select publish_run_id, model_version from recommendations.publication") == [
        (run.run_id, "g0001")
    ]


def test_the_file_explains_its_tables_and_columns(warehouse, target):
    publish_from(warehouse, target)
    columns = "select table_name, column_name, comment from duckdb_columns() where comment is not null order by all"
    assert read(target, columns) == [
        ("popular_items", "rank", "1 is most popular."),
        ("visitor_recommendations", "score", "Not a probability: it's a cosine."),
    ]
    tables = "select table_name, comment from duckdb_tables() where comment is not null"
    assert read(target, tables) == [("visitor_recommendations", "Tonight's lists.")]


def test_macros_answer_for_a_visitor_and_for_an_item(warehouse, target):
    publish_from(warehouse, target)
    listed = read(target, "select rank, item_id, source, reason from recommendations_for('v7')")
    assert listed == [(rank, f"i{rank}", "llmseqsim", "because of Title 0") for rank in range(1, 6)]
    assert read(target, "select rank, similar_item_id from similar_to('i3')") == [(1, "i4")]
    assert read(target, "from similar_to('no such item')") == []


def test_macros_answer_in_an_attached_file_that_is_in_use(warehouse, target):
    publish_from(warehouse, target)
    with duckdb.connect() as notebook:
        notebook.execute(f"attach '{target}' as shop (read_only)")
        notebook.execute("use shop")
        assert len(notebook.execute("from recommendations_for('v7')").fetchall()) == 5
        assert len(notebook.execute("from similar_to('i3')").fetchall()) == 1


def test_macros_answer_what_goes_with_an_item_and_who_wants_it(warehouse, target):
    for kind in ("bought", "viewed"):
        warehouse.execute(
            f"create table recommendations.{kind}_together as select 'i9' as item_id, 1 as rank, '{kind} i0' as "
            "with_item_id, 'Title 9' as title, 'Title 0' as with_title, 3 as together, 0.5 as confidence, 2.0 as lift, "
            "9.0 as score"
        )
    warehouse.execute("create table recommendations.items as select 'i0' as item_id, 'Title 0' as title")
    # the list of v0 was made because of an item that is bought with i9, and v1's and v2's lists hold i9
    warehouse.execute("update recommendations.bought_together set with_item_id = 'i0'")
    warehouse.execute("delete from recommendations.visitor_recommendations where visitor_id > 'v2'")
    warehouse.execute(
        "update recommendations.visitor_recommendations set reason_item_id = 'i7' where visitor_id = 'v10'"
    )
    for visitor, rank in (("v1", 4), ("v2", 2)):
        warehouse.execute(
            "update recommendations.visitor_recommendations set item_id = 'i9' where visitor_id = ? and rank = ?",
            [visitor, rank],
        )
    warehouse.execute("delete from recommendations.visitor_recommendations where visitor_id between 'v11' and 'v19'")
    publish_from(warehouse, target)
    columns = "rank, with_item_id, with_title, together, confidence, lift, score"
    assert read(target, f"select {columns} from bought_with('i9')") == [(1, "i0", "Title 0", 3, 0.5, 2.0, 9.0)]
    assert read(target, "select with_item_id from viewed_with('i9')") == [("viewed i0",)]
    assert read(target, "select rank, visitor_id, list_rank, via_item_id, reason from audience_of('i9')") == [
        (1, "v2", 2, None, "rank 2 of the visitor's list"),
        (2, "v1", 4, None, "rank 4 of the visitor's list"),
        (3, "v0", None, "i0", "interested in Title 0"),
    ]
    assert read(target, "from audience_of('no such item')") == []


def test_an_unknown_visitor_gets_the_popular_items(warehouse, target):
    publish_from(warehouse, target)
    listed = read(target, "select rank, item_id, source, reason from recommendations_for('nobody')")
    assert listed == [(n + 1, f"i{n}", "popularity", "popular with other visitors") for n in range(20)]


def test_a_write_ahead_log_left_beside_the_target_goes_away(warehouse, target):
    publish_from(warehouse, target)
    other = target.with_name("other.duckdb")
    with duckdb.connect(str(other)) as writer:
        writer.execute("create table t as select 1 as a")
        log = other.with_name("other.duckdb.wal").read_bytes()
    stale = target.with_name("published.duckdb.wal")
    stale.write_bytes(log)
    make_night(warehouse, 2)
    publish_from(warehouse, target)
    assert not stale.exists()
    assert generation_in(target) == 2


def test_what_a_killed_publish_left_goes_away(warehouse, target, monkeypatch):
    monkeypatch.setattr(publishing, "remove_database", lambda path: None)  # a killed process does not clean up
    monkeypatch.setattr(publishing, "replace_durably", fails)
    with pytest.raises(OSError, match="disk"):
        publish_from(warehouse, target)
    monkeypatch.undo()
    assert strays(target) != []
    monkeypatch.setattr(os, "getpid", lambda: 12345)  # the next night is another process
    publish_from(warehouse, target)
    assert strays(target) == []


def test_a_reader_keeps_its_file_while_new_readers_get_the_new_one(warehouse, target):
    publish_from(warehouse, target)
    count_twice = (
        "import duckdb, sys\n"
        "copy = duckdb.connect(sys.argv[1], read_only=True)\n"
        "for line in sys.stdin:\n"
        "    print(copy.execute('select max(model_version) from recommendations.visitor_recommendations')"
        ".fetchone()[0], flush=True)\n"
    )
    command = [sys.executable, "-c", count_twice, str(target)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as reader:

        def ask() -> str:
            reader.stdin.write("again\n")
            reader.stdin.flush()
            return reader.stdout.readline().strip()

        assert ask() == "g0001"
        make_night(warehouse, 2)
        publish_from(warehouse, target)
        assert ask() == "g0001"
        assert generation_in(target) == 2
        reader.stdin.close()


@pytest.mark.parametrize("name", ["recommendations.duckdb", "ml.duckdb", "raw.db", "Recommendations.duckdb"])
def test_a_target_named_like_a_schema_is_refused(warehouse, target, name):
    with pytest.raises(NextmartError, match="name of a schema"):
        publish_from(warehouse, target.with_name(name))
    assert not target.with_name(name).exists()


def test_the_warehouse_is_never_replaced_by_its_own_copy(warehouse, target):
    link = target.with_name("link.duckdb")
    link.symlink_to(target.with_name("warehouse.duckdb"))
    for path in (target.with_name("warehouse.duckdb"), link):
        with pytest.raises(NextmartError, match="is the warehouse"):
            publish_from(warehouse, path)
    assert warehouse.execute("select count(*) from ml.job_runs").fetchone() == (2,)


def test_nothing_to_publish_is_a_clear_error(tmp_path, target):
    with connect(tmp_path / "empty.duckdb") as empty:
        prepare_warehouse(empty)
        with pytest.raises(NextmartError, match="run `nextmart run`"):
            publish_from(empty, target)
        [(status, error)] = empty.execute("select status, error from ml.job_runs").fetchall()
    assert status == "failed"
    assert "no recommendation tables" in error
    assert not target.exists()


def test_a_copy_that_lacks_rows_is_not_published(warehouse, target, monkeypatch):
    publish_from(warehouse, target)
    make_night(warehouse, 2)

    def lose_rows(path: Path) -> None:
        with duckdb.connect(str(path)) as copy:
            copy.execute("delete from recommendations.similar_items")

    monkeypatch.setattr(publishing, "_create_macros", lose_rows)
    with pytest.raises(NextmartError, match="the copy of similar_items holds 0 rows"):
        publish_from(warehouse, target)
    assert generation_in(target) == 1
    assert strays(target) == []


class FailingConnection:
    """A connection that calls ``step`` at each statement."""

    def __init__(self, connection, step: Callable[[], None]) -> None:
        self.connection, self.step = connection, step

    def execute(self, *arguments):
        self.step()
        return self.connection.execute(*arguments)


@pytest.mark.parametrize("moment", ["before", "after"])
def test_a_failure_at_any_step_leaves_one_whole_file(tmp_path, target, monkeypatch, moment):
    """Fail just before or after step n, for n = 1, 2, … until publishing succeeds."""
    path = tmp_path / "warehouse.duckdb"
    with connect(path) as connection:
        prepare_warehouse(connection)
        make_night(connection, 1)
        publish_from(connection, target)
        make_night(connection, 2)
    seen = []
    for failing_step in itertools.count(1):
        taken = itertools.count(1)

        def step(taken=taken, failing_step=failing_step) -> None:
            if next(taken) == failing_step:
                raise OSError(f"step {failing_step} fails")

        with monkeypatch.context() as patch, connect(path) as connection:
            for owner, name in (
                (publishing, "_write_tables"),
                (publishing, "_create_macros"),
                (publishing, "_verify_copy"),
                (publishing, "replace_durably"),
                (os, "fsync"),
                (Path, "replace"),
                (files, "fsync_folder"),
            ):
                patch.setattr(owner, name, counted(getattr(owner, name), step, moment))
            try:
                publish_from(connection, target) if moment == "after" else publish_through(connection, step, target)
            except (OSError, NextmartError) as error:
                failure = error
            else:
                failure = None
        seen.append(generation_in(target))
        assert strays(target) == []
        if not failure:
            break
        if isinstance(failure, NextmartError):
            assert isinstance(failure.__cause__, OSError)
            assert seen[-1] == 2, "the message says that the new file is in its place"
    assert len(seen) > 7
    assert seen == sorted(seen), "the new file may only stay once it is there"
    assert seen[-1] == 2
    assert seen.count(1) >= 4, "copy, macros, verify and fsync come before the swap"


def test_a_publication_that_the_warehouse_cannot_record_is_said_and_recorded_later(warehouse, target):
    publish_from(warehouse, target)
    make_night(warehouse, 2)

    class FullDisk:
        """A connection to a warehouse that can't be written any more once the published file is in its place."""

        def __getattr__(self, name: str) -> object:
            return getattr(warehouse, name)

        def execute(self, statement: str, *arguments: object) -> object:
            if generation_in(target) == 2 and statement.strip().startswith(("insert", "update")):
                raise duckdb.TransactionException("Failed to commit: No space left on device")
            return warehouse.execute(statement, *arguments)

    says = "published.duckdb is published, but the warehouse has no record of it: .*No space left on device"
    with pytest.raises(NextmartError, match=says):
        publish_from(FullDisk(), target)
    assert generation_in(target) == 2
    publish_from(warehouse, target)
    runs = "select run_id, status from ml.job_runs where job = 'publish' order by run_number"
    (first, _), (unrecorded, status), (last, _) = warehouse.execute(runs).fetchall()
    assert status == "interrupted"
    recorded = "select publish_run_id from ml.publication_changes order by decided_at"
    assert warehouse.execute(recorded).fetchall() == [(first,), (unrecorded,), (last,)]


def publish_through(connection, step: Callable[[], None], target: Path) -> None:
    with job_run(connection, "publish") as run:
        publish(FailingConnection(connection, step), Settings(published=target), run)


def counted(function: Callable, step: Callable[[], None], moment: str) -> Callable:
    def wrapped(*arguments):
        if moment == "before":
            step()
        result = function(*arguments)
        if moment == "after":
            step()
        return result

    return wrapped


def fails(*arguments: object) -> None:
    raise OSError("the disk is gone")


def strays(target: Path) -> list[Path]:
    known = {"warehouse.duckdb", "warehouse.duckdb.wal", target.name}
    return sorted(path for path in target.parent.iterdir() if path.name not in known)


def test_a_poller_sees_each_publication_whole_and_in_order(warehouse, target):
    publish_from(warehouse, target)
    last = 36
    with poll_while_block_runs(target, GENERATIONS) as reader_log:
        for generation in range(2, last + 1):
            make_night(warehouse, generation)
            publish_from(warehouse, target)
    assert reader_log.errors == []
    assert reader_log.read_count > last
    generations = [int(lowest[1:]) for lowest, _, _ in reader_log.rows]
    assert reader_log.rows == [[f"g{n:04}", f"g{n:04}", str(rows_of(n))] for n in generations]
    assert generations == sorted(set(generations))
    assert len(generations) > 5


def test_withdrawn_visitors_leave_the_published_file_and_nothing_else_does(warehouse, target):
    publish_from(warehouse, target)
    before = read(target, "from recommendations.visitor_recommendations where visitor_id <> 'v7' order by all")
    untouched = {
        table: read(target, f"from recommendations.{table} order by all")
        for table in ("similar_items", "popular_items", "model_leaderboard", "publication")
    }
    comments = "select table_name, column_name, comment from duckdb_columns() where comment is not null order by all"
    explained = read(target, comments)
    make_night(warehouse, 2)  # the tables of a night that was never published
    with duckdb.connect(str(target), read_only=True) as reader:
        assert withdraw_visitors(warehouse, target, ["v7", "nobody"]) == 6
        assert reader.execute("select count(*) from recommendations_for('v7')").fetchone() == (5,)
    assert read(target, "from recommendations.visitor_recommendations order by all") == before
    assert {table: read(target, f"from recommendations.{table} order by all") for table in untouched} == untouched
    assert read(target, comments) == explained
    assert read(target, "select distinct source from recommendations_for('v7')") == [("popularity",)]
    assert strays(target) == []


def test_an_unknown_id_among_the_withdrawn_takes_nobody_else_out(warehouse, target):
    publish_from(warehouse, target)
    remaining = read(target, "select count(*) from recommendations.visitor_recommendations where visitor_id <> 'v7'")
    assert withdraw_visitors(warehouse, target, ["v7", None]) == 6
    assert read(target, "select count(*) from recommendations.visitor_recommendations") == remaining


def test_withdrawing_whom_the_file_does_not_show_leaves_it_alone(warehouse, target):
    assert withdraw_visitors(warehouse, target, ["v7"]) == 0
    publish_from(warehouse, target)
    content = target.read_bytes()
    for visitors in ([], ["nobody"]):
        assert withdraw_visitors(warehouse, target, visitors) == 0
    assert target.read_bytes() == content
