"""Markov: a model that recommends the items which often, and soon, follow the items of a sequence in training data.

Source: the sequential rules (SR) of Ludewig & Jannach 2018 (arXiv 1803.09587), with their weight 1 / distance. If only
a sequence's newest item counted, and the distance were 1, the model would be a first-order Markov chain.
"""

import numpy as np
from scipy import sparse

from jobs.core.sequences import Sequences
from jobs.models.item_to_item import SHARED_DEFAULTS, ItemToItemModel
from jobs.models.sparse_ranking import SparseMatrix


class Markov(ItemToItemModel):
    """Model whose weight from item i to item j tells how often, and how soon, j follows i in training sequences.

    The weight is the sum of 1 / distance over all places where j follows i, divided by (the count of i + shrinkage).

    Hyper-parameters
    ----------------
    distance : int
        Largest number of places by which j may come after i.
    shrinkage : float
        Number added to the count of i. It lowers all weights, the uncertain ones of rare items most.

    The others are described at :class:`ItemToItemModel`.
    """

    family = "markov"
    defaults = {**SHARED_DEFAULTS, "decay": "squared_harmonic", "distance": 10, "shrinkage": 2.0}

    def _learn_weights(self, sequences: Sequences, item_count: int) -> SparseMatrix:
        rows = sequences.row_of_each_item()
        total = sparse.csr_array((item_count, item_count))
        for distance in range(1, int(self.parameters["distance"]) + 1):
            before, after = sequences.items[:-distance], sequences.items[distance:]
            follows = rows[:-distance] == rows[distance:]
            if not follows.any():
                break
            entries = (np.full(int(follows.sum()), 1 / distance), (before[follows], after[follows]))
            total = total + sparse.csr_array(entries, shape=total.shape)
        counts = np.bincount(sequences.items, minlength=item_count) + self.parameters["shrinkage"]
        total = sparse.csr_array(total)
        total.data /= np.repeat(counts, np.diff(total.indptr))
        return total
