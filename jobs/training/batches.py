"""Batches of training rows: rows of one length, or of nearly one length, so that little time goes into padding."""

from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor

from jobs.core.arrays import Longs
from jobs.core.sequences import Sequences


def batches_of_like_length(lengths: Longs, size: int, generator: np.random.Generator) -> list[Longs]:
    """Cut a random order into batches whose rows have nearly one length, in random order."""
    order = np.lexsort((generator.random(len(lengths)), lengths))
    batches = [order[start : start + size] for start in range(0, len(order), size)]
    return [batches[place] for place in generator.permutation(len(batches))]


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
