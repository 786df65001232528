"""A warehouse with tiny tables made directly in SQL: visitors walk along rings of items, one step a day."""

import numpy as np

from jobs.settings import Settings
from jobs.warehouse.connection import connect, prepare_warehouse

RINGS, RING = 3, 6
DIMENSIONS = 4
MODELS = {"tiny": {"provider": "local", "dimensions": DIMENSIONS}, "other": {"provider": "local", "dimensions": 3}}
VARS = {"embedding_model": "tiny", "embedding_models": MODELS, "item_text_template": ["{title}"]}
TABLES = """
    create schema if not exists catalog;
    create schema if not exists sessions;
    create table catalog.items (
        item_id varchar, title varchar, brand varchar, category varchar, description varchar, price double,
        available boolean
    );
    create table catalog.item_texts (item_id varchar, text varchar, text_hash varchar);
    create view catalog.item_embeddings as
    select item_id, embedding::float[4] as embedding
    from catalog.item_texts inner join ml.embeddings using (text_hash)
    where embedding_model = 'tiny' and dimensions = 4;
    create table sessions.sequences (
        sequence_id varchar, visitor_id varchar, items varchar[], event_times timestamptz[], ended_at timestamptz
    );
"""


def vector(ring: int, place: int) -> list[float]:
    angle = 2 * np.pi * place / RING
    return [1.0 + ring, np.cos(angle), np.sin(angle), (-1.0) ** ring]


def make_shop(path, visitors: int = 60):
    """Return an open connection to a fresh warehouse."""
    connection = connect(path)
    prepare_warehouse(connection)
    connection.execute(TABLES)
    for ring in range(RINGS):
        for place in range(RING):
            item = f"i{ring}{place}"
            connection.execute(
                "insert into catalog.items values ($1, $2, 'brand', 'ring', null, 9.5, true)", [item, f"title {item}"]
            )
            text_hash = "sha256(strlen($2)::varchar || ':' || $2)"
            connection.execute(f"insert into catalog.item_texts values ($1, $2, {text_hash})", [item, f"title {item}"])
            connection.execute(
                "insert into ml.embeddings (embedding_model, dimensions, text_hash, embedding, status, run_id, "
                "created_at) select 'tiny', 4, text_hash, $2, 'ok', 'by hand', now() from catalog.item_texts "
                "where item_id = $1",
                [item, vector(ring, place)],
            )
    generator = np.random.default_rng(0)
    for visitor in range(visitors):
        ring, start, length = generator.integers([0, 0, 3], [RINGS, RING, 6])
        items = [f"i{ring}{(start + step) % RING}" for step in range(length)]
        # the last two items of every third visitor have the same day, so that only the order of rows tells the last one
        days = [visitor + step for step in range(length)]
        days[-1] -= visitor % 3 == 0
        connection.execute(
            "insert into sessions.sequences select $1, $1, $2, times, list_last(times) from (select list_transform("
            "$3::integer[], lambda day: '2024-01-01'::timestamptz + to_days(day)) as times)",
            [f"v{visitor:03}", items, days],
        )
    return connection


def mark_from(connection, time) -> None:
    """Replace the item of every event at or after a time by ``marker``, which shows who has seen such an event."""
    connection.execute("insert into catalog.items (item_id, available) values ('marker', true)")
    connection.execute(
        "update sessions.sequences set items = list_transform(list_zip(items, event_times), "
        "lambda step: case when step[2] >= ? then 'marker' else step[1] end)",
        [time],
    )


def embed_with_other(connection) -> None:
    """Give each text a vector of the embedding model ``other``: the number in its item's id, 1, 2."""
    connection.execute(
        "insert into ml.embeddings by name select 'other' as embedding_model, 3 as dimensions, text_hash, "
        "[right(item_id, 2)::float, 1, 2] as embedding, 'ok' as status, 'r' as run_id, now() as created_at "
        "from catalog.item_texts"
    )


def settings(folder, **changes) -> Settings:
    return Settings(
        warehouse=folder / "shop.duckdb",
        work_folder=folder / "work",
        protocol="paper",
        vars=VARS,
        validation_limit=5,
        **changes,
    )
