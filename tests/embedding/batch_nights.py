"""Nights with the Batch API: a run each, and what they leave in the warehouse."""

from fake_openai import vector_of

FIRST = {"first": "the first text"}
TEXTS = {f"item-{number}": f"text {number}" for number in range(7)}  # three tokens each
ALL = {**FIRST, **TEXTS}
ONCE = dict.fromkeys(TEXTS.values(), 1)
PRICE = 0.5 / 1e6  # half of the direct one


def night(shop, options=None, provider="openai-batch", **settings):
    return shop.embed(options, model={"provider": provider}, **{"embedding_timeout_seconds": 5, **settings})


def is_complete(shop, but_for=()):
    texts = dict(shop.rows("select item_id, text from catalog.item_texts"))
    return shop.by_item() == {key: vector_of(text).tolist() for key, text in texts.items() if key not in but_for}


def recorded(shop):
    return shop.rows("select status, results, error from ml.embedding_batches order by created_at, submission_id")


def cost_of_all_nights(shop):
    return shop.rows("select sum(cost) from ml.job_runs where detail ->> 'provider' = 'openai-batch'")[0][0]


def nothing_is_left_over(shop):
    under_way = shop.rows("select * from ml.embedding_batches where ended_at is null")
    return not under_way and not shop.rows("from ml.embedding_batch_texts")


def nights_until_batches(shop, batches, number):
    """Let nights pass, each after the end of what the last one handed in, until so many batches were made."""
    for _ in range(9):
        if len(batches.batches) < number:
            batches.end()
            night(shop)
    assert len(batches.batches) == number


def nights_until_complete(shop, batches, most=4):
    for _ in range(most):
        night(shop)
        batches.end()
    night(shop)
