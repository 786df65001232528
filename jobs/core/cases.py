"""Held-out cases: the sequences and next items on which a fitted model is measured."""

from dataclasses import dataclass

import numpy as np

from jobs.core.arrays import Longs
from jobs.core.sequences import Sequences


@dataclass(frozen=True)
class Cases:
    """Held-out cases: for each, a visitor's earlier items and the item that came next.

    Attributes
    ----------
    inputs : Sequences (cases rows)
        The items before the target, oldest first. Where repeats are not allowed, no list holds those that are targets
        themselves (:meth:`jobs.core.sequences.Sequences.keep_targets`).
    targets : int64 array (cases,)
        Catalogue index of the item that came next.
    """

    inputs: Sequences
    targets: Longs


NO_CASES = Cases(Sequences.from_lists([]), np.empty(0, np.int64))
