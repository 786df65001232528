"""Fusion: several models' lists merged into one.

Reciprocal-rank fusion: Cormack, Clarke & Büttcher 2009. That lists of unlike models win by it where their hits differ
was seen on the published lists of arXiv 2309.09261: the three of LLM2BERT4Rec, V-SKNN and LLMSeqSim gain a third.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import combinations
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from jobs.errors import UsageError, nearest
from jobs.metrics import rank_values
from jobs.models.base import Bools, Cases, Catalog, Fitting, Floats, Ints, Longs, Model, Scorer, State
from jobs.sequences import Sequences

if TYPE_CHECKING:
    from jobs.prompting.access import Access

Doubles = npt.NDArray[np.float64]

ROWS_AT_ONCE = 1024  # their lists, of all parts, are held side by side
WEIGHT_STEPS = 10  # weights are multiples of a tenth


class Fusion(Model):
    """Score of an item = weighted sum, over the parts whose list holds it, of what its place there is worth.

    The weights are those of the best validation nDCG@20. A part named twice is fitted twice, with seeds of its own.
    """

    family = "fusion"
    defaults = {
        "parts": ["llm2sasrec", "vsknn", "llmseqsim"],
        "parameters": {},  # of parts, by family, over their defaults; `nextmart train` takes the settings' in between
        "method": "reciprocal_rank",  # or score: a list's scores, from its last 0 to its first 1
        "constant": 10,  # of reciprocal rank, 1 / (constant + rank): the larger, the less first places count
        "depth": 100,  # length of the lists that are merged
        "equal_weights": False,
    }
    allowed = {"method": ["reciprocal_rank", "score"]}
    uses_embeddings = True

    def __init__(self, parameters: Mapping[str, Any] | None = None) -> None:
        from jobs.models.registry import make  # it imports this module

        super().__init__(parameters)
        families = self.parameters["parts"]
        for family in self.parameters["parameters"]:
            if family not in families:
                raise UsageError(f"fusion's parameters name '{family}': {nearest(family, families)}")
        self.parts = [make(family, self.parameters["parameters"].get(family)) for family in families]
        self.weights = np.full(len(families), 1 / len(families))

    @classmethod
    def check(cls, name: str, value: Any) -> None:
        """Raise UsageError, too, for parts that are not to be fused."""
        from jobs.models.registry import FAMILIES

        super().check(name, value)
        if name == "parts":
            known = [family for family in FAMILIES if family != cls.family]
            for family in value:
                if family not in known:
                    raise UsageError(f"fusion's parts: {family!r} is no family to fuse; {nearest(str(family), known)}")
            if len(value) < 2:
                raise UsageError("fusion's parts must be two families at least")

    @property
    def is_random(self) -> bool:
        """Tell whether any part is."""
        return any(part.is_random for part in self.parts)

    def connect(self, access: "Access") -> None:
        """Connect the parts."""
        for part in self.parts:
            part.connect(access)

    def can_take(self, fitted: Model) -> bool:
        """Take models that are what a part would become."""
        return any(_is_same(part, fitted) for part in self.parts)

    def fit(self, train_sequences: Sequences, validation: Cases, catalog: Catalog, fitting: Fitting) -> None:
        """Fit the parts that were not fitted before, then choose the weights on ``validation``."""
        for place, own in self._fittings(fitting):
            known = self._fitted_before(place, own, fitting)
            if known:
                self.parts[place] = known
            else:
                self.parts[place].fit(train_sequences, validation, catalog, own)
        if not self.parameters["equal_weights"] and len(validation.targets):
            scorer = self._fusion(catalog)
            exclude = None if fitting.allow_repeats else validation.inputs
            lists = scorer.lists(validation.inputs, exclude, scorer.recommendable)
            self.weights = best_weights(Entries.of(lists), validation.targets)

    def refit(self, sequences: Sequences, catalog: Catalog, fitting: Fitting) -> "Fusion":
        """Return the fusion of refitted parts, with the same weights."""
        fused = Fusion(self.parameters)
        fused.weights = self.weights
        for place, own in self._fittings(fitting):
            known = self._fitted_before(place, own, fitting)
            fused.parts[place] = known or self.parts[place].refit(sequences, catalog, own)
        return fused

    def state(self) -> State:
        """Return the parts' states, by their place, and the weights."""
        return {"weights": self.weights} | {
            f"{place}.{name}": value for place, part in enumerate(self.parts) for name, value in part.state().items()
        }

    def restore(self, state: State, trained_on: Catalog) -> None:
        """Take back the parts and the weights."""
        self.weights = state["weights"]
        for place, part in enumerate(self.parts):
            prefix = f"{place}."
            own = {name.removeprefix(prefix): value for name, value in state.items() if name.startswith(prefix)}
            part.restore(own, trained_on)

    def scorer(self, catalog: Catalog) -> Scorer:
        """Merge the lists of the parts."""
        return self._fusion(catalog)

    def _fusion(self, catalog: Catalog) -> "FusionScorer":
        p = self.parameters
        constant = p["constant"] if p["method"] == "reciprocal_rank" else None
        return FusionScorer([part.scorer(catalog) for part in self.parts], self.weights, p["depth"], constant)

    def _fitted_before(self, place: int, own: Fitting, fitting: Fitting) -> Model | None:
        """Return the model that is what a part would become, where there is one."""
        part = self.parts[place]
        known = fitting.fitted.get(part.family)
        return known if known and own.seed == fitting.seed and _is_same(part, known) else None

    def _fittings(self, fitting: Fitting) -> Iterator[tuple[int, Fitting]]:
        """Yield each part's place with a seed and a checkpoint of its own."""
        families = self.parameters["parts"]
        for place, family in enumerate(families):
            seed = fitting.seed + 1000 * families[:place].count(family)
            path = fitting.checkpoint
            yield place, replace(fitting, seed=seed, checkpoint=path and path.with_stem(f"{path.stem}-{place}"))


