"""The sampled softmax loss against the loss over all items."""

import math

import pytest
import torch
from torch.nn.functional import cross_entropy, normalize

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
    sums = [
        losses.softmax_loss(equal[:1], equal, torch.tensor([0]), 4, generator=generator).exp() - 1 for _ in range(2000)
    ]
    assert torch.stack(sums).mean().item() == pytest.approx(4 * (1 - 1 / 5), abs=0.1)


def test_biases_and_a_temperature_change_the_scores_of_sampled_items_as_those_of_all():
    torch.manual_seed(0)
    table, found, targets = torch.randn(50, 8), torch.randn(30, 8), torch.randint(50, (30,))
    given = {"item_bias": 0.3 * torch.randn(50), "temperature": 2.0}
    whole = losses.softmax_loss(found, table, targets, 0, **given)
    cosines = normalize(found, dim=1) @ normalize(table, dim=1).T
    torch.testing.assert_close(whole, cross_entropy(cosines / 2 + given["item_bias"], targets))
    sampled = torch.stack([losses.softmax_loss(found, table, targets, 30, **given) for _ in range(2000)]).mean()
    assert sampled.item() == pytest.approx(whole.item(), rel=0.01)


def test_with_a_temperature_the_length_of_vectors_changes_nothing():
    torch.manual_seed(0)
    table, found, targets = torch.randn(9, 4), torch.randn(5, 4), torch.arange(5)
    loss = losses.softmax_loss(found, table, targets, 0, temperature=0.1)
    longer = losses.softmax_loss(3 * found, torch.rand(9, 1) * table, targets, 0, temperature=0.1)
    assert math.isclose(loss.item(), longer.item(), rel_tol=1e-5)
