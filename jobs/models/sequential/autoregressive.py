"""What SASRec and GRU4Rec share: each item of a sequence is predicted from those before it, at all places at once."""

from abc import abstractmethod
from collections.abc import Iterator

import numpy as np
from torch import Tensor

from jobs.core.sequences import Sequences
from jobs.models.sequential.model import SequenceNetwork, SequentialModel
from jobs.training.batches import batches_of_one_length


class AutoregressiveNetwork(SequenceNetwork):
    """A network in which no place of a sequence sees a later one."""

    @abstractmethod
    def forward(self, table: Tensor, items: Tensor) -> Tensor:
        """Return what comes next at each place: float (rows, length, width) for int64 (rows, length)."""

    def next_vectors(self, table: Tensor, items: Tensor) -> Tensor:
        """Take the last place's."""
        return self(table, items)[:, -1]  # type: ignore[no-any-return]


class AutoregressiveModel(SequentialModel):
    """Predict each item of a sequence from those before it; reads the parameters window, batch_size, negatives."""

    @property
    def _longest_input(self) -> int:
        return int(self.parameters["window"])

    @property
    def _longest_row(self) -> int:
        return int(self.parameters["window"]) + 1  # each item but the last is an input, each but the first a target

    def _batches(self, rows: Sequences, generator: np.random.Generator) -> Iterator[tuple[Tensor, Tensor]]:
        return batches_of_one_length(rows, self.parameters["batch_size"], generator)

    def _loss(self, batch: tuple[Tensor, Tensor]) -> Tensor:
        items, targets = (part.to(self.network.table.device) for part in batch)
        return self._softmax_loss(self.network(self.network.table, items).flatten(0, 1), targets.flatten())
