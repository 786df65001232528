"""Epochs of sequence models: a small data set is passed several times in each, a large one once."""

from dataclasses import replace

import numpy as np
import pytest

from jobs.core.sequences import Sequences
from jobs.models.registry import make_model

ROWS = Sequences.from_lists([[0, 1, 2]] * 20)


def epoch_of(family, **parameters):
    model = make_model(family, {"batch_size": 5, **parameters})
    return [len(batch[0]) for batch in model._epoch_batches(ROWS, np.random.default_rng(0))]


@pytest.mark.parametrize("family", ["sasrec", "gru4rec"])
def test_an_epoch_has_at_least_its_steps_in_whole_passes(family):
    assert epoch_of(family, epoch_steps=1) == [5] * 4
    assert epoch_of(family, epoch_steps=4) == [5] * 4
    assert epoch_of(family, epoch_steps=5) == [5] * 8
    assert len(epoch_of(family)) >= make_model(family).parameters["epoch_steps"]


def test_nothing_to_learn_from_ends_at_once():
    model = make_model("sasrec")
    assert list(model._epoch_batches(Sequences.from_lists([]), np.random.default_rng(0))) == []


@pytest.mark.parametrize("family", ["sasrec", "gru4rec", "bert4rec"])
def test_items_of_one_time_come_in_every_order(family):
    of_one_time = replace(ROWS, time_numbers=np.repeat(np.arange(20, dtype=np.int32), 3))
    orders = [orders_of_an_epoch(family, sequences) for sequences in (ROWS, of_one_time)]
    assert len(orders[0]) == 1
    assert len(orders[1]) == 6


def orders_of_an_epoch(family, sequences):
    """Return the distinct orders in which an epoch's batches show the three items of a sequence."""
    model = make_model(family, {"batch_size": 5, "epoch_steps": 20, "window": 3})
    batches = model._epoch_batches(sequences, np.random.default_rng(0))
    if family == "bert4rec":
        # the items that a batch masks are its targets
        pairs = [np.where(targets.numpy() >= 0, targets, items) for items, targets in batches]
    else:
        pairs = [np.concatenate([items.numpy(), targets.numpy()[:, -1:]], axis=1) for items, targets in batches]
    return {tuple(row) for batch in pairs for row in batch.tolist()}
