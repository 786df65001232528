"""SKNN and V-SKNN: recommend what the most similar training sessions hold.

Jannach & Ludewig 2017; Ludewig & Jannach 2018 (arXiv 1803.09587), as evaluated in arXiv 2309.09261.
"""

from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import sparse

from jobs.core.arrays import Bools, Doubles, Floats, Ints, State
from jobs.core.cases import Cases
from jobs.core.catalog import Catalog
from jobs.core.sequences import Sequences
from jobs.models.base import FitContext, Model
from jobs.models.recency import Recency
from jobs.models.scorer import Scorer
from jobs.models.session_vectors import DECAYS, age_weights

Matrix = Any  # scipy's sparse arrays have no types

ROWS_AT_ONCE = 512  # their similarities to sessions, and their items' scores, are held side by side


class SKNN(Model):
    """Score of an item = sum of the similarities of the nearest sessions that hold it.

    A session is the set of its items. Of a sequence each item counts once, where it occurs last, weighted by ``decay``.
    """

    family = "sknn"
    defaults = {
        "neighbours": 100,
        "sample": 0,  # of the sessions that share an item, so many newest are compared; 0: all
        "similarity": "cosine",
        "decay": "mean",  # weights of a sequence's items by age
        "idf": False,  # raise the scores of items that few sessions hold, by 1 + ln(sessions / those that hold it)
        "recency": 0.7,  # weight of what is wanted now: an item's score is multiplied by (q / p)^weight; the papers': 0
    }
    allowed = {"similarity": ["cosine", "dot"], "decay": DECAYS}

    @property
    def is_random(self) -> bool:
        """Return False: of the sessions the newest are taken, none is drawn."""
        return False

    def fit(self, train_sequences: Sequences, validation: Cases, catalog: Catalog, context: FitContext) -> None:
        """Keep the sessions, the newest last, and count what is wanted now."""
        self.trained_on, self.sessions = catalog, train_sequences
        self.recency = Recency.of(train_sequences, catalog)

    def state(self) -> State:
        """Return the sessions, and items' recency."""
        return {"items": self.sessions.items, "offsets": self.sessions.offsets, **self.recency.state()}

    def restore(self, state: State, trained_on: Catalog) -> None:
        """Take back a state."""
        self.trained_on, self.sessions = trained_on, Sequences(state["items"], state["offsets"])
        self.recency = Recency.from_state(state, trained_on)

    def scorer(self, catalog: Catalog) -> Scorer:
        """Score the items that sessions hold and the catalogue still has."""
        return NeighbourScorer(*self._held(catalog), self.recency.of_items(catalog), self.parameters)

    def _held(self, catalog: Catalog) -> tuple[Matrix, npt.NDArray[np.integer]]:
        """Return which items a session holds, and how many it held at the fit: see :class:`NeighbourScorer`."""
        shape = (len(self.sessions), len(self.trained_on.item_ids))
        rows, columns = self.sessions.rows(), self.sessions.items
        holds = sparse.coo_array((np.ones(len(columns)), (rows, columns)), shape=shape).tocsr().tocoo()
        # lengths count lost items too: the others' scores stay as they were
        lengths = np.bincount(holds.row, minlength=len(self.sessions))
        place = catalog.find(self.trained_on.item_ids)[holds.col]
        found = (np.ones((place >= 0).sum()), (holds.row[place >= 0], place[place >= 0]))
        return sparse.csr_array(found, shape=(len(self.sessions), len(catalog))), lengths


class VSKNN(SKNN):
    """SKNN that listens to the newest items most."""

    family = "vsknn"
    defaults = {**SKNN.defaults, "similarity": "dot", "decay": "harmonic", "idf": True}


