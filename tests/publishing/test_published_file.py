"""The published file keeps its place, its owner and its mode, and what others do beside it never reaches a reader."""

import os
import stat
import subprocess
import sys

import duckdb
import pytest
from public_tables import make_public_tables

from jobs.errors import NextmartError
from jobs.publishing import published_file
from jobs.publishing.publish import publish, withdraw_visitors
from jobs.settings import Settings
from jobs.warehouse.connection import connect, prepare_warehouse
from jobs.warehouse.job_runs import job_run

AS_ROOT = pytest.mark.skipif(os.geteuid() != 0, reason="only root may give files away")
SHOP_GROUP, ANALYST = 65501, 65502

WRITER = """
import duckdb, sys
connection = duckdb.connect(sys.argv[1])
print("open", flush=True)
for line in sys.stdin:
    try:
        connection.execute(line)
        print("done", flush=True)
    except duckdb.Error as error:
        print(type(error).__name__, flush=True)
"""


class Shop:
    """A warehouse with public tables, and what is published of them."""

    def __init__(self, folder):
        self.published = folder / "published.duckdb"
        self.connection = connect(folder / "warehouse.duckdb")
        prepare_warehouse(self.connection)

    def publish(self, path=None, *, visitors: int = 100, **settings) -> None:
        make_public_tables(self.connection, visitors=visitors)
        with job_run(self.connection, "publish") as run:
            publish(self.connection, Settings(published=path or self.published, **settings), run)

    def mode(self) -> str:
        return oct(stat.S_IMODE(self.published.stat().st_mode))

    def read(self, query: str) -> list[tuple]:
        with duckdb.connect(str(self.published), read_only=True) as reader:
            return reader.execute(query).fetchall()

    def shown(self) -> tuple[int, list[tuple]]:
        """Return the number of visitors that a reader sees, and the tables that are none of nextmart's."""
        [(visitors,)] = self.read("select count(distinct visitor_id) from recommendations.visitor_recommendations")
        strange = "select table_name from duckdb_tables() where schema_name <> 'recommendations'"
        return visitors, self.read(strange)


@pytest.fixture
def shop(tmp_path):
    shop = Shop(tmp_path)
    yield shop
    shop.connection.close()


# --- mode and owner ---


def test_a_first_file_can_be_read_by_everybody_and_written_by_nobody(shop):
    shop.publish()
    assert shop.mode() == "0o444"
    shop.publish()
    assert shop.mode() == "0o444"


def test_the_mode_that_the_file_has_stays_also_when_a_visitor_is_forgotten(shop):
    shop.publish()
    for mode in (0o640, 0o600, 0o444):
        shop.published.chmod(mode)
        shop.publish()
        assert shop.mode() == oct(mode)
        withdraw_visitors(shop.connection, shop.published, ["v1"])
        assert shop.mode() == oct(mode)


def test_the_mode_of_the_settings_holds_each_night(shop):
    shop.publish(published_mode="0440")
    assert shop.mode() == "0o440"
    shop.published.chmod(0o644)
    shop.publish(published_mode="440")
    assert shop.mode() == "0o440"


def test_nobody_else_may_read_a_file_that_is_not_finished(shop, monkeypatch):
    modes = []
    set_owner_and_mode = published_file.set_owner_and_mode
    monkeypatch.setattr(
        "jobs.publishing.publish.set_owner_and_mode",
        lambda file, owner_and_mode: (
            modes.append(oct(stat.S_IMODE(file.stat().st_mode))),
            set_owner_and_mode(file, owner_and_mode),
        ),
    )
    before = os.umask(0o022)
    try:
        shop.publish()
        assert modes == ["0o600"]
        assert os.umask(0o022) == 0o022
    finally:
        os.umask(before)


@AS_ROOT
def test_user_and_group_of_the_file_stay(shop):
    shop.publish()
    os.chown(shop.published, ANALYST, SHOP_GROUP)
    shop.published.chmod(0o640)
    shop.publish()
    withdraw_visitors(shop.connection, shop.published, ["v1"])
    found = shop.published.stat()
    assert (found.st_uid, found.st_gid, shop.mode()) == (ANALYST, SHOP_GROUP, "0o640")


@AS_ROOT
@pytest.mark.parametrize(
    ("owner", "uid", "gid"), [("root", 0, None), (":daemon", None, 1), ("daemon:daemon", 1, 1)], ids=str
)
def test_the_owner_of_the_settings_gets_the_file(shop, owner, uid, gid):
    shop.publish(published_owner=owner)
    found = shop.published.stat()
    assert uid is None or found.st_uid == uid
    assert gid is None or found.st_gid == gid


