"""Popularity: everyone gets what most sequences contain."""

import numpy as np
import torch

from jobs.core.arrays import State
from jobs.core.cases import Cases
from jobs.core.catalog import Catalog
from jobs.core.sequences import Sequences
from jobs.models.base import FitContext, Model
from jobs.models.scorer import Scorer, VectorScorer


class Popularity(Model):
    """Score of an item = how many training sequences hold it (the paper's MostPopular, where none holds an item twice).

    As in ``recommendations.popular_items``, one buyer's hundred orders of an item don't make it a bestseller.
    """

    family = "popularity"

    @property
    def is_random(self) -> bool:
        """Return False: nothing is drawn."""
        return False

    def fit(self, train_sequences: Sequences, validation: Cases, catalog: Catalog, context: FitContext) -> None:
        """Count."""
        self.trained_on = catalog
        self.counts = np.bincount(train_sequences.distinct().items, minlength=len(catalog)).astype(np.float32)

    def state(self) -> State:
        """Return the counts."""
        return {"counts": self.counts}

    def restore(self, state: State, trained_on: Catalog) -> None:
        """Take back the counts."""
        self.trained_on, self.counts = trained_on, state["counts"]

    def scorer(self, catalog: Catalog) -> Scorer:
        """Score items that the fit counted; a constant query turns counts into inner products."""
        place = self.trained_on.find(catalog.item_ids)
        counts = np.where(place >= 0, self.counts[place], 0).astype(np.float32)
        return VectorScorer(
            queries=lambda sequences: torch.ones(len(sequences), 1),
            item_vectors=torch.from_numpy(counts)[:, None],
            recommendable=counts > 0,
            explains=False,
        )
