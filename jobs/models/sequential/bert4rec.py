"""BERT4Rec, and LLM2BERT4Rec, which differs in where the item vectors start, and so in how it best learns.

BERT4Rec: Sun et al. 2019 (arXiv 1904.06690). LLM2BERT4Rec: Harte et al. 2023 (arXiv 2309.09261), section 3.3.
"""

import math
from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from jobs.core.arrays import Floats
from jobs.core.sequences import Sequences
from jobs.models.parameters import Interval
from jobs.models.reductions import REDUCTION_DEFAULTS, REDUCTIONS
from jobs.models.sequential.model import SequenceNetwork, SequentialModel
from jobs.models.sequential.transformer import Transformer
from jobs.training.batches import batches_of_like_length


class Network(SequenceNetwork):
    """Item table, mask vector, and a transformer whose output is compared with the table.

    The original's projection head is left out: with it the item table learns more slowly (after two epochs on the
    newest tenth of Beauty's training sequences nDCG@20 is 0.029 in place of 0.034).
    """

    def __init__(self, table: Tensor, blocks: int, heads: int, window: int, dropout: float) -> None:
        super().__init__()
        width = table.shape[1]
        self.table = nn.Parameter(table)
        self.mask = nn.Parameter(torch.randn(width) * table.std())
        self.transformer = Transformer(width, blocks, heads, window, dropout)

    def forward(self, table: Tensor, items: Tensor, wanted: Tensor) -> Tensor:
        """Return what the wanted positions stand for: float (positions, width).

        Parameters
        ----------
        table : float (items, width)
            The vectors to read, usually ``self.table``.
        items : int64 (rows, length)
            Row of the table; MASK and PADDING stand for themselves.
        wanted : bool (rows, length)
            Positions to compute, so that the costly product is made for these alone.
        """
        # scaled as SASRec's: else the blocks' first, random outputs drown what the items are
        vectors = functional.embedding(items.clamp(min=0), table) * math.sqrt(table.shape[1])
        vectors = torch.where((items == MASK)[:, :, None], self.mask, vectors)
        return self.transformer(vectors, items != PADDING)[wanted]  # type: ignore[no-any-return]

    def next_vectors(self, table: Tensor, items: Tensor) -> Tensor:
        """Ask for what a mask behind the sequence stands for."""
        items = functional.pad(items, (0, 1), value=MASK)
        wanted = torch.zeros_like(items, dtype=torch.bool)
        wanted[:, -1] = True
        return self(table, items, wanted)  # type: ignore[no-any-return]


MASK, PADDING = -1, -2


class BERT4Rec(SequentialModel):
    """Fill in masked items of a sequence from both sides; at the end, the item that comes next."""

    family = "bert4rec"
    defaults = {
        "width": 128,
        "blocks": 2,
        "heads": 2,
        "window": 20,  # the paper's; a longer one gains nothing where sequences are short
        "dropout": 0.3,
        "mask_probability": 0.4,
        "negatives": 512,  # items that a batch's targets are told from; 0: all, which costs more
        "random_copies": 2,  # randomly masked copies of a sequence an epoch, beside the one with its last item masked
        "initial_std": 0.05,  # of the item table's entries
        "recency": 1.0,  # weight of what is wanted now; 1: as probabilities ask for, 0: none
        "item_bias": False,  # whether each item has a number of its own that is added to its score
        "batch_size": 128,
        "learning_rate": 1e-3,
        "weight_decay": 0.01,
        "averaging": 0.995,  # of the weights, over about the last 1 / (1 - it) steps; 0: the last step's
        "epochs": 40,
        "patience": 5,  # masks are drawn anew each epoch: gains come more slowly than SASRec's
    }
    allowed = {"window": Interval(least=2)}  # an item and the mask

    @property
    def _longest_input(self) -> int:
        return int(self.parameters["window"]) - 1  # the mask takes one place

    def _make_network(self, table: Floats) -> Network:
        p = self.parameters
        return Network(torch.from_numpy(table), p["blocks"], p["heads"], p["window"], p["dropout"])

    def _loss(self, batch: tuple[Tensor, Tensor]) -> Tensor:
        items, targets = (part.to(self.network.table.device) for part in batch)
        wanted = targets != PADDING
        return self._softmax_loss(self.network(self.network.table, items, wanted), targets[wanted])

    def _batches(self, rows: Sequences, generator: np.random.Generator) -> Iterator[tuple[Tensor, Tensor]]:
        return masked_batches(rows, self.parameters, generator)


class LLM2BERT4Rec(BERT4Rec):
    """BERT4Rec whose item table starts from the LLM's embeddings, by PCA or another ``reduction``."""

    family = "llm2bert4rec"
    defaults = {
        **BERT4Rec.defaults,
        **REDUCTION_DEFAULTS,
        # vectors that know something may weigh more at first than random ones, and are better kept from running away
        # (nDCG@20 on the newest tenth of Beauty's training sequences: 0.048, with the first 0.050, with both 0.053)
        "initial_std": 0.1,
        "learning_rate": 5e-4,
    }
    allowed = {**BERT4Rec.allowed, "reduction": REDUCTIONS}
    uses_embeddings = True


def masked_batches(
    rows: Sequences, parameters: dict[str, Any], generator: np.random.Generator
) -> Iterator[tuple[Tensor, Tensor]]:
    """Yield (items, targets), int64 (rows, length) each; targets are PADDING where nothing is asked."""
    size, copies, probability = (parameters[name] for name in ("batch_size", "random_copies", "mask_probability"))
    # copy 0 has its last item masked, as when recommending: without it BERT4Rec never learns that position
    copy = np.repeat(np.arange(1 + copies), len(rows))
    row = np.tile(np.arange(len(rows)), 1 + copies)
    for chosen in batches_of_like_length(rows.lengths[row], size, generator):
        items = rows.take(row[chosen]).padded(PADDING).astype(np.int64)
        draw = generator.random(items.shape)
        draw[items == PADDING] = 2
        masked = draw < probability
        masked[np.arange(len(items)), draw.argmin(axis=1)] = True  # at least one
        last_only = copy[chosen] == 0
        masked[last_only] = False
        masked[last_only, -1] = True
        targets = np.where(masked, items, PADDING)
        yield torch.from_numpy(np.where(masked, MASK, items)), torch.from_numpy(targets)
