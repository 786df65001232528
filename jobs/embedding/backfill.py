"""The embed job: texts without a vector get one, bought once and committed batch by batch."""

import math
from collections.abc import Iterator

import numpy as np
import pyarrow as pa

from jobs.embedding.providers import Provider, Vectors, provider_for
from jobs.errors import NextmartError
from jobs.progress import progress
from jobs.settings import Settings, Vars
from jobs.warehouse import Connection, JobRun, now

MISSING_TEXTS = """
    -- equal texts are one; the hash makes the order total
    select texts.text_hash, any_value(texts.text) as text
    from catalog.item_texts as texts
    anti join ml.embeddings as vectors
        on texts.text_hash = vectors.text_hash
        and vectors.embedding_model = $embedding_model
        and vectors.dimensions = $dimensions
    group by texts.text_hash
    order by length(any_value(texts.text)), texts.text_hash
"""


def embed(connection: Connection, settings: Settings, run: JobRun) -> None:
    """Give every text of ``catalog.item_texts`` a row in ``ml.embeddings``; what is there stays."""
    names = settings.job_vars()
    missing = connection.execute(
        MISSING_TEXTS, {"embedding_model": names.embedding_model, "dimensions": names.embedding_dimensions}
    ).fetchall()
    run.rows_in = len(missing)
    store_empty(connection, [text_hash for text_hash, text in missing if not text.strip()], names, run)
    texts = [(text_hash, text) for text_hash, text in missing if text.strip()]
    run.detail = {"texts": len(texts), "tokens": 0, "embedding_model": names.embedding_model}
    if not texts:
        return
    provider = provider_for(settings, names)
    with progress("embedding item texts", len(texts)) as advance:
        for batch in batches(texts, settings.embedding_batch_size):
            tokens = store_batch(connection, batch, provider, names, run)
            run.detail["tokens"] += tokens
            advance(len(batch))


def batches(texts: list[tuple[str, str]], size: int) -> Iterator[list[tuple[str, str]]]:
    """Cut into batches of nearly equal size, at most ``size`` each."""
    count = math.ceil(len(texts) / size)
    for number in range(count):
        yield texts[len(texts) * number // count : len(texts) * (number + 1) // count]


def check_vectors(vectors: Vectors, texts: int, dimensions: int) -> None:
    """Refuse an answer that must never be stored: wrong shape, not finite, or zero.

    Raises
    ------
    NextmartError
        Names the first wrong row.
    """
    if vectors.shape != (texts, dimensions):
        raise NextmartError(
            f"the model gave vectors of shape {vectors.shape} for {texts} texts; the dbt var embedding_dimensions "
            f"says {dimensions}"
        )
    norms = np.linalg.norm(vectors, axis=1)
    wrong = np.flatnonzero(~np.isfinite(norms) | (norms == 0))
    if len(wrong):
        raise NextmartError(f"the vector of text {wrong[0]} in its batch is zero or not finite")


def store_batch(
    connection: Connection, batch: list[tuple[str, str]], provider: Provider, names: Vars, run: JobRun
) -> int:
    """Embed one batch and commit it; return the tokens that it cost."""
    vectors, tokens = provider.embed([text for _, text in batch])
    check_vectors(vectors, len(batch), names.embedding_dimensions)
    values = pa.FixedSizeListArray.from_arrays(pa.array(vectors.ravel()), vectors.shape[1])
    rows = pa.table({"text_hash": [text_hash for text_hash, _ in batch], "embedding": values})
    connection.register("embedded", rows)
    connection.execute(
        "insert into ml.embeddings by name select $embedding_model as embedding_model, $dimensions as dimensions, "
        "text_hash, embedding::float[] as embedding, 'ok' as status, null as error, "
        "null as tokens, $run_id as run_id, $created_at as created_at from embedded",
        {
            "embedding_model": names.embedding_model, "dimensions": names.embedding_dimensions,
            "run_id": run.run_id, "created_at": now(),
        },
    )  # fmt: skip
    connection.unregister("embedded")
    run.rows_out += len(batch)
    return tokens


def store_empty(connection: Connection, text_hashes: list[str], names: Vars, run: JobRun) -> None:
    """Label texts with nothing to embed, so that they are not asked about again."""
    rows = [
        (names.embedding_model, names.embedding_dimensions, text_hash, run.run_id, now()) for text_hash in text_hashes
    ]
    if rows:
        connection.executemany(
            "insert into ml.embeddings (embedding_model, dimensions, text_hash, status, run_id, created_at) "
            "values (?, ?, ?, 'empty', ?, ?)",
            rows,
        )
