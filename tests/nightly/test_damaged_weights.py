"""Weights whose bytes are not those that were saved: the model is trained anew, and until then the next best serves."""

import pytest
from tiny_warehouse import TinyWarehouse, items_of, let_minutes_pass, rings

from jobs.commands.status import read_status
from jobs.errors import NextmartError, UsageError
from jobs.nightly.model_store import load_model, newest_model_by_family
from jobs.settings import Settings

HISTORY = rings(300)
BOTH = Settings(models=["popularity", "vsknn"])


@pytest.fixture
def tiny(tmp_path, monkeypatch):
    """A shop after a night, in which vsknn is live."""
    let_minutes_pass(monkeypatch)
    monkeypatch.chdir(tmp_path)
    warehouse = TinyWarehouse(tmp_path / "warehouse.duckdb")
    warehouse.fill(HISTORY, items_of(HISTORY))
    assert warehouse.night(BOTH) == "vsknn"
    yield warehouse
    warehouse.connection.close()


def damage(tiny, family="vsknn"):
    [(version,)] = tiny.rows("select model_version from ml.models where model = $family", family=family)
    [(weights,)] = tiny.rows("select weights from ml.models where model_version = $version", version=version)
    tiny.connection.execute(
        "update ml.models set weights = ? where model_version = ?", [weights[:-4] + b"\0bad", version]
    )
    return version


def test_a_damaged_model_is_due_and_the_night_says_so(tiny, capsys):
    damaged = damage(tiny)
    trained = tiny.run("train", BOTH)
    assert [version.split("-")[0] for version in trained["detail"]["trained"]] == ["vsknn"]
    assert trained["detail"]["damaged"] == [damaged]
    assert f"the weights of {damaged} are damaged" in capsys.readouterr().err
    tiny.run("evaluate", BOTH)
    assert tiny.live() == trained["detail"]["trained"][0]
    assert tiny.rows("select reason from ml.champions where model_version = $v order by changed_at", v=damaged)[-1] == (
        "not live: its weights are damaged",
    )


def test_a_night_that_can_not_train_goes_on_with_the_next_best_model_and_says_so(tiny, capsys):
    damaged = damage(tiny)
    done = tiny.run("recommend", BOTH)
    assert done["status"] == "done"
    assert done["detail"]["damaged"] == [damaged]
    assert tiny.live().startswith("popularity")
    assert {source for (source,) in tiny.rows("select distinct source from ml.recommendations")} == {"popularity"}
    said = capsys.readouterr().err
    assert damaged in said
    assert "its weights are damaged" in said
    state = read_status(tiny.connection, BOTH)
    assert state["damaged_models"][0]["model_version"] == damaged
    assert tiny.run("recommend", BOTH)["status"] == "unchanged"
    without_family = BOTH.model_copy(update={"models": ["popularity"]})
    assert read_status(tiny.connection, without_family)["damaged_models"] == [], "no night trains a new one"
    assert tiny.run("train", BOTH)["detail"]["trained"]
    tiny.run("evaluate", BOTH)
    assert tiny.live().startswith("vsknn")
    assert read_status(tiny.connection, BOTH)["damaged_models"] == []
    tiny.connection.execute("delete from ml.models where model = 'vsknn' and model_version <> ?", [damaged])
    assert read_status(tiny.connection, BOTH)["damaged_models"] != []
    tiny.connection.execute("update ml.models set weights = null where model_version = ?", [damaged])
    assert read_status(tiny.connection, BOTH)["damaged_models"] == [], "what is gone is not damaged"


def test_an_older_model_of_the_family_serves_in_place_of_a_damaged_one(tiny):
    older = tiny.live()
    assert tiny.night(BOTH.model_copy(update={"retrain_after_days": 0})) == "vsknn"
    damaged = tiny.live()
    assert damaged != older
    tiny.connection.execute("update ml.models set weights_sha256 = 'other' where model_version = ?", [damaged])
    tiny.run("recommend", BOTH)
    assert tiny.live() == older


def test_evaluate_measures_and_chooses_what_is_whole(tiny):
    tiny.connection.execute("delete from ml.model_metrics where ends_with(split, '/test')")
    damaged = damage(tiny)
    assert tiny.run("evaluate", BOTH)["detail"]["damaged"] == [damaged]
    assert tiny.live().startswith("popularity")


def test_where_every_model_is_damaged_the_error_names_the_model_and_what_to_type(tiny):
    damage(tiny, "popularity")
    damaged = damage(tiny)
    with pytest.raises(NextmartError, match=rf"{damaged}.* damaged.*nextmart run"):
        tiny.run("recommend", BOTH)


def test_a_damaged_model_can_not_be_pinned_or_rolled_back_to(tiny):
    with pytest.raises(UsageError, match="its weights are damaged"):
        tiny.run("pin", BOTH, model_version=damage(tiny, "popularity"))


def test_bytes_that_are_no_weights_are_an_error_with_the_models_name(tiny):
    tiny.connection.execute("update ml.models set weights = 'x'::blob, weights_sha256 = sha256('x')")
    row = newest_model_by_family(tiny.connection)["popularity"]
    services = type("Services", (), {"connection": tiny.connection})()
    with pytest.raises(NextmartError, match=row.model_version):
        load_model(services, row)
