"""Popularity: recommend to everyone the items that occur in most training sequences."""

import numpy as np
import torch

from jobs.core.arrays import State
from jobs.core.cases import Cases
from jobs.core.catalog import Catalog
from jobs.core.sequences import Sequences
from jobs.models.base import FitOptions, Model
from jobs.models.scorer import Scorer, VectorScorer


class Popularity(Model):
    """Score of an item = number of training sequences that hold it, at least once.

    A hundred orders of an item by one buyer therefore don't make the item a bestseller, neither here nor in the table
    ``recommendations.popular_items``. On sequences without repeated items this is MostPopular of arXiv 2309.09261.
    """

    family = "popularity"

    @property
    def is_random(self) -> bool:
        """Whether the fitted model depends on the seed: no, counting uses no random numbers."""
        return False

    def fit(self, train_sequences: Sequences, validation: Cases, catalog: Catalog, fit_options: FitOptions) -> None:
        """Count the training sequences that hold each item."""
        self.fit_catalog = catalog
        self.counts = np.bincount(train_sequences.without_repeats().items, minlength=len(catalog)).astype(np.float32)

    def state(self) -> State:
        """Return the number of training sequences that hold each item, as a named array."""
        return {"counts": self.counts}

    def restore(self, state: State, fit_catalog: Catalog) -> None:
        """Load the counts that :meth:`state` returned."""
        self.fit_catalog, self.counts = fit_catalog, state["counts"]

    def scorer(self, catalog: Catalog) -> Scorer:
        """Return a scorer whose scores are the counts: each query vector is 1, and an item's vector is its count."""
        trained_index = self.fit_catalog.find_indices(catalog.item_ids)
        counts = np.where(trained_index >= 0, self.counts[trained_index], 0).astype(np.float32)
        return VectorScorer(
            queries=lambda sequences: torch.ones(len(sequences), 1),
            item_vectors=torch.from_numpy(counts)[:, None],
            recommendable=counts > 0,
            gives_reasons=False,
        )
