"""Batches of training rows of one length."""

import numpy as np
from known_answers import walks

from jobs.core.sequences import Sequences
from jobs.training.batches import batches_of_one_length


def test_batches_hold_each_row_once_and_no_padding():
    rows = Sequences.from_lists(walks(50, seed=8, shortest=2, longest=6))
    seen = []
    for inputs, targets in batches_of_one_length(rows, 8, np.random.default_rng(0)):
        assert len(inputs) <= 8
        assert (inputs[:, 1:] == targets[:, :-1]).all()
        seen += [(*row.tolist(), int(last)) for row, last in zip(inputs, targets[:, -1], strict=True)]
    assert sorted(seen) == sorted(tuple(row.tolist()) for row in rows)
