"""A warehouse with ``catalog.item_texts``, and the results of the embed job on it."""

import hashlib

import duckdb
from fake_openai import DIMENSIONS

from jobs.orchestration.run_job import run_job
from jobs.settings import Settings

FAKE = {
    "embedding_model": "fake",
    "embedding_models": {"fake": {"provider": "openai", "dimensions": DIMENSIONS, "price": 1}},
}
QUICK = {"embedding_timeout_seconds": 0.3, "embedding_patience_seconds": 1.5, "embedding_batch_size": 4}


def text_hash(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


class Catalogue:
    def __init__(self, connection: duckdb.DuckDBPyConnection) -> None:
        self.connection = connection
        connection.execute("create schema if not exists catalog")
        connection.execute(
            "create table if not exists catalog.item_texts (item_id varchar, text varchar, text_hash varchar)"
        )

    def write(self, **texts: str) -> None:
        """Replace the catalogue by these texts, given by item_id."""
        self.connection.execute("delete from catalog.item_texts")
        rows = [(item_id, text, text_hash(text)) for item_id, text in texts.items()]
        if rows:
            self.connection.executemany("insert into catalog.item_texts values (?, ?, ?)", rows)

    def embed(self, options=None, model: dict | None = None, **settings) -> dict:
        """Run the embed job, with ``model`` as settings of the embedding model."""
        entry = {**FAKE["embedding_models"]["fake"], **(model or {})}
        dbt_vars = {"embedding_model": "fake", "embedding_models": {"fake": entry}, **settings.pop("vars", {})}
        return run_job(
            "embed",
            self.connection,
            Settings(**{**QUICK, **settings}, vars=dbt_vars),
            **({"options": options} if options else {}),
        )

    def rows(self, query: str, *parameters) -> list[tuple]:
        return self.connection.execute(query, parameters).fetchall()

    def stored(self) -> dict[str, list[float] | None]:
        """Return all vectors by text_hash; None for texts that have only a label."""
        rows = self.rows("select text_hash, embedding from ml.embeddings")
        return {key: None if vector is None else list(vector) for key, vector in rows}

    def by_item(self) -> dict[str, list[float]]:
        rows = self.rows("select item_id, embedding from catalog.item_texts inner join ml.embeddings using (text_hash)")
        return {item_id: None if vector is None else list(vector) for item_id, vector in rows}

    def labels(self) -> dict[str, tuple[str, str | None]]:
        """Return status and error by item_id, of all texts whose status is not ok."""
        rows = self.rows(
            "select item_id, status, error from catalog.item_texts inner join ml.embeddings using (text_hash) "
            "where status <> 'ok'"
        )
        return {item_id: (status, error) for item_id, status, error in rows}