def test_an_owner_who_is_unknown_is_named_and_the_old_file_stays(shop):
    shop.publish()
    before = shop.published.read_bytes()
    with pytest.raises(NextmartError, match=r"published_owner 'nobody-here': .*nothing was published"):
        shop.publish(published_owner="nobody-here")
    assert shop.published.read_bytes() == before


def test_a_group_that_can_not_be_kept_matters_only_where_it_has_rights_of_its_own(shop, monkeypatch):
    def refuse(*arguments: object, **options: object) -> None:
        raise PermissionError

    shop.publish()
    own = shop.published.stat().st_gid
    monkeypatch.setattr(published_file.os, "chown", refuse)
    owner_and_mode = published_file.OwnerAndMode(0o640, replaced_file_gid=own + 1)
    with pytest.raises(NextmartError, match=rf"number {own + 1}, can't be kept.*published_owner"):
        published_file.set_owner_and_mode(shop.published, owner_and_mode)
    published_file.set_owner_and_mode(shop.published, published_file.OwnerAndMode(0o644, replaced_file_gid=own + 1))
    assert shop.mode() == "0o644"


@pytest.mark.parametrize(
    "setting",
    [
        {"published_mode": "640 "}, {"published_mode": "0240"}, {"published_mode": "rw"}, {"published_owner": ":"},
        {"published_owner": "a b"}, {"published_owner": "a:"},
    ],
    ids=str,
)  # fmt: skip
def test_a_mode_or_owner_that_is_none_is_refused(setting):
    with pytest.raises(ValueError, match=next(iter(setting))):
        Settings(**setting)


# --- symbolic links ---


def test_a_link_stays_and_the_file_behind_it_is_replaced(shop, tmp_path):
    served = tmp_path / "served"
    link = tmp_path / "link.duckdb"
    link.symlink_to(served / "shop.duckdb")
    shop.publish(link)  # the file behind the link is not there yet
    shop.publish(link, visitors=99)
    assert link.is_symlink()
    shop.published = served / "shop.duckdb"
    assert shop.shown() == (99, [])
    assert withdraw_visitors(shop.connection, link, ["v77"]) > 0
    assert link.is_symlink()
    assert shop.read("select count(*) from recommendations.visitor_recommendations where visitor_id = 'v77'") == [(0,)]
    assert b"v77" not in shop.published.read_bytes()


# --- processes that write ---


@pytest.fixture
def analyst(shop):
    """A session that has opened the published file to write to it."""
    shop.publish()
    shop.published.chmod(0o644)
    command = [sys.executable, "-c", WRITER, str(shop.published)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout.readline() == "open\n"

        def execute(statement: str) -> str:
            process.stdin.write(statement + "\n")
            process.stdin.flush()
            return process.stdout.readline().strip()

        execute.process = process
        yield execute
        process.stdin.close()


def names(shop) -> set[str]:
    return {path.name for path in shop.published.parent.iterdir() if not path.name.startswith("warehouse")}


def test_nothing_lies_beside_a_file_to_which_nobody_writes(shop):
    shop.publish()
    log = shop.published.with_name("published.duckdb.wal")
    log.write_bytes(b"of another file")
    shop.publish()
    assert names(shop) == {"published.duckdb"}


def test_a_session_that_writes_reaches_no_reader_of_the_next_file(shop, analyst):
    assert analyst("begin") == "done"
    assert analyst("create table mine as select 1 as a") == "done"
    shop.publish(visitors=99)
    assert analyst("commit") == "TransactionException"
    assert shop.shown() == (99, [])
    assert analyst("create table mine as select 1 as a") != "done"
    assert analyst("checkpoint") != ""
    assert shop.shown() == (99, [])
    analyst.process.stdin.close()
    analyst.process.wait()
    assert shop.shown() == (99, [])
    assert names(shop) == {"published.duckdb", "published.duckdb.wal"}


def test_a_session_that_stays_open_for_several_nights_reaches_no_reader(shop, analyst):
    assert analyst("begin") == "done"
    assert analyst("create table mine as select 1 as a") == "done"
    shop.publish(visitors=99)
    withdraw_visitors(shop.connection, shop.published, ["v77"])
    shop.publish(visitors=98)
    assert analyst("commit") == "TransactionException"
    assert shop.shown() == (98, [])


def test_a_session_that_has_its_log_open_already_reaches_no_reader_of_the_next_file(shop, analyst):
    log = shop.published.with_name("published.duckdb.wal")
    assert analyst("create table mine as select 1 as a") == "done"
    assert log.stat().st_size > 0
    shop.publish(visitors=99)
    assert analyst("create table mine_too as select 1 as a") == "done"
    assert shop.shown() == (99, [])
    analyst.process.stdin.close()
    analyst.process.wait()
    assert shop.shown() == (99, [])
