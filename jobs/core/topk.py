"""Exact top-k items by inner product, in chunks of queries and items."""

import math
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from jobs.core.arrays import Floats, Ints, Longs
from jobs.core.sequences import Sequences

QUERY_CHUNK = 1024  # both: scores that stay near the cache; larger and smaller were no faster
ITEM_CHUNK = 4096
BLOCK = 64  # items whose maximum is taken before any single item is looked at
# BLAS rounds differently in the edges of small products: whole tiles keep a query's scores independent of
# how many queries come with it, and an item's of where it stands.
QUERY_PAD = 256

_INDEX_TOP = 0x7FFFFFFF


def top_k(
    queries: Tensor,
    items: Tensor,
    k: int,
    *,
    bias: Tensor | None = None,
    exclude: Sequences | None = None,
    allowed: npt.ArrayLike | Tensor | None = None,
    query_chunk: int = QUERY_CHUNK,
    item_chunk: int = ITEM_CHUNK,
) -> tuple[Floats, Ints]:
    """Find each query's ``k`` items of largest inner product, or of that plus the item's bias.

    The order is by score, largest first, and of equal scores the smaller item index first; this also holds
    at the k-th place. Beside the result, each of torch's threads takes a few times
    ``query_chunk * item_chunk`` floats.

    Parameters
    ----------
    queries : float32 tensor (n, d)
        On any device; so are the items.
    items : float32 tensor (N, d)
        Fewer than 2**31 rows.
    k : int
        At least 1; may exceed ``N``.
    bias : float32 tensor (N,), optional
        What is added to an item's score, whatever the query.
    exclude : Sequences of n rows, optional
        Row ``i`` holds the item indices that query ``i`` must not get; any order, repeats allowed.
    allowed : bool array or tensor (N,), optional
        False for items that no query may get.
    query_chunk, item_chunk : int
        Rows of queries and of items multiplied at once, at most. A query chunk is one CPU thread's work; on
        another device larger chunks than these may pay.

    Returns
    -------
    scores : float32 array (n, k)
        Row by row descending; -inf where no item is left.
    indices : int32 array (n, k)
        -1 where no item is left.

    Raises
    ------
    ValueError
        If shapes, dtypes, devices or sizes do not fit, an excluded index is no item's, a query, an item or its
        bias is not finite (the first such row is named), or the scores could exceed float32.
    """
    queries, items = queries.detach(), items.detach()
    bias = None if bias is None else bias.detach()
    _check(queries, items, bias, k, query_chunk, item_chunk)
    n, width = len(queries), min(k, len(items))
    kept = _kept(allowed, len(items))
    seen = None if exclude is None else _seen(exclude, n, len(items), kept)
    rows = None if kept is None else torch.from_numpy(kept).to(items.device)
    scores = np.full((n, k), -np.inf, dtype=np.float32)
    indices = np.full((n, k), -1, dtype=np.int32)
    if rows is not None and not len(rows):
        return scores, indices

    def fill(start: int, stop: int) -> None:
        banned = None if seen is None else _by_item(seen, start, stop)
        best = _search(queries[start:stop], items, bias, rows, width, banned, item_chunk)
        values, found = (part.cpu().numpy() for part in _decode(best))
        scores[start:stop, :width] = values
        indices[start:stop, :width] = found if kept is None else np.where(found < 0, -1, kept[found])

    for_chunks(fill, n, query_chunk, torch.get_num_threads() if queries.device.type == "cpu" else 1)
    return scores, indices


