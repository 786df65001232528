"""The untrained transformer."""

import torch

from jobs.models.sequential.transformer import Transformer


def test_attention_starts_as_the_identity():
    width = 6
    for block in Transformer(width, blocks=2, heads=2, window=4, dropout=0.0).blocks:
        into, out = block.attention.into, block.attention.out
        for weight, bias in ((into.weight[2 * width :], into.bias[2 * width :]), (out.weight, out.bias)):
            assert torch.equal(weight, torch.eye(width))
            assert torch.equal(bias, torch.zeros(width))
        alone = torch.randn(3, 1, width)  # each row's only item attends to itself
        torch.testing.assert_close(block.attention(alone, None), alone)
