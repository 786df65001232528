"""SASRec, and LLM2SASRec, which differs in one thing: where the item vectors start.

SASRec: Kang & McAuley 2018 (arXiv 1808.09781), with the loss of gSASRec's and eSASRec's comparisons: softmax over
sampled items in place of one negative (arXiv 2309.07602, 2508.06450). LLM2SASRec: Boz et al. 2024 (arXiv 2402.01339).
"""

import math
from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from jobs.models.base import Floats
from jobs.models.initial_vectors import REDUCTION_DEFAULTS
from jobs.models.sequential import SequenceNetwork, SequentialModel
from jobs.models.transformer import Transformer
from jobs.sequences import Sequences


class Network(SequenceNetwork):
    """Item table and a transformer in which no item sees a later one."""

    def __init__(self, table: Tensor, blocks: int, heads: int, window: int, dropout: float) -> None:
        super().__init__()
        self.table = nn.Parameter(table)
        self.transformer = Transformer(table.shape[1], blocks, heads, window, dropout, causal=True)

    def forward(self, table: Tensor, items: Tensor) -> Tensor:
        """Return what comes next at each place: float (rows, length, width) for int64 (rows, length)."""
        # scaled as in the original: else the blocks' first, random outputs drown what the item is, and with it what the
        # embeddings know (nDCG@20 on a temporal fold of Beauty: 0.044 after 6 epochs, without it 0.040 after 14)
        vectors = functional.embedding(items, table) * math.sqrt(table.shape[1])
        return self.transformer(vectors, None)  # type: ignore[no-any-return]

    def next_vectors(self, table: Tensor, items: Tensor) -> Tensor:
        """Take the last place's."""
        return self(table, items)[:, -1]  # type: ignore[no-any-return]


class SASRec(SequentialModel):
    """Predict each item of a sequence from those before it."""

    family = "sasrec"
    defaults = {
        "width": 128,
        "blocks": 2,
        "heads": 2,
        "window": 20,  # the paper's; a longer one gains nothing where sequences are short
        "dropout": 0.3,
        "negatives": 512,  # items that a batch's targets are told from; 0: all, which costs more and gains less
        "initial_std": 0.05,  # of the item table's entries
        "batch_size": 128,
        "learning_rate": 1e-3,
        "weight_decay": 0.01,
        "epochs": 30,
        "patience": 3,
    }

    @property
    def _longest_input(self) -> int:
        return int(self.parameters["window"])

    @property
    def _longest_row(self) -> int:
        return int(self.parameters["window"]) + 1  # each item but the last is an input, each but the first a target

    def _make_network(self, table: Floats) -> Network:
        p = self.parameters
        return Network(torch.from_numpy(table), p["blocks"], p["heads"], p["window"], p["dropout"])

    def _batches(self, rows: Sequences, generator: np.random.Generator) -> Iterator[tuple[Tensor, Tensor]]:
        return batches_of_one_length(rows, self.parameters["batch_size"], generator)

    def _loss(self, batch: tuple[Tensor, Tensor]) -> Tensor:
        items, targets = (part.to(self.network.table.device) for part in batch)
        found = self.network(self.network.table, items).flatten(0, 1)
        return softmax_loss(found, self.network.table, targets.flatten(), self.parameters["negatives"])


class LLM2SASRec(SASRec):
    """SASRec whose item table starts from the LLM's embeddings, by PCA or another ``reduction``."""

    family = "llm2sasrec"
    defaults = {**SASRec.defaults, **REDUCTION_DEFAULTS}
    uses_embeddings = True


def softmax_loss(found: Tensor, table: Tensor, targets: Tensor, negatives: int) -> Tensor:
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
    """
    items = len(table)
    if not 0 < negatives < items:
        return functional.cross_entropy(found @ table.T, targets)
    # with replacement: a draw without one would shuffle the whole catalogue for every batch
    sampled = torch.randint(items, (negatives,), device=table.device)
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