class NeighbourScorer(Scorer):
    """Sessions as rows of a sparse matrix: similarities and scores are its products.

    Parameters
    ----------
    holds : sparse float64 array (sessions, items)
        1 where a session holds an item.
    lengths : int array (sessions,)
        Items of each session, those included that the catalogue has lost.
    gains : float32 array (items,)
        How much more an item is wanted now, see :class:`Recency`.
    """

    def __init__(
        self, holds: Matrix, lengths: npt.NDArray[np.integer], gains: Floats, parameters: dict[str, Any]
    ) -> None:
        sessions, items = holds.shape
        holders = np.bincount(holds.indices, minlength=items)
        self.recommendable = holders > 0
        self._holds, self._holders = holds, holds.T.tocsr()
        self._norms = np.sqrt(np.maximum(lengths, 1))
        rarity = 1 + np.log(sessions / np.maximum(holders, 1)) if parameters["idf"] else np.ones(items)
        self._item_weights = rarity * np.exp(parameters["recency"] * gains)
        self._parameters = parameters

    def top(self, sequences: Sequences, k: int, exclude: Sequences | None, allowed: Bools) -> tuple[Floats, Ints]:
        """Score what neighbours hold; a list is shorter than k where they hold too little."""
        scores = np.full((len(sequences), k), -np.inf, np.float32)
        items = np.full((len(sequences), k), -1, np.int32)
        eligible = allowed.copy()
        for start in range(0, len(sequences), ROWS_AT_ONCE):
            rows = np.arange(start, min(start + ROWS_AT_ONCE, len(sequences)))
            found = self._neighbours(sequences.take(rows)) @ self._holds
            for place, row in enumerate(rows):
                held = slice(found.indptr[place], found.indptr[place + 1])
                own = np.empty(0, np.int32) if exclude is None else exclude[int(row)]
                eligible[own] = False
                wanted = eligible[found.indices[held]]
                eligible[own] = allowed[own]
                candidates = found.indices[held][wanted]
                values = (found.data[held][wanted] * self._item_weights[candidates]).astype(np.float32)
                if len(values) > k:  # most score too little to be worth sorting
                    high = values >= np.partition(values, -k)[-k]
                    candidates, values = candidates[high], values[high]
                best = np.lexsort((candidates, -values))[:k]
                scores[row, : len(best)], items[row, : len(best)] = values[best], candidates[best]
        return scores, items

    def reasons(self, sequences: Sequences, items: Ints, allowed: Bools | None = None) -> Ints:
        """Name the item that gives the recommended one most of its score: by the neighbours that hold both."""
        found = super().reasons(sequences, items)
        for start in range(0, len(sequences), ROWS_AT_ONCE):
            rows = np.arange(start, min(start + ROWS_AT_ONCE, len(sequences)))
            chosen = sequences.take(rows)
            weights, neighbours = self._weights(chosen), self._neighbours(chosen)
            for place, row in enumerate(rows):
                own = slice(weights.indptr[place], weights.indptr[place + 1])
                mine, weight = weights.indices[own][::-1], weights.data[own][::-1]  # the newest first
                there = np.flatnonzero(items[row] >= 0)
                if not len(mine) or not len(there):
                    continue
                near = slice(neighbours.indptr[place], neighbours.indptr[place + 1])
                holds = self._holds[neighbours.indices[near]]
                credit = self._credit(neighbours.indices[near], neighbours.data[near])[:, None]
                shares = weight[:, None] * (holds[:, mine].T @ (holds[:, items[row, there]] * credit)).toarray()
                found[row, there] = np.where(shares.any(axis=0), mine[shares.argmax(axis=0)], -1)
        return found

    def _weights(self, sequences: Sequences) -> Matrix:
        """Return what each item of a sequence counts, oldest first: sparse (sequences, items)."""
        own = sequences.distinct().keep(self.recommendable)
        weights = sparse.csr_array(
            (age_weights(own, self._parameters["decay"]), own.items, own.offsets),
            shape=(len(own), len(self.recommendable)),
        )
        weights.eliminate_zeros()
        return weights

    def _similarities(self, sequences: Sequences, weights: Matrix, shared: Matrix) -> Doubles:
        """Return how alike a sequence and a session are, for each entry of ``shared``: float64 array (entries,).

        Parameters
        ----------
        weights : sparse float64 array (sequences, items)
        shared : sparse float64 array (sequences, sessions)
            The sum of the weights of the items that both hold.
        """
        if self._parameters["similarity"] == "dot":
            return shared.data  # type: ignore[no-any-return]
        own = np.sqrt(np.maximum(weights.multiply(weights).sum(axis=1), 1e-12))
        return shared.data / (self._norms[shared.indices] * np.repeat(own, np.diff(shared.indptr)))  # type: ignore[no-any-return]

    def _credit(self, sessions: npt.NDArray[np.integer], similarities: Doubles) -> Doubles:
        """Return what near sessions add to an item's score for a shared item of weight 1, up to a common factor."""
        return np.ones_like(similarities) if self._parameters["similarity"] == "dot" else 1 / self._norms[sessions]

    def _neighbours(self, sequences: Sequences) -> Matrix:
        """Return the nearest sessions with their similarity: sparse (sequences, sessions)."""
        weights = self._weights(sequences)
        shared = weights @ self._holders
        if self._parameters["sample"]:
            shared = _largest(shared, shared.indices, self._parameters["sample"])
        shared.data = self._similarities(sequences, weights, shared)
        shared.eliminate_zeros()
        return _largest(shared, shared.data, self._parameters["neighbours"])


def _largest(matrix: Matrix, values: Doubles, count: int) -> Matrix:
    """Keep each row's entries with the largest values; of equal ones those of the newest session."""
    kept = []
    for start, stop in zip(matrix.indptr, matrix.indptr[1:], strict=False):
        near = slice(start, stop)
        kept.append(start + np.lexsort((-matrix.indices[near], -values[near]))[:count])
    places = np.concatenate([*kept, np.empty(0, np.int64)])
    offsets = np.concatenate([[0], np.cumsum([len(places) for places in kept])])
    return sparse.csr_array((matrix.data[places], matrix.indices[places], offsets), shape=matrix.shape)
