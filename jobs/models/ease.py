"""EASE: a linear model that predicts each item of a sequence from the sequence's other items, fitted in closed form.

Source: Steck 2019, "Embarrassingly Shallow Autoencoders for Sparse Data" (arXiv 1905.03375).
"""

from typing import Final

import numpy as np
import torch
from scipy import sparse

from jobs.core.cases import Cases
from jobs.core.sequences import Sequences
from jobs.errors import UnusableParametersError
from jobs.models.item_to_item import SHARED_DEFAULTS, ItemToItemModel, sequence_item_matrix
from jobs.models.sparse_ranking import SparseMatrix

ITEM_LIMIT_OF_TRIAL_FITS: Final = 4000
"""Largest number of items in the fits that only try hyper-parameters: the most frequent ones, to save time."""

ROWS_AT_ONCE: Final = 256
"""Number of rows of the matrix of pairs of items that are computed at once, to bound memory."""


class EASE(ItemToItemModel):
    """Model of weights B between items that minimize |X - X B|² + l2 |B|², where the diagonal of B is zero.

    X has a row for each training sequence, with 1 for each item in the sequence and 0 for others. With
    P = (XᵀX + l2 I)⁻¹, the solution is B_ij = -P_ij / P_jj.
    Unlike the original, which reads a history as a set, the model weighs the items of a sequence by age.

    Hyper-parameters
    ----------------
    l2 : float
        Strength of the penalty on large weights. A larger one shrinks all weights, those of rare items most.
    item_limit : int
        Largest number of items that the model knows: those that occur in the most training sequences. The fit needs 8
        bytes of memory for each pair of items (1.8 GB for 15,000 items), and time that grows with the number of items
        cubed.

    The others are described at :class:`ItemToItemModel`.

    Raises
    ------
    UnusableParametersError
        By :meth:`fit`, if ``l2`` is so small that the equations can't be solved with float32 numbers.
    """

    family = "ease"
    defaults = {**SHARED_DEFAULTS, "l2": 100.0, "item_limit": 15_000}
    values_to_try = {**ItemToItemModel.values_to_try, "l2": [30.0, 100.0, 300.0, 1000.0]}
    parameters_that_change_weights = ("l2",)
    _item_limit_of_trial_fits: int | None = None
    """Largest number of items in a fit that only tries hyper-parameters; None in the final fit."""

    def _choose_hyperparameters(self, sequences: Sequences, validation: Cases, allow_repeats: bool) -> None:
        self._item_limit_of_trial_fits = ITEM_LIMIT_OF_TRIAL_FITS
        super()._choose_hyperparameters(sequences, validation, allow_repeats)
        self._item_limit_of_trial_fits = None

    def _learn_weights(self, sequences: Sequences, item_count: int) -> SparseMatrix:
        held = sequence_item_matrix(sequences, item_count)
        holders = held.sum(axis=0)
        # the stable sort prefers lower item indices among items that are in equally many sequences
        limit = min(int(self.parameters["item_limit"]), self._item_limit_of_trial_fits or len(holders))
        most_held = np.argsort(-holders, kind="stable")[:limit]
        known = np.sort(most_held[holders[most_held] > 0])
        held = held[:, known]
        gram = _gram_matrix(held)
        gram.diagonal().add_(self.chosen_parameters["l2"])
        try:
            factor = torch.linalg.cholesky(gram)
        except torch.linalg.LinAlgError as error:  # type: ignore[attr-defined]
            l2 = self.chosen_parameters["l2"]
            raise UnusableParametersError(
                f"ease's l2 = {l2:g} is too small to solve for the weights: set a larger one"
            ) from error
        del gram  # no more than two of these large matrices are in memory at once
        inverse = torch.cholesky_inverse(factor)
        del factor
        inverse /= -inverse.diagonal().clone()
        inverse.fill_diagonal_(0)
        return _sparse_strongest_weights(inverse, known, item_count, int(self.parameters["weights_per_item"]))


def _gram_matrix(held: SparseMatrix) -> torch.Tensor:
    """Return the number of sequences that hold both items of each pair: float32 tensor (items, items).

    Rows are computed in parts, because a product of all rows would need three times the memory of the result.

    Parameters
    ----------
    held : sparse float64 array (sequences, items)
        Which items each sequence holds, as ones.
    """
    gram, holders = np.empty((held.shape[1],) * 2, np.float32), sparse.csr_array(held.T)
    for start in range(0, len(gram), ROWS_AT_ONCE):
        gram[start : start + ROWS_AT_ONCE] = (holders[start : start + ROWS_AT_ONCE] @ held).toarray()
    return torch.from_numpy(gram)


def _sparse_strongest_weights(
    weights: torch.Tensor, items_with_weights: np.ndarray, item_count: int, weights_per_row: int
) -> SparseMatrix:
    """Return each row's weights of largest absolute value, as a sparse array over all items of the catalogue.

    Parameters
    ----------
    weights : float32 tensor (items with weights, items with weights)
    items_with_weights : int array (items with weights,)
        Indices, in the catalogue, of the items that the fit has weights for, in the order of the rows of ``weights``.
    item_count : int
        Number of items of the catalogue.
    weights_per_row : int
        Number of weights to keep in each row.
    """
    count = min(weights_per_row, len(items_with_weights))
    columns = weights.abs().topk(count, dim=1).indices
    values = weights.gather(1, columns).numpy().astype(np.float64)
    rows = np.repeat(items_with_weights, count)
    return sparse.csr_array(
        (values.ravel(), (rows, items_with_weights[columns.numpy().ravel()])), shape=(item_count, item_count)
    )
