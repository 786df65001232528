"""EASE: a linear model that predicts each item of a sequence from all its other items, fitted in closed form.

Source: Steck 2019, "Embarrassingly Shallow Autoencoders for Sparse Data" (arXiv 1905.03375).
"""

from typing import Final

import numpy as np
import torch
from scipy import sparse

from jobs.core.cases import Cases
from jobs.core.sequences import Sequences
from jobs.models.item_weights import SHARED_DEFAULTS, ItemWeightsModel, session_item_counts
from jobs.models.sparse_ranking import SparseMatrix

MOST_ITEMS_TO_CHOOSE_WITH: Final = 4000
"""Number of items, the most frequent ones, with which hyper-parameters are chosen: several fits with all take long."""


class EASE(ItemWeightsModel):
    """Weights B between items that minimize |X - X B|² + l2 |B|², with a zero diagonal of B.

    X tells which items each training sequence holds. With P = (XᵀX + l2 I)⁻¹, the solution is B_ij = -P_ij / P_jj.
    Unlike the original, which reads a history as a set, the model weighs the items of a sequence by age.

    Hyper-parameters
    ----------------
    l2 : float
        The larger, the smaller the weights of items that few sequences hold.
    item_limit : int
        The most items that the model knows: those that most training sequences hold. The fit needs 8 bytes of memory
        for each pair of items, and time that grows with their number cubed: 1.8 GB for 15,000 items.

    The others are described at :class:`ItemWeightsModel`.
    """

    family = "ease"
    defaults = {**SHARED_DEFAULTS, "l2": 100.0, "item_limit": 15_000}
    choices = {**ItemWeightsModel.choices, "l2": [30.0, 100.0, 300.0, 1000.0]}
    learnt_with = ("l2",)
    _item_limit: int | None = None  # while hyper-parameters are chosen

    def _choose(self, sequences: Sequences, validation: Cases, allow_repeats: bool) -> None:
        self._item_limit = MOST_ITEMS_TO_CHOOSE_WITH
        super()._choose(sequences, validation, allow_repeats)
        self._item_limit = None

    def _learn_weights(self, sequences: Sequences, item_count: int) -> SparseMatrix:
        held = session_item_counts(sequences, item_count)
        holders = held.sum(axis=0)
        # of items that equally many sequences hold, the first ones
        limit = min(int(self.parameters["item_limit"]), self._item_limit or len(holders))
        most_held = np.argsort(-holders, kind="stable")[:limit]
        known = np.sort(most_held[holders[most_held] > 0])
        held = held[:, known]
        gram = torch.from_numpy((held.T @ held).toarray().astype(np.float32))
        gram.diagonal().add_(self.chosen["l2"])
        inverse = torch.cholesky_inverse(torch.linalg.cholesky(gram))
        del gram
        inverse /= -inverse.diagonal().clone()
        inverse.fill_diagonal_(0)
        return _strongest_of_dense(inverse, known, item_count, int(self.parameters["weights_per_item"]))


def _strongest_of_dense(weights: torch.Tensor, known: np.ndarray, item_count: int, row_limit: int) -> SparseMatrix:
    """Return the largest weights of each row, by absolute value, as a sparse array of all items of the catalogue."""
    count = min(row_limit, len(known))
    columns = weights.abs().topk(count, dim=1).indices
    values = weights.gather(1, columns).numpy().astype(np.float64)
    rows = np.repeat(known, count)
    return sparse.csr_array((values.ravel(), (rows, known[columns.numpy().ravel()])), shape=(item_count, item_count))
