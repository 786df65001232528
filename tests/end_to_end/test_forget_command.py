"""Forgetting a visitor of a shop that has recommendations, models and a published file."""

from jobs.warehouse.connection import connect

NAMES = """
    select database_name, schema_name, table_name, list(column_name) from duckdb_columns()
    where database_name in ('warehouse', 'published') group by all
"""


def mentions(shop, visitor: str) -> set[str]:
    """Return the tables and views, of the warehouse and of the published file, where a value holds the id."""
    found = []
    for database, schema, table, columns in shop.rows(NAMES):
        holds_id = " or ".join(f'contains("{column}"::varchar, $visitor)' for column in columns)
        found.append(
            f"select '{database}.{schema}.{table}' "
            f'where exists (select * from {database}.{schema}."{table}" where {holds_id})'
        )
    return {name for (name,) in shop.rows(" union all ".join(found), visitor=visitor)}


def test_a_visitor_is_forgotten_everywhere_and_models_are_trained_anew(shop, tmp_path):
    [(visitor,)] = shop.read("select max(visitor_id) from recommendations.visitor_recommendations")
    found = mentions(shop, visitor)
    assert {
        "warehouse.raw.events", "warehouse.sessions.sequences", "warehouse.ml.recommendations",
        "published.recommendations.visitor_recommendations",
    } <= found  # fmt: skip
    assert visitor.encode() in shop.published.read_bytes()
    others = f"from recommendations.visitor_recommendations where visitor_id <> '{visitor}' order by all"
    before, publication = shop.read(others), shop.read("from recommendations.publication")
    models = {version for (version,) in shop.rows("select model_version from ml.models")}
    assert shop.summary("status")["due_for_retraining"] == []

    said = shop.call("forget", "--visitor", visitor)

    assert visitor not in said
    assert mentions(shop, visitor) == set()
    assert visitor.encode() not in shop.published.read_bytes()
    assert shop.read(others) == before
    assert shop.read("from recommendations.publication") == publication
    assert {model["model_version"] for model in shop.summary("status")["due_for_retraining"]} == models
    assert all(model in said for model in models)

    rebuilt = shop.copy(tmp_path / "rebuilt")
    shop.call("run")
    assert len(shop.job_runs("train")[-1]["detail"]["trained"]) == len(models)
    assert shop.summary("status")["due_for_retraining"] == []
    kept = shop.rows("select model_version from ml.models where weights is not null")
    assert not models & {version for (version,) in kept}, "old weights have learnt from the visitor"
    assert mentions(shop, visitor) == set()
    assert shop.broken_invariants() == {}
    rebuilt.call("run", "--full-refresh")
    lists = "select * exclude (generated_at, model_version) from recommendations.visitor_recommendations order by all"
    assert rebuilt.read(lists) == shop.read(lists)

    assert "nothing is kept of this visitor" in shop.call("forget", "--visitor", visitor)


def test_the_published_file_is_cleaned_also_where_the_warehouse_knows_nothing_more(shop):
    [(visitor,)] = shop.read("select max(visitor_id) from recommendations.visitor_recommendations")
    published = shop.published.read_bytes()
    shop.call("forget", "--visitor", visitor)
    shop.published.write_bytes(published)  # from a backup
    assert "nothing" not in shop.call("forget", "--visitor", visitor)
    assert visitor.encode() not in shop.published.read_bytes()


def test_nobody_is_forgotten_in_a_warehouse_that_is_not_there(shop):
    assert "there is no warehouse" in shop.call(
        "forget", "--visitor", "v", "--warehouse", "mistyped.duckdb", exit_code=1
    )
    assert not (shop.folder / "mistyped.duckdb").exists()
    shop.call("forget", exit_code=2)
    shop.published.unlink()
    shop.call("forget", "--user", "nobody")


def test_a_model_that_was_trained_before_the_visitor_came_is_not_due(shop):
    shop.load(events=[{"visitor_id": "newcomer", "item_id": "sku-000001", "event_at": "2025-01-01T08:00:00Z"}])
    shop.call("forget", "--visitor", "newcomer")
    with connect(shop.warehouse) as connection:
        assert connection.execute("select count(*) from ml.models_due").fetchone() == (0,)
