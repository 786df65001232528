"""Turning the names that a language model answered into a ranked list of items.

The paper ranks names by how often sampled answers repeat them (arXiv 2309.09261, section 3.2); its released code ranks
them by first appearance. Here the frequency decides: a name that many samples agree on comes first.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from rapidfuzz import fuzz, process

from jobs.core.arrays import Bools, Floats

Replacement = Callable[[str, Bools], int]
"""Replaces a made-up name: (name, free items as a bool array (items,)) -> the index of a free item, or -1 for none."""


@dataclass
class AnswerCounts:
    """Counts what is wrong with the answers of a language model.

    Attributes
    ----------
    answers, invalid : int
        Answers, and those in which no name could be read.
    names : int
        Names in all answers.
    duplicates : int
        Names that an earlier answer to the same question had already.
    hallucinated : int
        Names that stand for no item of the catalogue, or for none of the candidates to rank.
    """

    answers: int = 0
    invalid: int = 0
    names: int = 0
    duplicates: int = 0
    hallucinated: int = 0

    def add(self, samples: Sequence[Sequence[str]], items_by_name: Mapping[str, Sequence[int]]) -> None:
        """Count the answers to one question.

        Parameters
        ----------
        samples : for each answer, the names in it
        items_by_name : name -> item indices
            All names that stand for items.
        """
        names = [name for sample in samples for name in sample]
        self.answers += len(samples)
        self.invalid += sum(not sample for sample in samples)
        self.names += len(names)
        self.duplicates += len(names) - len(set(names))
        self.hallucinated += sum(name not in items_by_name for name in names)

    def rates(self) -> dict[str, float]:
        """Return the counts as shares: invalid answers of all answers, duplicates and hallucinations of all names."""
        return {
            "duplicate_rate": self.duplicates / max(1, self.names),
            "hallucination_rate": self.hallucinated / max(1, self.names),
            "invalid_rate": self.invalid / max(1, self.answers),
        }


def rank_answers(
    samples: Sequence[Sequence[str]], items_by_name: Mapping[str, Sequence[int]], usable: Bools, replace: Replacement
) -> tuple[list[int], list[float]]:
    """Rank the items that several answers to one question name.

    A name stands for the first of its items that is usable and not yet taken by another name; a name without such an
    item is dropped.

    Parameters
    ----------
    samples : for each answer, the names in it
        No name occurs twice within an answer.
    items_by_name : name -> item indices, the most popular first
    usable : bool array (items,)
        Items that may stand in the list; the items of the prompt are usually excluded here.
    replace : Replacement
        Called for each name that is not in ``items_by_name``, the most frequent first, after all other names have
        taken their items.

    Returns
    -------
    items : list of int
        Ordered by the number of answers that name the item, then by first appearance.
    scores : list of float
        In (0, 1], strictly descending. With one name an answer, a score is the share of the answers that agree, minus
        at most one answer's share, by first appearance.
    """
    names = [name for sample in samples for name in sample]
    first_place = {name: place for place, name in reversed(list(enumerate(names)))}
    counts = dict.fromkeys(first_place, 0)
    for name in names:
        counts[name] += 1
    order = sorted(counts, key=lambda name: (-counts[name], first_place[name]))
    free = usable.copy()
    item_of: dict[str, int] = {}

    def take(name: str, item: int) -> None:
        if item >= 0:
            item_of[name], free[item] = item, False

    for name in order:
        if name in items_by_name:
            take(name, next((item for item in items_by_name[name] if free[item]), -1))
    for name in order:
        if name not in items_by_name:
            take(name, replace(name, free))
    ranked = [name for name in order if name in item_of]
    scores = [(counts[name] - first_place[name] / (len(names) + 1)) / len(names) for name in ranked]
    return [item_of[name] for name in ranked], scores


def drop_name(name: str, free: Bools) -> int:  # noqa: ARG001
    """Replace a made-up name by no item."""
    return -1


@dataclass(frozen=True)
class ByEmbedding:
    """Replaces a made-up name by the free item whose embedding has the largest cosine with the name's.

    Attributes
    ----------
    item_vectors : float32 array (items, dimensions)
        Of unit length; zeros for items without an embedding, which replace no name.
    name_vectors : name -> float32 array (dimensions,)
        A name that is absent, or whose vector is zero, is dropped.
    """

    item_vectors: Floats
    name_vectors: Mapping[str, Floats]

    def __call__(self, name: str, free: Bools) -> int:
        """Return the free item nearest to a name, -1 if there is none; of equally near items the first."""
        vector = self.name_vectors.get(name)
        candidates = free & self._has_vector
        if vector is None or not vector.any() or not candidates.any():
            return -1
        return int(np.where(candidates, self.item_vectors @ vector, -np.inf).argmax())

    @cached_property
    def _has_vector(self) -> Bools:
        return np.asarray(self.item_vectors.any(axis=1), np.bool_)


class BySpelling:
    """Replaces a made-up name by a free item of the most similarly spelt name, whatever the order of its words.

    The similarity is RapidFuzz's token sort ratio. The weighted ratio, which the paper uses for its variant Rank, is 20
    times slower on whole catalogues, and there it ignores the differences between long names that share a word or two.

    Parameters
    ----------
    items_by_name : name -> item indices
    """

    def __init__(self, items_by_name: Mapping[str, Sequence[int]]) -> None:
        self.items_by_name = items_by_name
        self._names = list(items_by_name)
        self._sorted_words = [_with_sorted_words(name) for name in self._names]

    def __call__(self, name: str, free: Bools) -> int:
        """Return the first free item of the most similar name that has one; -1 if no name is similar at all."""
        matches = process.extract(_with_sorted_words(name), self._sorted_words, scorer=fuzz.ratio, limit=None)
        for _, similarity, place in matches:
            item = next((item for item in self.items_by_name[self._names[place]] if free[item]), -1)
            if item >= 0 and similarity > 0:
                return item
        return -1


def _with_sorted_words(name: str) -> str:
    return " ".join(sorted(name.split()))
