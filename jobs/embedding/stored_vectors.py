"""Writing to ``ml.embeddings``: checked vectors, and the status of texts that have no vector."""

from collections.abc import Sequence

import numpy as np
import pyarrow as pa

from jobs.core.arrays import Bools, Floats
from jobs.dbt_vars import EmbeddingModel
from jobs.embedding.batching import TextToEmbed
from jobs.warehouse.clock import now
from jobs.warehouse.connection import Connection

# A text whose embedding failed before has a row already; its vector replaces that row.
INSERT_VECTORS = """
    insert or replace into ml.embeddings by name
    select *, $embedding_model as embedding_model, $dimensions as dimensions, $run_id as run_id,
        $created_at as created_at
    from new_embeddings
"""


def usable_vector_mask(vectors: Floats, text_count: int, dimensions: int) -> Bools:
    """Tell which vectors of a provider's answer may be stored: those that are finite and not zero.

    Parameters
    ----------
    vectors : float32 array (texts, dimensions)

    Returns
    -------
    bool array (texts,)

    Raises
    ------
    ValueError
        If ``vectors`` has another shape than (texts, dimensions), since then no row can be trusted.
    """
    if vectors.shape != (text_count, dimensions):
        raise ValueError(f"vectors of shape {vectors.shape} for {text_count} texts of {dimensions} dimensions")
    norms = np.linalg.norm(vectors.astype(np.float64), axis=1)
    usable: Bools = np.isfinite(norms) & (norms > 0)
    return usable


def store_vectors(
    connection: Connection, embedding_model: EmbeddingModel, run_id: str, texts: Sequence[TextToEmbed], vectors: Floats
) -> None:
    """Commit a vector for each text to ``ml.embeddings``.

    A text that was cut has the status ``too_long`` and its note in the column ``error``.

    Parameters
    ----------
    vectors : float32 array (texts, dimensions)
        Vectors that :func:`usable_vector_mask` accepts.
    """
    embeddings = pa.FixedSizeListArray.from_arrays(pa.array(vectors.ravel()), vectors.shape[1])
    rows = {
        "text_hash": [text.text_hash for text in texts],
        "embedding": embeddings.cast(pa.list_(pa.float32())),
        "status": ["too_long" if text.length_note else "ok" for text in texts],
        "error": pa.array([text.length_note or None for text in texts], pa.string()),
        "tokens": pa.array([text.token_count for text in texts], pa.int64()),
    }
    _write_embeddings(connection, embedding_model, run_id, pa.table(rows))


def store_failures(
    connection: Connection,
    embedding_model: EmbeddingModel,
    run_id: str,
    status: str,
    failures: Sequence[tuple[str, str]],
) -> None:
    """Commit to ``ml.embeddings`` the errors of texts that got no vector.

    Parameters
    ----------
    status : str
        ``failed`` or ``too_long``.
    failures : sequence of (text_hash, error)
    """
    if failures:
        rows = {
            "text_hash": [text_hash for text_hash, _ in failures],
            "error": [error for _, error in failures],
            "status": [status] * len(failures),
        }
        _write_embeddings(connection, embedding_model, run_id, pa.table(rows))


def _write_embeddings(connection: Connection, embedding_model: EmbeddingModel, run_id: str, rows: pa.Table) -> None:
    connection.register("new_embeddings", rows)
    connection.execute(INSERT_VECTORS, {**embedding_model.values_of_key_columns, "run_id": run_id, "created_at": now()})
    connection.unregister("new_embeddings")
