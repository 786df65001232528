"""SASRec and LLM2SASRec: the second starts its item vectors from LLM embeddings, and is otherwise the same.

SASRec: Kang & McAuley 2018 (arXiv 1808.09781), with the loss of gSASRec's and eSASRec's comparisons: softmax over
sampled items instead of one negative item (arXiv 2309.07602, 2508.06450). LLM2SASRec: Boz et al. 2024 (arXiv
2402.01339).
"""

import math

import torch
from torch import Tensor, nn
from torch.nn import functional

from jobs.core.arrays import Floats
from jobs.models.reductions import REDUCTION_DEFAULTS, REDUCTIONS
from jobs.models.sequential.autoregressive import AutoregressiveModel, AutoregressiveNetwork
from jobs.models.sequential.model import SHARED_DEFAULTS
from jobs.models.sequential.transformer import Transformer


class SASRecNetwork(AutoregressiveNetwork):
    """SASRec's network: item vectors and a causal transformer."""

    def __init__(self, table: Tensor, blocks: int, heads: int, window: int, dropout: float) -> None:
        super().__init__()
        self.table = nn.Parameter(table)
        self.transformer = Transformer(table.shape[1], blocks, heads, window, dropout, causal=True)

    def forward(self, table: Tensor, items: Tensor) -> Tensor:
        """Return the predicted vector of the next item at each position: see the base class."""
        # item vectors are scaled up, as in the original: otherwise the blocks' initial, random outputs drown them, and
        # with them the embeddings' information (nDCG@20 on a temporal fold of Beauty: 0.044 after 6 epochs, without
        # scaling 0.040 after 14)
        vectors = functional.embedding(items, table) * math.sqrt(table.shape[1])
        return self.transformer(vectors, None)  # type: ignore[no-any-return]


class SASRec(AutoregressiveModel):
    """A transformer model that predicts each item of a sequence from the items before it."""

    family = "sasrec"
    defaults = {
        "width": 128,
        "blocks": 2,
        "heads": 2,
        "window": 20,  # newest items read; as in arXiv 2309.09261: a longer window gains nothing for short sequences
        "dropout": 0.3,
        "negatives": 512,  # sampled items in the loss, shared by a batch; 0: all items, which costs more and gains less
        **SHARED_DEFAULTS,
        "epochs": 30,  # at most; patience usually stops training earlier
        "patience": 3,
    }

    def _make_network(self, table: Floats) -> SASRecNetwork:
        p = self.parameters
        return SASRecNetwork(torch.from_numpy(table), p["blocks"], p["heads"], p["window"], p["dropout"])


class LLM2SASRec(SASRec):
    """SASRec whose item vectors start from the LLM's embeddings, reduced by PCA or another ``reduction``."""

    family = "llm2sasrec"
    defaults = {**SASRec.defaults, **REDUCTION_DEFAULTS}
    allowed = {"reduction": REDUCTIONS}
    uses_embeddings = True