def _is_same(one: Model, other: Model) -> bool:
    return one.family == other.family and one.parameters == other.parameters


class FusionScorer(Scorer):
    """The parts' scorers, asked for ``depth`` items each; ``constant`` None: scores are merged, not ranks."""

    def __init__(self, scorers: list[Scorer], weights: Doubles, depth: int, constant: int | None) -> None:
        self.recommendable = np.logical_or.reduce([scorer.recommendable for scorer in scorers])
        self._scorers, self._weights, self._depth, self._constant = scorers, weights, depth, constant

    def lists(self, sequences: Sequences, exclude: Sequences | None, allowed: Bools) -> list[tuple[Ints, Doubles]]:
        """Return each part's items and what their places are worth: (sequences, depth) each, -1 and 0 past its end."""
        found = []
        for scorer in self._scorers:
            scores, items = scorer.top(sequences, self._depth, exclude, allowed & scorer.recommendable)
            found.append((items, worth(scores, items, self._constant)))
        return found

    def top(self, sequences: Sequences, k: int, exclude: Sequences | None, allowed: Bools) -> tuple[Floats, Ints]:
        """Merge: an item that more, or better placed, lists hold comes first; equal ones by index."""
        scores = np.full((len(sequences), k), -np.inf, np.float32)
        items = np.full((len(sequences), k), -1, np.int32)
        for start in range(0, len(sequences), ROWS_AT_ONCE):
            rows = np.arange(start, min(start + ROWS_AT_ONCE, len(sequences)))
            without = None if exclude is None else exclude.take(rows)
            entries = Entries.of(self.lists(sequences.take(rows), without, allowed))
            scores[rows], items[rows] = entries.best(self._weights, len(rows), k)
        return scores, items

    def reasons(self, sequences: Sequences, items: Ints, allowed: Bools | None = None) -> Ints:
        """Ask, for each item, the part that gives it most of its score; where that can't say, the next."""
        found = super().reasons(sequences, items)
        could_be_listed = self.recommendable if allowed is None else self.recommendable & allowed
        for start in range(0, len(sequences), ROWS_AT_ONCE):
            rows = np.arange(start, min(start + ROWS_AT_ONCE, len(sequences)))
            chunk, wanted = sequences.take(rows), items[rows]
            # lists hold a sequence's own items where that is allowed: then they were not left out when these were made
            repeats = np.isin(_key(np.arange(len(chunk))[:, None], wanted), _key(chunk.rows(), chunk.items)).any(axis=1)
            exclude = chunk.last(np.where(repeats, 0, chunk.lengths))
            entries = Entries.of(self.lists(chunk, exclude, could_be_listed))
            given = entries.given_to(wanted) * self._weights
            for speaker in np.moveaxis(np.argsort(-given, axis=2, kind="stable"), 2, 0):
                for part, scorer in enumerate(self._scorers):
                    asked = np.where((speaker == part) & (given[:, :, part] > 0) & (found[rows] < 0), wanted, -1)
                    if (asked >= 0).any():
                        said = scorer.reasons(chunk, asked.astype(np.int32), allowed)
                        found[rows] = np.where(asked >= 0, said, found[rows])
        return found


