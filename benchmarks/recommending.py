"""Time top-20 lists for every reviewer of Amazon Beauty, made by SASRec and by V-SKNN, and the reasons of the items.

The reason of a recommended item is the item in the reviewer's sequence that explains it. The printed ratio is the time
divided by that of the matrix products that the lists need. For SASRec these multiply sequence vectors with item
vectors. For V-SKNN they count the items that a sequence shares with each session. SASRec is trained for one epoch only,
since its time for a list does not depend on what it has learnt. Run: ``python -m benchmarks.recommending``.
"""

import argparse

import numpy as np
import torch
from scipy import sparse

from benchmarks.beauty import as_sequences_and_catalogue, reviewer_histories
from benchmarks.timing import print_timing, shortest_times
from benchmarks.topk import multiply_in_chunks
from jobs.core.cases import Cases
from jobs.core.catalog import Catalog
from jobs.core.sequences import Sequences
from jobs.models.base import FitOptions
from jobs.models.scorer import Scorer, recommend
from jobs.models.sequential.sasrec import SASRec
from jobs.models.sknn import SEQUENCES_PER_CHUNK, VSKNN

K = 20


def multiply_query_and_item_vectors(sequences: Sequences, catalog: Catalog) -> None:
    """Multiply a vector of each sequence with a vector of each item, as SASRec does for scores."""
    width = SASRec.defaults["width"]
    multiply_in_chunks(torch.ones(len(sequences), width), torch.ones(len(catalog), width))


def multiply_sequences_and_sessions(sequences: Sequences, catalog: Catalog) -> None:
    """Count the items that each two sequences share, by sparse matrix products, as V-SKNN does for neighbours."""
    cells = (np.ones(len(sequences.items)), (sequences.row_of_each_item(), sequences.items))
    holds = sparse.coo_array(cells, shape=(len(sequences), len(catalog))).tocsr()
    for start in range(0, len(sequences), SEQUENCES_PER_CHUNK):
        holds[start : start + SEQUENCES_PER_CHUNK] @ holds.T


def fit_scorer(model: SASRec | VSKNN, sequences: Sequences, catalog: Catalog) -> Scorer:
    """Fit a model on all sequences, without validation cases, and return its scorer."""
    model.fit(sequences, Cases(Sequences.from_lists([]), np.zeros(0, np.int64)), catalog, FitOptions())
    return model.scorer(catalog)


def main() -> None:
    """Run the benchmark; print the seconds and ratios of lists, reasons and matrix products."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=2)
    options = parser.parse_args()
    sequences, catalog = as_sequences_and_catalogue(reviewer_histories()["items"])
    print(f"{len(sequences):,} sequences, {len(catalog):,} items, top {K}, {torch.get_num_threads()} threads")
    print("what, seconds, ratio to the products")
    for model, products in (
        (SASRec({"epochs": 1}), multiply_query_and_item_vectors),
        (VSKNN(), multiply_sequences_and_sessions),
    ):
        scorer = fit_scorer(model, sequences, catalog)
        lists = recommend(scorer, sequences, K)[1]
        times = shortest_times(
            {
                "products": lambda products=products: products(sequences, catalog),
                "lists": lambda scorer=scorer: recommend(scorer, sequences, K),
                "reasons": lambda scorer=scorer, lists=lists: scorer.reason_items(sequences, lists),
            },
            options.repeats,
        )
        for what, (seconds, _) in times.items():
            print_timing(f"{model.family} {what}", seconds, seconds / times["products"][0])


if __name__ == "__main__":
    main()
