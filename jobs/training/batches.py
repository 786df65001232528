"""Batches of training sequences of equal or nearly equal length, so that little time is lost on padding."""

from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor

from jobs.core.arrays import Longs
from jobs.core.sequences import Sequences


def batches_of_like_length(lengths: Longs, batch_size: int, generator: np.random.Generator) -> list[Longs]:
    """Group rows of similar length into batches, and return the batches in random order.

    Parameters
    ----------
    lengths : int64 array (rows,)
        Length of each row.
    batch_size : int
        Rows per batch; the batch with the longest rows may be smaller.
    generator : numpy Generator
        Decides the order of rows of equal length, and the order of the batches.

    Returns
    -------
    list of int64 arrays (rows of the batch,)
        The row numbers of each batch.
    """
    order = np.lexsort((generator.random(len(lengths)), lengths))
    batches = [order[start : start + batch_size] for start in range(0, len(order), batch_size)]
    return [batches[number] for number in generator.permutation(len(batches))]


def batches_of_one_length(
    sequences: Sequences, batch_size: int, generator: np.random.Generator
) -> Iterator[tuple[Tensor, Tensor]]:
    """Yield random batches of sequences of equal length, which need no padding.

    A batch has the inputs, and as targets the item that follows each input.

    Parameters
    ----------
    sequences : Sequences
        Training sequences of at least two items.
    batch_size : int
        Largest number of sequences in a batch.
    generator : numpy Generator
        Decides which sequences share a batch, and the order of the batches.

    Yields
    ------
    inputs, targets : int64 tensors (rows, length - 1)
        A sequence without its last item, and the same sequence without its first item.
    """
    order = generator.permutation(len(sequences))
    batches = []
    for length in np.unique(sequences.lengths):
        same_length = order[sequences.lengths[order] == length]
        batches += [same_length[start : start + batch_size] for start in range(0, len(same_length), batch_size)]
    for number in generator.permutation(len(batches)):
        items = torch.from_numpy(sequences.take(batches[number]).padded_matrix(0)).long()
        yield items[:, :-1], items[:, 1:]
