"""Vectors of cold items: the reduced embeddings, lengthened as training lengthens the trained items' vectors."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from known_answers import ITEMS, RING, fit, shop, training

COLD = 3


@pytest.mark.parametrize("without_embedding", [0, ITEMS // 2, ITEMS - RING])
@pytest.mark.parametrize("family", ["llm2sasrec", "llm2bert4rec", "llm2gru4rec"])
def test_a_cold_items_vector_is_lengthened_as_those_of_trained_items_with_an_embedding(family, without_embedding):
    embeddings = shop().embeddings.copy()
    is_trained = np.arange(ITEMS) != COLD
    embeddings[np.flatnonzero(is_trained)[:without_embedding]] = 0
    catalog = replace(shop(), embeddings=embeddings)
    model = fit(family, catalog=catalog, train=training().keep_items(is_trained), epochs=1, epoch_steps=1)
    assert COLD not in model.vocabulary
    with torch.no_grad():  # as if the training had doubled each item's initial vector
        model.network.table.copy_(2 * torch.from_numpy(model._initial_item_vectors(catalog, 0)))
    vector = model.scorer(catalog).item_vectors[COLD].cpu().numpy()
    np.testing.assert_allclose(vector, 2 * model.projection(embeddings[[COLD]])[0], rtol=1e-4, atol=1e-6)
