"""GRU4Rec, and LLM2GRU4Rec, which differs in one thing: where the item vectors start.

GRU4Rec: Hidasi et al. 2016 (arXiv 1511.06939), with one layer, and trained as our SASRec is: on every place of a
sequence, by softmax over sampled items. LLM2GRU4Rec: Boz et al. 2024 (arXiv 2402.01339).
"""

import math

import torch
from torch import Tensor, nn
from torch.nn import functional

from jobs.core.arrays import Floats
from jobs.models.reductions import REDUCTION_DEFAULTS, REDUCTIONS
from jobs.models.sequential.autoregressive import AutoregressiveModel, AutoregressiveNetwork


class Network(AutoregressiveNetwork):
    """Item vectors, a gated recurrent unit that reads them one by one, and a head back to the table's width."""

    def __init__(self, table: Tensor, hidden: int, dropout: float) -> None:
        super().__init__()
        width = table.shape[1]
        self.table = nn.Parameter(table)
        self.dropout = nn.Dropout(dropout)
        self.gru = nn.GRU(width, hidden, batch_first=True)
        self.head = nn.Linear(hidden, width)

    def forward(self, table: Tensor, items: Tensor) -> Tensor:
        """Return what comes next at each place: float (rows, length, width) for int64 (rows, length)."""
        # scaled as in SASRec: gates that get near nothing from an item open alike for all of them (nDCG@20 on 500
        # held-out training sequences of Beauty after 8 epochs: 0.038, without it 0.026)
        vectors = functional.embedding(items, table) * math.sqrt(table.shape[1])
        states, _ = self.gru(self.dropout(vectors))
        return self.head(self.dropout(states))  # type: ignore[no-any-return]


class GRU4Rec(AutoregressiveModel):
    """Read a sequence item by item, keep what matters in a state, and predict the next item from it."""

    family = "gru4rec"
    defaults = {
        "width": 128,
        "hidden": 256,  # of the state, which has to hold a whole sequence: twice what an item takes
        "window": 20,  # as the other families: a state has forgotten more by then
        "dropout": 0.3,  # of what goes into the unit and what comes out of it
        "negatives": 512,  # items that a batch's targets are told from; 0: all
        "initial_std": 0.05,  # of the item table's entries
        "recency": 1.0,  # weight of what is wanted now; 1: as probabilities ask for, 0: none
        "item_bias": False,  # whether each item has a number of its own that is added to its score
        "batch_size": 128,
        "learning_rate": 1e-3,
        "weight_decay": 0.01,
        "averaging": 0.995,  # of the weights, over about the last 1 / (1 - it) steps; 0: the last step's
        "epochs": 30,  # at most; patience ends it before
        "patience": 3,
    }

    def _make_network(self, table: Floats) -> Network:
        return Network(torch.from_numpy(table), self.parameters["hidden"], self.parameters["dropout"])


class LLM2GRU4Rec(GRU4Rec):
    """GRU4Rec whose item table starts from the LLM's embeddings, by PCA or another ``reduction``."""

    family = "llm2gru4rec"
    defaults = {**GRU4Rec.defaults, **REDUCTION_DEFAULTS}
    allowed = {"reduction": REDUCTIONS}
    uses_embeddings = True
