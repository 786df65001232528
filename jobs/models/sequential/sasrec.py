"""SASRec, and LLM2SASRec, which is the same model with item vectors that start from LLM embeddings.

Sources: SASRec by Kang & McAuley 2018 (arXiv 1808.09781), LLM2SASRec by Boz et al. 2024 (arXiv 2402.01339). SASRec's
loss with one negative item is replaced by softmax over sampled items, as in the comparisons of gSASRec (arXiv
2309.07602) and eSASRec (arXiv 2508.06450).
"""

import math

import torch
from torch import Tensor, nn
from torch.nn import functional

from jobs.core.arrays import Floats
from jobs.models.projection import REDUCTION_DEFAULTS, REDUCTION_NAMES
from jobs.models.sequential.autoregressive import AutoregressiveModel, AutoregressiveNetwork
from jobs.models.sequential.model import SHARED_DEFAULTS
from jobs.models.sequential.transformer import Transformer


class SASRecNetwork(AutoregressiveNetwork):
    """SASRec's network: item vectors and a causal transformer."""

    def __init__(self, initial_item_vectors: Tensor, blocks: int, heads: int, window: int, dropout: float) -> None:
        super().__init__()
        self.table = nn.Parameter(initial_item_vectors)
        self.transformer = Transformer(initial_item_vectors.shape[1], blocks, heads, window, dropout, is_causal=True)

    def forward(self, item_vectors: Tensor, items: Tensor) -> Tensor:
        """Return the predicted vector of the next item at each position, see :meth:`AutoregressiveNetwork.forward`."""
        # Item vectors are scaled up, as in the original: otherwise the random initial outputs of the transformer blocks
        # outweigh them, and the embeddings' information is lost (nDCG@20 on a temporal fold of Beauty: 0.044 after 6
        # epochs, without scaling 0.040 after 14).
        vectors = functional.embedding(items, item_vectors) * math.sqrt(item_vectors.shape[1])
        return self.transformer(vectors, None)  # type: ignore[no-any-return]


class SASRec(AutoregressiveModel):
    """A transformer model that predicts each item of a sequence from the items before it.

    Hyper-parameters
    ----------------
    width, blocks, heads, dropout
        See :class:`Transformer`.
    window : int
        Number of newest items read. 20 as in arXiv 2309.09261: a longer window gains nothing for short sequences.
    negatives : int
        Number of sampled items in the loss, shared by a batch; 0 means all items, which costs more and gains less.
    epochs, patience : int
        Largest number of epochs, and number of epochs without a better score after which training stops.

    The others are described at ``SHARED_DEFAULTS``.
    """

    family = "sasrec"
    defaults = {
        "width": 128,
        "blocks": 2,
        "heads": 2,
        "window": 20,
        "dropout": 0.3,
        "negatives": 512,
        **SHARED_DEFAULTS,
        "temperature": 0.07,
        "epochs": 30,
        "patience": 3,
    }

    def _make_network(self, initial_item_vectors: Floats) -> SASRecNetwork:
        p = self.parameters
        return SASRecNetwork(
            torch.from_numpy(initial_item_vectors),
            p["blocks"],
            p["heads"],
            self.chosen_parameters["window"],
            p["dropout"],
        )


class LLM2SASRec(SASRec):
    """SASRec whose item vectors start from the LLM's embeddings, reduced by PCA or another ``reduction``."""

    family = "llm2sasrec"
    defaults = {**SASRec.defaults, **REDUCTION_DEFAULTS, "temperature": 0.0}
    allowed_values = {"reduction": REDUCTION_NAMES}
    uses_embeddings = True
