"""Retention, compaction when it is due, copies at night, and the copies that hold a person who is forgotten."""

import errno
import shutil
from pathlib import Path
from unittest.mock import Mock

import duckdb
import pytest

from jobs.commands import maintain as maintain_module
from jobs.commands.backups_of_person import copy_holds_person, delete_copies_holding_person
from jobs.commands.maintain import back_up, maintain, maintain_after_publication
from jobs.commands.person import Person
from jobs.commands.restore import restore
from jobs.commands.sizes import read_sizes, size_lines
from jobs.errors import NextmartError, UsageError
from jobs.settings import Settings
from jobs.warehouse import backups
from jobs.warehouse.backups import list_backups
from jobs.warehouse.connection import connect, prepare_warehouse

FILL = """
    insert into ml.job_runs (run_id, job, started_at, status, cost, run_number)
    select format('{}-{:04}', job, i), job, '2026-01-01'::timestamptz - to_days(i::integer),
        case when i = 0 then 'done' else 'unchanged' end, case when i = 1 then 0.5 else 0 end, i
    from range(40) as t (i), (values ('recommend'), ('embed')) as jobs (job);

    -- models 0 to 9, oldest first: 0 was live once, compared with 1; 9 is live
    insert into ml.models by name
    select format('m{}', i) as model_version, 'popularity' as model, '{}' as parameters, 'f' as fingerprint,
        1 as training_rows, 0 as seed, '2026-01-01'::timestamptz + to_days(i::integer) as started_at,
        started_at as finished_at, case when i = 9 then 'live' else 'retired' end as status,
        case when i >= 7 then 'w'::blob end as weights, '1' as code_version, i as model_number
    from range(10) as t (i);
    insert into ml.model_metrics by name
    select model_version, 'cutoff/test' as split, 'ndcg' as metric, 20 as k, 'all' as segment, 0.5 as value, 1 as n,
        finished_at as measured_at
    from ml.models;
    insert into ml.champions by name
    select finished_at as changed_at, model_version, 'popularity' as family, model_version in ('m0', 'm9') as is_live,
        false as pinned, 'reason' as reason, case when model_version = 'm0' then 'm1' end as compared_with
    from ml.models;
    insert into raw.unreadable_rows (table_name, line, loaded_at) select 'events', i, now() from range(20) as t (i);
    insert into raw.events (event_id, visitor_id) values ('e1', 'ann'), ('e2', 'bob');
"""


@pytest.fixture(scope="module")
def filled(tmp_path_factory):
    path = tmp_path_factory.mktemp("filled") / "warehouse.duckdb"
    with connect(path) as connection:
        prepare_warehouse(connection)
        connection.execute(FILL)
    return path


@pytest.fixture
def settings(filled, tmp_path):
    shutil.copy(filled, tmp_path / "warehouse.duckdb")
    names = ("warehouse", "published", "work_folder", "backup_folder")
    files = ("warehouse.duckdb", "published.duckdb", ".nextmart", "backups")
    paths = {name: tmp_path / file for name, file in zip(names, files, strict=True)}
    return Settings(**paths, job_runs_kept=10, metrics_kept=3, unreadable_rows_kept=5)


def column(settings, query):
    with connect(settings.warehouse, read_only=True) as connection:
        return [value for (value,) in connection.execute(query).fetchall()]


def test_what_is_past_retention_goes_and_what_explains_the_live_models_stays(settings):
    summary = maintain(settings)
    assert summary["detail"]["deleted"] == {
        "ml.model_metrics": 5, "ml.champions": 5, "ml.models": 5, "ml.job_runs": 2 * (40 - 10 - 2),
        "raw.unreadable_rows": 15,
    }  # fmt: skip
    for table in ("ml.models", "ml.model_metrics", "ml.champions"):
        assert column(settings, f"select model_version from {table} order by all") == ["m0", "m1", "m7", "m8", "m9"]
    runs = column(settings, "select run_id from ml.job_runs where job = 'recommend' order by all")
    # the newest finished run, the run that cost money, and the ten newest
    assert runs == ["recommend-0000", "recommend-0001", *(f"recommend-{number:04}" for number in range(30, 40))]
    assert column(settings, "select min(line) from raw.unreadable_rows") == [15]
    again = maintain(settings)
    assert (again["status"], again["detail"]["deleted"]) == ("unchanged", {})


