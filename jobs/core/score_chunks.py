"""Scores of queries and items, chunk by chunk of items: inner products that no chunk's size or place changes."""

from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor

from jobs.core.arrays import Longs

# The number of items of a product is padded with zeros to a multiple of BLOCK, and the number of queries to a multiple
# of QUERY_PAD, because BLAS rounds the last rows and columns of a matrix product differently. With padding, a score
# depends neither on the number of queries nor on the position of its item.
BLOCK = 64
QUERY_PAD = 256


def score_chunks(
    queries: Tensor,
    items: Tensor,
    bias: Tensor | None,
    allowed_items: Tensor | None,
    excluded_pairs: tuple[Longs, Longs] | None,
    item_chunk: int,
) -> Iterator[tuple[int, Tensor]]:
    """Yield the scores of chunk after chunk of the allowed items, each chunk with its first item's position.

    Items are numbered by their position among the allowed items, in ``excluded_pairs`` too.

    Parameters
    ----------
    queries : float32 tensor (queries, d)
    items : float32 tensor (N, d)
    bias : float32 tensor (N,), optional
    allowed_items : int64 tensor (allowed,), optional
        Indices of the allowed items; None if all items are allowed.
    excluded_pairs : two int64 arrays (pairs,), optional
        Query numbers and the items that these queries must not get, ordered by item.
    item_chunk : int

    Yields
    ------
    start : int
    scores : float32 tensor (queries, columns)
        -inf for excluded items, and in the last columns, so that the number of columns is a multiple of ``BLOCK``. The
        next chunk overwrites it.
    """
    count, size = len(queries), len(items if allowed_items is None else allowed_items)
    queries = padded_queries(queries, bias)
    buffer = queries.new_empty(len(queries) * round_up(min(item_chunk, size), BLOCK))
    for start in range(0, size, item_chunk):
        stop = min(start + item_chunk, size)
        numbers = slice(start, stop) if allowed_items is None else allowed_items[start:stop]
        columns = round_up(stop - start, BLOCK)
        scores = buffer[: len(queries) * columns].view(len(queries), columns)
        torch.mm(queries, _pad_rows(item_vectors_with_bias(items, bias, numbers), BLOCK).T, out=scores)
        scores = scores[:count]
        scores[:, stop - start :] = -torch.inf
        if excluded_pairs is not None:
            low, high = np.searchsorted(excluded_pairs[1], [start, stop])
            row, item = (torch.from_numpy(part[low:high]).to(scores.device) for part in excluded_pairs)
            scores[row, item - start] = -torch.inf
        yield start, scores


def padded_queries(queries: Tensor, bias: Tensor | None) -> Tensor:
    """Return queries that fit :func:`item_vectors_with_bias`: rows of zeros appended, a column of ones for a bias."""
    return _pad_rows(queries if bias is None else torch.nn.functional.pad(queries, (0, 1), value=1), QUERY_PAD)


def item_vectors_with_bias(items: Tensor, bias: Tensor | None, item_numbers: Tensor | slice) -> Tensor:
    """Return the vectors of some items, with the bias as an additional last column.

    Vectors of single items are copied chunk by chunk, never all at once. With the bias as a column, the matrix product
    adds it to the scores, which saves a pass over them.
    """

    def rows_of(values: Tensor) -> Tensor:
        # index_select takes a third of the time of values[numbers]
        return values[item_numbers] if isinstance(item_numbers, slice) else values.index_select(0, item_numbers)

    return rows_of(items) if bias is None else torch.cat([rows_of(items), rows_of(bias)[:, None]], dim=1)


def round_up(count: int, multiple_of: int) -> int:
    """Return the smallest multiple that is at least ``count``."""
    return -(-count // multiple_of) * multiple_of


def _pad_rows(vectors: Tensor, multiple_of: int) -> Tensor:
    """Append rows of zeros until the number of rows is a multiple of ``multiple_of``."""
    missing = -len(vectors) % multiple_of
    return torch.nn.functional.pad(vectors, (0, 0, 0, missing)) if missing else vectors
