"""BERT4Rec, and LLM2BERT4Rec, whose item vectors start from LLM embeddings and which has other training defaults.

Sources: BERT4Rec by Sun et al. 2019 (arXiv 1904.06690), LLM2BERT4Rec by Harte et al. 2023 (arXiv 2309.09261, section
3.3).
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
from jobs.models.hyperparameter_intervals import Interval
from jobs.models.projection import REDUCTION_DEFAULTS, REDUCTION_NAMES
from jobs.models.sequential.model import SHARED_DEFAULTS, SequentialModel
from jobs.models.sequential.network import SequenceNetwork
from jobs.models.sequential.transformer import Transformer
from jobs.training.batches import batches_of_like_length

MASK, PADDING = -1, -2  # entries of item sequences that stand for a masked item and for no item


class BERT4RecNetwork(SequenceNetwork):
    """BERT4Rec's network: item vectors, a mask vector, and a bidirectional transformer.

    The original's projection head is left out: with the head, item vectors are learnt more slowly (after two epochs on
    the newest tenth of Beauty's training sequences, nDCG@20 is 0.029 with the head and 0.034 without).
    """

    def __init__(self, initial_item_vectors: Tensor, blocks: int, heads: int, window: int, dropout: float) -> None:
        super().__init__()
        width = initial_item_vectors.shape[1]
        self.table = nn.Parameter(initial_item_vectors)
        self.mask = nn.Parameter(torch.randn(width) * initial_item_vectors.std())
        self.transformer = Transformer(width, blocks, heads, window, dropout)

    def forward(self, item_vectors: Tensor, items: Tensor, is_selected: Tensor) -> Tensor:
        """Return the predicted item vectors at the selected positions: float (selected positions, width).

        Parameters
        ----------
        item_vectors : float (items, width)
            The item vectors to read, usually ``self.table``.
        items : int64 (rows, length)
            Sequences of row numbers in ``item_vectors``, ``MASK`` and ``PADDING``, oldest item first.
        is_selected : bool (rows, length)
            True at the positions whose vectors are returned, so that the costly product with all item vectors is
            computed for these positions only.
        """
        # item vectors are scaled up, as in SASRec: otherwise the random initial outputs of the blocks outweigh them
        vectors = functional.embedding(items.clamp(min=0), item_vectors) * math.sqrt(item_vectors.shape[1])
        vectors = torch.where((items == MASK)[:, :, None], self.mask, vectors)
        return self.transformer(vectors, items != PADDING)[is_selected]  # type: ignore[no-any-return]

    def predict_next_vectors(self, item_vectors: Tensor, items: Tensor) -> Tensor:
        """Return the predicted vector of the item after each sequence: the output at a mask that is appended."""
        items = functional.pad(items, (0, 1), value=MASK)
        is_last = torch.zeros_like(items, dtype=torch.bool)
        is_last[:, -1] = True
        return self(item_vectors, items, is_last)  # type: ignore[no-any-return]


class BERT4Rec(SequentialModel):
    """A model that is trained to predict masked items of a sequence from the items on both sides.

    The next item is predicted as a masked item at the end of the sequence.

    Hyper-parameters
    ----------------
    width, blocks, heads, dropout
        See :class:`Transformer`.
    window : int
        Number of positions, which hold the newest items and the mask. 20 as in arXiv 2309.09261: more positions gain
        nothing for short sequences.
    mask_probability : float
        Share of items masked in a random copy.
    negatives : int
        Number of sampled items in the loss, shared by a batch; 0 means all items, which costs more.
    random_copies : int
        Number of randomly masked copies of each sequence in a pass, besides one copy with its last item masked.
    epochs, patience : int
        Largest number of epochs, and number of epochs without a better score after which training stops. The default
        patience is larger than SASRec's: masks are drawn anew in each epoch, so scores improve more slowly.

    The others are described at ``SHARED_DEFAULTS``.
    """

    family = "bert4rec"
    defaults = {
        "width": 128,
        "blocks": 2,
        "heads": 2,
        "window": 20,
        "dropout": 0.3,
        "mask_probability": 0.4,
        "negatives": 512,
        "random_copies": 2,
        **SHARED_DEFAULTS,
        "epochs": 40,
        "patience": 5,
    }
    allowed_values = {"window": Interval(at_least=2)}  # a window has room for at least one item and the mask

    @property
    def _max_input_length(self) -> int:
        return int(self.chosen_parameters["window"]) - 1  # the mask takes one position of the window

    def _make_network(self, initial_item_vectors: Floats) -> BERT4RecNetwork:
        p = self.parameters
        return BERT4RecNetwork(
            torch.from_numpy(initial_item_vectors),
            p["blocks"],
            p["heads"],
            self.chosen_parameters["window"],
            p["dropout"],
        )

    def _loss(self, batch: tuple[Tensor, Tensor]) -> Tensor:
        items, targets = (part.to(self.network.table.device) for part in batch)
        is_target = targets != PADDING
        return self._softmax_loss(self.network(self.network.table, items, is_target), targets[is_target])

    def _batches_of_one_pass(
        self, sequences: Sequences, generator: np.random.Generator
    ) -> Iterator[tuple[Tensor, Tensor]]:
        return masked_batches(sequences, self.parameters, generator)


class LLM2BERT4Rec(BERT4Rec):
    """BERT4Rec whose item vectors start from the LLM's embeddings, reduced by PCA or another ``reduction``."""

    family = "llm2bert4rec"
    defaults = {
        **BERT4Rec.defaults,
        **REDUCTION_DEFAULTS,
        # Initial item vectors that carry information may be larger than random ones, and a lower learning rate keeps
        # them close to their start (nDCG@20 on the newest tenth of Beauty's training sequences: 0.048 with BERT4Rec's
        # defaults, 0.050 with this `initial_std`, 0.053 with this `initial_std` and `learning_rate`).
        "initial_std": 0.1,
        "learning_rate": 5e-4,
    }
    allowed_values = {**BERT4Rec.allowed_values, "reduction": REDUCTION_NAMES}
    uses_embeddings = True


