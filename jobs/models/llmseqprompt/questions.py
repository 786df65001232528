"""Questions to a language model about sequences of items, and the items that the names in its answers stand for."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from jobs.core.arrays import Bools, Ints, Longs, Texts
from jobs.core.catalog import Catalog
from jobs.core.sequences import Sequences
from jobs.language_models.language_model import Conversation
from jobs.models.llmseqprompt.item_clusters import Clusters, ItemsByCluster
from jobs.models.llmseqprompt.prompts import LIST_LENGTH, name_from_title, write_conversation
from jobs.models.scorer import VectorScorer

SPARE_CANDIDATES = 20  # extra items asked of LLMSeqSim, as candidates with the same name count only once


def item_names(catalog: Catalog) -> Texts:
    """Return the name of each item of a catalogue: object array (items,), "" for items without a title."""
    names = np.full(len(catalog), "", np.object_)
    names[: len(catalog.titles)] = [name_from_title(title) for title in catalog.titles]
    return names


@dataclass(frozen=True)
class Question:
    """A question to a language model about one sequence, with the items that the names in answers stand for.

    Attributes
    ----------
    conversation : Conversation
    items_by_name : name -> item indices, the best first
        A name in an answer that is not in ``items_by_name`` stands for no item: the language model made the name up.
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
    item_names : object array (items,)
        The name of each item; "" for an item without a title, which no example or question shows.
    event_counts : int64 array (items,)
        Number of training events of each item.
    llmseqsim_scorer : VectorScorer
        LLMSeqSim's scorer, which chooses the candidates of ``rank``, and the answers in training examples for ``list``.
    clusters : Clusters or None
        The item clusters of the variant ``classify``; None for other variants.
    window : int
        Number of a sequence's newest names that a question shows.
    seed : int
        Decides the order in which a question shows its candidates.
    """

    variant: str
    item_names: Texts
    event_counts: Longs
    llmseqsim_scorer: VectorScorer
    clusters: Clusters | None
    window: int
    seed: int

    @cached_property
    def item_has_name(self) -> Bools:
        """Whether each item has a name: bool array (items,)."""
        return np.asarray(self.item_names != "", np.bool_)

    @cached_property
    def items_by_name(self) -> dict[str, list[int]]:
        """The items that have each name, the most popular first: name -> list of item indices."""
        items_by_name: dict[str, list[int]] = {
            str(self.item_names[item]): [] for item in np.flatnonzero(self.item_has_name)
        }
        for item in np.lexsort((np.arange(len(self.event_counts)), -self.event_counts)):
            if self.item_has_name[item]:
                items_by_name[str(self.item_names[item])].append(int(item))
        return items_by_name

    def write_training_examples(self, inputs: Sequences, targets: Longs) -> list[Conversation]:
        """Return a training example (a conversation with its right answer) for each sequence and its next item.

        A sequence is left out if none of its items has a name, or if its next item has no name or, for ``classify``,
        no embedding.

        Parameters
        ----------
        targets : int64 array (sequences,)
            The item after each sequence; -1 for an item that the catalogue lacks.
        """
        is_usable = (targets >= 0) & self.item_has_name[targets] & (inputs.keep_items(self.item_has_name).lengths > 0)
        if self.variant == "classify":
            is_usable &= self.llmseqsim_scorer.recommendable_mask[targets]
        inputs, targets = inputs.take(is_usable), targets[is_usable]
        # The right answer names the clusters nearest to the target (classify), or the target and LLMSeqSim's candidates
        # (list, rank).
        if self.variant == "item" or not len(targets):
            answer_clusters_or_items: list[list[int]] = [[] for _ in targets]
        elif self.variant == "classify":
            target_embeddings = self.llmseqsim_scorer.item_vectors.numpy()[targets]
            answer_clusters_or_items = self._clusters_of_classify.clusters_by_distance(target_embeddings)[
                :, :LIST_LENGTH
            ].tolist()
        else:
            answer_clusters_or_items = self._candidate_items(inputs, self.item_has_name)
        rows = zip(self._shown_names(inputs), targets.tolist(), answer_clusters_or_items, strict=True)
        return [self._training_example(*row) for row in rows]

    def write_questions(self, sequences: Sequences, usable_item_mask: Bools) -> list[Question | None]:
        """Return a question for each sequence; None if the sequence has no names, or no candidates to rank.

        Parameters
        ----------
        usable_item_mask : bool array (items,)
            Items that an answer may stand for.
        """
        shown_names_of_sequences = self._shown_names(sequences)
        if self.variant == "rank":
            return [
                self._ranking_question(shown_names, candidates) if shown_names and candidates else None
                for shown_names, candidates in zip(
                    shown_names_of_sequences, self._candidate_items(sequences, usable_item_mask), strict=True
                )
            ]
        if self.variant == "classify":
            members, vectors = self._items_by_cluster(usable_item_mask), self.llmseqsim_scorer.item_vectors.numpy()
            queries = self.llmseqsim_scorer.compute_queries(sequences).numpy()
            return [
                Question(
                    write_conversation("classify", shown_names, self._clusters_of_classify.names),
                    ItemsByCluster(members, vectors, query),
                )
                if shown_names
                else None
                for shown_names, query in zip(shown_names_of_sequences, queries, strict=True)
            ]
        return [
            Question(write_conversation(self.variant, shown_names), self.items_by_name) if shown_names else None
            for shown_names in shown_names_of_sequences
        ]

    def _shown_names(self, sequences: Sequences) -> list[list[str]]:
        """Return, for each sequence, the names of its items that a question shows, oldest first."""
        shown = sequences.keep_items(self.item_has_name).keep_last_items(self.window)
        return [[str(name) for name in self.item_names[shown[row]]] for row in range(len(shown))]

    def _training_example(
        self, shown_names: list[str], target_item: int, answer_clusters_or_items: list[int]
    ) -> Conversation:
        """Return the training example of one sequence.

        Parameters
        ----------
        target_item : int
            The index of the right item.
        answer_clusters_or_items : list of int
            Indices of what the right answer names. For ``classify``, these are the clusters nearest to the right item,
            the nearest first. For ``list`` and ``rank``, they are candidate items, which come after the right item.
        """
        name = str(self.item_names[target_item])
        if self.variant == "item":
            return write_conversation("item", shown_names, answer_names=[name])
        if self.variant == "classify":
            names = self._clusters_of_classify.names
            return write_conversation(
                "classify", shown_names, names, [names[cluster] for cluster in answer_clusters_or_items]
            )
        others = [str(self.item_names[item]) for item in answer_clusters_or_items if self.item_names[item] != name]
        # The right item always comes first. If it is no candidate, it takes the place of the last candidate, because an
        # answer can only order the candidates that the question shows.
        answer_names = [name, *others][:LIST_LENGTH]
        return write_conversation(
            self.variant,
            shown_names,
            self._shuffled_names(answer_names) if self.variant == "rank" else (),
            answer_names,
        )

    def _ranking_question(self, shown_names: list[str], candidate_items: list[int]) -> Question:
        items_by_name = {str(self.item_names[item]): [item] for item in candidate_items}
        return Question(
            write_conversation("rank", shown_names, self._shuffled_names(list(items_by_name))), items_by_name
        )

    def _candidate_items(self, sequences: Sequences, usable_item_mask: Bools) -> list[list[int]]:
        """Return the candidates for each sequence: items with different names that LLMSeqSim recommends."""
        allowed = self.llmseqsim_scorer.recommendable_mask & self.item_has_name & usable_item_mask
        _, lists = self.llmseqsim_scorer.top(sequences, LIST_LENGTH + SPARE_CANDIDATES, sequences, allowed)
        candidates = []
        for row in lists:
            item_by_name: dict[str, int] = {}
            for item in row[row >= 0]:
                item_by_name.setdefault(str(self.item_names[item]), int(item))
            candidates.append(list(item_by_name.values())[:LIST_LENGTH])
        return candidates

    def _items_by_cluster(self, usable_item_mask: Bools) -> dict[str, Longs]:
        """Return the usable items of each cluster: name of the cluster -> item indices."""
        items = np.flatnonzero(usable_item_mask & self.llmseqsim_scorer.recommendable_mask)
        clusters_of_items = self._cluster_of_item[items]
        return {
            name: items[clusters_of_items == cluster] for cluster, name in enumerate(self._clusters_of_classify.names)
        }

    def _shuffled_names(self, names: list[str]) -> list[str]:
        """Return names in a random order that depends only on the seed and the names, so equal questions stay equal."""
        digest = hashlib.sha256("\n".join([str(self.seed), *names]).encode()).digest()
        generator = np.random.default_rng(int.from_bytes(digest[:8]))
        return [names[position] for position in generator.permutation(len(names))]

    @property
    def _clusters_of_classify(self) -> Clusters:
        assert self.clusters is not None  # noqa: S101 - ``classify`` always has clusters
        return self.clusters

    @cached_property
    def _cluster_of_item(self) -> Ints:
        """The index of the cluster that is nearest to each item: int32 array (items,)."""
        return self._clusters_of_classify.clusters_by_distance(self.llmseqsim_scorer.item_vectors.numpy())[:, 0].astype(
            np.int32
        )
