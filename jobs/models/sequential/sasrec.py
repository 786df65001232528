"""SASRec, and LLM2SASRec, which differs in one thing: where the item vectors start.

SASRec: Kang & McAuley 2018 (arXiv 1808.09781), with the loss of gSASRec's and eSASRec's comparisons: softmax over
sampled items in place of one negative (arXiv 2309.07602, 2508.06450). LLM2SASRec: Boz et al. 2024 (arXiv 2402.01339).
"""

import math

import torch
from torch import Tensor, nn
from torch.nn import functional

from jobs.core.arrays import Floats
from jobs.models.reductions import REDUCTION_DEFAULTS, REDUCTIONS
from jobs.models.sequential.autoregressive import AutoregressiveModel, AutoregressiveNetwork
from jobs.models.sequential.transformer import Transformer


class Network(AutoregressiveNetwork):
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


class SASRec(AutoregressiveModel):
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
        "recency": 1.0,  # weight of what is wanted now; 1: as probabilities ask for, 0: none
        "item_bias": False,  # whether each item has a number of its own that is added to its score
        "batch_size": 128,
        "learning_rate": 1e-3,
        "weight_decay": 0.01,
        "averaging": 0.995,  # of the weights, over about the last 1 / (1 - it) steps; 0: the last step's
        "epochs": 30,
        "patience": 3,
    }

    def _make_network(self, table: Floats) -> Network:
        p = self.parameters
        return Network(torch.from_numpy(table), p["blocks"], p["heads"], p["window"], p["dropout"])


class LLM2SASRec(SASRec):
    """SASRec whose item table starts from the LLM's embeddings, by PCA or another ``reduction``."""

    family = "llm2sasrec"
    defaults = {**SASRec.defaults, **REDUCTION_DEFAULTS}
    allowed = {"reduction": REDUCTIONS}
    uses_embeddings = True
