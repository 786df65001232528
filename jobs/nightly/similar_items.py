"""Similar items: for each embedded item, the available items with the closest embeddings."""

import numpy as np
import pyarrow as pa
import torch

from jobs.core.catalog import Catalog
from jobs.core.sequences import Sequences
from jobs.core.topk import top_k
from jobs.dbt_vars import Vars
from jobs.warehouse.connection import Connection, transaction
from jobs.warehouse.job_runs import JobRun


def write_similar_items(connection: Connection, catalog: Catalog, dbt_vars: Vars, run_record: JobRun) -> None:
    """Replace the embedding model's rows in ``ml.similar_items``; note the number of rows in ``run_record.detail``."""
    similar_pairs = similar_items(catalog, dbt_vars.similar_items_per_item)
    connection.register("similar_pairs", similar_pairs)
    with transaction(connection):
        connection.execute("delete from ml.similar_items where embedding_model = ?", [dbt_vars.embedding_model])
        connection.execute(
            "insert into ml.similar_items by name select *, $run_id as run_id, $embedding_model as embedding_model "
            "from similar_pairs",
            {"run_id": run_record.run_id, "embedding_model": dbt_vars.embedding_model},
        )
    connection.unregister("similar_pairs")
    run_record.detail["similar_items"] = len(similar_pairs)


def similar_items(catalog: Catalog, k: int) -> pa.Table:
    """Return, for each item that has an embedding, the ``k`` available items whose embeddings have the largest cosine.

    Returns
    -------
    pyarrow.Table
        ``item_id, rank, similar_item_id, score``: ranks from 1, the score is the cosine of the two embeddings.
    """
    vectors = torch.nn.functional.normalize(torch.from_numpy(catalog.embeddings), dim=1)
    embedded = np.flatnonzero(catalog.has_embedding)
    own_item = Sequences(embedded.astype(np.int32), np.arange(len(embedded) + 1))
    allowed = catalog.has_embedding & catalog.available
    scores, items = top_k(vectors[embedded], vectors, k, excluded_items=own_item, allowed_mask=allowed)
    row, column = np.nonzero(items >= 0)
    return pa.table(
        {
            "item_id": pa.array(catalog.item_ids[embedded[row]], pa.string()),
            "rank": pa.array(column + 1, pa.int32()),
            "similar_item_id": pa.array(catalog.item_ids[items[row, column]], pa.string()),
            "score": pa.array(scores[row, column], pa.float64()),
        }
    )
