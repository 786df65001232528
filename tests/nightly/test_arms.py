"""A stable share of visitors gets the control's lists, in every placement; the others keep those of before."""

from pathlib import Path

import pytest
from placement_warehouse import MODELS, placement_warehouse, setting

from jobs.arm_settings import ArmsSettings
from jobs.errors import NextmartError, UsageError
from jobs.nightly.arms import arm_sql
from jobs.nightly.model_store import load_model
from jobs.settings import Settings, load_settings
from jobs.warehouse.connection import connect

DEFAULT = """
    select visitor_id, rank, item_id, score, source, reason_item_id, model_version, arm from ml.recommendations
    where run_id = (select arg_max(run_id, run_number) from ml.job_runs where job = 'recommend' and status = 'done')
    order by all
"""
PLACED = """
    select placement, visitor_id, rank, item_id, score, source, reason_item_id, lists.model_version, lists.arm
    from ml.placement_recommendations join ml.placement_lists as lists using (placement, visitor_id)
    order by all
"""
PLACEMENTS = {
    "home": {"max_per": {"brand": 2}, "items": "country = visitor.country", "k": 4, "pins": {1: "i0-0"}},
    "mail": {"k": 3, "fallback": "none"},
}


@pytest.fixture(scope="module")
def shop(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(tmp_path_factory.mktemp("arms"))
        warehouse = placement_warehouse()
        warehouse.night(setting())
        [(version,)] = warehouse.rows("select model_version from ml.models where model = 'llmseqsim'")
        warehouse.run("pin", setting(), model_version=version)
        yield warehouse
        warehouse.connection.close()


def settings(**arms) -> Settings:
    return Settings(models=MODELS, placements=PLACEMENTS, arms=arms or None)


def night(shop, **arms) -> int:
    """Make the lists; return how many visitors of the default list were due."""
    due = shop.run("recommend", settings(**arms))["rows_in"] or 0
    shop.run("place", settings(**arms))
    return due


def lists(shop) -> dict[tuple, list]:
    """Return the rows of each list by placement and visitor, without what a run is called."""
    found = {}
    for visitor, *row in shop.rows(DEFAULT):
        found.setdefault(("default", visitor), []).append(tuple(row))
    for placement, visitor, *row in shop.rows(PLACED):
        found.setdefault((placement, visitor), []).append(tuple(row))
    return found


def in_control(found: dict[tuple, list]) -> set[str]:
    return {visitor for (_, visitor), rows in found.items() if rows[0][-1] == "control"}


def test_the_models_lists_stay_row_for_row_and_the_control_gets_popular_items_under_the_same_rules(shop):
    night(shop)
    before = lists(shop)
    assert not in_control(before)
    due = night(shop, control=0.4, salt="x")
    arms = lists(shop)
    control = in_control(arms)
    visitors = {visitor for placement, visitor in before if placement == "default"}
    assert due == len(control & visitors), "nobody else is due"
    assert 0.2 * len(visitors) < due < 0.6 * len(visitors)
    assert arms.keys() == before.keys(), "also without a fallback, the control has its lists"
    for (placement, visitor), rows in arms.items():
        if visitor in control:
            assert {row[-1] for row in rows} == {"control"}
            assert {row[-2] for row in rows} == {"no-model"}
            assert {row[3] for row in rows} <= {"popularity", "pin"}
            assert len(rows) == len(before[placement, visitor])
        else:
            assert rows == before[placement, visitor]
    rules = shop.rows(
        "select visitor_id from ml.placement_recommendations join catalog.items using (item_id) "
        "where placement = 'home' group by visitor_id, brand having count(*) > 2"
    )
    assert not rules
    # a second night does nothing; the kept lists are those of a night that keeps nothing
    assert night(shop, control=0.4, salt="x") == 0
    shop.connection.execute("delete from ml.placement_lists; delete from ml.placement_recommendations")
    shop.connection.execute("delete from ml.job_runs where job = 'recommend'")
    night(shop, control=0.4, salt="x")
    assert lists(shop) == arms

    # a larger share keeps the control and adds to it; another salt draws anew; without arms all is as before
    assert night(shop, control=0.6, salt="x") == len(in_control(lists(shop)) & visitors) - len(control & visitors)
    assert in_control(lists(shop)) > control
    night(shop, control=0.4, salt="y")
    assert in_control(lists(shop)) not in (control, set())
    night(shop)
    assert lists(shop) == before


@pytest.mark.parametrize(("job", "module"), [("recommend", "recommend"), ("place", "placements")])
def test_the_models_of_all_arms_of_a_job_share_its_spending_limit(shop, monkeypatch, job, module):
    spent_before = []

    def load_and_spend(paid_services, model_row):
        spent_before.append(paid_services.spent_usd)
        paid_services.spent_usd += 1.0
        return load_model(paid_services, model_row)

    night(shop)
    monkeypatch.setattr(f"jobs.nightly.{module}.load_model", load_and_spend)
    # longer lists, so that those of both arms are due
    longer = Settings(
        models=MODELS,
        placements={"home": {"k": 5}},
        arms={"control": 0.5, "control_model": "llmseqsim", "salt": "purse"},
        vars={"recommendations_per_visitor": 11},
    )
    shop.run(job, longer)
    assert spent_before == [0.0, 1.0]
    night(shop)


def test_popular_items_of_the_control_are_those_of_the_night(shop):
    night(shop, control=0.5)
    control = in_control(lists(shop))
    visitors = {visitor for (visitor,) in shop.rows("select visitor_id from sessions.latest_sequences")}
    [(view,)] = shop.rows("select sql from duckdb_views() where view_name = 'popular_items'")
    shop.connection.execute(
        "create or replace view recommendations.popular_items as "
        "select row_number() over (order by item_id desc) as rank, item_id, hash(item_id) % 9 * 1.0 as score "
        "from catalog.items"
    )
    assert night(shop, control=0.5) == len(control & visitors)
    shop.connection.execute(view.replace("CREATE VIEW", "CREATE OR REPLACE VIEW"))
    night(shop, control=0.5)


def test_another_model_can_be_the_control(shop):
    night(shop, control=0.5, control_model="llmseqsim")
    same = lists(shop)
    night(shop)
    without = lists(shop)
    assert in_control(same)
    assert not in_control(without)
    assert {key: [row[:-1] for row in rows] for key, rows in same.items()} == {
        key: [row[:-1] for row in rows] for key, rows in without.items()
    }, "the live model as its own control: an A/A, whose arms differ in their names alone"
    shop.connection.execute("update ml.models set status = 'candidate' where model = 'popularity'")
    with pytest.raises(NextmartError, match=r"no usable model of the family sasrec: no model of it is trained yet; .*"):
        shop.run("recommend", Settings(models=[*MODELS, "sasrec"], arms={"control_model": "sasrec"}))


def test_a_shop_without_any_model_fills_the_lists_of_both_arms_with_popular_items(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    shop = placement_warehouse()
    night(shop, control=0.5, control_model="llmseqsim")
    found = lists(shop)
    assert in_control(found)
    assert {version for rows in found.values() for *_, version, _ in rows} == {"no-model"}
    shop.connection.close()


def test_the_control_has_its_share_and_a_known_visitor_a_known_arm():
    with connect(Path(":memory:")) as connection:
        share = connection.execute(
            f"select avg(({arm_sql(ArmsSettings(control=0.1))} = 'control')::int) "
            "from (select 'v' || number as visitor_id from range(100_000) as numbers (number))"
        ).fetchone()[0]
        assert share == pytest.approx(0.1, abs=0.003)
        # the first sign of a hash in the first half is at most 7: md5('a:v1') begins with 5, md5('it''s:v1') with c
        for salt, arm in (("a", "control"), ("it's", "model")):
            arms = ArmsSettings(control=0.5, salt=salt)
            assert connection.execute(f"select {arm_sql(arms)} from (select 'v1' as visitor_id)").fetchone() == (arm,)
        for nobody in (None, ArmsSettings(control=0)):
            assert connection.execute(f"select {arm_sql(nobody, 'x')} from (select '' as x)").fetchone() == ("model",)


@pytest.mark.parametrize(
    ("arms", "says"),
    [
        ("control = 0.95", r"setting 'arms.control': .*less than or equal to 0.9"),
        ("share = 0.1", r"unknown setting 'arms.share'"),
        ("control_model = 'popularty'", r"unknown family 'popularty': did you mean .*popularity"),
        ("control_model = 'sasrec'", r"\[arms\] control_model = 'sasrec': the setting models lacks this family"),
    ],
)
def test_wrong_arms_are_refused(tmp_path, monkeypatch, arms, says):
    monkeypatch.chdir(tmp_path)
    Path("nextmart.toml").write_text(f"[arms]\n{arms}\n")
    with pytest.raises(UsageError, match=says):
        load_settings()
