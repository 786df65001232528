"""Recency: what is wanted now, against what was wanted on the whole.

Models learn from the steps of all of history, and are asked for the next step of today. Scores that are logarithms of
probabilities, learnt where items had the shares p, are right where they have the shares q once log(q / p) is added
(Saerens, Latinne & Decaestecker 2002; as "logit adjustment", Menon et al. 2021, arXiv 2007.07314). Here q is what the
newest training sequences ended with. Scores of other kinds gain by it too, with a weight that validation tells.

The newest sequences are few, so that most of what they differ by from all of history is chance. q is therefore the mean
of the Dirichlet distribution around p that explains them best: one more draw of a world that drifts as this one does.
Where nothing drifts that is p itself, and nothing is added.
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

NEWEST_SHARE = 0.1  # of the training sequences: as much as validation takes; of Beauty's, 3 % to 20 % do as well
WORTH = (1.0, 1e9)  # bounds of what all of history is worth, in steps: next to nothing, and everything


@dataclass(frozen=True)
class Recency:
    """By how much items are wanted more now than on the whole.

    Attributes
    ----------
    gains : float32 array (items of the fit,)
        log(q / p); p is that of all steps, each item counted once more.
    trained_on : Catalog
        The items of the fit.
    """

    gains: Floats
    trained_on: Catalog

    @classmethod
    def of(cls, sequences: Sequences, catalog: Catalog) -> "Recency":
        """Count how the newest sequences, the last ones, end; those of one item don't say what follows on anything."""
        sequences = sequences.take(sequences.lengths >= 2)
        counts = np.bincount(sequences.items, minlength=len(catalog)) + 1.0
        overall = counts / counts.sum()
        newest = np.arange(round(len(sequences) * (1 - NEWEST_SHARE)), len(sequences))
        ends = np.bincount(sequences.take(newest).last(1).items, minlength=len(catalog))
        worth = concentration(ends, overall)
        now = overall if worth is None else (ends + worth * overall) / (ends.sum() + worth)
        return cls(np.log(now / overall).astype(np.float32), catalog)

    def of_items(self, catalog: Catalog) -> Floats:
        """Return the gains of a catalogue's items: float32 array (items,).

        Those that the fit didn't know get the lowest: the newest sequences don't end with them.
        """
        place = self.trained_on.find(catalog.item_ids)
        return np.where(place >= 0, self.gains[place], self.gains.min(initial=0)).astype(np.float32)

    def bias(self, weight: float, catalog: Catalog) -> Tensor | None:
        """Return what is added to the scores of a catalogue's items: float32 tensor (items,); None where nothing is."""
        gains = weight * self.of_items(catalog)
        return torch.from_numpy(gains) if gains.any() else None

    def state(self) -> State:
        """Return the gains as a named array."""
        return {"recency": self.gains}

    @classmethod
    def from_state(cls, state: State, trained_on: Catalog) -> "Recency":
        """Take back what :meth:`state` gave."""
        return cls(state["recency"], trained_on)


def concentration(counts: Longs, shares: Doubles) -> float | None:
    """Return how many draws the shares are worth beside the counts: the likeliest of the Dirichlet-multinomial.

    Parameters
    ----------
    counts : int64 array (items,)
    shares : float64 array (items,)
        Above 0, with the sum 1.

    Returns
    -------
    float or None
        None where the counts are as likely as drawn from the shares themselves, by Akaike's criterion.
    """
    drawn = counts > 0
    there, expected = counts[drawn], shares[drawn]

    def log_likelihood(log_worth: float) -> float:
        worth = np.exp(log_worth)
        ratios = (gammaln(worth * expected + there) - gammaln(worth * expected)).sum()
        return float(ratios + gammaln(worth) - gammaln(worth + there.sum()))

    best = minimize_scalar(lambda log_worth: -log_likelihood(log_worth), bounds=np.log(WORTH), method="bounded")
    return float(np.exp(best.x)) if -best.fun - (there * np.log(expected)).sum() > 1 else None
