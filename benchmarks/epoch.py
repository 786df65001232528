"""Time one training epoch of BERT4Rec, compared with only the matrix products of its forward and backward passes.

The products are those that every implementation of this model needs: all linear layers for every token that is not
padding, the products of attention, and the scores of all items at every masked position. The printed ratio is the time
of the epoch divided by the time of the products; it would be 1 for an epoch that does nothing else.
Run: ``python -m benchmarks.epoch``.
"""

import argparse

import numpy as np
import torch

from benchmarks.beauty import as_sequences_and_catalogue, reviewer_histories
from benchmarks.timing import print_timing, shortest_times
from jobs.core.cases import Cases
from jobs.core.sequences import Sequences
from jobs.models.base import FitOptions
from jobs.models.sequential.bert4rec import PADDING, BERT4Rec, masked_batches


def compute_matrix_products_of_epoch(model: BERT4Rec, sequences: Sequences, item_count: int) -> None:
    """Compute the matrix products of one epoch, on random numbers: each product and the two of its gradient."""
    width, blocks = model.parameters["width"], model.parameters["blocks"]
    table = torch.randn(item_count, width)
    weights = [torch.randn(width, size) for size in (3 * width, width, 4 * width)] + [torch.randn(4 * width, width)]
    for inputs, targets in masked_batches(sequences, model.parameters, np.random.default_rng([0, 1])):
        tokens, masked = int((inputs != PADDING).sum()), int((targets != PADDING).sum())
        for _ in range(blocks):
            for weight in weights:
                _forward_and_backward(torch.randn(tokens, weight.shape[0]), weight)
            length = inputs.shape[1]
            for _ in range(3):
                heads = torch.randn(len(inputs), length, width)
                torch.bmm(torch.bmm(heads, heads.transpose(1, 2)), heads)
        _forward_and_backward(torch.randn(masked, width), torch.randn(width, width))
        _forward_and_backward(torch.randn(masked, width), table.T)


def _forward_and_backward(left: torch.Tensor, right: torch.Tensor) -> None:
    result = left @ right
    result @ right.T
    left.T @ result


def main() -> None:
    """Run the benchmark; print the seconds of an epoch and of its matrix products, and their ratio."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sequences", type=int, default=4000)
    parser.add_argument("--repeats", type=int, default=2)
    options = parser.parse_args()
    history, catalog = as_sequences_and_catalogue(reviewer_histories().head(options.sequences)["items"])
    item_count = len(catalog)
    nothing = Cases(Sequences.from_lists([]), np.zeros(0, np.int64))
    model = BERT4Rec()
    rows = history.keep_last_items(model.parameters["window"])
    times = shortest_times(
        {
            "products": lambda: compute_matrix_products_of_epoch(model, rows, item_count),
            "epoch": lambda: BERT4Rec({"epochs": 1}).fit(history, nothing, catalog, FitOptions()),
        },
        options.repeats,
    )
    print(f"{options.sequences:,} Beauty sequences, {item_count:,} items, {torch.get_num_threads()} threads")
    print("what, seconds, ratio to the products")
    for what, (seconds, _) in times.items():
        print_timing(what, seconds, seconds / times["products"][0])


if __name__ == "__main__":
    main()
