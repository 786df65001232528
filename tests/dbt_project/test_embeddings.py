"""Which vector an item has: the present text's, until that is there the older text's, and of one model only."""

import shutil
from contextlib import nullcontext
from pathlib import Path

import pytest
from harness import Warehouse

MINILM, ADA = ("all-MiniLM-L6-v2", 384), ("text-embedding-ada-002", 1536)
ADA_SET = "{embedding_model: text-embedding-ada-002}"
CATALOG = "stg_items items item_texts item_embedding_keys item_embeddings embedding_backlog small_embedding_backlog"


def buy(warehouse, value, model=MINILM, status="ok"):
    """Let the embed job have run: texts without a row get one, whose vector begins with ``value``."""
    vector = "null" if value is None else f"list_resize([{value}::float], {model[1]}, 0.5::float)"
    with warehouse.open() as connection:
        connection.execute(f"""
            insert into ml.embeddings by name
            select distinct on (text_hash)
                '{model[0]}' as embedding_model, {model[1]} as dimensions, text_hash, {vector} as embedding,
                '{status}' as status, 'why' as error, 'r' as run_id, now() as created_at
            from catalog.item_texts
            where text_hash not in (select text_hash from ml.embeddings where embedding_model = '{model[0]}')
        """)


def build(warehouse, *arguments):
    warehouse.run(*arguments, command="build", select=CATALOG)


def vectors(warehouse):
    columns = ["item_id", "embedding[1]::integer", "is_current", "len(embedding)"]
    return {
        item: (value, current == "true", size)
        for item, value, current, size in warehouse.rows("catalog.item_embeddings", columns)
    }


def backlog(warehouse):
    rows = warehouse.rows("catalog.embedding_backlog", ["item_id", "status", "has_older_vector"])
    return {item: (status, older == "true") for item, status, older in rows}


@pytest.fixture(scope="module")
def built_shop(tmp_path_factory, dbt_project):
    warehouse = Warehouse(tmp_path_factory.mktemp("shop") / "warehouse.duckdb", dbt_project)
    warehouse.add(
        "items", [{"item_id": "lamp", "title": "Lamp"}, {"item_id": "mug", "title": "Mug"}], "2026-06-01 00:00:00+00"
    )
    build(warehouse)
    buy(warehouse, 1)
    build(warehouse)
    assert vectors(warehouse) == {"lamp": ("1", True, "384"), "mug": ("1", True, "384")}
    return warehouse


@pytest.fixture
def shop(built_shop, warehouse):
    """Return a copy of a shop with two items and their vectors."""
    shutil.copy(built_shop.path, warehouse.path)
    return warehouse


def rename(warehouse, item, title, day=2):
    warehouse.add("items", [{"item_id": item, "title": title}], f"2026-06-{day:02} 00:00:00+00")
    build(warehouse)


@pytest.fixture(scope="module")
def built_renamed_shop(built_shop, tmp_path_factory):
    copied = shutil.copy(built_shop.path, tmp_path_factory.mktemp("renamed-shop"))
    warehouse = Warehouse(Path(copied), built_shop.project)
    rename(warehouse, "lamp", "Bright lamp")
    return warehouse


@pytest.fixture
def renamed_shop(built_renamed_shop, warehouse):
    """Return a copy of that shop in which the lamp became a bright lamp, whose text has no vector yet."""
    shutil.copy(built_renamed_shop.path, warehouse.path)
    return warehouse


def test_an_item_keeps_its_old_vector_until_the_new_text_has_one(renamed_shop):
    assert vectors(renamed_shop)["lamp"] == ("1", False, "384")
    assert backlog(renamed_shop) == {"lamp": ("missing", True)}
    build(renamed_shop, "--full-refresh")
    assert vectors(renamed_shop)["lamp"] == ("1", False, "384"), "a full refresh doesn't know what the text was"
    buy(renamed_shop, 2)
    build(renamed_shop)
    assert vectors(renamed_shop) == {"lamp": ("2", True, "384"), "mug": ("1", True, "384")}
    assert backlog(renamed_shop) == {}


def test_a_text_that_comes_back_has_its_old_vector_at_once(renamed_shop):
    buy(renamed_shop, 2)
    rename(renamed_shop, "lamp", "Lamp", day=3)
    assert vectors(renamed_shop)["lamp"] == ("1", True, "384")


def test_items_that_swap_their_texts_swap_their_vectors(renamed_shop):
    buy(renamed_shop, 2)
    build(renamed_shop)
    renamed_shop.add(
        "items",
        [{"item_id": "lamp", "title": "Mug"}, {"item_id": "mug", "title": "Bright lamp"}],
        "2026-06-03 00:00:00+00",
    )
    build(renamed_shop)
    assert vectors(renamed_shop) == {"lamp": ("1", True, "384"), "mug": ("2", True, "384")}


