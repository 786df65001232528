"""BERT4Rec and LLM2BERT4Rec: the second starts its item vectors from LLM embeddings, and has other training defaults.

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
from jobs.models.sequential.model import SHARED_DEFAULTS, SequentialModel
from jobs.models.sequential.network import SequenceNetwork
from jobs.models.sequential.transformer import Transformer
from jobs.training.batches import batches_of_like_length

MASK, PADDING = -1, -2  # stand for a masked item and for no item in an input's int64 (rows, length)


class BERT4RecNetwork(SequenceNetwork):
    """BERT4Rec's network: item vectors, a mask vector, and a bidirectional transformer.

    The original's projection head is left out: with it the item table learns more slowly (after two epochs on the
    newest tenth of Beauty's training sequences nDCG@20 is 0.029 in place of 0.034).
    """

    def __init__(self, table: Tensor, blocks: int, heads: int, window: int, dropout: float) -> None:
        super().__init__()
        width = table.shape[1]
        self.table = nn.Parameter(table)
        self.mask = nn.Parameter(torch.randn(width) * table.std())
        self.transformer = Transformer(width, blocks, heads, window, dropout)

    def forward(self, table: Tensor, items: Tensor, selected: Tensor) -> Tensor:
        """Return the predicted item vectors at the selected positions: float (selected positions, width).

        Parameters
        ----------
        table : float (items, width)
            The item vectors to read, usually ``self.table``.
        items : int64 (rows, length)
            Rows of the table, oldest item first, or MASK or PADDING.
        selected : bool (rows, length)
            Positions to return, so that the costly product with the table is computed for no other position.
        """
        # item vectors are scaled up, as in SASRec: otherwise the blocks' initial, random outputs drown them
        vectors = functional.embedding(items.clamp(min=0), table) * math.sqrt(table.shape[1])
        vectors = torch.where((items == MASK)[:, :, None], self.mask, vectors)
        return self.transformer(vectors, items != PADDING)[selected]  # type: ignore[no-any-return]

    def next_vectors(self, table: Tensor, items: Tensor) -> Tensor:
        """Return the predicted vector of the item after each sequence: the output at a mask appended to it."""
        items = functional.pad(items, (0, 1), value=MASK)
        is_last = torch.zeros_like(items, dtype=torch.bool)
        is_last[:, -1] = True
        return self(table, items, is_last)  # type: ignore[no-any-return]


class BERT4Rec(SequentialModel):
    """A model that is trained to fill in masked items of a sequence from both sides.

    The next item is predicted as a masked item at the end of the sequence.
    """

    family = "bert4rec"
    defaults = {
        "width": 128,
        "blocks": 2,
        "heads": 2,
        "window": 20,  # newest items read, and the mask; as in arXiv 2309.09261: more gain nothing for short sequences
        "dropout": 0.3,
        "mask_probability": 0.4,
        "negatives": 512,  # sampled items in the loss, shared by a batch; 0: all items, which costs more
        "random_copies": 2,  # randomly masked copies per sequence and epoch, beside the copy with its last item masked
        **SHARED_DEFAULTS,
        "epochs": 40,  # at most; patience usually stops training earlier
        "patience": 5,  # more than SASRec's: masks are drawn anew each epoch, so scores improve more slowly
    }
    allowed = {"window": Interval(least=2)}  # at least one item and the mask

    @property
    def _longest_input(self) -> int:
        return int(self.parameters["window"]) - 1  # the mask takes one position

    def _make_network(self, table: Floats) -> BERT4RecNetwork:
        p = self.parameters
        return BERT4RecNetwork(torch.from_numpy(table), p["blocks"], p["heads"], p["window"], p["dropout"])

    def _loss(self, batch: tuple[Tensor, Tensor]) -> Tensor:
        items, targets = (part.to(self.network.table.device) for part in batch)
        is_target = targets != PADDING
        return self._softmax_loss(self.network(self.network.table, items, is_target), targets[is_target])

    def _batches(self, rows: Sequences, generator: np.random.Generator) -> Iterator[tuple[Tensor, Tensor]]:
        return masked_batches(rows, self.parameters, generator)


class LLM2BERT4Rec(BERT4Rec):
    """BERT4Rec whose item vectors start from the LLM's embeddings, reduced by PCA or another ``reduction``."""

    family = "llm2bert4rec"
    defaults = {
        **BERT4Rec.defaults,
        **REDUCTION_DEFAULTS,
        # Informative initial vectors may be larger than random ones, and a lower learning rate keeps them close to
        # their start (nDCG@20 on the newest tenth of Beauty's training sequences: 0.048 with BERT4Rec's defaults,
        # 0.050 with this initial_std, 0.053 with both).
        "initial_std": 0.1,
        "learning_rate": 5e-4,
    }
    allowed = {**BERT4Rec.allowed, "reduction": REDUCTIONS}
    uses_embeddings = True


def masked_batches(
    rows: Sequences, parameters: dict[str, Any], generator: np.random.Generator
) -> Iterator[tuple[Tensor, Tensor]]:
    """Yield one epoch's batches of masked sequences and the items behind the masks.

    Each row comes once with only its last item masked, and ``random_copies`` times with random masks.

    Parameters
    ----------
    rows : Sequences
        Training rows of at least two items.
    parameters : dict
        Reads batch_size, random_copies and mask_probability.
    generator : numpy Generator
        Decides the batches and the masks.

    Yields
    ------
    items, targets : int64 tensors (rows, length)
        Inputs with MASK and PADDING; the masked items, PADDING at all other positions.
    """
    size, copies, probability = (parameters[name] for name in ("batch_size", "random_copies", "mask_probability"))
    # in copy 0 only the last item is masked, as in inputs when recommending: without this copy BERT4Rec never learns
    # to predict at the last position
    copy = np.repeat(np.arange(1 + copies), len(rows))
    row = np.tile(np.arange(len(rows)), 1 + copies)
    for batch in batches_of_like_length(rows.lengths[row], size, generator):
        items = rows.take(row[batch]).padded(PADDING).astype(np.int64)
        draw = generator.random(items.shape)
        draw[items == PADDING] = 2
        masked = draw < probability
        masked[np.arange(len(items)), draw.argmin(axis=1)] = True  # masks at least one item of each row
        last_only = copy[batch] == 0
        masked[last_only] = False
        masked[last_only, -1] = True
        targets = np.where(masked, items, PADDING)
        yield torch.from_numpy(np.where(masked, MASK, items)), torch.from_numpy(targets)
