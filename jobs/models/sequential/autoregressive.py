"""The common base of SASRec and GRU4Rec: predict each item of a sequence from the items before it."""

from abc import abstractmethod
from collections.abc import Iterator

import numpy as np
from torch import Tensor

from jobs.core.sequences import Sequences
from jobs.models.sequential.model import SequentialModel
from jobs.models.sequential.network import SequenceNetwork
from jobs.training.batches import batches_of_one_length


class AutoregressiveNetwork(SequenceNetwork):
    """A causal network: the output at a position depends only on the items up to that position."""

    @abstractmethod
    def forward(self, item_vectors: Tensor, items: Tensor) -> Tensor:
        """Return the predicted vector of the next item at each position.

        Parameters
        ----------
        item_vectors : float (items, width)
            The item vectors to read, usually ``self.table``.
        items : int64 (rows, length)
            Sequences of row numbers in ``item_vectors``, oldest item first.

        Returns
        -------
        float (rows, length, width)
        """

    def predict_next_vectors(self, item_vectors: Tensor, items: Tensor) -> Tensor:
        """Return the predicted vector of the item after each sequence: the output at the last position."""
        return self(item_vectors, items)[:, -1]  # type: ignore[no-any-return]


class AutoregressiveModel(SequentialModel):
    """A model that is trained to predict each item of a sequence from the items before it.

    The model reads the hyper-parameters ``window``, ``batch_size`` and ``negatives``.
    """

    @property
    def _max_input_length(self) -> int:
        return int(self.chosen_parameters["window"])

    @property
    def _max_training_length(self) -> int:
        # in training, each item but the last is an input, and each item but the first is a target
        return int(self.chosen_parameters["window"]) + 1

    def _batches_of_one_pass(
        self, sequences: Sequences, generator: np.random.Generator
    ) -> Iterator[tuple[Tensor, Tensor]]:
        return batches_of_one_length(sequences, self.parameters["batch_size"], generator)

    def _loss(self, batch: tuple[Tensor, Tensor]) -> Tensor:
        items, targets = (part.to(self.network.table.device) for part in batch)
        return self._softmax_loss(self.network(self.network.table, items).flatten(0, 1), targets.flatten())
