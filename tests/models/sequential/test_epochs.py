"""Epochs of sequence models: a small data set is passed several times in each, a large one once."""

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
