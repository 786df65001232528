"""Similar items: for each embedded item, the available items with the closest embeddings.

A list holds at most one item of a group of variants. Variants (``ml.item_variants``, published as
``catalog.item_variants``) are items that differ in colour or size alone.
Their embeddings are so close that without groups the similar items of a pen would be its other colours.
"""

import numpy as np
import pyarrow as pa
import torch

from jobs.core.arrays import Bools, Ints, Longs
from jobs.core.catalog import Catalog
from jobs.core.sequences import Sequences
from jobs.core.topk import top_k
from jobs.dbt_vars import JobVars
from jobs.warehouse.connection import Connection, transaction
from jobs.warehouse.job_runs import JobRun

MOST_SEARCHED = 5_000
"""The search for further variant groups ends after this many nearest items, to bound memory: a list may then be
shorter than k."""

SELECT_VARIANTS_HASH = """
    -- Null where no item has a variant
    select bit_xor(hash(item_id, variant_group))::varchar from ml.item_variants where item_id <> variant_group
"""


def hash_variants(connection: Connection) -> str | None:
    """Return a hash of all variant groups that have more than one item; None if there is no such group."""
    row = connection.execute(SELECT_VARIANTS_HASH).fetchone()
    return row[0] if row else None


def read_variant_groups(connection: Connection, catalog: Catalog) -> Longs:
    """Return the number of each item's variant group, int64 array (items,); an item without variants has its own."""
    groups = np.arange(len(catalog))
    rows = connection.execute(
        "select item_id, variant_group from ml.item_variants where item_id <> variant_group order by all"
    ).fetchnumpy()
    members, firsts = (catalog.find_indices(np.asarray(rows[name])) for name in ("item_id", "variant_group"))
    # a group is named after its first item; where that item has left the catalogue, the first remaining one stands in
    names, stand_ins = np.unique(np.asarray(rows["variant_group"], dtype=np.str_), return_inverse=True)
    stand_in_of_name = np.full(len(names), len(catalog))
    np.minimum.at(stand_in_of_name, stand_ins, np.where(members >= 0, members, len(catalog)))
    groups[members[members >= 0]] = np.where(firsts >= 0, firsts, stand_in_of_name[stand_ins])[members >= 0]
    return groups


def write_similar_items(connection: Connection, catalog: Catalog, dbt_vars: JobVars, run_record: JobRun) -> None:
    """Replace the embedding model's rows in ``ml.similar_items``; note the number of rows in ``run_record.detail``."""
    groups = read_variant_groups(connection, catalog)
    similar_pairs = find_similar_items(catalog, dbt_vars.similar_items_per_item, groups)
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


def find_similar_items(catalog: Catalog, k: int, variant_groups: Longs | None = None) -> pa.Table:
    """Return, for each item that has an embedding, the ``k`` available items whose embeddings have the largest cosine.

    Parameters
    ----------
    variant_groups : int64 array (items,), optional
        The number of each item's variant group. Of each group, the item's own included, only the nearest item is
        listed.

    Returns
    -------
    pyarrow.Table
        ``item_id, rank, similar_item_id, score``: ranks from 1, the score is the cosine of the two embeddings.
    """
    vectors = torch.nn.functional.normalize(torch.from_numpy(catalog.embeddings), dim=1)
    embedded = np.flatnonzero(catalog.has_embedding_mask)
    own_item = Sequences(embedded.astype(np.int32), np.arange(len(embedded) + 1))
    allowed = catalog.has_embedding_mask & catalog.available_mask
    variant_groups = np.arange(len(catalog)) if variant_groups is None else variant_groups
    has_variants = bool((np.bincount(variant_groups) > 1).any())
    searched, rows = 2 * k if has_variants else k, np.arange(len(embedded))
    scores = np.full((len(embedded), k), -np.inf, np.float32)
    items = np.full((len(embedded), k), -1, np.int32)
    while len(rows):
        found_scores, found = top_k(
            vectors[embedded[rows]], vectors, searched, excluded_items=own_item.take(rows), allowed_mask=allowed
        )
        first_of_group = _are_first_of_their_group(found, variant_groups)
        # an item's row is done when it has items of k variant groups, when there is no further item, or when enough
        # items were searched
        is_done = (first_of_group.sum(axis=1) >= k) | (found[:, -1] < 0) | (searched >= MOST_SEARCHED)
        rank = first_of_group.cumsum(axis=1) - 1
        row, column = np.nonzero(first_of_group & (rank < k) & is_done[:, None])
        scores[rows[row], rank[row, column]] = found_scores[row, column]
        items[rows[row], rank[row, column]] = found[row, column]
        rows, searched = rows[~is_done], 4 * searched
    row, column = np.nonzero(items >= 0)
    return pa.table(
        {
            "item_id": pa.array(catalog.item_ids[embedded[row]], pa.string()),
            "rank": pa.array(column + 1, pa.int32()),
            "similar_item_id": pa.array(catalog.item_ids[items[row, column]], pa.string()),
            "score": pa.array(scores[row, column], pa.float64()),
        }
    )


def _are_first_of_their_group(item_indices: Ints, variant_groups: Longs) -> Bools:
    """Return a bool array (rows, k): whether an item is the first of its variant group in its row; False at -1."""
    keys = np.where(item_indices >= 0, variant_groups[item_indices], -1)
    order = np.argsort(keys, axis=1, kind="stable")
    in_order = np.take_along_axis(keys, order, axis=1)
    is_first = np.ones(item_indices.shape, np.bool_)
    is_first[:, 1:] = in_order[:, 1:] != in_order[:, :-1]
    first = np.zeros(item_indices.shape, np.bool_)
    np.put_along_axis(first, order, is_first, axis=1)
    return first & (item_indices >= 0)
