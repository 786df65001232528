"""Recency correction of scores: items in demand today rank higher than their share of the whole history suggests.

Models learn from the transitions of the whole history, but have to predict today's next item. If scores are
log-probabilities, learnt from data in which an item has the share p, then adding log(q / p) makes them right for data
in which the item has the share q (Saerens, Latinne & Decaestecker 2002; as "logit adjustment", Menon et al. 2021, arXiv
2007.07314). Here q is estimated from the last items of the newest training sequences. The correction improves scores of
other kinds too, with a weight chosen by validation.

The newest sequences are few, so most of the difference between their last items and the whole history is chance. q is
therefore estimated by empirical Bayes: the posterior mean under a Dirichlet prior around p, with the concentration
that makes the observed last items most likely. If demand does not drift, q equals p, and nothing is added.
"""

from dataclasses import dataclass

import numpy as np
import torch
from scipy.special import gammaln
from torch import Tensor

from jobs.core.arrays import Doubles, Floats, Longs, State
from jobs.core.catalog import Catalog
from jobs.core.sequences import Sequences

# Share of the training sequences that count as newest. It equals the share of sequences that are validation cases. On
# Amazon Beauty, any share from 3 % to 20 % works as well.
NEWEST_SHARE = 0.1
# Bounds of the Dirichlet prior's concentration, in counts. At 1 the prior hardly affects the posterior mean; at 1e9 the
# prior alone decides it.
CONCENTRATION_BOUNDS = (1.0, 1e9)


@dataclass(frozen=True)
class RecencyCorrection:
    """The recency correction of each item: the log-ratio of its share of today's demand to its share of all history.

    Attributes
    ----------
    log_ratios : float32 array (items of the fit,)
        log(q / p), with q an item's share of today's demand, and p the item's share of all items in the training
        sequences. One is added to each item's count, so that no share p is 0.
    training_catalog : Catalog
        The catalogue that the model was fitted on.
    """

    log_ratios: Floats
    training_catalog: Catalog

    @classmethod
    def from_sequences(cls, sequences: Sequences, catalog: Catalog) -> "RecencyCorrection":
        """Estimate the correction from the last items of the newest sequences; ``sequences`` come oldest first."""
        sequences = sequences.take(sequences.lengths >= 2)  # one-item sequences have no transition to learn from
        counts = np.bincount(sequences.items, minlength=len(catalog)) + 1.0
        overall = counts / counts.sum()
        newest = np.arange(round(len(sequences) * (1 - NEWEST_SHARE)), len(sequences))
        last_items = np.bincount(sequences.take(newest).keep_last_items(1).items, minlength=len(catalog))
        concentration = dirichlet_concentration(last_items, overall)
        if concentration is None:
            today = overall
        else:
            today = (last_items + concentration * overall) / (last_items.sum() + concentration)
        return cls(np.log(today / overall).astype(np.float32), catalog)

    def log_ratios_for_catalog(self, catalog: Catalog) -> Floats:
        """Return log(q / p) of each item of a catalogue, the log-ratio of its two shares: float32 array (items,).

        An item that is new since the fit gets the lowest log-ratio, since none of the newest sequences ends with it.
        """
        trained_index = self.training_catalog.find_indices(catalog.item_ids)
        known = trained_index >= 0
        return np.where(known, self.log_ratios[trained_index], self.log_ratios.min(initial=0)).astype(np.float32)

    def item_bias(self, weight: float, catalog: Catalog) -> Tensor | None:
        """Return ``weight`` times each item's log-ratio: float32 tensor (items,), or None if all products are 0."""
        bias = weight * self.log_ratios_for_catalog(catalog)
        return torch.from_numpy(bias) if bias.any() else None

    def state(self) -> State:
        """Return the log-ratios as a named array."""
        return {"recency": self.log_ratios}

    @classmethod
    def from_state(cls, state: State, training_catalog: Catalog) -> "RecencyCorrection":
        """Make the correction again from the log-ratios that :meth:`state` returned."""
        return cls(state["recency"], training_catalog)


def dirichlet_concentration(counts: Longs, expected_shares: Doubles) -> float | None:
    """Return the concentration of a Dirichlet prior around ``expected_shares`` under which ``counts`` are most likely.

    The likelihood is that of the Dirichlet-multinomial distribution. A prior of concentration c weighs as much in the
    posterior mean as c counts.

    Parameters
    ----------
    counts : int64 array (items,)
        How often each item was observed.
    expected_shares : float64 array (items,)
        Expected share of each item: all above 0, with sum 1.

    Returns
    -------
    float or None
        None if, by Akaike's information criterion, the prior explains the counts no better than a multinomial with the
        given shares.
    """
    # imported here, because scipy.optimize loads slowly and few processes fit a model
    from scipy.optimize import minimize_scalar

    observed = counts > 0
    observed_counts, expected = counts[observed], expected_shares[observed]

    def negative_log_likelihood(log_concentration: float) -> float:
        concentration = np.exp(log_concentration)
        ratios = (gammaln(concentration * expected + observed_counts) - gammaln(concentration * expected)).sum()
        return -float(ratios + gammaln(concentration) - gammaln(concentration + observed_counts.sum()))

    best = minimize_scalar(negative_log_likelihood, bounds=np.log(CONCENTRATION_BOUNDS), method="bounded")
    return float(np.exp(best.x)) if -best.fun - (observed_counts * np.log(expected)).sum() > 1 else None
