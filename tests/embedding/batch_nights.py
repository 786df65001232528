"""Helpers for tests of the Batch API: a night (one run of the embed job), and the state of the warehouse after it."""

from fake_openai import vector_of

FIRST = {"first": "the first text"}
TEXTS = {f"item-{number}": f"text {number}" for number in range(7)}  # each text has three tokens
ALL = {**FIRST, **TEXTS}
ONCE = dict.fromkeys(TEXTS.values(), 1)
PRICE = 0.5 / 1e6  # US dollars a token in batches, half of the direct price


def run_night(shop, options=None, provider="openai-batch", **settings):
    return shop.embed(options, model={"provider": provider}, **{"embedding_timeout_seconds": 5, **settings})


def has_all_vectors(shop, except_item_ids=()):
    texts = dict(shop.rows("select item_id, text from catalog.item_texts"))
    return shop.by_item() == {
        key: vector_of(text).tolist() for key, text in texts.items() if key not in except_item_ids
    }


def recorded_batches(shop):
    return shop.rows("select status, results, error from ml.embedding_batches order by created_at, submission_id")


def cost_of_all_nights(shop):
    return shop.rows("select sum(cost) from ml.job_runs where detail ->> 'provider' = 'openai-batch'")[0][0]


def has_nothing_left_over(shop):
    under_way = shop.rows("select * from ml.embedding_batches where ended_at is null")
    return not under_way and not shop.rows("from ml.embedding_batch_texts")


def run_nights_until_batch_count(shop, batches, batch_count):
    """Run nights, ending all batches before each, until so many batches were created."""
    for _ in range(9):
        if len(batches.batches) < batch_count:
            batches.end()
            run_night(shop)
    assert len(batches.batches) == batch_count


def run_nights_until_all_batches_end(shop, batches, night_count=4):
    for _ in range(night_count):
        run_night(shop)
        batches.end()
    run_night(shop)
