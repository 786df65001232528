"""ItemKNN: a model that recommends items which share many training sequences with the items of a sequence.

Source: Sarwar, Karypis, Konstan & Riedl 2001, with the shrinkage of Bell & Koren 2007.
"""

import numpy as np
from scipy import sparse

from jobs.core.sequences import Sequences
from jobs.models.item_to_item import SHARED_DEFAULTS, ItemToItemModel, sequence_item_matrix
from jobs.models.sparse_ranking import SparseMatrix


class ItemKNN(ItemToItemModel):
    """Model whose weight between two items is the shrunk cosine of the sets of training sequences that hold them.

    With n_i training sequences that hold item i, and n_ij that hold both items, the weight is
    n_ij / (sqrt(n_i n_j) + shrinkage).

    Hyper-parameters
    ----------------
    shrinkage : float
        A larger value lowers all weights, those of pairs that few sequences hold most.

    The others are described at :class:`ItemToItemModel`.
    """

    family = "itemknn"
    defaults = {**SHARED_DEFAULTS, "shrinkage": 5.0}

    def _learn_weights(self, sequences: Sequences, item_count: int) -> SparseMatrix:
        held = sequence_item_matrix(sequences, item_count)
        together = (held.T @ held).tocoo()
        is_pair = together.row != together.col
        rows, columns, counts = together.row[is_pair], together.col[is_pair], together.data[is_pair]
        holders = held.sum(axis=0)
        cosines = counts / (np.sqrt(holders[rows] * holders[columns]) + self.parameters["shrinkage"])
        return sparse.csr_array((cosines, (rows, columns)), shape=together.shape)
