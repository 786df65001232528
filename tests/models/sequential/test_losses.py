"""The sampled softmax loss against the loss over all items."""

import pytest
import torch

from jobs.models.sequential import losses


def test_the_sampled_loss_is_that_of_all_items_on_average():
    torch.manual_seed(0)
    table, found, targets = torch.randn(50, 8) * 0.2, torch.randn(30, 8), torch.randint(50, (30,))
    whole = losses.softmax_loss(found, table, targets, 0)
    torch.testing.assert_close(whole, torch.nn.functional.cross_entropy(found @ table.T, targets))
    torch.testing.assert_close(losses.softmax_loss(found, table, targets, 50), whole)
    sampled = torch.stack([losses.softmax_loss(found, table, targets, 30) for _ in range(2000)]).mean()
    assert abs(sampled - whole) < 0.01 * whole  # without the correction the loss would be a tenth smaller


def test_the_sampled_sum_is_too_small_by_one_part_in_the_number_of_items():
    generator, equal = torch.Generator().manual_seed(0), torch.zeros(5, 2)
    sums = [losses.softmax_loss(equal[:1], equal, torch.tensor([0]), 4, generator).exp() - 1 for _ in range(2000)]
    assert torch.stack(sums).mean().item() == pytest.approx(4 * (1 - 1 / 5), abs=0.1)
