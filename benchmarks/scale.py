"""Time top-20 lists of items that a visitor has not seen, for a large shop: a million items, a million visitors.

The sequences and lists of all visitors are in memory. Lists are made for ``--timed`` visitors only, as the recommend
job makes them; the time for all visitors is extrapolated, since each visitor takes the same time. The printed ratio is
the time of the matrix product alone (same vectors, same chunks, the faster of two ways) divided by the time measured.
The benchmark fails if its memory has exceeded 6 GB, or if the lists differ from those of a full sort.
Run: ``python -m benchmarks.scale``.
"""

import argparse
import resource

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from benchmarks.timing import print_timing, shortest_times
from benchmarks.topk import multiply_chunks_in_workers, multiply_in_chunks
from jobs.core.sequences import Sequences
from jobs.models.scorer import VectorScorer, recommend
from jobs.nightly.recommend import VISITORS_PER_CHUNK

K = 20
MAX_GIGABYTES = 6.0
ITEMS_PER_SEQUENCE = 10  # number of items in a visitor's sequence
AVAILABLE_SHARE = 0.99  # share of items that may be recommended


def make_random_shop(
    item_count: int, visitor_count: int, dimensions: int
) -> tuple[VectorScorer, Sequences, np.ndarray]:
    """Return a scorer with random item vectors and biases, random sequences, and a mask of the available items."""
    rng = np.random.default_rng(0)
    table = torch.from_numpy(rng.standard_normal((item_count, dimensions), dtype=np.float32))
    seen = rng.integers(0, item_count, ITEMS_PER_SEQUENCE * visitor_count, dtype=np.int32)
    sequences = Sequences(seen, np.arange(0, len(seen) + 1, ITEMS_PER_SEQUENCE))

    def query_vectors_of(some_sequences: Sequences) -> Tensor:
        return functional.embedding_bag(
            torch.from_numpy(some_sequences.items).long(), table, torch.from_numpy(some_sequences.offsets[:-1])
        )

    bias = torch.from_numpy(rng.standard_normal(item_count, dtype=np.float32))
    scorer = VectorScorer(query_vectors_of, table, np.ones(item_count, np.bool_), item_bias=bias)
    return scorer, sequences, rng.random(item_count) < AVAILABLE_SHARE


def check_lists(scorer: VectorScorer, sequences: Sequences, available_mask: np.ndarray, item_lists: np.ndarray) -> None:
    """End the benchmark with an error if lists differ from those that a full sort of all scores gives."""
    scores = scorer.compute_queries(sequences) @ scorer.item_vectors.T + scorer.item_bias
    scores[:, ~torch.from_numpy(available_mask)] = -torch.inf
    scores[torch.from_numpy(sequences.row_of_each_item()), torch.from_numpy(sequences.items).long()] = -torch.inf
    best = scores.argsort(dim=1, descending=True)[:, :K].numpy()
    # a few places may differ: the two ways sum scores in different orders, and so round them differently
    if (best == item_lists).mean() < 0.99:
        raise SystemExit("recommended lists differ from those by a full sort")


def main() -> None:
    """Run the benchmark; print the peak memory, the seconds, and the ratios."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--items", type=int, default=1_000_000)
    parser.add_argument("--visitors", type=int, default=1_000_000)
    parser.add_argument("--dims", type=int, default=128)
    parser.add_argument("--timed", type=int, default=4096, help="visitors whose lists are made")
    parser.add_argument("--threads", nargs="*", type=int, default=[1, 2])
    parser.add_argument("--repeats", type=int, default=2)
    options = parser.parse_args()
    scorer, sequences, available_mask = make_random_shop(options.items, options.visitors, options.dims)
    scores = np.full((options.visitors, K), -np.inf, np.float32)
    items = np.full((options.visitors, K), -1, np.int32)
    timed = sequences.take(np.arange(options.timed))
    queries = scorer.compute_queries(timed)

    def recommend_in_chunks() -> None:
        for start in range(0, options.timed, VISITORS_PER_CHUNK):
            rows = np.arange(start, min(start + VISITORS_PER_CHUNK, options.timed))
            scores[rows], items[rows] = recommend(scorer, timed.take(rows), K, allowed_mask=available_mask)

    size = f"{options.items:,} items x {options.dims}, top {K}"
    print(f"{size}, lists of {options.timed:,} of {options.visitors:,} visitors, best of {options.repeats}")
    print("what, seconds, ratio to the faster matrix product")
    for threads in options.threads:
        torch.set_num_threads(threads)
        times = shortest_times(
            {
                "matrix product": lambda: multiply_in_chunks(queries, scorer.item_vectors),
                "matrix product by workers": lambda threads=threads: multiply_chunks_in_workers(
                    queries, scorer.item_vectors, threads
                ),
                "recommend": recommend_in_chunks,
            },
            options.repeats,
        )
        fastest = min(seconds for what, (seconds, _) in times.items() if what != "recommend")
        for what, (seconds, _) in times.items():
            print_timing(f"{what}, {threads} threads", seconds, fastest / seconds)
        hours = times["recommend"][0] * options.visitors / options.timed / 3600
        print(f"  extrapolated to all visitors: {hours:.1f} hours")
    peak = (
        resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e9
    )  # the peak memory is read before the check, because the check's full sort needs more memory
    print(f"peak memory {peak:.2f} GB of {MAX_GIGABYTES:g} GB allowed")
    check_lists(scorer, timed.take(np.arange(8)), available_mask, items[:8])
    if peak > MAX_GIGABYTES:
        raise SystemExit("too much memory")


if __name__ == "__main__":
    main()
