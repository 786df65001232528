"""Time ``jobs.core.topk`` on random vectors, compared with the matrix product alone, faiss and NumPy.

The product is computed in two ways: all threads of PyTorch share each chunk, or each thread computes chunks of its own
as in ``top_k``. The printed ratio is the time of the faster product divided by the time measured, so 1 means as fast as
the product alone.
"""

import argparse
import importlib.util
from collections.abc import Callable

import numpy as np
import torch

from benchmarks.timing import print_timing, shortest_times
from jobs.core.topk import ITEMS_PER_CHUNK, QUERIES_PER_CHUNK, Floats, run_chunks_in_threads, top_k

ScoresAndItems = tuple[Floats, np.ndarray] | None
OURS = "jobs.core.topk"
PRODUCTS = ["matrix product", "matrix product by workers"]


def multiply_in_chunks(queries: torch.Tensor, items: torch.Tensor) -> None:
    """Compute the scores of all items in the chunks of ``top_k``, one chunk at a time, and discard them."""
    buffer = torch.empty(QUERIES_PER_CHUNK * ITEMS_PER_CHUNK)
    for some in torch.split(queries, QUERIES_PER_CHUNK):
        for chunk in torch.split(items, ITEMS_PER_CHUNK):
            torch.mm(some, chunk.T, out=buffer[: len(some) * len(chunk)].view(len(some), len(chunk)))


def multiply_chunks_in_workers(queries: torch.Tensor, items: torch.Tensor, threads: int) -> None:
    """Compute the scores of all items in the chunks of ``top_k``, each thread its own chunks, and discard them."""
    run_chunks_in_threads(
        lambda start, stop: multiply_in_chunks(queries[start:stop], items), len(queries), QUERIES_PER_CHUNK, threads
    )


def make_faiss_search(queries: Floats, items: Floats, k: int, threads: int) -> Callable[[], ScoresAndItems] | None:
    """Return a function that finds the top k items by an exact index of faiss; None if faiss is not installed."""
    if importlib.util.find_spec("faiss") is None:
        return None
    import faiss

    faiss.omp_set_num_threads(threads)
    index = faiss.IndexFlatIP(items.shape[1])
    index.add(items)
    return lambda: index.search(queries, k)


def top_k_by_numpy(queries: Floats, items: Floats, k: int) -> ScoresAndItems:
    """Find the k best items of each query with ``numpy.argpartition``, for a block of queries at a time."""
    rows = max(1, QUERIES_PER_CHUNK * ITEMS_PER_CHUNK // len(items))
    parts = []
    for start in range(0, len(queries), rows):
        scores = queries[start : start + rows] @ items.T
        best = np.argpartition(scores, -k, axis=1)[:, -k:]
        values = np.take_along_axis(scores, best, 1)
        order = np.argsort(-values, axis=1)
        parts.append((np.take_along_axis(values, order, 1), np.take_along_axis(best, order, 1)))
    return np.concatenate([part[0] for part in parts]), np.concatenate([part[1] for part in parts])


def check_top_k(method: str, scores_and_items: ScoresAndItems, expected: ScoresAndItems) -> None:
    """End the benchmark with an error if two results differ by more than rounding can explain."""
    if scores_and_items is None or expected is None:
        raise SystemExit(f"{method} returned nothing")
    np.testing.assert_allclose(scores_and_items[0], expected[0], rtol=1e-4, atol=1e-4, err_msg=method)
    same = float((scores_and_items[1] == expected[1]).mean())
    if same < 0.999:
        raise SystemExit(f"{method} finds other items: only {same:.2%} of places agree")


def time_methods(query_count: int, item_count: int, dimensions: int, k: int, threads: int, repeats: int) -> None:
    """Time all methods at one size, check that their results agree, and print a line for each."""
    rng = np.random.default_rng(0)
    queries = rng.standard_normal((query_count, dimensions), dtype=np.float32)
    items = rng.standard_normal((item_count, dimensions), dtype=np.float32)
    q, i = torch.from_numpy(queries), torch.from_numpy(items)
    calls: dict[str, Callable[[], ScoresAndItems]] = {
        PRODUCTS[0]: lambda: multiply_in_chunks(q, i),
        PRODUCTS[1]: lambda: multiply_chunks_in_workers(q, i, threads),
        OURS: lambda: top_k(q, i, k),
    }
    if search := make_faiss_search(queries, items, k, threads):
        calls["faiss IndexFlatIP"] = search
    timed = shortest_times(calls, repeats)
    timed |= shortest_times({"numpy argpartition": lambda: top_k_by_numpy(queries, items, k)}, 1)

    print(
        f"{query_count} queries, {item_count} items, {dimensions} dims, k={k}, {threads} threads, "
        f"best of {repeats} (numpy: 1)"
    )
    print("what, seconds, ratio to the faster matrix product")
    fastest = min(timed[method][0] for method in PRODUCTS)
    for method, (seconds, scores_and_items) in timed.items():
        if method not in PRODUCTS:
            check_top_k(method, scores_and_items, timed[OURS][1])
        print_timing(method, seconds, fastest / seconds)


def main() -> None:
    """Run the benchmark for each size given on the command line: queries x items x dimensions."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sizes", nargs="*", default=["20000x12000x384", "2048x200000x128"], metavar="nxNxd")
    parser.add_argument("-k", type=int, default=20)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--repeats", type=int, default=2)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    for size in options.sizes:
        n, count, dims = map(int, size.split("x"))
        time_methods(n, count, dims, options.k, options.threads, options.repeats)


if __name__ == "__main__":
    main()
