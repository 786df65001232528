"""Questions to a language model about sequences of items, and the items that names in its answers stand for."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from jobs.core.arrays import Bools, Ints, Longs, Texts
from jobs.core.catalog import Catalog
from jobs.core.sequences import Sequences
from jobs.language_models.language_model import Conversation
from jobs.models.llmseqprompt.item_groups import Clusters, ItemsByGroup
from jobs.models.llmseqprompt.prompts import LIST_LENGTH, name_from_title, write_conversation
from jobs.models.scorer import VectorScorer

SPARE_CANDIDATES = 20  # extra candidates for a list, since candidates that share a name count once


def item_names(catalog: Catalog) -> Texts:
    """Return the name of each item of a catalogue: object array (items,), "" for items without a title."""
    names = np.full(len(catalog), "", np.object_)
    names[: len(catalog.titles)] = [name_from_title(title) for title in catalog.titles]
    return names


@dataclass(frozen=True)
class Question:
    """A conversation that asks about one sequence, and the items that names in its answers stand for.

    Attributes
    ----------
    conversation : Conversation
    items_by_name : name -> item indices, the best first
        An answered name that is absent here stands for no item: the language model made it up.
    """

    conversation: Conversation
    items_by_name: Mapping[str, Sequence[int]]


@dataclass(frozen=True)
class QuestionWriter:
    """Writes the training examples and questions of one LLMSeqPrompt variant, about the items of one catalogue.

    Attributes
    ----------
    variant : str
        One of ``VARIANTS`` of :mod:`jobs.models.llmseqprompt.prompts`.
    names : object array (items,)
        "" for items without a title: such items are left out everywhere.
    counts : int64 array (items,)
        Number of training events of each item.
    llmseqsim : VectorScorer
        Scorer that chooses the candidates to rank, and the order of lists in training examples.
    clusters : Clusters or None
        The item groups of the variant ``classify``; None for other variants.
    window : int
        How many names of a sequence a question shows: the newest.
    seed : int
        Decides the order in which a question shows its candidates.
    """

    variant: str
    names: Texts
    counts: Longs
    llmseqsim: VectorScorer
    clusters: Clusters | None
    window: int
    seed: int

    @cached_property
    def has_name(self) -> Bools:
        """Whether each item has a name: bool array (items,)."""
        return np.asarray(self.names != "", np.bool_)

    @cached_property
    def items_by_name(self) -> dict[str, list[int]]:
        """The items that have each name, the most popular first: name -> list of item indices."""
        items_by_name: dict[str, list[int]] = {str(self.names[item]): [] for item in np.flatnonzero(self.has_name)}
        for item in np.lexsort((np.arange(len(self.counts)), -self.counts)):
            if self.has_name[item]:
                items_by_name[str(self.names[item])].append(int(item))
        return items_by_name

    def examples(self, inputs: Sequences, targets: Longs) -> list[Conversation]:
        """Return a training example (a conversation with its right answer) for each sequence and its next item.

        A sequence is left out if none of its items has a name, or if its target has no name or, for ``classify``, no
        embedding.

        Parameters
        ----------
        targets : int64 array (sequences,)
            The item after each sequence; -1 for an item that the catalogue lacks.
        """
        usable_items = (targets >= 0) & self.has_name[targets] & (inputs.keep(self.has_name).lengths > 0)
        if self.variant == "classify":
            usable_items &= self.llmseqsim.recommendable[targets]
        inputs, targets = inputs.take(usable_items), targets[usable_items]
        # The options of a sequence are the target's nearest clusters (classify) or LLMSeqSim's candidates (list, rank).
        if self.variant == "item" or not len(targets):
            options: list[list[int]] = [[] for _ in targets]
        elif self.variant == "classify":
            options = self._clusters.nearest(self.llmseqsim.item_vectors.numpy()[targets])[:, :LIST_LENGTH].tolist()
        else:
            options = self._candidates(inputs, self.has_name)
        return [self._example(*row) for row in zip(self._histories(inputs), targets.tolist(), options, strict=True)]

    def questions(self, sequences: Sequences, usable_items: Bools) -> list[Question | None]:
        """Return a question for each sequence; None if the sequence has no names, or no candidates to rank.

        Parameters
        ----------
        usable_items : bool array (items,)
            Items that an answer may stand for.
        """
        histories = self._histories(sequences)
        if self.variant == "rank":
            return [
                self._ranking_question(history, candidates) if history and candidates else None
                for history, candidates in zip(histories, self._candidates(sequences, usable_items), strict=True)
            ]
        if self.variant == "classify":
            members, vectors = self._group_members(usable_items), self.llmseqsim.item_vectors.numpy()
            queries = self.llmseqsim.queries(sequences).numpy()
            return [
                Question(
                    write_conversation("classify", history, self._clusters.names), ItemsByGroup(members, vectors, query)
                )
                if history
                else None
                for history, query in zip(histories, queries, strict=True)
            ]
        return [
            Question(write_conversation(self.variant, history), self.items_by_name) if history else None
            for history in histories
        ]

    def _histories(self, sequences: Sequences) -> list[list[str]]:
        """Return the names that a question shows of each sequence, oldest first."""
        shown = sequences.keep(self.has_name).last(self.window)
        return [[str(name) for name in self.names[shown[row]]] for row in range(len(shown))]

    def _example(self, history: list[str], target: int, options: list[int]) -> Conversation:
        """Return the training example of one sequence.

        Parameters
        ----------
        target : int
            The index of the right item.
        options : list of int
            For ``classify``, clusters, the nearest to the target first; for ``list`` and ``rank``, candidate items.
        """
        name = str(self.names[target])
        if self.variant == "item":
            return write_conversation("item", history, answer=[name])
        if self.variant == "classify":
            names = self._clusters.names
            return write_conversation("classify", history, names, [names[cluster] for cluster in options])
        others = [str(self.names[item]) for item in options if self.names[item] != name]
        # A target that is no candidate replaces the last candidate: a ranking can only order the candidates shown.
        answer = [name, *others][:LIST_LENGTH]
        return write_conversation(
            self.variant, history, self._shuffled(answer) if self.variant == "rank" else (), answer
        )

    def _ranking_question(self, history: list[str], candidates: list[int]) -> Question:
        items_by_name = {str(self.names[item]): [item] for item in candidates}
        return Question(write_conversation("rank", history, self._shuffled(list(items_by_name))), items_by_name)

    def _candidates(self, sequences: Sequences, usable_items: Bools) -> list[list[int]]:
        """Return the items that LLMSeqSim recommends for each sequence; they have different names."""
        allowed = self.llmseqsim.recommendable & self.has_name & usable_items
        _, lists = self.llmseqsim.top(sequences, LIST_LENGTH + SPARE_CANDIDATES, sequences, allowed)
        candidates = []
        for row in lists:
            item_by_name: dict[str, int] = {}
            for item in row[row >= 0]:
                item_by_name.setdefault(str(self.names[item]), int(item))
            candidates.append(list(item_by_name.values())[:LIST_LENGTH])
        return candidates

    def _group_members(self, usable_items: Bools) -> dict[str, Longs]:
        """Return the usable items of each cluster, by the cluster's name."""
        items = np.flatnonzero(usable_items & self.llmseqsim.recommendable)
        return {name: items[self._cluster_of[items] == cluster] for cluster, name in enumerate(self._clusters.names)}

    def _shuffled(self, names: list[str]) -> list[str]:
        """Return names in a random order that depends only on the seed and the names, so equal questions read alike."""
        digest = hashlib.sha256("\n".join([str(self.seed), *names]).encode()).digest()
        generator = np.random.default_rng(int.from_bytes(digest[:8]))
        return [names[position] for position in generator.permutation(len(names))]

    @property
    def _clusters(self) -> Clusters:
        assert self.clusters is not None  # noqa: S101 - ``classify`` always has clusters
        return self.clusters

    @cached_property
    def _cluster_of(self) -> Ints:
        """The index of the cluster nearest to each item: int32 array (items,)."""
        return self._clusters.nearest(self.llmseqsim.item_vectors.numpy())[:, 0].astype(np.int32)