def test_old_checkpoints_and_what_kills_left_go(settings):
    folder = settings.work_folder / "checkpoints"
    folder.mkdir(parents=True)
    for number in range(12):
        (folder / f"{number}.safetensors").write_bytes(b"weights")
    left = settings.warehouse.with_name(".warehouse.duckdb.unfinished")
    left.write_bytes(b"half a copy")
    maintain(settings)
    assert len(list(folder.iterdir())) == 10
    assert not left.exists()


@pytest.mark.parametrize("moment", ["open_read_only", "_set_warehouse_aside"])
def test_copies_that_a_killed_restore_left_go(settings, monkeypatch, moment):
    copy = back_up(settings).path
    files = set(settings.warehouse.parent.iterdir())
    with monkeypatch.context() as patched:
        patched.setattr(backups, moment, Mock(side_effect=KeyboardInterrupt))
        patched.setattr(backups, "remove_database", lambda path: None)  # a kill lets nothing be cleaned up
        with pytest.raises(KeyboardInterrupt):
            restore(settings, copy)
    assert set(settings.warehouse.parent.iterdir()) != files
    maintain(settings)
    assert set(settings.warehouse.parent.iterdir()) == files


def test_a_night_compacts_at_most_every_seventh_time_and_by_day_at_once(settings, monkeypatch):
    monkeypatch.setattr("jobs.warehouse.compaction.SMALLEST_COMPACTED", 0)
    settings = settings.model_copy(update={"compact_free_share": 0.001})

    def free_some():
        with connect(settings.warehouse) as connection:
            # DuckDB gives back free blocks at the end of the file, so a table that stays lies behind the one that goes
            connection.execute("create table ml.gone as select hash(i) as number from range(500000) as t (i)")
            connection.execute("create or replace table ml.last as select hash(i) as number from range(99999) as t (i)")
            connection.execute("checkpoint; drop table ml.gone")
            connection.execute(
                "insert into ml.job_runs (run_id, job, started_at, status, run_number) "
                "select 'publish-' || count(*), 'publish', now(), 'done', max(run_number) + 1 from ml.job_runs"
            )

    free_some()
    detail = maintain(settings, at_night=True)["detail"]
    assert detail["bytes_after"] < detail["bytes_before"]
    for night in range(1, 8):
        free_some()
        assert maintain(settings, at_night=True)["detail"]["compacted"] == (night == 7), night
    free_some()
    assert maintain(settings)["detail"]["compacted"]


@pytest.fixture
def settings_with_free_blocks(settings, monkeypatch):
    """Return settings with which each upkeep compacts the warehouse, because a part of its file is free."""
    monkeypatch.setattr("jobs.warehouse.compaction.SMALLEST_COMPACTED", 0)
    with connect(settings.warehouse) as connection:
        connection.execute("create table ml.x as select repeat('x', 999) || i as t from range(9000) as t (i)")
        connection.execute("checkpoint; drop table ml.x")
    return settings.model_copy(update={"compact_free_share": 1e-9})


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (NextmartError("no space"), "no space"),
        (duckdb.OutOfMemoryException("too little"), "the warehouse can't be compacted: too little"),
        (OSError(errno.ENOSPC, "full"), "the warehouse can't be compacted: no space is left on that disk"),
    ],
)
def test_a_night_goes_on_without_a_compaction_that_fails(settings_with_free_blocks, monkeypatch, error, said):
    monkeypatch.setattr(maintain_module, "compact", Mock(side_effect=error))
    settings = settings_with_free_blocks.model_copy(update={"backups_kept": 1})
    detail = maintain(settings, at_night=True)["detail"]
    assert detail["not_compacted"].startswith(said)
    assert [str(copy.path) for copy in list_backups(settings.backup_folder, settings.warehouse)] == [detail["backup"]]
    with pytest.raises(type(error)):
        maintain(settings)
    monkeypatch.undo()
    monkeypatch.setattr("jobs.warehouse.compaction.SMALLEST_COMPACTED", 0)
    assert maintain(settings, at_night=True)["detail"]["compacted"], "the next night tries again"


