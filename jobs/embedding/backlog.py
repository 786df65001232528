"""The catalogue's texts that have no vector yet, read in portions so that memory stays bounded."""

from collections.abc import Iterator
from dataclasses import dataclass

from jobs.dbt_vars import EmbeddingModel
from jobs.embedding.batching import TextToEmbed, cut_to_token_limit
from jobs.embedding.provider import Provider
from jobs.embedding.stored_vectors import store_failures
from jobs.warehouse.connection import Connection, count_rows
from jobs.warehouse.job_runs import JobRun

PORTION_SIZE = 20_000  # number of texts that are read into memory at once

# Texts that are not sent to a provider: texts with a vector or with a recorded reason for having none, and texts of
# unfinished batches. A text that failed in an earlier run is sent again if $retry_failed, but one that the present run
# ($run_id) has recorded as failed is not.
SELECT_SETTLED_TEXTS = """
    select text_hash from ml.embeddings
    where
        embedding_model = $embedding_model and dimensions = $dimensions
        and not ($retry_failed and status = 'failed' and run_id is distinct from $run_id)
        and not ($truncate and status = 'too_long' and embedding is null)
    union all
    select texts.text_hash
    from ml.embedding_batch_texts as texts
    inner join ml.embedding_batches as batches on texts.submission_id = batches.submission_id
    where batches.embedding_model = $embedding_model and batches.dimensions = $dimensions and batches.ended_at is null
"""

ITEM_TEXTS = "catalog.item_texts"  # the dbt model with ``item_id``, ``text`` and ``text_hash`` of every item

RECORD_EMPTY_TEXTS = """
    insert into ml.embeddings by name
    select distinct
        $embedding_model as embedding_model, $dimensions as dimensions, text_hash, 'empty' as status,
        $run_id as run_id, now() as created_at
    from {texts}
    where
        not regexp_matches(text, '\\S')
        and text_hash not in (
            select text_hash from ml.embeddings where embedding_model = $embedding_model and dimensions = $dimensions
        )
"""

SELECT_MISSING_TEXTS = f"""
    -- one row for each distinct text without a vector
    select texts.text_hash, any_value(texts.text) as text, count(*) as items
    from {{texts}} as texts
    anti join ({SELECT_SETTLED_TEXTS}) as settled on texts.text_hash = settled.text_hash
    where regexp_matches(texts.text, '\\S')
    group by texts.text_hash
"""  # noqa: S608

# Texts are sorted by length, since texts of similar length share a request best; ``text_hash`` orders equal lengths.
STAGE_MISSING_TEXTS = f"""
    create or replace temp table embedding_backlog as
    select text_hash, text from ({SELECT_MISSING_TEXTS}) order by strlen(text), text_hash
"""  # noqa: S608

COUNT_MISSING_TEXTS = f"""
    select coalesce(sum(items), 0)::bigint, count(*), coalesce(sum(strlen(text)), 0)::bigint
    from ({SELECT_MISSING_TEXTS})
"""  # noqa: S608

SAMPLE_MISSING_TEXTS = f"select text from ({SELECT_MISSING_TEXTS}) order by text_hash limit $size"  # noqa: S608


@dataclass(frozen=True)
class MissingTextsQuery:
    """Selects the texts that lack a vector of an embedding model.

    Attributes
    ----------
    embedding_model : EmbeddingModel
    retry_failed : bool
        Whether a text whose embedding failed in a run other than ``run_id`` counts as missing.
    truncate_too_long : bool
        Whether texts that are too long for the model are cut; otherwise they are rejected.
    texts_relation : str
        Name in SQL of the table or view that holds the items' texts.
    run_id : str or None
        The present run of the embed job; None outside such a run.
    """

    embedding_model: EmbeddingModel
    retry_failed: bool = False
    truncate_too_long: bool = True
    texts_relation: str = ITEM_TEXTS
    run_id: str | None = None

    def bound_values(self) -> dict[str, object]:
        """Return the values of the ``$`` parameters in the SQL queries for missing texts."""
        return {
            **self.embedding_model.values_of_key_columns,
            "retry_failed": self.retry_failed,
            "truncate": self.truncate_too_long,
            "run_id": self.run_id,
        }


def record_empty_texts(connection: Connection, missing_texts_query: MissingTextsQuery, run_id: str) -> None:
    """Record blank texts in ``ml.embeddings`` with the status ``empty``, so that no run asks for their vectors."""
    connection.execute(
        RECORD_EMPTY_TEXTS.format(texts=missing_texts_query.texts_relation),
        {**missing_texts_query.embedding_model.values_of_key_columns, "run_id": run_id},
    )


def stage_missing_texts(connection: Connection, missing_texts_query: MissingTextsQuery) -> int:
    """Write the distinct texts without a vector into the temporary table ``embedding_backlog``; return their number."""
    connection.execute(
        STAGE_MISSING_TEXTS.format(texts=missing_texts_query.texts_relation), missing_texts_query.bound_values()
    )
    return count_rows(connection, "embedding_backlog")


def read_staged_portions(connection: Connection, portion_size: int = PORTION_SIZE) -> Iterator[list[tuple[str, str]]]:
    """Yield lists of at most ``portion_size`` (text_hash, text) rows of ``embedding_backlog``, the shortest first."""
    start = 0
    while rows := connection.execute(
        "select text_hash, text from embedding_backlog where rowid >= $start and rowid < $start + $size order by rowid",
        {"start": start, "size": portion_size},
    ).fetchall():
        yield rows
        start += portion_size


def read_staged_texts(
    connection: Connection, missing_texts_query: MissingTextsQuery, provider: Provider, run_record: JobRun
) -> Iterator[TextToEmbed]:
    """Yield the texts of ``embedding_backlog``, none longer than the provider's model can read.

    A longer text is cut if ``missing_texts_query.truncate_too_long``. Else it gets the status ``too_long`` and is left
    out.
    """
    for rows in read_staged_portions(connection):
        texts, rejected = cut_to_token_limit(
            rows, provider, "truncate" if missing_texts_query.truncate_too_long else "fail"
        )
        failures = [(text.text_hash, text.length_note) for text in rejected]
        store_failures(connection, missing_texts_query.embedding_model, run_record.run_id, "too_long", failures)
        run_record.detail["failed"] += len(failures)
        yield from texts


def count_missing_texts(connection: Connection, missing_texts_query: MissingTextsQuery) -> tuple[int, int, int]:
    """Count the items and texts that have no vector yet.

    Returns
    -------
    item_count, text_count, total_bytes : int
        Items without a vector, their distinct texts, and the size of those texts in bytes of UTF-8.
    """
    query = COUNT_MISSING_TEXTS.format(texts=missing_texts_query.texts_relation)
    item_count, text_count, total_bytes = connection.execute(query, missing_texts_query.bound_values()).fetchall()[0]
    return item_count, text_count, total_bytes


def sample_missing_texts(connection: Connection, missing_texts_query: MissingTextsQuery, sample_size: int) -> list[str]:
    """Return a repeatable sample of ``sample_size`` texts without a vector: those with the smallest hashes."""
    query = SAMPLE_MISSING_TEXTS.format(texts=missing_texts_query.texts_relation)
    rows = connection.execute(query, {**missing_texts_query.bound_values(), "size": sample_size}).fetchall()
    return [text for (text,) in rows]
