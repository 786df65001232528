"""The recommend job on a tiny warehouse: which model recommends, and which visitors get a new list."""

import pytest
from tiny_warehouse import items_of, rings

from jobs.errors import NextmartError
from jobs.settings import Settings

HISTORY = rings(60)
MODELS = ["popularity", "llmseqsim"]


@pytest.fixture
def tiny(tiny):
    tiny.connection.execute(
        "insert into catalog.item_embeddings "
        "select item_id, list_transform(range(384), lambda place: sin(hash(item_id) % 1000 * place)), item_id "
        "from catalog.items"
    )
    return tiny


def setting(**more) -> Settings:
    return Settings(models=MODELS, **more)


def pinned(tiny, family) -> str:
    tiny.night(setting())
    [(version,)] = tiny.rows("select model_version from ml.models where model = $family", family=family)
    tiny.run("pin", setting(), model_version=version)
    return version


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ("schema_version = 1, fingerprint = ''", "its weights are of another version of nextmart"),
        ("weights = null", "its weights are gone"),
    ],
)
def test_a_live_model_that_can_not_recommend_is_refused_until_a_night_has_renewed_it(tiny, change, why):
    old = pinned(tiny, "popularity")
    tiny.run("recommend", setting())
    before = tiny.rows("from ml.recommendations order by all")
    tiny.connection.execute(f"update ml.models set {change}")
    with pytest.raises(NextmartError, match=f"{old} can't recommend: {why}; run `nextmart run`"):
        tiny.run("recommend", setting())
    tiny.run("evaluate", setting())
    assert tiny.live() == old, "nothing else could be"
    assert tiny.rows("from ml.recommendations order by all") == before
    tiny.night(setting())
    assert tiny.run("recommend", setting())["status"] == "done"


def test_a_model_of_other_embeddings_is_refused_though_they_have_as_many_dimensions(tiny):
    pinned(tiny, "llmseqsim")
    other = setting(
        vars={
            "embedding_model": "other",
            "embedding_models": {"other": {"provider": "local", "dimensions": 384}},
        }
    )
    with pytest.raises(NextmartError, match=r"llmseqsim.* was made for the embeddings of all-MiniLM-L6-v2; run"):
        tiny.run("recommend", other)
    tiny.night(other)
    assert tiny.run("recommend", other)["status"] == "done"


def test_stored_parameters_that_are_unknown_now_are_no_fault_of_the_settings(tiny):
    version = pinned(tiny, "popularity")
    tiny.connection.execute("""update ml.models set parameters = '{"renamed": 1}' where model = 'popularity'""")
    with pytest.raises(NextmartError, match=f"{version} was saved by another version.*'renamed'.*; run") as raised:
        tiny.run("recommend", setting())
    assert type(raised.value) is NextmartError


ITEMS = items_of(HISTORY)


def recommended(tiny, **settings) -> tuple[str, int]:
    """Run the recommend job; return its status and the number of visitors who were due."""
    done = tiny.run("recommend", setting(**settings))
    return done["status"], done["rows_in"]


def test_a_visitor_who_has_seen_all_that_is_available_is_not_due_again(tiny):
    sated = ("sated", [*ITEMS, "gone"], [HISTORY[0][2][0]] * (len(ITEMS) + 1))
    tiny.fill([*HISTORY, sated], ITEMS)
    assert recommended(tiny) == ("done", len(HISTORY))
    assert recommended(tiny) == ("unchanged", 0)
    lists = tiny.rows("select visitor_id, item_id, rank from ml.recommendations order by all")

    tiny.fill([*HISTORY, ("sated", ITEMS[1:], sated[2][2:])], ITEMS)
    assert recommended(tiny) == ("done", 1), "there is an item to see"
    found = "select item_id from ml.recommendations where visitor_id = 'visitor of sated'"
    assert tiny.rows(found) == [(ITEMS[0],)]
    tiny.fill([*HISTORY, sated], ITEMS)
    assert recommended(tiny, runs_kept=1) == ("done", 1), "the list of before goes"
    assert recommended(tiny, runs_kept=1) == ("unchanged", 0)
    newest = "(select arg_max(run_id, started_at) from ml.job_runs where status = 'done')"
    rows = f"select visitor_id, item_id, rank from ml.recommendations where run_id = {newest} order by all"
    assert tiny.rows(rows) == lists


def test_lists_made_one_visitor_at_a_time_are_those_made_at_once(tiny, monkeypatch):
    """A visitor who is not due, as all items are seen, stands before the others in the order of visitors."""
    sated = ("0 sated", ITEMS, [HISTORY[0][2][0]] * len(ITEMS))
    tiny.fill([sated, *HISTORY], ITEMS)
    assert recommended(tiny) == ("done", len(HISTORY))
    lists = tiny.rows("select * exclude (run_id, generated_at) from ml.recommendations order by all")
    tiny.connection.execute("delete from ml.recommendations; delete from ml.job_runs")
    monkeypatch.setattr("jobs.nightly.recommend.VISITORS_PER_CHUNK", 1)
    assert recommended(tiny) == ("done", len(HISTORY))
    assert tiny.rows("select * exclude (run_id, generated_at) from ml.recommendations order by all") == lists


def test_a_visitor_who_has_seen_all_gets_repeats_where_they_are_allowed(tiny):
    tiny.fill([("sated", ITEMS, [HISTORY[0][2][0]] * len(ITEMS))], ITEMS)
    assert recommended(tiny, vars={"allow_repeats": True}) == ("done", 1)
    assert recommended(tiny, vars={"allow_repeats": True}) == ("unchanged", 0)


def test_nobody_is_due_where_nothing_is_available(tiny):
    tiny.connection.execute("update catalog.items set available = false")
    assert recommended(tiny) == ("done", 0)
    assert recommended(tiny) == ("unchanged", 0)


def test_similar_items_of_a_run_that_died_go_though_the_settings_are_those_of_the_last_whole_one(tiny, monkeypatch):
    few, more = {"vars": {"similar_items_per_item": 5}}, {"vars": {"similar_items_per_item": 9}}

    def die(*_):
        raise OSError("killed")

    assert recommended(tiny, **few)[0] == "done"
    with monkeypatch.context() as patch:
        patch.setattr("jobs.nightly.recommend._write_recommendations", die)
        with pytest.raises(OSError, match="killed"):
            recommended(tiny, **more)
    assert recommended(tiny, **few) == ("done", 0)
    assert tiny.rows("select max(rank) from ml.similar_items") == [(5,)]
    assert recommended(tiny, **few) == ("unchanged", 0)


def test_new_variants_thin_out_similar_items_and_leave_the_lists(tiny):
    assert recommended(tiny)[0] == "done"
    [(item, nearest, second)] = tiny.rows(
        "select item_id, max(similar_item_id) filter (where rank = 1), max(similar_item_id) filter (where rank = 2) "
        "from ml.similar_items group by item_id order by item_id limit 1"
    )
    tiny.connection.execute(
        "insert into ml.item_variants values ($nearest, $nearest), ($second, $nearest)",
        {"nearest": nearest, "second": second},
    )
    assert recommended(tiny) == ("done", 0)
    similar = tiny.rows("select similar_item_id from ml.similar_items where item_id = $item", item=item)
    assert (nearest,) in similar
    assert (second,) not in similar
    assert recommended(tiny) == ("unchanged", 0)
