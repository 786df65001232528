"""Publishing holds tables that lack much of what is live, says what fell, and keeps how far each publication was."""

from datetime import UTC, datetime
from pathlib import Path

import duckdb
import pytest
from public_tables import make_public_tables

from jobs.errors import NextmartError
from jobs.publishing import publish as publishing
from jobs.publishing.publish import publish, withdraw_visitors
from jobs.settings import Settings
from jobs.warehouse.connection import connect, prepare_warehouse
from jobs.warehouse.job_runs import job_run


class Shop:
    """A warehouse whose public tables are made at will, and its published file."""

    def __init__(self, folder):
        self.folder = folder
        self.published = folder / "published.duckdb"
        self.connection = connect(folder / "warehouse.duckdb")
        prepare_warehouse(self.connection)

    def publish(self, *, allow_shrink: bool = False, **settings) -> dict:
        with job_run(self.connection, "publish") as run:
            publish(self.connection, Settings(published=self.published, **settings), run, allow_shrink=allow_shrink)
        return run.detail

    def night(self, **tables) -> dict:
        make_public_tables(self.connection, **tables)
        return self.publish()

    def held(self, **tables) -> str:
        """Make tables that are held; return why."""
        before = self.published.read_bytes()
        with pytest.raises(NextmartError) as error:
            self.night(**tables)
        assert self.published.read_bytes() == before
        assert {path.name for path in self.folder.iterdir()} <= {
            "published.duckdb",
            "warehouse.duckdb",
            "warehouse.duckdb.wal",
        }
        return str(error.value)

    def rows(self, query: str) -> list[tuple]:
        return self.connection.execute(query).fetchall()

    def read(self, query: str) -> list[tuple]:
        with duckdb.connect(str(self.published), read_only=True) as reader:
            return reader.execute(query).fetchall()

    def history(self, columns: str = "outcome, visitors, live_visitors") -> list[tuple]:
        return self.rows(f"select {columns} from ml.publication_changes order by publication_number")


@pytest.fixture
def shop(tmp_path):
    shop = Shop(tmp_path)
    yield shop
    shop.connection.close()


def test_a_shrunken_night_is_held_with_its_numbers_and_the_next_good_night_is_published(shop):
    shop.night()
    said = shop.held(visitors=0)
    assert f"nothing was published; {shop.published} stays as it is" in said
    assert "visitors with lists fell from 100 to 0, by 100%" in said
    assert "`nextmart publish --allow-shrink`" in said
    assert "recommendable items fell from 60 to 2, by 97%" in shop.held(items=2)
    assert "popular_items.score fell from 1,000 to 100, by 90%" in shop.held(popularity=100.0)
    assert shop.rows("select status, error is null from ml.job_runs order by started_at") == [
        ("done", True), ("failed", False), ("failed", False), ("failed", False),
    ]  # fmt: skip
    shop.night(visitors=90)
    assert shop.read("select count(distinct visitor_id) from recommendations.visitor_recommendations") == [(90,)]
    assert shop.history() == [
        ("published", 100, None), ("held", 0, 100), ("held", 100, 100), ("held", 100, 100), ("published", 90, 100),
    ]  # fmt: skip
    assert shop.history("reason")[2][0].startswith("recommendable items fell from 60 to 2, by 97%; max_shrink_share")


def test_a_shrink_is_allowed_once(shop):
    shop.night()
    make_public_tables(shop.connection, visitors=40)
    shop.publish(allow_shrink=True)
    assert shop.history()[-1] == ("forced", 40, 100)
    assert "visitors with lists fell from 100 to 40" in shop.history("reason")[-1][0]
    shop.publish()
    assert shop.history()[-1] == ("published", 40, 40)
    assert "fell from 40 to 10" in shop.held(visitors=10)


def test_limits_of_the_settings_hold(shop):
    shop.night()
    make_public_tables(shop.connection, visitors=95)
    with pytest.raises(NextmartError, match="max_shrink_share allows 0%"):
        shop.publish(max_shrink_share=0, ignored_shrink=0)
    make_public_tables(shop.connection, shift=30)
    with pytest.raises(NextmartError, match=r"share 0.0% of their items .* min_list_overlap asks for 10.0%"):
        shop.publish(min_list_overlap=0.1)
    shop.publish()


def test_another_shops_tables_are_held_though_they_are_as_large(shop):
    shop.night()
    assert "100 of the 100 visitors with lists are gone" in shop.held(first_visitor=1000)


