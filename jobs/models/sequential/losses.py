"""The loss that sequence models share: which of all items was it."""

import math

import torch
from torch import Tensor
from torch.nn import functional


def softmax_loss(
    found: Tensor, table: Tensor, targets: Tensor, negatives: int, generator: torch.Generator | None = None
) -> Tensor:
    """Return the mean cross-entropy of the targets, among all items or among sampled ones.

    Sampled items are drawn uniformly from all, with replacement, and shared by the batch; a place leaves draws of its
    own target out. Each of the others stands for (items - 1) / negatives items, which its score is raised for by the
    logarithm of that: so the sum over the sample estimates the sum over all but the target (sampled softmax with
    correction, Jean et al. 2015, arXiv 1412.2007). On average it is too small by one part in ``items``, since draws are
    left out: items / negatives would be right. But that is as if the others' scores were lower by 1 / items, equally
    for all of them: a thousandth for a thousand items, much less than the draw itself scatters.

    Parameters
    ----------
    found : float (places, width)
    table : float (items, width)
    targets : int64 (places,)
    negatives : int
        0, or as many as there are items: all items.
    generator : torch.Generator, optional
        Of the sampled items, on the table's device; PyTorch's own unless given.
    """
    items = len(table)
    if not 0 < negatives < items:
        return functional.cross_entropy(found @ table.T, targets)
    # with replacement: a draw without one would shuffle the whole catalogue for every batch
    sampled = torch.randint(items, (negatives,), device=table.device, generator=generator)
    others = found @ table[sampled].T + math.log((items - 1) / negatives)
    others = others.masked_fill(sampled == targets[:, None], -torch.inf)  # the target is there already
    own = (found * table[targets]).sum(dim=1, keepdim=True)
    return (torch.cat([own, others], dim=1).logsumexp(dim=1) - own[:, 0]).mean()
