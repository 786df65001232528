"""Rules of placements: which are refused, with what words, and what they mean for items and visitors."""

import pytest
from placement_warehouse import ITEMS, lists, placement_warehouse, setting

from jobs.errors import NextmartError


@pytest.fixture(scope="module")
def shop(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(tmp_path_factory.mktemp("shop"))
        warehouse = placement_warehouse()
        warehouse.night(setting())
        yield warehouse
        warehouse.connection.close()


@pytest.mark.parametrize(
    ("placement", "said"),
    [
        ({"items": "prise < 5"}, r"\[placements.home\] items: there is no column or attribute 'prise'; .*'price'"),
        ({"items": "item.prise < 5"}, "did you mean 'price'"),
        (
            {"items": "visitor.contry = 'a'"},
            "items: visitors have no column or attribute 'contry'; .*'visitor.country'",
        ),
        ({"visitors": "agee > 3"}, r"visitors: there is no column or attribute 'agee'; did you mean 'age'"),
        ({"max_per": {"brnd": 1}}, "max_per: items have no column or attribute 'brnd'; did you mean 'brand'"),
        ({"slots": {2: "prise < 5"}}, r"slots.2: there is no column or attribute 'prise'"),
        ({"items": "price"}, "items: write a condition, such as price < 50; this is double: price"),
        ({"boost": "brand"}, "boost: write a number, such as 1 . margin; this is varchar: brand"),
        ({"items": "price < 'cheap'"}, r"\[placements.home\] items: Conversion Error: .*'cheap'"),
        ({"items": "price < 3; drop table ml.models"}, "items: .*write exactly one SQL expression"),
        ({"items": "price < 3 order by 1"}, "items: .*write exactly one SQL expression"),
        ({"items": "price <"}, "items: .*syntax error"),
        ({"items": "random() < 0.5"}, r"items: random\(\) gives another value each time"),
        ({"items": "updated_at > NOW() - interval 30 days"}, "items: now gives another value when the build tests"),
        (
            {"visitors": "last_seen_at > current_timestamp - interval 9 days"},
            "visitors: current_timestamp gives another",
        ),
        (
            {"visitors": "visitor_id in (select 'a' where now() > timestamptz '2026-01-01')"},
            "visitors: now gives another value .* Write first_seen_days or last_seen_days, or current_date",
        ),
        ({"items": "now < 3"}, "items: there is no column or attribute 'now'"),
        ({"items": "updated_at::date > current_date - 30000"}, None),
        ({"items": "count(*) > 1"}, "items: a rule judges one item by itself"),
        ({"items": "row_number() over () < 9"}, "items: a rule judges one item by itself"),
        ({"items": "exists (from read_csv('/etc/passwd'))"}, r"items: .*reaches out of its row with read_csv\(\)"),
        ({"items": "exists (from '/etc/passwd')"}, "items: .*reaches out of its row with '/etc/passwd'"),
        ({"items": "getenv('HOME') = title"}, r"items: .*reaches out of its row with getenv\(\)"),
        ({"items": "visitor.visitor_id = title"}, "items: visitor.visitor_id would make every visitor a group"),
        ({"items": "visitor is null"}, "items: write visitor.COLUMN; columns: "),
        ({"items": "lower(visitor.country::varchar || visitor.last_seen_at) = 'a'", "k": 2}, None),
        ({"pins": {30: "x"}}, "pins: rank 30 lies behind the list's last, 20"),
        ({"model": "sknn"}, "model: there is no usable model of the family sknn"),
    ],
)
def test_a_wrong_rule_is_refused_and_nothing_is_written(shop, placement, said):
    before = shop.rows("from ml.placement_recommendations order by all")
    if said is None:
        assert shop.run("place", setting(home=placement))["status"] in ("done", "unchanged")
        return
    with pytest.raises(NextmartError, match=said):
        shop.run("place", setting(home=placement))
    assert shop.rows("from ml.placement_recommendations order by all") == before


def test_too_many_groups_are_refused_by_the_columns_that_make_them(shop, monkeypatch):
    monkeypatch.setattr("jobs.placements.placement.MAX_GROUPS", 2)
    with pytest.raises(NextmartError, match=r"divide visitors into \d+ groups by age; 2 are the most"):
        shop.run("place", setting(home={"items": "price > visitor.age"}))


def test_lists_hold_what_rules_over_items_and_visitors_say(shop):
    home = {"items": "price < 150 and country = visitor.country", "visitors": "visitor.country <> 'IT' and events > 0"}
    shop.run("place", setting(home={**home, "k": 4}))
    joined = (
        "select count(*), bool_and(items.price < 150), bool_and((items.attributes ->> 'country') = "
        "(visitors.attributes ->> 'country')), count(distinct visitor_id) from ml.placement_recommendations "
        "inner join catalog.items as items using (item_id) inner join catalog.visitors as visitors using (visitor_id)"
    )
    [(rows, are_cheap, are_near, visitors)] = shop.rows(joined)
    assert rows
    assert are_cheap
    assert are_near
    assert (visitors,) == shop.rows(
        "select count(*) from catalog.visitors where (attributes ->> 'country') <> 'IT' and visitor_id <> 'stranger'"
    )[0]


def test_a_table_of_ones_own_may_name_the_visitors(shop):
    shop.connection.execute("create schema marketing; create table marketing.vip as select 'visitor of s0003' as id")
    shop.run("place", setting(home={"visitors": "visitor_id in (select id from marketing.vip)"}))
    assert list(lists(shop, "home")) == ["visitor of s0003"]


def test_a_visitor_without_events_gets_popular_items_under_the_rules(shop):
    shop.run("place", setting(home={"max_per": {"brand": 1}, "k": 3}, none={"fallback": "none", "k": 3}))
    found = shop.rows("select item_id, source from ml.placement_recommendations where visitor_id = 'stranger'")
    assert [source for _, source in found] == ["popularity"] * 3
    assert len({item[:2] for item, _ in found}) == 3
    assert shop.rows("select placement, length from ml.placement_lists where visitor_id = 'stranger' order by all") == [
        ("home", 3), ("none", 0)
    ]  # fmt: skip


def test_pins_slots_and_a_pin_that_the_catalogue_lacks(shop, capsys):
    shop.run("place", setting(home={"pins": {2: ITEMS[3], 3: "gone"}, "slots": {1: "brand = 'brand i4'"}, "k": 4}))
    assert "WARN: [placements.home] pins: the catalogue has no item 'gone'" in capsys.readouterr().err
    for visitor, items in lists(shop, "home").items():
        if ITEMS[3] in items:
            assert items[1] == ITEMS[3], visitor
        assert items[0].startswith("i4") or not any(item.startswith("i4") for item in items), visitor
    assert shop.rows("select distinct rank, score from ml.placement_recommendations where source = 'pin'") == [(2, 0)]


def test_exclusions_count_back_from_the_newest_event(shop):
    events = "select visitor_id, item_id from sessions.session_items where event_type = 'purchase'"
    bought = shop.rows(f"{events} and event_at > (select max(event_at) from sessions.session_items) - interval 5 days")
    shop.run("place", setting(home={"exclude": {"event_types": ["purchase"], "days": 5}, "repeats": True, "k": 30}))
    listed = set(shop.rows("select visitor_id, item_id from ml.placement_recommendations"))
    assert bought
    assert not listed & set(bought)
    assert listed & set(shop.rows(events)), "older purchases may be shown again"
