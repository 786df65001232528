"""Helpers for tests of the Batch API: a night (one run of the embed job), and the state of the warehouse after it."""

from fake_openai import vector_of

FIRST = {"first": "the first text"}
TEXTS = {f"item-{number}": f"text {number}" for number in range(7)}  # each text has three tokens
ALL = {**FIRST, **TEXTS}
ONCE = dict.fromkeys(TEXTS.values(), 1)
PRICE = 0.5 / 1e6  # US dollars a token in batches, half of the direct price


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
    """Run nights, ending all batches before each, until so many batches were created."""
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
