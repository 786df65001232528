"""What was live for whom, and since when, is kept list by list, also where a publish was killed after its swap."""

from datetime import UTC, datetime, timedelta
from unittest.mock import Mock

import duckdb
import pytest
from public_tables import make_public_tables

from jobs.errors import NextmartError
from jobs.publishing import publication_record
from jobs.publishing import publish as publishing
from jobs.publishing.publication_record import record_publication_if_missing
from jobs.publishing.publish import publish
from jobs.settings import Settings
from jobs.warehouse.connection import connect, prepare_warehouse
from jobs.warehouse.job_runs import job_run
from jobs.warehouse.retention import Retention, delete_old_rows

START = datetime(2026, 5, 1, 3, tzinfo=UTC)
CHANGES = """
    -- as dbt makes it, in short
    create or replace view recommendations.changes as
    select visitor_id, list(item_id order by rank) as new_items, null::timestamptz as changed_at
    from recommendations.visitor_recommendations group by visitor_id
"""


class Shop:
    """A warehouse whose lists are written by hand, and its published file; the clock is set by hand too."""

    def __init__(self, folder, monkeypatch):
        self.published, self.time = folder / "published.duckdb", START
        self.connection = connect(folder / "warehouse.duckdb")
        prepare_warehouse(self.connection)
        make_public_tables(self.connection, visitors=0)
        self.connection.execute(CHANGES)
        self.connection.execute(
            "create table recommendations.placement_recommendations as select '' as placement, "
            "* exclude (model), '' as arm from recommendations.visitor_recommendations where false"
        )
        self.connection.execute("alter table recommendations.visitor_recommendations add column arm varchar")
        monkeypatch.setattr(publication_record, "now", lambda: self.time)

    def set(
        self, lists: dict[str, str], placement: str | None = None, version: str = "m-1", arm: str = "model"
    ) -> None:
        """Replace the lists: visitor -> items, a letter each."""
        table = "placement_recommendations" if placement else "visitor_recommendations"
        self.connection.execute(f"delete from recommendations.{table}")
        for visitor, items in lists.items():
            rows = (
                "select $placement as placement, $visitor as visitor_id, generate_subscripts(items, 1) as rank, "
                "unnest(items) as item_id, 'sasrec' as source, $version as model_version, $arm as arm, 1.0 as score "
                "from (select string_split($items, '') as items)"
            )
            self.connection.execute(
                f"insert into recommendations.{table} by name select * {'' if placement else 'exclude (placement)'} "
                f"from ({rows})",
                {"visitor": visitor, "items": items, "version": version, "arm": arm, "placement": placement},
            )

    def publish(self, after: timedelta = timedelta(days=1)) -> datetime:
        """Publish; return the time from which new lists are live."""
        self.time += after
        with job_run(self.connection, "publish") as run:
            publish(self.connection, Settings(published=self.published), run, allow_shrink=True)
        return self.rows("select decided_at from ml.publication_changes order by publication_number")[-1][0]

    def rows(self, query: str) -> list[tuple]:
        return self.connection.execute(query).fetchall()

    def lists(self) -> list[tuple]:
        return self.rows(
            "select placement, visitor_id, string_agg(item_id, '' order by rank), model_version, arm, live_from, "
            "live_until from ml.published_lists group by all order by all"
        )

    def live(self) -> list[tuple]:
        return [row[:3] for row in self.lists() if row[-1] is None]


@pytest.fixture
def shop(tmp_path, monkeypatch):
    shop = Shop(tmp_path, monkeypatch)
    yield shop
    shop.connection.close()


def test_only_lists_that_change_are_closed_and_opened(shop):
    shop.set({"v1": "abc", "v2": "abd", "v3": "x"})
    shop.set({"v1": "ab"}, placement="home")
    first = shop.publish()
    assert first == START + timedelta(days=1)
    # v1 stays, v2 has its items in another order, v3 goes, v4 comes; home gets another model's equal list
    shop.set({"v1": "abc", "v2": "adb", "v4": "abc"})
    shop.set({"v1": "ab"}, placement="home", version="m-2")
    second = shop.publish()
    shop.set({"v1": "abc", "v2": "adb", "v4": "abc"}, arm="model")
    shop.publish()
    assert shop.lists() == [
        ("default", "v1", "abc", "m-1", "model", first, None),
        ("default", "v2", "abd", "m-1", "model", first, second),
        ("default", "v2", "adb", "m-1", "model", second, None),
        ("default", "v3", "x", "m-1", "model", first, second),
        ("default", "v4", "abc", "m-1", "model", second, None),
        ("home", "v1", "ab", "m-1", "model", first, second),
        ("home", "v1", "ab", "m-2", "model", second, None),
    ]
    assert shop.rows("select distinct model, source from ml.published_lists") == [("sasrec", "sasrec")]
    with duckdb.connect(str(shop.published), read_only=True) as reader:
        third = reader.execute("select distinct changed_at from recommendations.changes").fetchall()
    assert third == shop.rows("select max(decided_at) from ml.publication_changes")


def test_lists_of_a_model_that_a_restored_copy_lacks_have_the_family_that_their_file_names(shop):
    shop.set({"v1": "abc", "v2": "d"})
    shop.set({"v1": "ab"}, placement="home", version="no-model")
    shop.connection.execute("update recommendations.visitor_recommendations set source = 'popularity' where rank > 1")
    shop.connection.execute("update recommendations.visitor_recommendations set source = 'pin' where item_id = 'd'")
    shop.connection.execute("update recommendations.placement_recommendations set source = 'popularity'")
    shop.publish()
    shop.connection.execute("delete from ml.published_lists; delete from ml.publication_changes")
    record_publication_if_missing(shop.connection, shop.published)
    assert shop.rows("select distinct placement, model, model_version from ml.published_lists order by all") == [
        ("default", "sasrec", "m-1"),
        ("home", "popularity", "no-model"),
    ]