def for_chunks(call: Callable[[int, int], None], n: int, chunk: int, threads: int) -> None:
    """Call for each start and stop of the query chunks, on a CPU in single-threaded workers.

    Threads that work apart never wait for each other, unlike those that share every small operation.
    """
    chunk = min(chunk, _round_up(max(1, -(-n // threads)), QUERY_PAD))
    starts = range(0, n, chunk)
    stops = [min(start + chunk, n) for start in starts]
    if threads == 1 or len(starts) < 2:
        for start, stop in zip(starts, stops, strict=True):
            call(start, stop)
        return
    try:
        with ThreadPoolExecutor(threads, initializer=torch.set_num_threads, initargs=(1,)) as pool:
            list(pool.map(call, starts, stops))
    finally:
        torch.set_num_threads(threads)  # the number is also what threads started later begin with


def _search(
    queries: Tensor,
    items: Tensor,
    bias: Tensor | None,
    kept: Tensor | None,
    k: int,
    banned: tuple[Longs, Longs] | None,
    item_chunk: int,
) -> Tensor:
    """Return the keys of the best ``k`` of the kept items but the banned: int64 tensor (q, k), descending.

    The keys' indices, like the banned items', are places among the kept.
    """
    q, size = len(queries), len(items if kept is None else kept)
    if bias is not None:
        queries = torch.nn.functional.pad(queries, (0, 1), value=1)
    queries = _pad_rows(queries, QUERY_PAD)
    best = _empty_keys(q, k, queries.device)
    buffer = queries.new_empty(len(queries) * _round_up(min(item_chunk, size), BLOCK))
    for start in range(0, size, item_chunk):
        chunk = _chunk(items, bias, kept, start, min(start + item_chunk, size))
        columns = _round_up(len(chunk), BLOCK)
        scores = buffer[: len(queries) * columns].view(len(queries), columns)
        torch.mm(queries, _pad_rows(chunk, BLOCK).T, out=scores)
        scores = scores[:q]
        scores[:, len(chunk) :] = -torch.inf
        if banned is not None:
            low, high = np.searchsorted(banned[1], [start, start + len(chunk)])
            row, item = (torch.from_numpy(part[low:high]).to(scores.device) for part in banned)
            scores[row, item - start] = -torch.inf
        # Chunks come in index order, so a later item that only equals the k-th best cannot enter.
        floor = _decode(best[:, -1])[0]
        rows, columns_hit, values = _candidates(scores, floor, k)
        _merge(best, rows, _encode(values, columns_hit + start))
    return best


def _chunk(items: Tensor, bias: Tensor | None, kept: Tensor | None, start: int, stop: int) -> Tensor:
    """Return vectors of the kept items from ``start`` to ``stop``: copied here, so never all at once.

    A bias is one more factor: added to the scores it would take another pass over all of them.
    """

    def part(whole: Tensor) -> Tensor:  # index_select takes a third of the time of whole[kept[start:stop]]
        return whole[start:stop] if kept is None else whole.index_select(0, kept[start:stop])

    return part(items) if bias is None else torch.cat([part(items), part(bias)[:, None]], dim=1)


def _candidates(scores: Tensor, floor: Tensor, k: int) -> tuple[Tensor, Tensor, Tensor]:
    """Pick a superset of each row's best ``k`` scores above its floor.

    Parameters
    ----------
    scores : float32 tensor (q, m)
        ``m`` a multiple of ``BLOCK``.
    floor : float32 tensor (q,)

    Returns
    -------
    rows, columns : int64 tensors (hits,)
        Row after row.
    values : float32 tensor (hits,)
    """
    blocks = scores.shape[1] // BLOCK
    maxima = scores.view(-1, blocks, BLOCK).amax(2)
    passing = maxima > floor[:, None]
    crowded = (passing.sum(1) > k).nonzero()[:, 0]
    if len(crowded):
        # Under (score, then lower index) the best k lie in the k blocks whose maxima come first, and none is
        # below the k-th of these maxima.
        keys = _encode(maxima[crowded], torch.arange(blocks, device=scores.device))
        kth, chosen = _decode(keys.topk(k, dim=1).values)
        passing[crowded] = torch.zeros_like(passing[crowded]).scatter_(1, chosen.long(), True)
        below = torch.nextafter(kth[:, -1], torch.tensor(-torch.inf, device=scores.device))
        floor = floor.index_put((crowded,), torch.maximum(floor[crowded], below))
    pairs = passing.view(-1).nonzero()[:, 0]
    members = scores.view(-1, BLOCK).index_select(0, pairs)
    pair, lane = (members > floor[pairs // blocks, None]).nonzero(as_tuple=True)
    place = pairs[pair]
    return place // blocks, place % blocks * BLOCK + lane, members[pair, lane]


def _merge(best: Tensor, rows: Tensor, keys: Tensor) -> None:
    """Put new keys (hits,), given row after row, into the best (q, k), in place."""
    if not len(rows):
        return
    k = best.shape[1]
    counts = torch.bincount(rows, minlength=len(best))
    rank = torch.arange(len(rows), device=rows.device) - (counts.cumsum(0) - counts)[rows]
    touched = counts.nonzero()[:, 0]
    slot = (counts > 0).cumsum(0) - 1
    table = _empty_keys(len(touched), k + int(counts.max()), best.device)
    table[:, :k] = best[touched]
    table[slot[rows], k + rank] = keys
    best[touched] = table.topk(k, dim=1).values


def _encode(scores: Tensor, indices: Tensor) -> Tensor:
    """Make int64 keys, no two equal, that order by score and then by lower index."""
    bits = (scores + 0.0).view(torch.int32)  # adding turns -0.0, whose bits differ, into 0.0
    ordered = bits ^ ((bits >> 31) & _INDEX_TOP)
    return (ordered.long() << 32) | (_INDEX_TOP - indices)


def _decode(keys: Tensor) -> tuple[Tensor, Tensor]:
    """Return the float32 scores and the int32 indices of keys."""
    ordered = (keys >> 32).int()
    scores = (ordered ^ ((ordered >> 31) & _INDEX_TOP)).view(torch.float32)
    return scores, (_INDEX_TOP - (keys & 0xFFFFFFFF)).int()


def _empty_keys(rows: int, columns: int, device: torch.device) -> Tensor:
    lowest = _encode(torch.tensor(-torch.inf), torch.tensor(-1))
    return torch.full((rows, columns), int(lowest), dtype=torch.int64, device=device)


def _round_up(size: int, step: int) -> int:
    return -(-size // step) * step


def _pad_rows(matrix: Tensor, step: int) -> Tensor:
    """Append zero rows up to a multiple of ``step``; the matrix itself if there is nothing to append."""
    missing = -len(matrix) % step
    return torch.nn.functional.pad(matrix, (0, 0, 0, missing)) if missing else matrix


def _check(queries: Tensor, items: Tensor, bias: Tensor | None, k: int, query_chunk: int, item_chunk: int) -> None:
    if queries.ndim != 2 or items.ndim != 2 or queries.shape[1] != items.shape[1]:
        raise ValueError(f"queries {tuple(queries.shape)} and items {tuple(items.shape)} must be (n, d) and (N, d)")
    if queries.dtype != torch.float32 or items.dtype != torch.float32 or queries.device != items.device:
        raise ValueError("queries and items must be float32 and on one device")
    if bias is not None and (bias.shape, bias.dtype, bias.device) != (items.shape[:1], items.dtype, items.device):
        raise ValueError(f"bias must be float32 ({len(items)},) and on the items' device")
    if min(k, query_chunk, item_chunk) < 1:
        raise ValueError(f"k, query_chunk and item_chunk must be at least 1: {k}, {query_chunk}, {item_chunk}")
    if len(items) > _INDEX_TOP:
        raise ValueError(f"{len(items)} items are more than an int32 can number")
    bound = _largest(queries, "query") * _largest(items, "item") * queries.shape[1]
    bound += 0 if bias is None else _largest(bias[:, None], "the bias of item")
    if bound > torch.finfo(torch.float32).max:
        raise ValueError(f"scores could reach {bound:.3g}, more than float32 can hold")


def _largest(matrix: Tensor, what: str) -> float:
    """Return the largest absolute value; raise ValueError if one is not finite."""
    if not matrix.numel():
        return 0.0
    low, high = (float(end) for end in torch.aminmax(matrix))
    if math.isfinite(low) and math.isfinite(high):
        return max(-low, high)
    row = int((~matrix.isfinite().all(1)).nonzero()[0])
    raise ValueError(f"{what} {row} has a value that is not finite")


def _kept(allowed: npt.ArrayLike | Tensor | None, items: int) -> Longs | None:
    """Return the indices of allowed items, or None if all are."""
    if allowed is None:
        return None
    mask = allowed.cpu().numpy() if isinstance(allowed, Tensor) else np.asarray(allowed)
    if mask.shape != (items,) or mask.dtype != np.bool_:
        raise ValueError(f"allowed must be bool ({items},), not {mask.dtype} {mask.shape}")
    return None if mask.all() else np.flatnonzero(mask)


def _seen(exclude: Sequences, n: int, items: int, kept: Longs | None) -> Sequences:
    """Check the excluded items and renumber them to their places among the kept."""
    if len(exclude) != n:
        raise ValueError(f"exclude has {len(exclude)} rows for {n} queries")
    if len(exclude.items) and not 0 <= exclude.items.min() <= exclude.items.max() < items:
        raise ValueError(f"exclude has an index outside 0..{items - 1}")
    if kept is None:
        return exclude
    place = np.full(items, -1, dtype=np.int32)
    place[kept] = np.arange(len(kept))
    renumbered = place[exclude.items]
    before = np.concatenate([[0], (renumbered >= 0).cumsum()])
    return Sequences(renumbered[renumbered >= 0], before[exclude.offsets])


def _by_item(seen: Sequences, start: int, stop: int) -> tuple[Longs, Longs]:
    """Return rows (from 0) and items of the rows ``start`` to ``stop``, in item order."""
    items = seen.items[seen.offsets[start] : seen.offsets[stop]].astype(np.int64)
    rows = np.repeat(np.arange(stop - start), np.diff(seen.offsets[start : stop + 1]))
    order = items.argsort(kind="stable")
    return rows[order], items[order]
