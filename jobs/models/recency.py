"""Recency correction of scores: items that are in demand today rank higher than their share of all history says.

Models learn from the transitions of all of history, but have to predict today's next item. If scores are
log-probabilities, learnt from data in which items have the shares p, then adding log(q / p) makes them right for data
in which items have the shares q (Saerens, Latinne & Decaestecker 2002; as "logit adjustment", Menon et al. 2021, arXiv
2007.07314). Here q is estimated from the last items of the newest training sequences. Scores of other kinds gain by
the correction too, with a weight chosen by validation.

The newest sequences are few, so most of the difference between their last items and all of history is chance. q is
therefore estimated by empirical Bayes: the posterior mean under a Dirichlet prior around p, with the concentration
that makes the observed last items most likely. If nothing drifts, q is p itself, and nothing is added.
"""

from dataclasses import dataclass

import numpy as np
import torch
from scipy.optimize import minimize_scalar
from scipy.special import gammaln
from torch import Tensor

from jobs.core.arrays import Doubles, Floats, Longs, State
from jobs.core.catalog import Catalog
from jobs.core.sequences import Sequences

# Share of the training sequences that count as newest: as many as validation takes; 3 % to 20 % do as well on Beauty.
NEWEST_SHARE = 0.1
CONCENTRATION_BOUNDS = (1.0, 1e9)  # in counts: the prior around all of history weighs next to nothing, or everything


@dataclass(frozen=True)
class Recency:
    """The recency correction of each item: the log-ratio of its share of demand today to its share of all history.

    Attributes
    ----------
    log_ratios : float32 array (items of the fit,)
        log(q / p), see the module. p is an item's share of all items in the training sequences, each item counted
        once more.
    trained_on : Catalog
        The catalogue of the fit.
    """

    log_ratios: Floats
    trained_on: Catalog

    @classmethod
    def from_sequences(cls, sequences: Sequences, catalog: Catalog) -> "Recency":
        """Estimate the correction from the last items of the newest sequences; ``sequences`` is ordered by age."""
        sequences = sequences.take(sequences.lengths >= 2)  # one-item sequences have no transition to learn from
        counts = np.bincount(sequences.items, minlength=len(catalog)) + 1.0
        overall = counts / counts.sum()
        newest = np.arange(round(len(sequences) * (1 - NEWEST_SHARE)), len(sequences))
        last_items = np.bincount(sequences.take(newest).last(1).items, minlength=len(catalog))
        concentration = dirichlet_concentration(last_items, overall)
        if concentration is None:
            today = overall
        else:
            today = (last_items + concentration * overall) / (last_items.sum() + concentration)
        return cls(np.log(today / overall).astype(np.float32), catalog)

    def for_catalog(self, catalog: Catalog) -> Floats:
        """Return the log-ratio of each item of a catalogue: float32 array (items,).

        An item that was not in the fit's catalogue gets the lowest log-ratio: no newest sequence ends with it.
        """
        trained_index = self.trained_on.find(catalog.item_ids)
        known = trained_index >= 0
        return np.where(known, self.log_ratios[trained_index], self.log_ratios.min(initial=0)).astype(np.float32)

    def bias(self, weight: float, catalog: Catalog) -> Tensor | None:
        """Return ``weight`` times each item's log-ratio: float32 tensor (items,), or None if all are 0."""
        bias = weight * self.for_catalog(catalog)
        return torch.from_numpy(bias) if bias.any() else None

    def state(self) -> State:
        """Return the log-ratios as a named array."""
        return {"recency": self.log_ratios}

    @classmethod
    def from_state(cls, state: State, trained_on: Catalog) -> "Recency":
        """Load the log-ratios that :meth:`state` returned."""
        return cls(state["recency"], trained_on)


def dirichlet_concentration(counts: Longs, shares: Doubles) -> float | None:
    """Return the concentration of a Dirichlet prior around ``shares`` under which ``counts`` are most likely.

    The likelihood is that of the Dirichlet-multinomial distribution. In a posterior mean, the prior weighs as much as
    this many counts.

    Parameters
    ----------
    counts : int64 array (items,)
    shares : float64 array (items,)
        All above 0, with sum 1.

    Returns
    -------
    float or None
        None if, by Akaike's information criterion, the shares themselves explain the counts as well.
    """
    observed = counts > 0
    observed_counts, expected = counts[observed], shares[observed]

    def log_likelihood(log_concentration: float) -> float:
        concentration = np.exp(log_concentration)
        ratios = (gammaln(concentration * expected + observed_counts) - gammaln(concentration * expected)).sum()
        return float(ratios + gammaln(concentration) - gammaln(concentration + observed_counts.sum()))

    best = minimize_scalar(lambda x: -log_likelihood(x), bounds=np.log(CONCENTRATION_BOUNDS), method="bounded")
    return float(np.exp(best.x)) if -best.fun - (observed_counts * np.log(expected)).sum() > 1 else None
