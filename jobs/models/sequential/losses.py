"""Softmax cross-entropy over all items, or over a sample of items: the loss of the sequence models."""

import math

import torch
from torch import Tensor
from torch.nn import functional


def softmax_loss(
    predicted_vectors: Tensor,
    item_vectors: Tensor,
    targets: Tensor,
    negative_count: int,
    *,
    item_bias: Tensor | None = None,
    temperature: float = 0.0,
    generator: torch.Generator | None = None,
) -> Tensor:
    """Return the mean softmax cross-entropy of the targets, over all items or over sampled items.

    Of n items, m are drawn uniformly, with replacement, and shared by the batch. At a position whose target is among
    the drawn items, that drawn item is left out. Every other drawn item stands for (n - 1) / m items, so the logarithm
    of this ratio is added to its score. The sum over the sample then estimates the sum over all items but the target
    (sampled softmax with correction, Jean et al. 2015, arXiv 1412.2007). Since drawn targets are left out, n / m would
    be the right ratio, and the estimate is on average too small by 1 / n of itself. That is as if the scores of all
    other items were lower by 1 / n: a thousandth for a thousand items, much less than the random error of the sample.

    Parameters
    ----------
    predicted_vectors : float (positions, width)
        Predicted item vectors.
    item_vectors : float (items, width)
        Item vectors.
    targets : int64 (positions,)
        Row numbers in ``item_vectors`` of the items to predict.
    negative_count : int
        Number of sampled items. If it is 0 or not below the number of items, all items are used.
    item_bias : float (items,), optional
        A number that is added to the scores of each item.
    temperature : float
        The score of an item is the cosine of its vector and the predicted vector, divided by the temperature. If the
        temperature is 0, the score is the inner product.
    generator : torch.Generator, optional
        Draws the sampled items; it is on the device of ``item_vectors``. By default PyTorch's default generator.

    Returns
    -------
    scalar tensor
    """
    items = len(item_vectors)
    if temperature:
        predicted_vectors = functional.normalize(predicted_vectors, dim=1) / temperature

    def vectors_and_biases(chosen: Tensor | slice) -> tuple[Tensor, Tensor | float]:
        # only the chosen rows are scaled to length 1, because a table of millions of items takes long
        vectors = item_vectors[chosen]
        vectors = functional.normalize(vectors, dim=1) if temperature else vectors
        return vectors, 0.0 if item_bias is None else item_bias[chosen]

    if not 0 < negative_count < items:
        vectors, biases = vectors_and_biases(slice(None))
        return functional.cross_entropy(predicted_vectors @ vectors.T + biases, targets)
    # Items are drawn with replacement: a draw without replacement would shuffle the whole catalogue for every batch.
    sampled = torch.randint(items, (negative_count,), device=item_vectors.device, generator=generator)
    vectors, biases = vectors_and_biases(sampled)
    sampled_scores = predicted_vectors @ vectors.T + biases + math.log((items - 1) / negative_count)
    # A target that is also among the sampled items counts only once.
    sampled_scores = sampled_scores.masked_fill(sampled == targets[:, None], -torch.inf)
    vectors, biases = vectors_and_biases(targets)
    target_scores = ((predicted_vectors * vectors).sum(dim=1) + biases)[:, None]
    return (torch.cat([target_scores, sampled_scores], dim=1).logsumexp(dim=1) - target_scores[:, 0]).mean()
