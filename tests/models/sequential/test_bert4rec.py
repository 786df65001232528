"""BERT4Rec's masked batches."""

import numpy as np
import torch
from known_answers import cases, fit, shop, walks

from jobs.core.sequences import Sequences
from jobs.models.scorer import recommend
from jobs.models.sequential import bert4rec


def test_a_masked_item_is_nowhere_in_the_networks_input():
    rows = Sequences.from_lists(walks(50, seed=8, shortest=2, longest=6))
    parameters = {"batch_size": 16, "random_copies": 2, "mask_probability": 0.4}
    seen, last_only = [], 0
    for items, targets in bert4rec.masked_batches(rows, parameters, np.random.default_rng(0)):
        masked = targets != bert4rec.PADDING
        assert masked.any(dim=1).all()
        assert (items[masked] == bert4rec.MASK).all()
        assert ((items == bert4rec.MASK) == masked).all()
        whole = torch.where(masked, targets, items)
        seen += [tuple(row[row != bert4rec.PADDING].tolist()) for row in whole]
        last_only += int((masked[:, -1] & (masked.sum(dim=1) == 1)).sum())
    assert sorted(seen) == sorted(tuple(row.tolist()) for row in rows for _ in range(3))
    assert last_only >= len(rows)


def test_without_the_sample_whose_last_item_is_masked_bert4rec_gets_clearly_worse(monkeypatch):
    def random_masks_alone(rows, parameters, generator):
        for items, targets in batches(rows, parameters, generator):
            masked = targets != bert4rec.PADDING
            others = ~masked[:, -1] | (masked.sum(dim=1) > 1)
            if others.any():
                yield items[others], targets[others]

    def hit_rate():
        model = fit("bert4rec", epochs=12)
        _, lists = recommend(model.scorer(shop()), cases().inputs, 1)
        return (lists[:, 0] == cases().targets).mean()

    batches = bert4rec.masked_batches
    whole = hit_rate()
    monkeypatch.setattr(bert4rec, "masked_batches", random_masks_alone)
    assert hit_rate() < whole - 0.2