@dataclass(frozen=True)
class Entries:
    """What lists of several parts hold, each item of a row once, in the order of (row, item).

    Attributes
    ----------
    rows, items : int64 arrays (entries,)
    values : float64 array (entries, parts)
        What each part gives to the item, 0 where its list lacks it.
    """

    rows: Longs
    items: Longs
    values: Doubles

    @classmethod
    def of(cls, lists: list[tuple[Ints, Doubles]]) -> "Entries":
        """Gather the parts' lists."""
        there = [np.nonzero(items >= 0) for items, _ in lists]
        keys = [_key(rows, items[rows, places]) for (items, _), (rows, places) in zip(lists, there, strict=True)]
        distinct, entry = np.unique(np.concatenate(keys), return_inverse=True)
        values = np.zeros((len(distinct), len(lists)))
        part = np.repeat(np.arange(len(lists)), [len(own) for own in keys])
        values[entry, part] = np.concatenate([worths[at] for (_, worths), at in zip(lists, there, strict=True)])
        return cls(distinct >> 32, distinct & 0xFFFFFFFF, values)

    def best(self, weights: Doubles, rows: int, k: int) -> tuple[Floats, Ints]:
        """Return each row's k largest weighted sums and their items: (rows, k), -inf and -1 where nothing is left."""
        scores, items = np.full((rows, k), -np.inf, np.float32), np.full((rows, k), -1, np.int32)
        fused = (self.values @ weights).astype(np.float32)
        order = np.lexsort((self.items, -fused, self.rows))
        order = order[fused[order] > 0]  # not those of parts without weight alone
        row = self.rows[order]
        place = np.arange(len(order)) - np.searchsorted(row, np.arange(rows))[row]
        order, row, place = order[place < k], row[place < k], place[place < k]
        scores[row, place], items[row, place] = fused[order], self.items[order]
        return scores, items

    def given_to(self, items: Ints) -> Doubles:
        """Return what each part gives to some items (rows, n) of the rows: float64 array (rows, n, parts)."""
        row = np.broadcast_to(np.arange(len(items))[:, None], items.shape)
        keys, wanted = _key(self.rows, self.items), _key(row, np.maximum(items, 0))
        place = np.minimum(np.searchsorted(keys, wanted), max(len(keys) - 1, 0))
        if not len(keys):
            return np.zeros((*items.shape, self.values.shape[1]))
        there = (keys[place] == wanted) & (items >= 0)
        return np.where(there[:, :, None], self.values[place], 0.0)


def _key(rows: npt.NDArray[np.integer], items: npt.NDArray[np.integer]) -> Longs:
    return (rows.astype(np.int64) << 32) | items.astype(np.int64)


def worth(scores: Floats, items: Ints, constant: int | None) -> Doubles:
    """Return what each place of lists is worth: float64 array (rows, depth), 0 past a list's end.

    By rank 1 / (constant + rank). With None by score, scaled so that a list's first is 1 and its last next to nothing:
    0.001, for being there counts.
    """
    there = items >= 0
    if constant is not None:
        return np.where(there, 1.0 / (constant + np.arange(1, items.shape[1] + 1)), 0.0)
    known = np.where(there, scores, np.nan).astype(np.float64)
    first = np.max(known, axis=1, keepdims=True, initial=-np.inf, where=there)
    last = np.min(known, axis=1, keepdims=True, initial=np.inf, where=there)
    scaled = np.divide(known - last, first - last, out=np.ones(known.shape), where=there & (first > last))
    return np.where(there, np.maximum(scaled, 1e-3), 0.0)


def best_weights(entries: Entries, targets: Longs) -> Doubles:
    """Return the weights, of sum 1, with which the fused lists have the best nDCG@20: float64 array (parts,).

    All multiples of a tenth are tried. Of equal ones the nearest to equal weights: what the cases can't tell apart
    should not be told apart by chance.
    """
    parts = entries.values.shape[1]
    own = entries.given_to(targets[:, None].astype(np.int32))[:, 0]
    equal = np.full(parts, 1 / parts)
    tried = sorted(_lattice(parts), key=lambda weights: float(np.abs(weights - equal).sum()))

    def ndcg(weights: Doubles) -> float:
        target, fused = (own @ weights).astype(np.float32), (entries.values @ weights).astype(np.float32)
        reached = target[entries.rows]
        ahead = (fused > reached) | ((fused == reached) & (entries.items < targets[entries.rows]))  # as in `best`
        ranks = np.bincount(entries.rows[ahead], minlength=len(targets)) + 1
        return float(rank_values(np.where(target > 0, ranks, 0), "ndcg", 20).mean())

    return max([equal, *tried], key=ndcg)


def _lattice(parts: int) -> Iterator[Doubles]:
    """Yield all weights of sum 1 that are multiples of 1 / WEIGHT_STEPS."""
    for bars in combinations(range(WEIGHT_STEPS + parts - 1), parts - 1):
        yield (np.diff([-1, *bars, WEIGHT_STEPS + parts - 1]) - 1) / WEIGHT_STEPS
