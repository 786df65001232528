"""Held-out cases, on which a fitted model is measured."""

from dataclasses import dataclass

import numpy as np

from jobs.core.arrays import Longs
from jobs.core.sequences import Sequences


@dataclass(frozen=True)
class Cases:
    """Held-out cases: what a visitor had, and the item that came next.

    Attributes
    ----------
    inputs : Sequences
        Items before the target, oldest first.
    targets : int64 array (cases,)
        Index of the next item.
    """

    inputs: Sequences
    targets: Longs


NO_CASES = Cases(Sequences.from_lists([]), np.empty(0, np.int64))
