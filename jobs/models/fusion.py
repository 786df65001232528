"""Fusion: several models' lists merged into one.

Reciprocal-rank fusion: Cormack, Clarke & Büttcher 2009. That lists of unlike models win by it where their hits differ
was seen on the published lists of arXiv 2309.09261: the three of LLM2BERT4Rec, V-SKNN and LLMSeqSim gain a third.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from jobs.core.arrays import Bools, Doubles, Floats, Ints, State
from jobs.core.cases import Cases
from jobs.core.catalog import Catalog
from jobs.core.sequences import Sequences
from jobs.errors import UsageError
from jobs.models.base import FitContext, Model
from jobs.models.merging import Entries, best_weights, key_of, position_scores
from jobs.models.scorer import Scorer

ROWS_AT_ONCE = 1024  # their lists, of all parts, are held side by side


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

    def __init__(self, parameters: Mapping[str, Any], parts: Sequence[Model]) -> None:
        super().__init__(parameters)
        self.parts = list(parts)
        self.weights = np.full(len(self.parts), 1 / len(self.parts))

    @classmethod
    def check(cls, name: str, value: Any) -> None:
        """Raise UsageError, too, for fewer than two parts."""
        super().check(name, value)
        if name == "parts" and len(value) < 2:
            raise UsageError("fusion's parts must be two families at least")

    @property
    def is_random(self) -> bool:
        """Tell whether any part is."""
        return any(part.is_random for part in self.parts)

    def can_reuse(self, fitted: Model) -> bool:
        """Take models that are what a part would become."""
        return any(_is_same(part, fitted) for part in self.parts)

    def fit(self, train_sequences: Sequences, validation: Cases, catalog: Catalog, context: FitContext) -> None:
        """Fit the parts that were not fitted before, then choose the weights on ``validation``."""
        for place, own in self._contexts(context):
            known = self._fitted_before(place, own, context)
            if known:
                self.parts[place] = known
            else:
                self.parts[place].fit(train_sequences, validation, catalog, own)
        if not self.parameters["equal_weights"] and len(validation.targets):
            scorer = self._fusion(catalog)
            exclude = None if context.allow_repeats else validation.inputs
            lists = scorer.lists(validation.inputs, exclude, scorer.recommendable)
            self.weights = best_weights(Entries.of(lists), validation.targets)

    def refit(self, sequences: Sequences, catalog: Catalog, context: FitContext) -> "Fusion":
        """Return the fusion of refitted parts, with the same weights."""
        parts = [
            self._fitted_before(place, own, context) or self.parts[place].refit(sequences, catalog, own)
            for place, own in self._contexts(context)
        ]
        fused = Fusion(self.parameters, parts)
        fused.weights = self.weights
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

    def _fitted_before(self, place: int, own: FitContext, context: FitContext) -> Model | None:
        """Return the model that is what a part would become, where there is one."""
        part = self.parts[place]
        known = context.fitted.get(part.family)
        return known if known and own.seed == context.seed and _is_same(part, known) else None

    def _contexts(self, context: FitContext) -> Iterator[tuple[int, FitContext]]:
        """Yield each part's place with a seed and a checkpoint of its own."""
        families = self.parameters["parts"]
        for place, family in enumerate(families):
            seed = context.seed + 1000 * families[:place].count(family)
            path = context.checkpoint
            yield place, replace(context, seed=seed, checkpoint=path and path.with_stem(f"{path.stem}-{place}"))


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
            found.append((items, position_scores(scores, items, self._constant)))
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
            repeats = np.isin(key_of(np.arange(len(chunk))[:, None], wanted), key_of(chunk.rows(), chunk.items)).any(
                axis=1
            )
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
