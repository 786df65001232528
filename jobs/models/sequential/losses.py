"""Softmax cross-entropy over all items, or over a sample of items: the loss of the sequence models."""

import math

import torch
from torch import Tensor
from torch.nn import functional


def softmax_loss(
    vectors: Tensor, table: Tensor, targets: Tensor, negatives: int, generator: torch.Generator | None = None
) -> Tensor:
    """Return the mean softmax cross-entropy of the targets, over all items or over sampled items.

    Sampled items are drawn uniformly from all items, with replacement, and shared by the batch. A sampled item that is
    a position's target is left out there. Every other sampled item stands for (items - 1) / negatives items, so the
    logarithm of this ratio is added to its score: the sum over the sample then estimates the sum over all items but
    the target (sampled softmax with correction, Jean et al. 2015, arXiv 1412.2007). Since samples are left out, the
    estimate is on average too small by one part in ``items``; the ratio items / negatives would be right. The error is
    that of scores lower by 1 / items for all other items: a thousandth for a thousand items, much less than the random
    error of the sample.

    Parameters
    ----------
    vectors : float (positions, width)
        Predicted item vectors.
    table : float (items, width)
        Item vectors; scores are inner products.
    targets : int64 (positions,)
        Rows of the table.
    negatives : int
        Number of sampled items; 0, or at least the number of items: all items.
    generator : torch.Generator, optional
        Draws the sampled items, on the table's device; by default PyTorch's default generator.

    Returns
    -------
    scalar tensor
    """
    items = len(table)
    if not 0 < negatives < items:
        return functional.cross_entropy(vectors @ table.T, targets)
    # with replacement, since a draw without replacement would shuffle the whole catalogue for every batch
    sampled = torch.randint(items, (negatives,), device=table.device, generator=generator)
    sampled_scores = vectors @ table[sampled].T + math.log((items - 1) / negatives)
    sampled_scores = sampled_scores.masked_fill(sampled == targets[:, None], -torch.inf)  # the target counts only once
    target_scores = (vectors * table[targets]).sum(dim=1, keepdim=True)
    return (torch.cat([target_scores, sampled_scores], dim=1).logsumexp(dim=1) - target_scores[:, 0]).mean()