def test_a_list_that_moves_to_the_other_arm_is_another_list(shop):
    shop.set({"v1": "abc"})
    shop.publish()
    shop.set({"v1": "abc"}, arm="control")
    second = shop.publish()
    assert [row[3:] for row in shop.lists()] == [
        ("m-1", "control", second, None),
        ("m-1", "model", START + timedelta(days=1), second),
    ]


def test_times_never_go_back(shop):
    shop.set({"v1": "abc"})
    first = shop.publish()
    shop.set({"v1": "abd"})
    second = shop.publish(after=timedelta(days=-30))
    assert second == first + timedelta(microseconds=1)
    assert shop.lists()[0][-2:] == (first, second)


@pytest.mark.parametrize("mended_by", ["the next publish", "the next run"])
def test_a_publish_that_was_killed_after_its_swap_is_recorded_with_its_own_time(shop, monkeypatch, mended_by):
    shop.set({"v1": "abc", "v2": "a"})
    first = shop.publish()
    shop.set({"v1": "abd", "v2": "a"})

    def die(*arguments: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(publishing, "record_publication", die)
        with pytest.raises(KeyboardInterrupt):
            shop.publish()
    killed = shop.time
    assert shop.live() == [("default", "v1", "abc"), ("default", "v2", "a")]
    shop.set({"v1": "abe", "v2": "a"})
    shop.time += timedelta(days=1)
    if mended_by == "the next run":
        record_publication_if_missing(shop.connection, shop.published)
        assert shop.live() == [("default", "v1", "abd"), ("default", "v2", "a")]
    third = shop.publish()
    assert [row[2:3] + row[-2:] for row in shop.lists()] == [
        ("abc", first, killed),
        ("abd", killed, third),
        ("abe", third, None),
        ("a", first, None),
    ]


def test_a_publication_that_is_recorded_after_one_to_another_file_gets_a_number_and_time_of_its_own(shop, monkeypatch):
    shop.set({"v1": "abc", "v2": "a"})
    shop.publish()
    shop.set({"v1": "abd", "v2": "a"})
    with monkeypatch.context() as patch:
        patch.setattr(publishing, "record_publication", Mock(side_effect=KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            shop.publish()
    first_file, shop.published = shop.published, shop.published.with_name("elsewhere.duckdb")
    shop.set({"v1": "abe", "v2": "a"})
    elsewhere = shop.publish()
    shop.published = first_file
    record_publication_if_missing(shop.connection, shop.published)
    numbers = shop.rows("select publication_number from ml.publication_changes order by 1")
    assert numbers == [(1,), (2,), (3,)]
    assert shop.live() == [("default", "v1", "abd"), ("default", "v2", "a")]
    assert not shop.rows("from ml.published_lists where live_until <= live_from")
    assert shop.rows("select max(decided_at) > min(decided_at) + to_days(2) from ml.publication_changes") == [(True,)]
    assert [row[-2:] for row in shop.lists() if row[2] == "abe"] == [(elsewhere, elsewhere + timedelta(microseconds=1))]


def test_a_kill_amid_the_record_leaves_nothing_of_it(shop, monkeypatch):
    shop.set({"v1": "abc"})
    shop.publish()
    shop.set({"v1": "abd"})
    before = shop.lists()
    with monkeypatch.context() as patch:
        patch.setattr(publication_record, "OPEN_CHANGED_LISTS", "select error('killed at ' || $published_at)")
        with pytest.raises(NextmartError, match=r"no record of it: .*killed"):
            shop.publish()
    assert shop.lists() == before
    assert len(shop.rows("from ml.publication_changes")) == 1
    record_publication_if_missing(shop.connection, shop.published)
    assert shop.live() == [("default", "v1", "abd")]
    record_publication_if_missing(shop.connection, shop.published)
    assert len(shop.rows("from ml.publication_changes")) == 2


def test_lists_of_the_newest_days_with_a_publication_are_kept(shop):
    for items in "abcd":
        shop.set({"v1": items, "v2": "x"})
        shop.publish(after=timedelta(days=300))
    limits = {"job_runs_kept": 10, "metrics_kept": 1, "unreadable_rows_kept": 1, "runs_kept": 1}
    deleted = delete_old_rows(shop.connection, Retention(published_lists_days=2, **limits))
    # of v1, c was live until the newest day, b until the day before, and a no longer; v2's list is the first one still
    assert deleted == {"ml.published_lists": 1}
    assert [row[2] for row in shop.lists()] == ["b", "c", "d", "x"]
    assert not delete_old_rows(shop.connection, Retention(published_lists_days=2, **limits))


def test_a_file_of_an_earlier_version_has_no_arms_and_no_placements(shop):
    shop.connection.execute("drop table recommendations.placement_recommendations; drop view recommendations.changes")
    shop.connection.execute("alter table recommendations.visitor_recommendations drop column arm")
    make_public_tables(shop.connection, visitors=1, length=2)
    shop.publish()
    assert [row[:5] for row in shop.lists()] == [("default", "v0", "i1i2", "llmseqsim-1", "model")]
