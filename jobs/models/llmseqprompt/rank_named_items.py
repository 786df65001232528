"""Ranking of items by the names in a language model's answers.

LLMSeqPrompt's paper ranks names by the number of sampled answers that repeat the name (arXiv 2309.09261, section 3.2);
the paper's released code ranks names by first appearance. nextmart ranks by frequency: a name that many answers agree
on comes first.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from rapidfuzz import fuzz, process

from jobs.core.arrays import Bools, Floats

ReplacementRule = Callable[[str, Bools], int]
"""A rule that replaces a made-up name: (name, bool array (items,)) -> index of an assignable item, or -1.

The array is True for assignable items: those that may be recommended and that no other name stands for yet.
"""


@dataclass
class AnswerCounts:
    """Counts the answers of a language model, the names in the answers, and the faults of both.

    Attributes
    ----------
    answer_count : int
        Number of answers.
    invalid_answer_count : int
        Number of answers in which no name could be read.
    name_count : int
        Number of names in all answers.
    cross_answer_duplicate_count : int
        Number of names that already occur in an earlier answer to the same question.
    made_up_name_count : int
        Number of made-up names, which stand for no item of the catalogue, or for none of the candidates to rank.
    """

    answer_count: int = 0
    invalid_answer_count: int = 0
    name_count: int = 0
    cross_answer_duplicate_count: int = 0
    made_up_name_count: int = 0

    def add_answers(
        self, names_of_answers: Sequence[Sequence[str]], items_by_name: Mapping[str, Sequence[int]]
    ) -> None:
        """Add the answers to one question to the counts.

        Parameters
        ----------
        names_of_answers : for each answer, the names in it
        items_by_name : name -> item indices
            Contains all names that stand for items; other names are made up.
        """
        names = [name for answer in names_of_answers for name in answer]
        self.answer_count += len(names_of_answers)
        self.invalid_answer_count += sum(not answer for answer in names_of_answers)
        self.name_count += len(names)
        self.cross_answer_duplicate_count += len(names) - len(set(names))
        self.made_up_name_count += sum(name not in items_by_name for name in names)

    def fault_rates(self) -> dict[str, float]:
        """Return the share of invalid answers, and the shares of duplicate names and of made-up names in all names."""
        return {
            "duplicate_rate": self.cross_answer_duplicate_count / max(1, self.name_count),
            "hallucination_rate": self.made_up_name_count / max(1, self.name_count),
            "invalid_rate": self.invalid_answer_count / max(1, self.answer_count),
        }


def rank_named_items(
    names_of_answers: Sequence[Sequence[str]],
    items_by_name: Mapping[str, Sequence[int]],
    usable_item_mask: Bools,
    replacement_rule: ReplacementRule,
) -> tuple[list[int], list[float]]:
    """Rank the items that the answers to one question name.

    Names are ranked by frequency, then by first appearance. A name stands for the first of its usable items that no
    higher-ranked name stands for. A name without such an item is dropped.

    Parameters
    ----------
    names_of_answers : for each answer, the names in it
        No name occurs twice within an answer.
    items_by_name : name -> item indices, the most popular first
    usable_item_mask : bool array (items,)
        Items that may be ranked, usually without the items of the prompt.
    replacement_rule : ReplacementRule
        Finds an item for each made-up name, that is, for each name that is not in ``items_by_name``. Made-up names get
        their items after all other names, the most frequent first.

    Returns
    -------
    items : list of int
        Ordered by the number of answers that name the item, then by first appearance.
    scores : list of float
        In (0, 1], strictly descending. An item's score is the share of its name among all names in the answers. To
        break ties, the score is lowered by less than the share of one name: by more, the later the name first occurs.
    """
    names = [name for answer in names_of_answers for name in answer]
    first_position = {name: position for position, name in reversed(list(enumerate(names)))}
    counts = dict.fromkeys(first_position, 0)
    for name in names:
        counts[name] += 1
    order = sorted(counts, key=lambda name: (-counts[name], first_position[name]))
    assignable_item_mask = usable_item_mask.copy()
    chosen_item: dict[str, int] = {}

    def assign_item(name: str, item: int) -> None:
        if item >= 0:
            chosen_item[name], assignable_item_mask[item] = item, False

    for name in order:
        if name in items_by_name:
            assign_item(name, next((item for item in items_by_name[name] if assignable_item_mask[item]), -1))
    for name in order:
        if name not in items_by_name:
            assign_item(name, replacement_rule(name, assignable_item_mask))
    ranked = [name for name in order if name in chosen_item]
    scores = [(counts[name] - first_position[name] / (len(names) + 1)) / len(names) for name in ranked]
    return [chosen_item[name] for name in ranked], scores


def drop_name(made_up_name: str, assignable_item_mask: Bools) -> int:  # noqa: ARG001
    """Return -1, which means that no item replaces the made-up name."""
    return -1


@dataclass(frozen=True)
class ReplacementByEmbedding:
    """Replaces a made-up name by the item whose embedding has the largest cosine with the embedding of the name.

    Only assignable items are considered: items that may be recommended and that no other name stands for yet.

    Attributes
    ----------
    item_vectors : float32 array (items, dimensions)
        Embeddings of the items, of unit length; zeros for items without an embedding, which replace no name.
    name_vectors : name -> float32 array (dimensions,)
        Embeddings of made-up names; a name without an embedding, or whose embedding is zero, is dropped.
    """

    item_vectors: Floats
    name_vectors: Mapping[str, Floats]

    def __call__(self, made_up_name: str, assignable_item_mask: Bools) -> int:
        """Return the assignable item nearest to the made-up name, the first of equally near items; -1 for none."""
        vector = self.name_vectors.get(made_up_name)
        candidates = assignable_item_mask & self._item_has_vector
        if vector is None or not vector.any() or not candidates.any():
            return -1
        return int(np.where(candidates, self.item_vectors @ vector, -np.inf).argmax())

    @cached_property
    def _item_has_vector(self) -> Bools:
        return np.asarray(self.item_vectors.any(axis=1), np.bool_)


class ReplacementBySpelling:
    """Replaces a made-up name by an item whose name is spelt most similarly, whatever the order of the words.

    Only assignable items are considered: items that may be recommended and that no other name stands for yet. The
    similarity of names is RapidFuzz's token sort ratio. The weighted ratio, which LLMSeqPrompt's paper uses for the
    variant Rank, is 20 times slower on whole catalogues, and there the weighted ratio ignores the differences between
    long names that share a word or two.

    Parameters
    ----------
    items_by_name : name -> item indices
        The items that have each name.
    """

    def __init__(self, items_by_name: Mapping[str, Sequence[int]]) -> None:
        self.items_by_name = items_by_name
        self._names = list(items_by_name)
        self._sorted_words = [_sort_words(name) for name in self._names]

    def __call__(self, made_up_name: str, assignable_item_mask: Bools) -> int:
        """Return the first assignable item of the most similar name that has one; -1 if no name is similar at all."""
        matches = process.extract(_sort_words(made_up_name), self._sorted_words, scorer=fuzz.ratio, limit=None)
        for _, similarity, position in matches:
            item = next((item for item in self.items_by_name[self._names[position]] if assignable_item_mask[item]), -1)
            if item >= 0 and similarity > 0:
                return item
        return -1


def _sort_words(name: str) -> str:
    return " ".join(sorted(name.split()))
