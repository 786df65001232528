"""Texts of the catalogue that have no vector yet, read in portions so that memory stays bounded."""

from collections.abc import Iterator
from dataclasses import dataclass

from jobs.embedding.batching import Text, fitted
from jobs.embedding.provider import Provider
from jobs.embedding.stored_vectors import store_failures
from jobs.settings import EmbeddingModel
from jobs.warehouse.connection import Connection
from jobs.warehouse.job_runs import JobRun

PORTION = 20_000  # texts in memory at a time

# Texts that are not to be asked about: those that have a vector, that were found to have none, or that are being
# bought right now in a batch.
SETTLED = """
    select text_hash from ml.embeddings
    where
        embedding_model = $embedding_model and dimensions = $dimensions
        and not ($retry_failed and status = 'failed')
        and not ($truncate and status = 'too_long' and embedding is null)
    union all
    select texts.text_hash
    from ml.embedding_batch_texts as texts
    inner join ml.embedding_batches as batches on texts.submission_id = batches.submission_id
    where batches.embedding_model = $embedding_model and batches.dimensions = $dimensions and batches.ended_at is null
"""

TEXTS = "catalog.item_texts"  # item_id, text and text_hash of every item

EMPTY_TEXTS = """
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

MISSING = f"""
    -- equal texts are one
    select texts.text_hash, any_value(texts.text) as text, count(*) as items
    from {{texts}} as texts
    anti join ({SETTLED}) as settled on texts.text_hash = settled.text_hash
    where regexp_matches(texts.text, '\\S')
    group by texts.text_hash
"""  # noqa: S608

# in the order of length, since texts of one length share a request best; the hash makes the order total
WRITE_DOWN = f"""
    create or replace temp table embedding_backlog as
    select text_hash, text from ({MISSING}) order by strlen(text), text_hash
"""  # noqa: S608

MEASURE = f"""
    select coalesce(sum(items), 0)::bigint, count(*), coalesce(sum(strlen(text)), 0)::bigint from ({MISSING})
"""  # noqa: S608

SAMPLE = f"select text from ({MISSING}) order by text_hash limit $size"  # noqa: S608


@dataclass(frozen=True)
class MissingTexts:
    """Which texts of a model count as missing; ``texts`` is the relation that holds them, as in SQL."""

    model: EmbeddingModel
    retry_failed: bool = False
    truncate: bool = True
    texts: str = TEXTS

    def parameters(self) -> dict[str, object]:
        """Return the parameters of the queries above."""
        return {**self.model.key, "retry_failed": self.retry_failed, "truncate": self.truncate}


def label_empty(connection: Connection, wanted: MissingTexts, run_id: str) -> None:
    """Write down texts with nothing to embed, so that nobody looks for their vectors."""
    connection.execute(EMPTY_TEXTS.format(texts=wanted.texts), {**wanted.model.key, "run_id": run_id})


def stage_missing_texts(connection: Connection, wanted: MissingTexts) -> int:
    """Put what is missing into a temporary table, once; return how many texts that are."""
    connection.execute(WRITE_DOWN.format(texts=wanted.texts), wanted.parameters())
    found = connection.execute("select count(*) from embedding_backlog").fetchone()
    return int(found[0]) if found else 0


def portions(connection: Connection, size: int = PORTION) -> Iterator[list[tuple[str, str]]]:
    """Read (text_hash, text) rows of what :func:`stage_missing_texts` wrote, the shortest texts first."""
    start = 0
    while rows := connection.execute(
        "select text_hash, text from embedding_backlog where rowid >= $start and rowid < $start + $size order by rowid",
        {"start": start, "size": size},
    ).fetchall():
        yield rows
        start += size


def fitting(connection: Connection, wanted: MissingTexts, provider: Provider, run: JobRun) -> Iterator[Text]:
    """Read what :func:`stage_missing_texts` wrote as texts that the model can read.

    Those that are too long for it are cut, or labelled and left out, as ``wanted`` says.
    """
    for rows in portions(connection):
        texts, too_long = fitted(rows, provider, "truncate" if wanted.truncate else "fail")
        failures = [(text.text_hash, text.note) for text in too_long]
        store_failures(connection, wanted.model, run.run_id, "too_long", failures)
        run.detail["failed"] += len(failures)
        yield from texts


def measure(connection: Connection, wanted: MissingTexts) -> tuple[int, int, int]:
    """Count what is missing: items, unique texts, and the texts' bytes of UTF-8."""
    items, texts, size = connection.execute(MEASURE.format(texts=wanted.texts), wanted.parameters()).fetchall()[0]
    return items, texts, size


def sample(connection: Connection, wanted: MissingTexts, size: int) -> list[str]:
    """Return some of the missing texts, as good as drawn at random but always the same: those of the least hashes."""
    rows = connection.execute(SAMPLE.format(texts=wanted.texts), {**wanted.parameters(), "size": size}).fetchall()
    return [text for (text,) in rows]
