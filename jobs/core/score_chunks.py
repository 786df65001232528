"""Scores of items for queries, computed for one chunk of items at a time.

A score is an inner product. It is the same bit for bit, whatever the size of the chunks.
"""

from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor

from jobs.core.arrays import Longs

# The number of items of a matrix product is padded with zeros to a multiple of BLOCK, and the number of queries to a
# multiple of QUERY_PAD, because BLAS rounds the last rows and columns of a product differently. With padding, a score
# depends neither on the number of queries nor on the position of its item.
BLOCK = 64
QUERY_PAD = 256


def score_chunks(
    queries: Tensor,
    item_vectors: Tensor,
    bias: Tensor | None,
    allowed_items: Tensor | None,
    excluded_pairs: tuple[Longs, Longs] | None,
    items_per_chunk: int,
) -> Iterator[tuple[int, Tensor]]:
    """Yield the scores of one chunk of the allowed items after the other, for all queries.

    In ``excluded_pairs``, and in what is yielded, an item's number is its position among the allowed items.

    Parameters
    ----------
    queries : float32 tensor (queries, d)
    item_vectors : float32 tensor (N, d)
    bias : float32 tensor (N,), optional
        Added to each item's score, for every query.
    allowed_items : int64 tensor (allowed,), optional
        Indices of the allowed items; None if all items are allowed.
    excluded_pairs : two int64 arrays (pairs,), optional
        Each pair's query number and item number, ordered by item; the query must not get the item.
    items_per_chunk : int
        Number of items in each chunk but the last.

    Yields
    ------
    start : int
        Number of the chunk's first item.
    scores : float32 tensor (queries, columns)
        -inf for excluded items. Columns of -inf are appended until the number of columns is a multiple of ``BLOCK``.
        The next chunk overwrites this tensor.
    """
    count, size = len(queries), len(item_vectors if allowed_items is None else allowed_items)
    queries = padded_queries(queries, bias)
    buffer = queries.new_empty(len(queries) * round_up(min(items_per_chunk, size), BLOCK))
    for start in range(0, size, items_per_chunk):
        stop = min(start + items_per_chunk, size)
        numbers = slice(start, stop) if allowed_items is None else allowed_items[start:stop]
        columns = round_up(stop - start, BLOCK)
        scores = buffer[: len(queries) * columns].view(len(queries), columns)
        torch.mm(queries, _append_zero_rows(item_vectors_with_bias(item_vectors, bias, numbers), BLOCK).T, out=scores)
        scores = scores[:count]
        scores[:, stop - start :] = -torch.inf
        if excluded_pairs is not None:
            low, high = np.searchsorted(excluded_pairs[1], [start, stop])
            row, item = (torch.from_numpy(part[low:high]).to(scores.device) for part in excluded_pairs)
            scores[row, item - start] = -torch.inf
        yield start, scores


def padded_queries(queries: Tensor, bias: Tensor | None) -> Tensor:
    """Return the queries in the form that a matrix product with :func:`item_vectors_with_bias` needs.

    Rows of zeros are appended until the number of rows is a multiple of ``QUERY_PAD``. If there is a bias, a column of
    ones is appended, which the product multiplies by the column of biases.
    """
    return _append_zero_rows(queries if bias is None else torch.nn.functional.pad(queries, (0, 1), value=1), QUERY_PAD)


def item_vectors_with_bias(item_vectors: Tensor, bias: Tensor | None, item_numbers: Tensor | slice) -> Tensor:
    """Return the vectors of the selected items; a bias becomes an additional last column.

    With the bias as a column, the matrix product adds it to the scores, which saves a pass over them. Callers select
    one chunk of items at a time, so that the vectors of all items are never copied at once.
    """

    def select_rows(tensor: Tensor) -> Tensor:
        # index_select takes a third of the time of tensor[item_numbers]
        return tensor[item_numbers] if isinstance(item_numbers, slice) else tensor.index_select(0, item_numbers)

    selected = select_rows(item_vectors)
    return selected if bias is None else torch.cat([selected, select_rows(bias)[:, None]], dim=1)


def round_up(count: int, multiple_of: int) -> int:
    """Return the smallest multiple of ``multiple_of`` that is at least ``count``."""
    return -(-count // multiple_of) * multiple_of


def _append_zero_rows(vectors: Tensor, multiple_of: int) -> Tensor:
    """Append rows of zeros until the number of rows is a multiple of ``multiple_of``."""
    missing = -len(vectors) % multiple_of
    return torch.nn.functional.pad(vectors, (0, 0, 0, missing)) if missing else vectors
