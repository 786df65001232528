"""A night fills the lists that something has changed, and ends with the lists that one night alone would make."""

import pytest
from placement_warehouse import HISTORY, ITEMS, lists, placement_warehouse, setting

from jobs.settings import Settings

HOME = {
    "items": "price < 250 and country = visitor.country",
    "max_per": {"brand": 2},
    "exclude": {"event_types": ["purchase"], "days": 5},
    "k": 4,
}
MAIL = {"visitors": "age > 20", "boost": "1 + margin", "slots": {2: "first_seen_days <= 9"}, "diversity": 0.3, "k": 5}
ROWS = "select * exclude (reason_item_id) from ml.placement_recommendations order by all"


@pytest.fixture
def shop(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    warehouse = placement_warehouse()
    warehouse.night(setting())
    yield warehouse
    warehouse.connection.close()


def night(shop, **placements) -> int:
    """Fill the lists; return how many were due. They equal those of a run that keeps nothing."""
    done = shop.run("place", setting(**placements))
    kept = [shop.rows(ROWS), shop.rows("select * exclude (run_id, generated_at) from ml.placement_lists order by all")]
    shop.connection.execute("begin")
    shop.connection.execute("delete from ml.placement_lists; delete from ml.placement_recommendations")
    shop.connection.execute("commit")
    shop.run("place", setting(**placements))
    assert shop.rows(ROWS) == kept[0]
    assert shop.rows("select * exclude (run_id, generated_at) from ml.placement_lists order by all") == kept[1]
    return done["rows_in"]


def test_a_night_fills_what_changed_and_equals_a_full_one(shop):
    everyone = len(HISTORY) + 1
    adults = shop.rows("select count(*) from catalog.visitors where (attributes ->> 'age')::int > 20")[0][0]
    assert night(shop, home=HOME, mail=MAIL) == everyone + adults
    assert shop.run("place", setting(home=HOME, mail=MAIL))["status"] == "unchanged"

    assert night(shop, home=HOME | {"max_per": {"brand": 3}}, mail=MAIL) == everyone, "a rule of one placement"
    assert night(shop, home=HOME, mail=MAIL | {"visitors": "age > 21"}) > 0
    assert (
        night(shop, home=HOME, mail=MAIL)
        == shop.rows("select count(*) from catalog.visitors where (attributes ->> 'age')::int = 21")[0][0]
    ), "only visitors who are new in the scope"

    # a price that crosses the rule's bound for one country's items
    [(item, country)] = shop.rows(
        "select item_id, attributes ->> 'country' from catalog.items where price < 250 order by item_id limit 1"
    )
    shop.connection.execute("update catalog.items set price = 999 where item_id = $item", {"item": item})
    found = night(shop, home=HOME, mail=MAIL)
    assert (found,) == shop.rows(
        "select count(*) from catalog.visitors where (attributes ->> 'country') = $country", country=country
    )[0]
    shop.connection.execute("update catalog.items set price = 998, title = 'x' where item_id = $item", {"item": item})
    assert shop.run("place", setting(home=HOME, mail=MAIL))["status"] == "unchanged", "no rule sees a difference"

    # a visitor who moves, and one whose sequence changes
    shop.connection.execute(
        """update catalog.visitors set attributes = '{"country": "FR", "age": 30}' where visitor_id in (
            select min(visitor_id) from catalog.visitors where (attributes ->> 'country') = 'DE')"""
    )
    assert night(shop, home=HOME, mail=MAIL) <= 2
    shop.connection.execute("update sessions.sequences set items = items[:3] where sequence_id = 's0007'")
    assert night(shop, home=HOME, mail=MAIL) >= 1

    # an item that is no longer available, and another model: everything
    shop.connection.execute("update catalog.items set available = false where item_id = $item", {"item": ITEMS[-1]})
    assert night(shop, home=HOME, mail=MAIL) > everyone
    [(other,)] = shop.rows("select min(model_version) from ml.models where status <> 'live'")
    shop.run("pin", setting(), model_version=other)
    assert night(shop, home=HOME, mail=MAIL) > everyone


def test_a_list_leaves_out_what_was_bought_and_not_what_was_viewed_if_purchases_are_the_targets(shop):
    shop.connection.execute(
        "alter table sessions.sequences add column is_target boolean[];"
        "update sessions.sequences set is_target = list_transform(range(len(items)), lambda place: place = 1);"
        "create or replace view sessions.latest_sequences as "
        "select visitor_id, items, is_target from sessions.sequences"
    )
    everything = setting(home={"k": len(ITEMS)})
    shop.run("place", everything)
    before = lists(shop, "home")
    targets = everything.model_copy(update={"vars": {"target_event_types": ["purchase"]}})
    assert shop.run("place", targets)["rows_in"] == len(HISTORY), "the list of the visitor without a sequence stays"
    assert shop.run("place", targets)["status"] == "unchanged"
    after = lists(shop, "home")
    for name, items, _ in HISTORY:
        assert not set(items) & set(before[f"visitor of {name}"])
        assert set(items) - set(after[f"visitor of {name}"]) == {items[1]}


def test_only_lists_that_depend_on_popularity_follow_it(shop):
    shop.run("place", setting(home={"k": 3}))
    [(dependent,)] = shop.rows("select count(*) from ml.placement_lists where popularity_hash is not null")
    assert 0 < dependent < len(HISTORY)
    shop.connection.execute(
        "create or replace view recommendations.popular_items as "
        "select row_number() over (order by item_id) as rank, item_id, 1.0 as score from catalog.items"
    )
    assert night(shop, home={"k": 3}) == dependent


def test_lists_of_placements_and_visitors_that_are_gone_go(shop):
    shop.run("place", setting(home={"k": 3}, mail={"k": 2}))
    shop.connection.execute("delete from catalog.visitors where visitor_id = 'stranger'")
    shop.run("place", setting(mail={"k": 2}))
    assert shop.rows("select distinct placement from ml.placement_recommendations") == [("mail",)]
    assert "stranger" not in lists(shop, "mail")
    shop.run("place", setting())
    assert not shop.rows("from ml.placement_lists union all by name from ml.placement_recommendations")
    assert not shop.rows("from ml.placement_rules where placement is not null")
    assert shop.run("place", setting())["status"] == "unchanged"


def test_a_killed_run_goes_on_where_it_stopped(shop, monkeypatch):
    monkeypatch.setattr("jobs.nightly.placements.VISITORS_PER_CHUNK", 20)
    original, calls = shop.connection, []

    def dies(self, *arguments):
        calls.append(arguments)
        if len(calls) == 3:
            raise OSError("killed")
        return write(self, *arguments)

    from jobs.nightly.placements import _PlacementListWriter

    write = _PlacementListWriter._replace_lists
    with monkeypatch.context() as patch:
        patch.setattr(_PlacementListWriter, "_replace_lists", dies)
        with pytest.raises(OSError, match="killed"):
            shop.run("place", setting(home=HOME))
    assert original.execute("select count(*) from ml.placement_lists").fetchone() == (40,)
    assert night(shop, home=HOME) == len(HISTORY) + 1 - 40


def test_a_placement_may_have_a_model_of_its_own(shop):
    shop.run("place", setting(home={"model": "popularity"}, mail={"model": "llmseqsim"}))
    found = shop.rows(
        "select distinct placement, split_part(model_version, '-', 1) from ml.placement_lists order by all"
    )
    assert found == [("home", "popularity"), ("mail", "llmseqsim")]


def test_popular_items_fill_a_placement_until_the_family_it_names_is_trained(shop, capsys):
    placements = {"home": {"model": "vsknn", "k": 3}, "mail": {"model": "llmseqsim", "k": 3}}
    wanted = Settings(models=["popularity", "llmseqsim", "vsknn"], placements=placements)
    versions = "select distinct placement, split_part(model_version, '-', 1) from ml.placement_lists order by all"
    shop.run("place", wanted)
    assert shop.rows(versions) == [("home", "no"), ("mail", "llmseqsim")]
    assert shop.rows("select distinct source from ml.placement_recommendations where placement = 'home'") == [
        ("popularity",)
    ]
    assert (
        "WARN: [placements.home] model: there is no usable model of the family vsknn: no model of it is trained yet. "
        "Popular items fill the placement until `nextmart train` has trained one"
    ) in capsys.readouterr().err
    shop.run("train", wanted)
    shop.run("place", wanted)
    assert shop.rows(versions) == [("home", "vsknn"), ("mail", "llmseqsim")]
    shop.connection.execute("update ml.models set weights = null where model = 'vsknn'")
    shop.run("place", wanted)
    assert shop.rows(versions) == [("home", "no"), ("mail", "llmseqsim")]
    assert "family vsknn: its newest model is vsknn-" in (said := capsys.readouterr().err)
    assert ", but its weights are gone. Popular" in said


def test_without_a_model_lists_hold_popular_items(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    shop = placement_warehouse()
    shop.run("place", setting(home={"k": 3}))
    assert shop.rows("select distinct source from ml.placement_recommendations") == [("popularity",)]
    assert shop.rows("select distinct model_version from ml.placement_lists") == [("no-model",)]


def test_a_catalogue_that_is_lost_empties_the_lists_until_it_is_back(shop):
    """The night goes on to the comparison with what is live, which says what is missing and what to type."""
    placements = setting(home=HOME, mail=MAIL, own=HOME | {"model": "llmseqsim"}, short=HOME | {"fallback": "none"})
    shop.run("place", placements)
    whole = shop.rows(ROWS)
    shop.connection.execute("create temp table kept as from catalog.items; delete from catalog.items")
    shop.run("place", placements)
    assert shop.rows(ROWS) == []
    assert shop.rows("select distinct length from ml.placement_lists") == [(0,)]
    shop.connection.execute("insert into catalog.items from kept")
    shop.run("place", placements)
    assert shop.rows(ROWS) == whole
