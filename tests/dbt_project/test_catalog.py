"""Catalogues change: titles, availability, what a code stands for.

Every folder of ``catalog_cases`` is a catalogue's life in a few builds, told as in ``test_cases.py``: step n adds
``items_<n>.csv``; ``catalogue`` is what ``catalog.items`` then holds. A column may be an SQL expression.
"""

import time
from datetime import UTC, datetime
from pathlib import Path

import pytest
from harness import read_csv

from jobs.commands.load import load
from jobs.dbt_vars import default_vars
from jobs.loading.sources import LoadRules, LoadSource
from jobs.warehouse.clock import now
from jobs.warehouse.job_runs import JobRun

CASES = sorted((Path(__file__).parent / "catalog_cases").iterdir())
TABLES = {
    "catalogue": "catalog.items",
    "item_texts": "catalog.item_texts",
    "item_history": "catalog.item_history",
}
CATALOG = "stg_items items item_texts item_history"


def check(warehouse, case, suffix):
    for name, table in TABLES.items():
        file = case / f"{name}{suffix}.csv"
        if file.exists():
            columns, rows = read_csv(file)
            # a CSV file has one spelling for null and for no text
            found = [tuple(value or None for value in row) for row in warehouse.rows(table, columns)]
            assert sorted(found, key=str) == sorted((tuple(row.values()) for row in rows), key=str), file.name


def contents(warehouse):
    return warehouse.tables({table: ["*"] for table in ["staging.stg_items", *TABLES.values()]})


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_case(case, warehouse):
    for step in range(1, len(list(case.glob("items_*.csv"))) + 1):
        warehouse.add("items", read_csv(case / f"items_{step}.csv")[1], loaded_at=f"2026-06-{step:02} 00:00:00+00")
        warehouse.run("--exclude-resource-type", "test", command="build", select=CATALOG)
        check(warehouse, case, f"_{step}")
    check(warehouse, case, "")

    before = contents(warehouse)
    warehouse.run(command="build", select=CATALOG)
    assert contents(warehouse) == before, "a build with nothing new changed a table"
    # dbt's tests have passed on the same tables
    warehouse.run("--full-refresh", "--exclude-resource-type", "test", command="build", select=CATALOG)
    assert contents(warehouse) == before, "a full refresh gives other tables, or forgets the history"


def test_the_history_has_the_right_times_on_a_machine_of_any_time_zone(warehouse, monkeypatch):
    monkeypatch.setenv("TZ", "America/New_York")
    time.tzset()
    try:
        marks = [datetime.now(UTC)]
        for title in ("Old lamp", "New lamp"):
            warehouse.add("items", [{"item_id": "lamp", "title": title}], loaded_at=datetime.now(UTC))
            warehouse.run(command="build", select=CATALOG)
            marks.append(datetime.now(UTC))
    finally:
        monkeypatch.undo()
        time.tzset()
    with warehouse.open() as connection:
        versions = connection.execute(
            "select title, dbt_valid_from, dbt_valid_to from catalog.item_history order by dbt_valid_from"
        ).fetchall()
    (old, first, replaced), (new, second, open_end) = versions
    assert (old, new, open_end) == ("Old lamp", "New lamp", None)
    assert marks[0] < first < marks[1] < second < marks[2]
    assert replaced == second


def test_a_withdrawn_item_is_not_recommended_and_still_counts(warehouse):
    """Recommending from embeddings is the jobs' part: their tests hold them to ``available``."""
    items = [{"item_id": "lamp", "title": "Lamp", "available": "no"}, {"item_id": "mug", "title": "Mug"}]
    viewed = [
        {"event_id": str(minute), "visitor_id": "ann", "item_id": item, "event_type": "view",
         "event_at": f"2026-05-01 10:0{minute}:00"}
        for minute, item in enumerate(["lamp", "mug"])
    ]  # fmt: skip
    warehouse.add("items", items, loaded_at="2026-06-01 00:00:00+00")
    warehouse.add("events", viewed, loaded_at="2026-06-01 00:00:00+00")
    warehouse.run(select="staging intermediate sessions items item_texts")
    with warehouse.open() as connection:
        connection.execute(
            "insert into ml.embeddings by name select 'all-MiniLM-L6-v2' as embedding_model, 384 as dimensions, "
            "text_hash, list_resize([1.0], 384, 0.5) as embedding, 'ok' as status, 'e' as run_id, now() as created_at "
            "from catalog.item_texts"
        )
        connection.execute(
            "insert into ml.similar_items by name select 'r' as run_id, 'all-MiniLM-L6-v2' as embedding_model, "
            "'lamp' as item_id, 1 as rank, 'mug' as similar_item_id, 0.5 as score"
        )
    warehouse.run(select="item_embedding_keys item_embeddings public_items popular_items similar_items")

    assert warehouse.rows("recommendations.popular_items", ["rank", "item_id"]) == [("1", "mug")]
    for kept in ("staging.stg_events", "sessions.session_items", "catalog.item_texts", "catalog.item_embeddings"):
        assert warehouse.rows(kept, ["item_id"]) == [("lamp",), ("mug",)], kept
    assert warehouse.rows("sessions.sequences", ["items"]) == [("[lamp, mug]",)]
    assert warehouse.rows("recommendations.similar_items", ["title", "similar_title"]) == [("Lamp", "Mug")]


