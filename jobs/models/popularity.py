"""Popularity: recommend to everyone the items that occur in most training sequences, or in most of the newest ones."""

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any, ClassVar

import numpy as np
import torch

from jobs.core.arrays import Doubles, State
from jobs.core.cases import Cases
from jobs.core.catalog import Catalog
from jobs.core.sequences import Sequences
from jobs.models.base import FitOptions, Model
from jobs.models.hyperparameter_choice import (
    choose_parameter_value,
    chosen_parameters_from_state,
    chosen_parameters_to_state,
)
from jobs.models.hyperparameter_intervals import Interval
from jobs.models.recency_correction import RecencyCorrection
from jobs.models.scorer import Scorer, VectorScorer, case_ndcgs


class Popularity(Model):
    """Score of an item = number of the newest training sequences in which it occurs, once or more often.

    A hundred orders of an item by one buyer therefore don't make the item a bestseller, neither here nor in the table
    ``recommendations.popular_items``. Where models predict only events of some types (dbt var ``target_event_types``),
    only these events count; the recency correction counts all events, as in the other families. On sequences without
    repeated items, the defaults are MostPopular of arXiv 2309.09261. Both hyper-parameters are chosen on the validation
    cases if they are not given.

    Hyper-parameters
    ----------------
    newest_share : float
        Share of the training sequences that count: the newest ones. Of two items that occur in equally many of these,
        the one that occurs in more of all training sequences comes first.
    recency : float
        Weight w of the recency correction, 0 for none. An item's score is multiplied by (q / p)^w: q is the item's
        share of the newest demand, p its share of the whole history (:mod:`jobs.models.recency_correction`).
    """

    family = "popularity"
    defaults = {"newest_share": 1.0, "recency": 0.0}
    allowed_values = {"newest_share": Interval(above=0, at_most=1)}
    values_to_try: ClassVar[Mapping[str, Sequence[Any]]] = {
        "newest_share": [1.0, 0.5, 0.2, 0.1, 0.05],
        "recency": [0.0, 1.0, 1.5, 2.0],
    }

    @property
    def depends_on_seed(self) -> bool:
        """Whether the fitted model depends on the seed: no, counting uses no random numbers."""
        return False

    def fit(self, train_sequences: Sequences, validation: Cases, catalog: Catalog, fit_options: FitOptions) -> None:
        """Choose the hyper-parameters, and score each item by the newest training sequences with it as a target."""
        self.training_catalog = catalog
        correction = RecencyCorrection.from_sequences(train_sequences, catalog).log_ratios.astype(np.float64)
        targets = train_sequences.keep_targets()

        def score_cases(hyperparameter_name: str, value: Any) -> Doubles:
            self.chosen_parameters[hyperparameter_name] = value
            self._compute_item_scores(targets, correction)
            return case_ndcgs(self.scorer(catalog), validation, fit_options.allow_repeats)

        for name in self.parameters_to_choose if len(validation.targets) else []:
            self.chosen_parameters[name] = choose_parameter_value(
                self.parameters[name], self.values_to_try[name], partial(score_cases, name)
            )
        self._compute_item_scores(targets, correction)

    def _compute_item_scores(self, sequences: Sequences, recency_log_ratios: Doubles) -> None:
        distinct, size = sequences.keep_last_occurrences(), len(self.training_catalog)
        counts = np.bincount(distinct.items, minlength=size).astype(np.float64)
        share = self.chosen_parameters["newest_share"]
        if share < 1:
            newest = np.arange(int(len(distinct) * (1 - share)), len(distinct))
            # the counts of all sequences add less than 1: they only order items with equal counts of newest sequences
            counts = np.bincount(distinct.take(newest).items, minlength=size) + counts / (counts.sum() + 1)
        self.item_scores = (counts * np.exp(self.chosen_parameters["recency"] * recency_log_ratios)).astype(np.float32)

    def state(self) -> State:
        """Return the score of each item, and the chosen hyper-parameters, as named arrays."""
        return {"counts": self.item_scores, **chosen_parameters_to_state(self.chosen_parameters)}

    def restore(self, state: State, training_catalog: Catalog) -> None:
        """Load the items' scores and the chosen hyper-parameters that :meth:`state` returned."""
        self.training_catalog, self.item_scores = training_catalog, state["counts"]
        self.chosen_parameters = chosen_parameters_from_state(state, self.parameters, [*self.values_to_try])

    def scorer(self, catalog: Catalog) -> Scorer:
        """Return a scorer that gives an item the same score for every sequence.

        Each query vector is 1, and an item's vector is its score: the count, multiplied by the recency correction.
        """
        trained_index = self.training_catalog.find_indices(catalog.item_ids)
        scores = np.where(trained_index >= 0, self.item_scores[trained_index], 0).astype(np.float32)
        return VectorScorer(
            compute_queries=lambda sequences: torch.ones(len(sequences), 1),
            item_vectors=torch.from_numpy(scores)[:, None],
            recommendable_mask=scores > 0,
            gives_reasons=False,
        )