def test_each_publication_is_kept_with_how_far_it_was_from_the_live_one(shop):
    make_public_tables(shop.connection, model_version="sasrec-1")
    first = shop.publish()["changes"]
    assert (first["outcome"], first["visitors"], first.get("gone_visitors")) == ("published", 100, None)
    # ten visitors come and ten go, and every list moves on by one of its five items, so each item changes its place
    shop.night(first_visitor=10, shift=1, model_version="sasrec-2", popularity=1100.0)
    columns = (
        "publication_number, outcome, reason, live_run_id, model_version, live_model_version, visitors, live_visitors, "
        "new_visitors, gone_visitors, changed_visitor_share, round(mean_list_overlap, 6), list_rows, live_list_rows, "
        "round(popularity), round(live_popularity)"
    )
    assert shop.history(columns)[1] == (
        2, "published", None, first["publish_run_id"], "sasrec-2", "sasrec-1", 100, 100, 10, 10, 1.0, 0.8, 500, 500,
        1100, 1000,
    )  # fmt: skip
    shop.night(first_visitor=10, shift=1, length=4, items=200)
    lists = "changed_visitor_share > 0.99, mean_score > live_mean_score"
    items = "items, live_items, new_items, gone_items, similar_item_rows, live_similar_item_rows"
    assert shop.history(f"{lists}, {items}")[2] == (True, True, 200, 60, 140, 0, 400, 120)
    shop.publish()
    assert shop.history("changed_visitor_share, mean_list_overlap")[3] == (0.0, 1.0)


def test_the_published_file_shows_the_history_with_its_own_publication_and_no_path(shop):
    shop.night()
    shop.held(visitors=1)
    run = shop.night(visitors=99)["changes"]["publish_run_id"]
    shown = shop.read("from recommendations.publication_changes order by publication_number")
    assert shown == shop.rows("select * exclude (published_file) from ml.publication_changes order by 1")
    assert shop.read("select outcome, publish_run_id from recommendations.publication_changes")[-1] == (
        "published", run,
    )  # fmt: skip
    assert shop.published.name.encode() not in shop.published.read_bytes()


def test_a_publish_that_was_killed_after_its_swap_is_in_the_history_all_the_same(shop, monkeypatch):
    def die(*arguments: object) -> None:
        raise KeyboardInterrupt

    make_public_tables(shop.connection)
    with monkeypatch.context() as patch:
        patch.setattr(publishing, "record_publication", die)
        with pytest.raises(KeyboardInterrupt):
            shop.publish()
    assert shop.history() == []
    shop.night(visitors=101)
    shown = shop.read("from recommendations.publication_changes order by publication_number")
    assert shown == shop.rows("select * exclude (published_file) from ml.publication_changes order by 1")
    shop.night(visitors=102)
    assert shop.history() == [("published", 100, None), ("published", 101, 100), ("published", 102, 101)]
    assert shop.history("publication_number") == [(1,), (2,), (3,)]


def test_a_forgotten_person_is_no_shrink(shop):
    shop.night(visitors=8, popularity=100.0)
    everybody = [f"v{number}" for number in range(8)]
    assert withdraw_visitors(shop.connection, shop.published, everybody) > 0
    shop.connection.execute(
        "insert into ml.deletions values ('d', ?, 'visitor', 1, 95, 95, 8, 40, 40, ?, null)", [datetime.now(UTC)] * 2
    )
    shop.night(visitors=0, popularity=5.0)
    assert shop.history() == [("published", 8, None), ("published", 0, 0)]
    assert "popular_items.score fell from" in shop.held(visitors=0, popularity=0.0)


def delete(path: Path) -> None:
    path.unlink()


@pytest.mark.parametrize(
    "damage",
    [
        lambda path: path.write_bytes(b"torn"),
        lambda path: path.write_bytes(path.read_bytes()[:9000]),
        lambda path: path.write_bytes(path.read_bytes()[:12288] + bytes(100_000) + path.read_bytes()[112288:]),
        delete,
    ],
    ids=["no database", "cut off", "torn blocks", "gone"],
)
def test_in_the_place_of_a_broken_file_the_record_is_compared(shop, damage, capsys):
    shop.night()
    shop.published.chmod(0o644)
    damage(shop.published)
    make_public_tables(shop.connection, visitors=3)
    with pytest.raises(NextmartError, match="visitors with lists fell from 100 to 3"):
        shop.publish()
    shop.night(visitors=99)
    assert shop.read("select count(*) from recommendations_for('v98')") == [(5,)]
    assert shop.history("outcome, live_visitors, gone_visitors")[-1] == ("published", 100, None)
    problem = "can't be read: " if damage is not delete else "is missing, though it was published at "
    assert f"WARN: {shop.published} {problem}" in capsys.readouterr().err


def test_a_broken_file_of_which_nothing_is_known_is_replaced_only_if_the_user_says_so(shop, capsys):
    shop.published.write_bytes(b"torn")
    assert f"{shop.published} can't be read: " in shop.held()
    shop.publish(allow_shrink=True)
    assert shop.history("outcome, visitors") == [("held", 100), ("forced", 100)]
    assert "It is written anew." in capsys.readouterr().err


def test_a_database_of_somebody_else_is_never_replaced(shop):
    with duckdb.connect(str(shop.published)) as analyst:
        analyst.execute("create table work_of_a_month as select 1 as a")
    for allow_shrink in (False, True):
        make_public_tables(shop.connection)
        with pytest.raises(NextmartError, match="is a database that nextmart hasn't published"):
            shop.publish(allow_shrink=allow_shrink)
    assert shop.read("from work_of_a_month") == [(1,)]
