"""Item biases: how they are trained, stored and added to scores."""

import numpy as np
import pytest
import torch
from known_answers import COLD_IDS, EXPECTED, ITEMS, cases, fit, fitted, grown_shop, shop

from jobs.core.sequences import Sequences
from jobs.models.scorer import recommend
from jobs.nightly.model_store import model_from_bytes, model_to_bytes

families = pytest.mark.parametrize("family", ["bert4rec", "llm2bert4rec", "llm2sasrec", "gru4rec"])


def biased(family, **options):
    return fit(family, item_bias=True, **options)


@families
def test_popular_items_get_a_larger_bias(family):
    generator = np.random.default_rng(0)
    popular, rare = 4, 7
    rows = [[*generator.choice(range(8, ITEMS), 3), popular] for _ in range(300)]
    rows += [[*generator.choice(range(8, ITEMS), 3), rare] for _ in range(3)]
    bias = biased(family, train=Sequences.from_lists(rows), epochs=4).state()["network.bias"]
    by_item = dict(zip(sorted({int(item) for row in rows for item in row}), bias, strict=True))
    assert by_item[popular] > np.quantile(bias, 0.9)
    assert by_item[popular] > by_item[rare] + 0.02


@families
def test_a_score_is_the_product_plus_the_bias_and_a_cold_items_bias_is_the_mean(family):
    model = biased(family, epochs=1)
    with torch.no_grad():
        model.network.bias.copy_(torch.arange(len(model.vocabulary)))
    catalog = grown_shop()
    scorer = model.scorer(catalog)
    model.network.bias = None
    without = model.scorer(catalog)
    place = catalog.find_indices(shop().item_ids[model.vocabulary])
    wanted = np.full(len(catalog), np.arange(len(place)).mean())
    wanted[place[place >= 0]] = np.flatnonzero(place >= 0)
    rows = Sequences.from_lists([place[[1, 2]].tolist(), [int(place[3])]])
    scores, items = recommend(scorer, rows, len(catalog))
    plain = without.compute_queries(rows) @ without.item_vectors.T
    for row in range(2):
        listed = items[row, items[row] >= 0]
        np.testing.assert_allclose(
            scores[row, items[row] >= 0], plain[row, listed].numpy() + wanted[listed], rtol=1e-5, atol=1e-5
        )
    cold = set(catalog.find_indices(np.array(COLD_IDS, np.object_)))
    assert bool(cold & set(items[0])) == EXPECTED[family].recommends_cold


@families
def test_a_model_with_biases_is_restored_with_them(family):
    model = biased(family, epochs=2)
    again = model_from_bytes(family, model.parameters, model_to_bytes(model, shop()))
    assert np.abs(again.state()["network.bias"]).max() > 0
    wanted, found = (recommend(one.scorer(shop()), cases().inputs, 5) for one in (model, again))
    assert [part.tolist() for part in found] == [part.tolist() for part in wanted]


@families
def test_an_empty_sequence_gets_an_empty_list_whatever_the_biases(family):
    _, items = recommend(biased(family, epochs=1).scorer(shop()), Sequences.from_lists([[]]), 3)
    assert (items == -1).all()


@families
def test_there_are_no_biases_unless_they_are_asked_for(family):
    assert "network.bias" not in fitted(family).state()
