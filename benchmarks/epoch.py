"""Time one training epoch of BERT4Rec beside its matrix products alone, forward and backward.

The products are those that no implementation of this model can do without: every linear layer over every token
that is not padding, attention's own products, and the scores of every masked position against every item. The
ratio printed is the time divided by the products': 1 would be an epoch that does nothing else.
Run: ``python -m benchmarks.epoch``.
"""

import argparse

import numpy as np
import polars as pl
import torch

from benchmarks.timing import best_of, data_folder, report
from jobs.models.base import Cases, Catalog, Fitting
from jobs.models.bert4rec import PADDING, BERT4Rec, masked_batches
from jobs.sequences import Sequences


def beauty(reviewers: int) -> tuple[Sequences, int]:
    """Return the histories of the first reviewers of Amazon Beauty, and the number of items in them."""
    path = data_folder() / "amazon_beauty" / "interactions.parquet"
    if not path.exists():
        raise SystemExit(f"real data is absent: {path} (set NEXTMART_DATA to the folder that holds amazon_beauty/)")
    events = (
        pl.read_parquet(path)
        .filter(pl.col("reviewer_id").rank("dense") <= reviewers)
        .with_columns((pl.col("asin").rank("dense") - 1).cast(pl.Int32).alias("item"))
        .sort("reviewer_id", "unix_review_time", "pos_ticoserec")
    )
    rows = events.group_by("reviewer_id", maintain_order=True).agg("item")
    return Sequences.from_lists(rows["item"].to_list()), events["item"].n_unique()


def products(model: BERT4Rec, rows: Sequences, items: int) -> None:
    """Do the epoch's matrix products: each forward, and the two that its backward needs."""
    width, blocks = model.parameters["width"], model.parameters["blocks"]
    table = torch.randn(items, width)
    weights = [torch.randn(width, size) for size in (3 * width, width, 4 * width)] + [torch.randn(4 * width, width)]
    for inputs, targets in masked_batches(rows, model.parameters, np.random.default_rng([0, 1])):
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
    """Print the two timings and their ratio."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sequences", type=int, default=4000)
    parser.add_argument("--repeats", type=int, default=2)
    options = parser.parse_args()
    history, items = beauty(options.sequences)
    catalog = Catalog(
        np.array([f"i{item:07}" for item in range(items)], np.object_),
        np.zeros((items, 1), np.float32),
        np.ones(items, np.bool_),
    )
    nothing = Cases(Sequences.from_lists([]), np.zeros(0, np.int64))
    model = BERT4Rec()
    rows = history.last(model.parameters["window"])
    times = best_of(
        {
            "products": lambda: products(model, rows, items),
            "epoch": lambda: BERT4Rec({"epochs": 1}).fit(history, nothing, catalog, Fitting()),
        },
        options.repeats,
    )
    print(f"{options.sequences:,} Beauty sequences, {items:,} items, {torch.get_num_threads()} threads")
    print("what, seconds, ratio to the products")
    for what, (seconds, _) in times.items():
        report(what, seconds, seconds / times["products"][0])


if __name__ == "__main__":
    main()