def test_a_compaction_that_finds_damage_is_no_warning(settings_with_free_blocks, monkeypatch):
    monkeypatch.setattr(maintain_module, "compact", Mock(side_effect=duckdb.IOException("Corrupt database file")))
    with pytest.raises(NextmartError, match=r"(?s)is damaged: Corrupt .*There is no copy") as raised:
        maintain_after_publication(settings_with_free_blocks)
    assert "The next night" not in str(raised.value), "a night can do nothing with a damaged warehouse"


def test_each_night_takes_a_copy_and_a_damaged_warehouse_is_said_with_what_to_type(settings):
    settings = settings.model_copy(update={"backups_kept": 2})
    for _ in range(3):
        maintain(settings, at_night=True)
    copies = list_backups(settings.backup_folder, settings.warehouse)
    assert [copy.sequence_number for copy in copies] == [3, 2]
    events = column(settings, "select event_id from raw.events")
    with settings.warehouse.open("r+b") as file:
        file.seek(0)
        file.write(bytes(4096))
    with pytest.raises(NextmartError, match="nextmart restore"):
        maintain(settings, at_night=True)
    assert list_backups(settings.backup_folder, settings.warehouse) == copies
    copies[0].path.write_bytes(b"torn as well")
    summary, text = restore(settings, None)
    assert summary["restored"] == str(copies[1].path)
    assert summary["kept"] in text
    assert column(settings, "select event_id from raw.events") == events


def test_two_warehouses_of_one_name_dont_share_a_folder_of_copies(settings, tmp_path):
    copy = back_up(settings)
    (tmp_path / "other").mkdir()
    other = settings.model_copy(update={"warehouse": tmp_path / "other" / "warehouse.duckdb", "backups_kept": 1})
    with connect(other.warehouse) as connection:
        prepare_warehouse(connection)
    with pytest.raises(NextmartError, match=r"000001.duckdb is a copy of another warehouse than .*backup_folder"):
        maintain(other)
    assert list_backups(settings.backup_folder, settings.warehouse) == [copy]
    copy.path.write_bytes(b"torn")  # nobody can tell whose copy this is
    assert maintain(other)["detail"]["backup"].endswith("warehouse.000002.duckdb")


def test_a_file_that_is_no_copy_of_a_warehouse_is_not_put_in_its_place(settings, tmp_path):
    published, before = tmp_path / "published.duckdb", settings.warehouse.read_bytes()
    with duckdb.connect(str(published)) as connection:
        connection.execute("create schema recommendations; create table recommendations.items as select 1 as item_id")
    with pytest.raises(UsageError, match=r"published.duckdb is no copy of a warehouse"):
        restore(settings, published)
    assert settings.warehouse.read_bytes() == before


def test_without_a_good_copy_a_restore_changes_nothing(settings):
    before = settings.warehouse.read_bytes()
    with pytest.raises(NextmartError, match=r"no good copy of .*backups_kept"):
        restore(settings, None)
    assert settings.warehouse.read_bytes() == before


def test_copies_that_hold_a_forgotten_person_make_room_for_a_new_one(settings):
    settings = settings.model_copy(update={"backups_kept": 3})
    maintain(settings)
    with connect(settings.warehouse) as connection:
        connection.execute("delete from raw.events where visitor_id = 'ann'")
    outcome = delete_copies_holding_person(settings, Person("visitor", "ann"), ["ann"])
    [left] = list_backups(settings.backup_folder, settings.warehouse)
    assert [path.name for path in outcome.deleted_copy_paths] == ["warehouse.000001.duckdb"]
    assert (left.path, outcome.warnings_about_remaining_files) == (outcome.new_copy_path, [])
    # a copy without the person stays
    assert delete_copies_holding_person(settings, Person("visitor", "ann"), ["ann"]).deleted_copy_paths == []
    assert list_backups(settings.backup_folder, settings.warehouse) == [left]


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (NextmartError("no space"), "no space"),
        (duckdb.IOException("torn"), "torn"),
        (
            OSError(errno.EROFS, "read-only", "backups"),
            "backups: lies on a read-only disk: choose another folder",
        ),
    ],
)
def test_copies_are_named_when_no_new_one_can_be_taken(settings, monkeypatch, error, said):
    def fail(settings):
        raise error

    settings = settings.model_copy(update={"backups_kept": 1})
    maintain(settings)
    [copy] = list_backups(settings.backup_folder, settings.warehouse)
    monkeypatch.setattr("jobs.commands.backups_of_person.back_up", fail)
    outcome = delete_copies_holding_person(settings, Person("visitor", "ann"), ["ann"])
    reason = f"holds this person, and no new copy could be taken: {said}"
    assert outcome.warnings_about_remaining_files == [f"{copy.path} {reason}"]
    assert copy.path.exists()


