"""GRU4Rec and LLM2GRU4Rec: the second starts its item vectors from LLM embeddings, and is otherwise the same.

GRU4Rec: Hidasi et al. 2016 (arXiv 1511.06939), with one layer, and trained as SASRec is here: at every position of a
sequence, with softmax over sampled items. LLM2GRU4Rec: Boz et al. 2024 (arXiv 2402.01339).
"""

import math

import torch
from torch import Tensor, nn
from torch.nn import functional

from jobs.core.arrays import Floats
from jobs.models.reductions import REDUCTION_DEFAULTS, REDUCTIONS
from jobs.models.sequential.autoregressive import AutoregressiveModel, AutoregressiveNetwork
from jobs.models.sequential.model import SHARED_DEFAULTS


class GRU4RecNetwork(AutoregressiveNetwork):
    """GRU4Rec's network: item vectors, a gated recurrent unit, and a linear layer back to the item vectors' width."""

    def __init__(self, table: Tensor, hidden: int, dropout: float) -> None:
        super().__init__()
        width = table.shape[1]
        self.table = nn.Parameter(table)
        self.dropout = nn.Dropout(dropout)
        self.gru = nn.GRU(width, hidden, batch_first=True)
        self.head = nn.Linear(hidden, width)

    def forward(self, table: Tensor, items: Tensor) -> Tensor:
        """Return the predicted vector of the next item at each position: see the base class."""
        # item vectors are scaled up, as in SASRec: with inputs near 0 the gates open alike for all items (nDCG@20 on
        # 500 held-out training sequences of Beauty after 8 epochs: 0.038, without scaling 0.026)
        vectors = functional.embedding(items, table) * math.sqrt(table.shape[1])
        states, _ = self.gru(self.dropout(vectors))
        return self.head(self.dropout(states))  # type: ignore[no-any-return]


class GRU4Rec(AutoregressiveModel):
    """A recurrent model that reads a sequence item by item, and predicts the next item from its state."""

    family = "gru4rec"
    defaults = {
        "width": 128,
        "hidden": 256,  # size of the state, which has to hold a whole sequence: twice that of an item's vector
        "window": 20,  # newest items read, as in the other families: the state has forgotten older items by then
        "dropout": 0.3,  # of the recurrent unit's inputs and outputs
        "negatives": 512,  # sampled items in the loss, shared by a batch; 0: all items
        **SHARED_DEFAULTS,
        "epochs": 30,  # at most; patience usually stops training earlier
        "patience": 3,
    }

    def _make_network(self, table: Floats) -> GRU4RecNetwork:
        return GRU4RecNetwork(torch.from_numpy(table), self.parameters["hidden"], self.parameters["dropout"])


class LLM2GRU4Rec(GRU4Rec):
    """GRU4Rec whose item vectors start from the LLM's embeddings, reduced by PCA or another ``reduction``."""

    family = "llm2gru4rec"
    defaults = {**GRU4Rec.defaults, **REDUCTION_DEFAULTS}
    allowed = {"reduction": REDUCTIONS}
    uses_embeddings = True