def test_an_item_whose_text_becomes_empty_loses_its_vector(shop):
    rename(shop, "lamp", "")
    assert vectors(shop).keys() == {"mug"}
    assert backlog(shop) == {}, "there is nothing to wait for"


def test_a_withdrawn_item_keeps_its_vector(shop):
    shop.add("items", [{"item_id": "lamp", "title": "Lamp", "available": "no"}], "2026-06-02 00:00:00+00")
    build(shop)
    assert vectors(shop)["lamp"] == ("1", True, "384")


@pytest.mark.parametrize("status", ["failed", "too_long"])
def test_a_text_that_gets_no_vector_is_in_the_backlog_with_the_reason(renamed_shop, status):
    buy(renamed_shop, None, status=status)
    build(renamed_shop)
    assert backlog(renamed_shop) == {"lamp": (status, True)}
    assert renamed_shop.rows("catalog.embedding_backlog", ["error"]) == [("why",)]
    assert vectors(renamed_shop)["lamp"] == ("1", False, "384"), "better an older vector than none"


def test_a_text_that_was_cut_has_a_vector(renamed_shop):
    buy(renamed_shop, 2, status="too_long")
    build(renamed_shop)
    assert vectors(renamed_shop)["lamp"] == ("2", True, "384")
    assert backlog(renamed_shop) == {}


def test_the_backlog_remembers_since_when(renamed_shop):
    since = renamed_shop.rows("catalog.embedding_backlog", ["missing_since", "seen_at"])
    build(renamed_shop)
    again = renamed_shop.rows("catalog.embedding_backlog", ["missing_since", "seen_at"])
    assert again[0][0] == since[0][0]
    assert again[0][1] > since[0][1]
    rename(renamed_shop, "lamp", "Brighter lamp", day=3)
    assert renamed_shop.rows("catalog.embedding_backlog", ["missing_since"])[0][0] > since[0][0], (
        "another text waits anew"
    )


def test_two_models_stand_side_by_side_and_the_setting_chooses(shop):
    build(shop, "--vars", ADA_SET)
    assert vectors(shop) == {}
    assert backlog(shop) == {"lamp": ("missing", False), "mug": ("missing", False)}
    buy(shop, 7, model=ADA)
    build(shop)
    assert vectors(shop)["lamp"] == ("1", True, "384"), "the old one serves while the new one is filled"
    build(shop, "--vars", ADA_SET)
    assert vectors(shop)["lamp"] == ("7", True, "1536")
    assert backlog(shop) == {}
    build(shop)
    assert vectors(shop)["lamp"] == ("1", True, "384"), "and there is a way back"


@pytest.mark.parametrize(("waiting", "stops"), [(51, True), (50, False)])
def test_a_large_backlog_stops_the_build_where_that_is_set(renamed_shop, strict_project, waiting, stops):
    titles = ["Bright lamp"] * (waiting - 1) + ["Mug"] * (99 - waiting)  # beside the lamp and the mug: a hundred items
    items = [{"item_id": f"item {number}", "title": title} for number, title in enumerate(titles)]
    strict = Warehouse(renamed_shop.path, strict_project)
    strict.add("items", items, "2026-06-03 00:00:00+00")
    with pytest.raises(AssertionError, match="small_embedding_backlog") if stops else nullcontext():
        build(strict)


def test_an_old_backlog_warns(renamed_shop):
    with renamed_shop.open() as connection:
        connection.execute("update catalog.embedding_backlog set missing_since = now() - interval 3 day")
    outcome = renamed_shop.run(command="test", select="embedding_backlog")
    statuses = {result.node.name: str(result.status) for result in outcome.results}
    [(_, status)] = [pair for pair in statuses.items() if pair[0].startswith("days_since_at_most")]
    assert status == "warn"


def test_an_unknown_model_is_refused_by_name(shop):
    with pytest.raises(
        AssertionError, match="embedding_model 'ada' is none of embedding_models: known: all-MiniLM-L6-v2, text"
    ):
        build(shop, "--vars", "{embedding_model: ada}")


def test_what_serves_is_of_one_model(shop):
    shop.run(
        "--exclude",
        "outcomes",
        "uplift",
        "offline_estimates",
        select="staging intermediate sessions together catalog recommendations",
        command="run",
    )
    shop.run(command="test", select="one_embedding_model")
    with shop.open() as connection:
        connection.execute(
            "insert into recommendations.similar_items by name select 'lamp' as item_id, 'other' as embedding_model"
        )
    with pytest.raises(AssertionError, match="one_embedding_model"):
        shop.run(command="test", select="one_embedding_model")
