"""From the names that a language model answered to a ranked list of items.

The paper means names to be ranked by how often samples repeat them (arXiv 2309.09261, section 3.2); its released code
takes them in order of first appearance. Here it is the frequency: a name that many samples agree on comes first.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from rapidfuzz import fuzz, process

from jobs.core.arrays import Bools, Floats

Replace = Callable[[str, Bools], int]
"""Given a name that no item bears, and the items still free (bool array (items,)), an item's index or -1."""


@dataclass
class Tally:
    """What answers were like, counted over all of them.

    Attributes
    ----------
    answers, invalid : int
        Answers, and those in which no name could be read.
    names, duplicates, hallucinated : int
        Names in all answers; those that an earlier answer to the same question had named; those that no item of the
        catalogue (or none of the options that were to be ranked) bears.
    """

    answers: int = 0
    invalid: int = 0
    names: int = 0
    duplicates: int = 0
    hallucinated: int = 0

    def count(self, samples: Sequence[Sequence[str]], known: Mapping[str, Sequence[int]]) -> None:
        """Add the answers to one question."""
        names = [name for sample in samples for name in sample]
        self.answers += len(samples)
        self.invalid += sum(not sample for sample in samples)
        self.names += len(names)
        self.duplicates += len(names) - len(set(names))
        self.hallucinated += sum(name not in known for name in names)

    def rates(self) -> dict[str, float]:
        """Return each as a share: invalid ones of the answers, the others of the names."""
        return {
            "duplicate_rate": self.duplicates / max(1, self.names),
            "hallucination_rate": self.hallucinated / max(1, self.names),
            "invalid_rate": self.invalid / max(1, self.answers),
        }


def rank_answers(
    samples: Sequence[Sequence[str]], known: Mapping[str, Sequence[int]], usable: Bools, replace: Replace
) -> tuple[list[int], list[float]]:
    """Rank what several answers to one question name.

    Parameters
    ----------
    samples : sequences of names, each distinct within its answer
    known : name -> indices of the items that bear it, the most popular first
        An item counts where it is the first of its name that is usable and not taken yet.
    usable : bool array (items,)
        Items that may stand in the list; those of the prompt are left out here. A name none of whose items is usable is
        dropped.
    replace : Replace
        Asked for a name that isn't known, after all known ones have their items: the likeliest name chooses first.

    Returns
    -------
    items : list of int
        By the number of answers that name them; equal ones by their first appearance.
    scores : list of float
        In (0, 1], strictly descending: with one name an answer the share of the answers that agree, less up to one
        answer's share by first appearance.
    """
    names = [name for sample in samples for name in sample]
    first = {name: place for place, name in reversed(list(enumerate(names)))}
    counts = dict.fromkeys(first, 0)
    for name in names:
        counts[name] += 1
    order = sorted(counts, key=lambda name: (-counts[name], first[name]))
    free = usable.copy()
    chosen: dict[str, int] = {}

    def take(name: str, item: int) -> None:
        if item >= 0:
            chosen[name], free[item] = item, False

    for name in order:
        if name in known:
            take(name, next((item for item in known[name] if free[item]), -1))
    for name in order:
        if name not in known:
            take(name, replace(name, free))
    ranked = [name for name in order if name in chosen]
    scores = [(counts[name] - first[name] / (len(names) + 1)) / len(names) for name in ranked]
    return [chosen[name] for name in ranked], scores


def drop(name: str, free: Bools) -> int:  # noqa: ARG001
    """Replace a name by nothing."""
    return -1


@dataclass(frozen=True)
class ByEmbedding:
    """Replace a name by the free item nearest to it: the largest cosine of its embedding with theirs.

    Attributes
    ----------
    item_vectors : float32 array (items, dimensions)
        Unit rows; zeros for items without an embedding, which replace nothing.
    name_vectors : name -> float32 array (dimensions,)
        Zeros, or nothing, for a name without an embedding: it is dropped.
    """

    item_vectors: Floats
    name_vectors: Mapping[str, Floats]

    def __call__(self, name: str, free: Bools) -> int:
        """Return the nearest; of equally near ones the first."""
        vector = self.name_vectors.get(name)
        candidates = free & self._has_vector
        if vector is None or not vector.any() or not candidates.any():
            return -1
        return int(np.where(candidates, self.item_vectors @ vector, -np.inf).argmax())

    @cached_property
    def _has_vector(self) -> Bools:
        return np.asarray(self.item_vectors.any(axis=1), np.bool_)


class BySpelling:
    """Replace a name by a free item of the most similar known name, whatever the order of its words.

    Similarity is RapidFuzz's token sort ratio. Its weighted ratio, which the paper's Rank takes, is 20 times slower on
    whole catalogues, and there blind to what differs in long names that share a word or two.

    Parameters
    ----------
    known : name -> indices of items
    """

    def __init__(self, known: Mapping[str, Sequence[int]]) -> None:
        self.known = known
        self._names = list(known)
        self._in_order = [_in_order(name) for name in self._names]

    def __call__(self, name: str, free: Bools) -> int:
        """Return the first free item of the most similar name that has one; -1 where nothing is similar at all."""
        for _, similarity, place in process.extract(_in_order(name), self._in_order, scorer=fuzz.ratio, limit=None):
            item = next((item for item in self.known[self._names[place]] if free[item]), -1)
            if item >= 0 and similarity > 0:
                return item
        return -1


def _in_order(name: str) -> str:
    return " ".join(sorted(name.split()))