def masked_batches(
    sequences: Sequences, hyperparameters: dict[str, Any], generator: np.random.Generator
) -> Iterator[tuple[Tensor, Tensor]]:
    """Yield the batches of one pass over the sequences: sequences in which items are masked, and the masked items.

    Each sequence comes once with only its last item masked, and ``random_copies`` times with random masks.

    Parameters
    ----------
    sequences : Sequences
        Training sequences of at least two items.
    hyperparameters : dict
        Hyper-parameters of the model, of which ``batch_size``, ``random_copies`` and ``mask_probability`` are read.
    generator : numpy Generator
        Decides the batches and the masks.

    Yields
    ------
    items : int64 tensor (rows, length)
        The sequences, with ``MASK`` in place of masked items and ``PADDING`` on the left.
    targets : int64 tensor (rows, length)
        The masked items, with ``PADDING`` at all other positions.
    """
    size, copies, probability = (hyperparameters[name] for name in ("batch_size", "random_copies", "mask_probability"))
    # In copy 0 only the last item is masked, as in the inputs for recommending. Without this copy BERT4Rec never learns
    # to predict the last position.
    copy = np.repeat(np.arange(1 + copies), len(sequences))
    row = np.tile(np.arange(len(sequences)), 1 + copies)
    for batch in batches_of_like_length(sequences.lengths[row], size, generator):
        items = sequences.take(row[batch]).padded_matrix(PADDING).astype(np.int64)
        draw = generator.random(items.shape)
        draw[items == PADDING] = 2
        masked = draw < probability
        masked[np.arange(len(items)), draw.argmin(axis=1)] = True  # at least one item of each row is masked
        last_only = copy[batch] == 0
        masked[last_only] = False
        masked[last_only, -1] = True
        targets = np.where(masked, items, PADDING)
        yield torch.from_numpy(np.where(masked, MASK, items)), torch.from_numpy(targets)
