"""Nights that predict purchases alone, while the models learn from views too."""

import pytest
from tiny_warehouse import TinyWarehouse, items_of, let_minutes_pass, rings

from jobs.models.registry import make_model
from jobs.nightly import freshness
from jobs.settings import Settings

MODELS = ["popularity", "markov"]
# each visitor views five items along a ring, and then buys the first of them; every third only views
WALKS = rings(60, length=5)
HISTORY = [
    (name, [*items, items[0]] if number % 3 else items, [*times, times[-1]] if number % 3 else times)
    for number, (name, items, times) in enumerate(WALKS)
]
ITEMS = items_of(HISTORY)
BUYERS = sum(len(items) == 6 for _, items, _ in HISTORY)


def setting(*target_event_types: str, **more) -> Settings:
    return Settings(models=MODELS, vars={"target_event_types": list(target_event_types)}, **more)


def fill(warehouse: TinyWarehouse, history: list, items: list[str]) -> None:
    """Fill the warehouse; a step that is the sixth of its sequence, or later, is a purchase."""
    warehouse.fill(history, items)
    warehouse.connection.execute(
        "create or replace table sessions.sequences as "
        "select *, list_transform(range(len(items)), lambda place: place >= 5) as is_target from sessions.sequences;"
        "create or replace view sessions.latest_sequences as "
        "select visitor_id, items, is_target from sessions.sequences"
    )


@pytest.fixture
def tiny(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    let_minutes_pass(monkeypatch)
    warehouse = TinyWarehouse()
    fill(warehouse, HISTORY, ITEMS)
    yield warehouse
    warehouse.connection.close()


def lists(tiny) -> dict[str, list[str]]:
    rows = tiny.rows(
        "select visitor_id, list(item_id order by rank) from ml.recommendations "
        "where run_id = (select arg_max(run_id, run_number) from ml.job_runs where status = 'done') group by visitor_id"
    )
    return dict(rows)


def test_models_are_measured_by_purchases_and_lists_hold_what_was_viewed_and_not_bought(tiny):
    assert tiny.night(setting("purchase")) == "markov"
    [(cases, value)] = tiny.rows(
        "select n, value from ml.model_metrics where split = 'cutoff/test' and metric = 'hit_rate' and k = 10 "
        "and segment = 'all' and model_version like 'markov%'"
    )
    in_test = tiny.rows(
        "select count(*) from sessions.sequences where len(items) = 6 and ended_at >= "
        "(select any_value(data_cutoff_at) from ml.models)"
    )
    assert [(cases,)] == in_test
    assert 0 < cases < BUYERS
    assert value == 1, "each purchase is of an item viewed before"

    assert tiny.run("recommend", setting("purchase"))["rows_in"] == len(HISTORY)
    made = lists(tiny)
    for name, items, _ in HISTORY:
        found, bought = made[f"visitor of {name}"], set(items[5:])
        assert not bought & set(found), name
        assert set(items) - bought <= set(found), name


def test_another_var_makes_other_models_cases_and_lists(tiny):
    tiny.night(setting())
    tiny.run("recommend", setting())
    assert tiny.run("recommend", setting())["status"] == "unchanged"

    assert len(tiny.run("train", setting("purchase"))["detail"]["trained"]) == len(MODELS)
    tiny.run("evaluate", setting("purchase"))
    assert tiny.run("train", setting("purchase"))["detail"]["trained"] == []
    by_cases = tiny.rows(
        "select list(distinct models.fingerprint), count(*) from ml.model_ranks join ml.models using (model_version) "
        "where split = 'cutoff/validation' group by cases_hash"
    )
    assert [count for _, count in by_cases] == [2, 2]
    assert not set(by_cases[0][0]) & set(by_cases[1][0])
    newest = tiny.rows("select model_version from ml.models order by model_number desc limit 2")
    compared = tiny.rows(
        "select model_version, compared_with from ml.champions where compared_with is not null "
        "and model_version in (select model_version from ml.models order by model_number desc limit 2)"
    )
    assert compared
    assert {(version,) for pair in compared for version in pair} <= set(newest), "never with a model of other targets"
    assert (tiny.live(),) in newest

    assert tiny.run("recommend", setting("purchase"))["rows_in"] == len(HISTORY)
    assert tiny.run("recommend", setting("purchase"))["status"] == "unchanged"


def test_a_purchase_that_leaves_the_items_as_they_are_makes_a_list_due(tiny):
    tiny.run("recommend", setting("purchase"))
    tiny.connection.execute(
        "update sessions.sequences set is_target = list_prepend(true, is_target[2:]) where sequence_id = 's0000'"
    )
    assert tiny.run("recommend", setting("purchase"))["rows_in"] == 1
    assert HISTORY[0][1][0] not in lists(tiny)["visitor of s0000"]
    assert tiny.run("recommend", setting())["rows_in"] == len(HISTORY)
    tiny.connection.execute(
        "update sessions.sequences set is_target = list_prepend(false, is_target[2:]) where sequence_id = 's0000'"
    )
    assert tiny.run("recommend", setting())["status"] == "unchanged", "without the var every step is a target"


def test_a_visitor_who_has_viewed_all_gets_a_list_and_one_who_has_bought_all_does_not(tiny):
    day = HISTORY[0][2][0]
    all_items = ITEMS[:5]
    viewer = ("viewer", all_items, [day] * 5)
    buyer = ("buyer", [ITEMS[0]] * 5 + all_items, [day] * 10)
    fill(tiny, [viewer, buyer], all_items)
    assert tiny.run("recommend", setting("purchase"))["rows_in"] == 1
    assert sorted(lists(tiny)["visitor of viewer"]) == all_items
    assert tiny.run("recommend", setting("purchase"))["status"] == "unchanged"


def test_shops_that_do_not_set_the_var_keep_their_models(monkeypatch):
    """An upgrade must not change the hash of a recipe; else it would train every model of every shop anew."""
    hashed = []
    monkeypatch.setattr(freshness.json, "dumps", lambda recipe, **_: hashed.append(recipe) or "")
    for chosen in (setting(), setting("purchase", "cart")):
        freshness.fingerprint_of_recipe(make_model("markov"), chosen, chosen.job_vars())
    assert [recipe["sequences"] for recipe in hashed] == [
        ["session", [], True, False],
        ["session", [], True, False, ["cart", "purchase"]],
    ]
