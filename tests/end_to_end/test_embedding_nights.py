"""Nights on which the embedding service is down, another model takes over, or new items wait for their vectors."""

from embedding_service import WORDS, EmbeddingService
from shop import Shop

NEW = {"item_id": "brand-new", "title": "Steady kettle for slow mornings", "category": "Coffee > Kettles"}
SERVING = "select distinct embedding_model from recommendations.similar_items"
QUICK = "embedding_patience_seconds = 1\n"


def lists(shop: Shop) -> list[tuple]:
    columns = "visitor_id, rank, item_id, round(score, 4), source, reason_item_id"
    return shop.read(f"select {columns} from recommendations.visitor_recommendations order by all")


def test_when_the_service_is_down_the_night_goes_on_with_the_vectors_that_exist(shop, httpserver):
    service = EmbeddingService(httpserver)
    shop.set(QUICK + WORDS)
    shop.call("run", **service.environment)
    bought = service.texts.total()
    service.is_down = True
    old = shop.rows("select item_id, title from catalog.items order by item_id limit 1")[0]
    shop.load(items=[NEW, {"item_id": old[0], "title": f"{old[1]}, renamed"}])
    said = shop.call("run", **service.environment)
    assert "published" in said
    assert "down for the night" in said
    assert "small_embedding_backlog" in said.split("WARN", 1)[1], "dbt warns"
    embed = shop.job_runs("embed")[-1]
    assert (embed["status"], embed["rows_in"], embed["rows_out"]) == ("incomplete", 2, 0)
    backlog = "select item_id, status, has_older_vector from catalog.embedding_backlog order by has_older_vector"
    assert shop.rows(backlog) == [
        ("brand-new", "missing", False), (old[0], "missing", True),
    ]  # fmt: skip
    assert shop.rows("select item_id from catalog.item_embeddings where not is_current") == [(old[0],)]
    assert shop.broken_invariants() == {}
    status = shop.call("status")
    assert "embeddings: items to come" in status
    assert "incomplete" in status

    assert "down for the night" in shop.call("embed", exit_code=1, **service.environment)
    service.is_down = False
    shop.call("run", **service.environment)
    assert service.texts.total() == bought + 2
    assert shop.rows("from catalog.embedding_backlog") == []
    assert shop.rows("select item_id from catalog.item_embeddings where not is_current") == []
    assert "brand-new" in {item for (item,) in shop.read("select similar_item_id from recommendations.similar_items")}


def test_another_model_is_filled_while_the_old_one_serves_and_one_setting_switches_and_back(shop, httpserver):
    service = EmbeddingService(httpserver)
    before = lists(shop)
    assert shop.read(SERVING) == [("all-MiniLM-L6-v2",)]
    choice = '[vars]\nembedding_model = "words"\n'
    entry = WORDS.replace('embedding_model = "words"', "")
    shop.set(entry)

    planned = shop.summary("embed", "--model", "words", "--dry-run", **service.environment)
    assert [(plan["provider"], plan["texts"]) for plan in planned["plans"]] == [("openai", 60), ("openai-batch", 60)]
    assert service.texts.total() == 0, "planning spends nothing"
    shop.call("embed", "--model", "words", **service.environment)
    assert service.texts.total() == 60
    shop.call("run", **service.environment)
    assert shop.read(SERVING) == [("all-MiniLM-L6-v2",)]
    assert lists(shop) == before

    shop.set(entry.replace("[vars]\n", choice))
    shop.call("run", **service.environment)
    assert shop.read(SERVING) == [("words",)]
    live = "select embedding_model from ml.models where status = 'live'"
    assert shop.rows(live) in ([("words",)], [(None,)])
    assert shop.broken_invariants() == {}

    shop.set(entry)
    shop.call("run")
    assert shop.read(SERVING) == [("all-MiniLM-L6-v2",)]
    assert shop.rows("select count(*), count(distinct embedding_model) from ml.embeddings") == [(120, 2)]
    assert service.texts.total() == 60, "neither way is bought again"


def test_a_new_item_reaches_the_lists_by_its_projected_vector(shop):
    """LLM2BERT4Rec has never seen it: the vector comes from the projection that made the others'."""
    [(popular, title)] = shop.read("select item_id, title from recommendations.popular_items where rank = 1")
    [(brand, category)] = shop.rows("select brand, category from catalog.items where item_id = $item", item=popular)
    new = {"item_id": "brand-new", "title": f"{title} deluxe", "brand": brand, "category": category}
    shop.set('models = ["llm2sasrec"]\n[vars]\nrecommendations_per_visitor = 60')
    shop.call("run")
    trained = shop.job_runs("train")[-1]["detail"]["trained"]
    shop.load(items=[new])
    shop.call("run")
    assert shop.job_runs("train")[-1]["detail"]["trained"] == [], "the model stays as it was"
    found = shop.read(
        "select count(*), min(rank), any_value(source), any_value(model_version) "
        "from recommendations.visitor_recommendations where item_id = 'brand-new' and source = 'llm2sasrec'"
    )
    [(count, best, source, version)] = found
    assert count > 0
    assert source == "llm2sasrec"
    assert trained in ([], [version])
    assert best <= 30, "it competes with the items that have events"
