"""Whole nights on a tiny shop: what a run writes, what the next one leaves alone, and what a failure may not break."""

import itertools

from embedding_service import WORDS, EmbeddingService
from shop import Shop, visit

JOBS = ("embed", "train", "evaluate", "recommend", "publish")
PUBLIC_TABLES = (
    "visitor_recommendations", "visitor_recommendations_wide", "similar_items", "popular_items", "model_leaderboard",
    "items", "bought_together", "viewed_together", "trending_items",
)  # fmt: skip
LISTS = "select * exclude (generated_at) from recommendations.visitor_recommendations order by all"


def test_the_first_night_publishes_tables_that_keep_every_promise(built_shop):
    assert built_shop.broken_invariants() == {}
    visitors = built_shop.read("select count(distinct visitor_id) from recommendations.visitor_recommendations")
    assert visitors[0][0] > 50


def test_the_first_night_leaves_a_row_for_each_job(built_shop):
    for job in JOBS:
        [run] = built_shop.job_runs(job)
        assert run["status"] == "done", run
        assert run["rows_out"] > 0
    assert built_shop.job_runs("embed")[0]["rows_in"] == 60
    assert len(built_shop.job_runs("train")[0]["detail"]["trained"]) == 6


def test_items_that_nobody_has_clicked_are_recommended(built_shop):
    shown = built_shop.rows("""
        with cold as (select item_id from catalog.items where item_id not in (select item_id from staging.stg_events))
        select distinct item_id from cold
        where item_id in (select item_id from published.recommendations.visitor_recommendations)
            or item_id in (select similar_item_id from published.recommendations.similar_items)
    """)
    assert shown


def test_an_empty_warehouse_publishes_empty_tables(tmp_path):
    shop = Shop(tmp_path)
    shop.set()
    shop.call("run", "--create")
    for table in PUBLIC_TABLES:
        assert shop.read(f"select count(*) from recommendations.{table}") == [(0,)]
    assert shop.read("from recommendations_for('nobody')") == []


def test_a_night_with_nothing_new_does_nothing_over(shop):
    rows = "from ml.{} order by all"
    tables = ("embeddings", "models", "model_metrics", "recommendations", "similar_items")
    before = {table: shop.rows(rows.format(table)) for table in tables}
    public = {table: shop.read(f"from recommendations.{table} order by all") for table in PUBLIC_TABLES}
    shop.call("run")
    assert shop.job_runs("embed")[-1]["detail"]["texts"] == 0
    assert shop.job_runs("train")[-1]["detail"]["trained"] == []
    assert shop.job_runs("recommend")[-1] == {
        **shop.job_runs("recommend")[-1], "status": "unchanged", "rows_in": 0, "rows_out": 0,
    }  # fmt: skip
    assert {table: shop.rows(rows.format(table)) for table in tables} == before
    assert {table: shop.read(f"from recommendations.{table} order by all") for table in PUBLIC_TABLES} == public
    assert [run["status"] for run in shop.job_runs("publish")] == ["done", "done"]


def test_new_events_cost_their_visitors_only(shop, tmp_path):
    returning = shop.read("select visitor_id from recommendations.visitor_recommendations_wide order by 1 limit 3")
    concerned = {*(visitor for (visitor,) in returning), "a new visitor"}
    items = [item for (item,) in shop.read("select item_id from recommendations.popular_items order by rank limit 6")]
    night = shop.read("select max(generated_at) from recommendations.visitor_recommendations")
    kept = "select * from recommendations.visitor_recommendations order by visitor_id, rank"
    before = [row for row in shop.read(kept) if row[0] not in concerned]

    shop.load(events=list(itertools.chain.from_iterable(visit(visitor, items) for visitor in sorted(concerned))))
    rebuilt = shop.copy(tmp_path / "rebuilt")
    shop.call("run")

    run = shop.job_runs("recommend")[-1]
    assert (run["status"], run["rows_in"], run["rows_out"]) == ("done", 4, 80)
    assert [row for row in shop.read(kept) if row[0] not in concerned] == before
    renewed = shop.read(
        f"select distinct visitor_id from recommendations.visitor_recommendations where generated_at > '{night[0][0]}'"
    )
    assert {visitor for (visitor,) in renewed} == concerned
    assert shop.broken_invariants() == {}

    rebuilt.call("run", "--full-refresh")
    assert rebuilt.read(LISTS) == shop.read(LISTS)


def test_a_new_item_is_recommended_the_night_it_arrives(shop):
    [(popular, title)] = shop.read("select item_id, title from recommendations.popular_items where rank = 1")
    [(brand, category)] = shop.rows("select brand, category from catalog.items where item_id = $item", item=popular)
    new = {
        "item_id": "brand-new",
        "title": f"{title} deluxe",
        "brand": brand,
        "category": category,
        "available": "true",
    }
    shop.load(items=[new])
    shop.set('models = ["llmseqsim"]\n[vars]\nrecommendations_per_visitor = 100')
    shop.call("run")
    assert shop.job_runs("embed")[-1]["detail"]["texts"] == 1
    assert shop.read(
        "select item_id from recommendations.similar_items where similar_item_id = 'brand-new' and rank = 1"
    )
    nearest = f"select similar_item_id from similar_to('{popular}') where rank <= 3"
    assert ("brand-new",) in shop.read(nearest)
    first = shop.read(
        "select reason_item_id, min(rank) from recommendations.visitor_recommendations "
        "where item_id = 'brand-new' group by all order by 2"
    )
    assert first[0] == (popular, 1)
    assert shop.broken_invariants(k=100) == {}


def test_a_failing_test_stops_the_night_and_the_old_file_stays(shop):
    published = shop.published.read_bytes()
    shop.load(events=visit("v1", ["no such item"]))
    shop.set("[vars]\nmax_rejected_share = 0")
    said = shop.call("run", exit_code=1)
    assert "nothing was published" in said
    assert "few_rejected_events" in said
    assert shop.published.read_bytes() == published
    assert len(shop.job_runs("recommend")) == len(shop.job_runs("publish")) == 1


def test_a_failing_job_is_recorded_and_the_old_file_stays(shop, httpserver):
    published = shop.published.read_bytes()
    service = EmbeddingService(httpserver)
    shop.set(WORDS)
    environment = {**service.environment, "OPENAI_API_KEY": "sk-mistyped-0123", "DBT_LOG_LEVEL_FILE": "debug"}
    said = shop.call("run", exit_code=1, **environment)
    assert "nothing was published" in said
    assert shop.published.read_bytes() == published
    failed = shop.job_runs("embed")[-1]
    assert failed["status"] == "failed"
    assert "doesn't accept OPENAI_API_KEY" in failed["error"]
    logged = (shop.folder / ".nextmart" / "logs" / "dbt.log").read_text()
    assert "sk-mistyped-0123" not in said + failed["error"] + logged
    assert len(shop.job_runs("recommend")) == len(shop.job_runs("publish")) == 1