def test_feeds_that_lack_columns_and_items_have_the_right_history(warehouse, tmp_path):
    feeds = [
        ("item_id,title,price\nlamp,Lamp,9\nmug,Mug,3\n", False),
        ("item_id,available\nlamp,0\n", False),  # a stock feed
        ("item_id,title\nlamp,Lamp\n", True),  # lacks the mug
        ("item_id,title\nlamp,Desk lamp\nmug,Mug\n", True),  # the mug is back
    ]
    for text, is_complete in feeds:
        (tmp_path / "feed.csv").write_text(text)
        with warehouse.open() as connection:
            rules = LoadRules(default_vars(), max_withdrawn_share=1)
            source = LoadSource("items", str(tmp_path / "feed.csv"), is_whole_catalogue=is_complete)
            load(connection, [source], JobRun("r", "load", now()), rules)
        warehouse.run("--exclude-resource-type", "test", command="build", select=CATALOG)
    with warehouse.open() as connection:
        history = connection.execute(
            "select item_id, title, price, available from catalog.item_history order by item_id, dbt_valid_from"
        ).fetchall()
    assert history == [
        ("lamp", "Lamp", 9, True), ("lamp", "Lamp", 9, False), ("lamp", "Desk lamp", 9, False),
        ("mug", "Mug", 3, True), ("mug", "Mug", 3, False), ("mug", "Mug", 3, True),
    ]  # fmt: skip


def own_view(warehouse, query):
    with warehouse.open() as connection:
        connection.execute(f"drop table raw.items; create view raw.items as {query}")


def test_a_users_own_view_has_its_own_types_and_needs_no_optional_column(warehouse):
    own_view(warehouse, "select 7 as item_id, ['a', 'b'] as Category, false as available, now() as loaded_at, 1 as x")
    warehouse.run(select="stg_items items item_texts")
    assert warehouse.rows("catalog.items", ["item_id", "title", "category", "available"]) == [
        ("7", None, "[a, b]", "false")
    ]


def test_a_view_without_item_id_is_refused(warehouse):
    own_view(warehouse, "select 'Lamp' as title, now() as loaded_at")
    with pytest.raises(AssertionError, match="item_id"):
        warehouse.run(select="stg_items")


def test_another_template_gives_other_texts_hashes_and_versions(warehouse):
    warehouse.add("items", [{"item_id": "lamp", "title": "Lamp", "brand": "Lux"}], "2026-06-01 00:00:00+00")
    warehouse.run(select="stg_items items item_texts")
    [(_, *before)] = warehouse.rows("catalog.item_texts", ["item_id", "text", "text_hash", "template_version"])
    warehouse.run("--vars", "{item_text_template: ['{title} by {brand}']}", select="item_texts")
    [(_, *after)] = warehouse.rows("catalog.item_texts", ["item_id", "text", "text_hash", "template_version"])
    assert (before[0], after[0]) == ("Lamp. Lux", "Lamp by Lux")
    assert (before[2], after[2]) == (
        "['{title}', '{brand}', '{category}'] cleaning 2",
        "['{title} by {brand}'] cleaning 2",
    )
    assert before[1] != after[1]


@pytest.mark.parametrize(
    ("template", "message"),
    [
        ("['{title}', 'in {colour}']", "'{colour}' in the part 'in {colour}' is no field; there are {title}, {brand}"),
        ("['{title']", "'{title' in the part '{title' is no field"),
        ("['{title}', 'on sale']", "the part 'on sale' names no field"),
        ("'{title}'", "is a list of parts"),
        ("[]", "is a list of parts"),
    ],
)
def test_a_wrong_template_is_refused_by_name(warehouse, template, message):
    with pytest.raises(AssertionError) as refused:
        warehouse.run("--vars", f"{{item_text_template: {template}}}", command="compile", select="item_texts")
    assert message in str(refused.value)
