"""What SASRec and GRU4Rec share: each item of a sequence is predicted from those before it, at all places at once."""

import math
from abc import abstractmethod
from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from jobs.models import parallel
from jobs.models.sequential import SequenceNetwork, SequentialModel
from jobs.sequences import Sequences


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
        found, table = self.network.for_products(self.network(self.network.table, items).flatten(0, 1))
        return softmax_loss(
            found, table, targets.flatten(), self.parameters["negatives"], generator=parallel.team.generator
        )


def softmax_loss(
    found: Tensor, table: Tensor, targets: Tensor, negatives: int, generator: torch.Generator | None = None
) -> Tensor:
    """Return the mean cross-entropy of the targets, among all items or among sampled ones.

    Sampled items are drawn uniformly, without the target's knowledge, and shared by the batch. Each stands for
    items / negatives others, which its score is raised for by the logarithm of that: so the sum over the sample
    estimates the sum over all (sampled softmax with correction, Jean et al. 2015, arXiv 1412.2007).

    Parameters
    ----------
    found : float (places, width)
    table : float (items, width)
    targets : int64 (places,)
    negatives : int
        0, or as many as there are items: all items.
    generator : torch.Generator, optional
        Of the sampled items, on the table's device; PyTorch's own unless given.
    """
    items = len(table)
    if not 0 < negatives < items:
        return functional.cross_entropy(found @ table.T, targets)
    # with replacement: a draw without one would shuffle the whole catalogue for every batch
    sampled = torch.randint(items, (negatives,), device=table.device, generator=generator)
    others = found @ table[sampled].T + math.log((items - 1) / negatives)
    others = others.masked_fill(sampled == targets[:, None], -torch.inf)  # the target is there already
    own = (found * table[targets]).sum(dim=1, keepdim=True)
    return (torch.cat([own, others], dim=1).logsumexp(dim=1) - own[:, 0]).mean()


def batches_of_one_length(
    rows: Sequences, size: int, generator: np.random.Generator
) -> Iterator[tuple[Tensor, Tensor]]:
    """Yield (inputs, targets), int64 (rows, length) each, of rows of one length: nothing is padded.

    The rows' order, and so the batches and theirs, is drawn anew.
    """
    order = generator.permutation(len(rows))
    batches = []
    for length in np.unique(rows.lengths):
        chosen = order[rows.lengths[order] == length]
        batches += [chosen[start : start + size] for start in range(0, len(chosen), size)]
    for place in generator.permutation(len(batches)):
        items = torch.from_numpy(rows.take(batches[place]).padded(0)).long()
        yield items[:, :-1], items[:, 1:]