@pytest.mark.parametrize(
    ("table", "text", "is_held"),
    [
        ("events", "7,lamp,view", True),
        ("events", '{"visitor_id": "7"', True),
        ("events", "e17,v27,lamp,2026-01-07", False),
        ("items", "lamp,7", False),
    ],
)
def test_a_copy_is_deleted_for_an_unreadable_row_only_if_the_warehouse_would_delete_that_row(
    settings, table, text, is_held
):
    with connect(settings.warehouse) as connection:
        connection.execute("delete from raw.unreadable_rows")
        connection.execute("insert into raw.unreadable_rows (table_name, raw_row) values (?, ?)", [table, text])
    copy = back_up(settings)
    assert copy_holds_person(copy.path, settings.warehouse.stem, Person("visitor", "7"), []) == is_held


def test_a_copy_that_cant_be_deleted_is_named(settings, monkeypatch):
    settings = settings.model_copy(update={"backups_kept": 3})
    maintain(settings)
    [copy] = list_backups(settings.backup_folder, settings.warehouse)
    with connect(settings.warehouse) as connection:
        connection.execute("delete from raw.events where visitor_id = 'ann'")
    unlink = Path.unlink

    def refuse_copies(path, missing_ok=False):
        if path == copy.path:
            raise PermissionError(errno.EPERM, "not permitted", str(path))
        unlink(path, missing_ok=missing_ok)

    monkeypatch.setattr(Path, "unlink", refuse_copies)
    outcome = delete_copies_holding_person(settings, Person("visitor", "ann"), ["ann"])
    assert outcome.deleted_copy_paths == []
    [warning] = outcome.warnings_about_remaining_files
    assert warning.startswith(f"{copy.path} holds this person, and can't be deleted: {copy.path}: no permission")


def test_a_warehouse_that_was_set_aside_is_named_if_it_holds_the_person_or_cant_be_read(settings):
    aside, torn, other = (
        settings.warehouse.with_name(f"warehouse.duckdb.before-restore-{number}") for number in (1, 2, 3)
    )
    shutil.copy(settings.warehouse, aside)
    torn.write_bytes(b"torn")
    with connect(settings.warehouse) as connection:
        connection.execute("delete from raw.events where visitor_id = 'ann'")
    shutil.copy(settings.warehouse, other)
    outcome = delete_copies_holding_person(settings, Person("visitor", "ann"), ["ann"])
    assert outcome.warnings_about_remaining_files == [
        f"{torn} is damaged, and may hold this person", f"{aside} holds this person: a copy has replaced it"
    ]  # fmt: skip


def test_sizes_show_files_and_tables(settings):
    maintain(settings.model_copy(update={"backups_kept": 1}))
    with connect(settings.warehouse, read_only=True) as connection:
        sizes = read_sizes(connection, settings)
    tables = {table["table"]: table for table in sizes["tables"]}
    assert tables["ml.models"]["rows"] == 5
    assert 0 < sum(table["bytes"] for table in sizes["tables"]) <= sizes["warehouse"]["bytes"]
    assert sizes["backups"]["copies"] == 1
    lines = size_lines(sizes)
    assert any(line.startswith("backups") and "1 copy, of" in line for line in lines)


def test_a_copy_that_fails_after_the_publication_names_its_file_and_says_what_is_published(settings, monkeypatch):
    def copyfileobj(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(shutil, "copyfileobj", copyfileobj)
    with pytest.raises(NextmartError) as failed:
        maintain_after_publication(settings.model_copy(update={"backups_kept": 1}))
    said = str(failed.value)
    assert said.startswith(f"{settings.published} is published, but the upkeep after that failed: ")
    assert f"{settings.backup_folder}/warehouse.000001.duckdb: no space is left on that disk" in said
    assert "`nextmart maintain`" in said
