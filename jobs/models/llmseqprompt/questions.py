"""What a language model is asked about sequences of items, and which items the names in its answers stand for."""

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch

from jobs.core.arrays import Bools, Floats, Ints, Longs, State, Texts
from jobs.core.catalog import Catalog
from jobs.core.sequences import Sequences
from jobs.language_models.language_model import Conversation
from jobs.models.llmseqprompt.prompts import LIST_LENGTH, conversation, name_of
from jobs.models.scorer import VectorScorer

CLUSTERS = 200  # groups that Classify chooses from, as in the paper
SPARE = 20  # candidates asked for beyond a list's length, for those that share a name


def names_of(catalog: Catalog) -> Texts:
    """Return every item's name: object array (items,), "" where it has no title."""
    names = np.full(len(catalog), "", np.object_)
    names[: len(catalog.titles)] = [name_of(title) for title in catalog.titles]
    return names


@dataclass(frozen=True)
class Clusters:
    """Groups of items alike, each called by the name of its most popular item.

    Attributes
    ----------
    centres : float32 array (clusters, dimensions)
    names : list of str
        Distinct.
    """

    centres: Floats
    names: list[str]

    @classmethod
    def fit(cls, names: Texts, counts: Longs, vectors: Floats, seed: int) -> "Clusters":
        """Group the items that have a vector by k-means; groups without a name of their own are left out.

        Parameters
        ----------
        counts : int64 array (items,)
            How popular each item is.
        vectors : float32 array (items, dimensions)
            Zeros for items without an embedding.
        """
        from sklearn.cluster import KMeans

        embedded = np.flatnonzero(vectors.any(axis=1))
        found = KMeans(min(CLUSTERS, len(embedded)), n_init=3, random_state=seed).fit(vectors[embedded])
        chosen: dict[str, int] = {}
        for item in embedded[np.lexsort((embedded, -counts[embedded]))]:
            cluster = int(found.labels_[np.searchsorted(embedded, item)])
            if names[item] and names[item] not in chosen and cluster not in chosen.values():
                chosen[str(names[item])] = cluster
        return cls(found.cluster_centers_[list(chosen.values())].astype(np.float32), list(chosen))

    def nearest(self, vectors: Floats) -> Longs:
        """Return the clusters of each vector, the nearest (Euclid) first: int64 array (vectors, clusters)."""
        return np.asarray(torch.cdist(torch.from_numpy(vectors), torch.from_numpy(self.centres)).argsort(stable=True))

    def state(self) -> State:
        """Return the centres and the names as arrays; no name holds the separator."""
        text = "\n".join(self.names).encode()
        return {"clusters.centres": self.centres, "clusters.names": np.frombuffer(text, np.uint8)}

    @classmethod
    def from_state(cls, state: State) -> "Clusters":
        """Take back what :meth:`state` gave."""
        return cls(state["clusters.centres"], state["clusters.names"].tobytes().decode().split("\n"))


@dataclass(frozen=True)
class Question:
    """A conversation, and what names in its answers stand for: name -> items, the best first."""

    conversation: Conversation
    known: Mapping[str, Sequence[int]]


@dataclass(frozen=True)
class Groups(Mapping[str, Sequence[int]]):
    """Items by the name of their group, those nearest to one sequence first.

    A group is put in order when it is looked up: an answer names few of them, and all of them are the catalogue.

    Attributes
    ----------
    members : name -> int64 array (items of the group,)
    vectors : float32 array (items, dimensions)
    query : float32 array (dimensions,)
        The sequence's.
    """

    members: Mapping[str, Longs]
    vectors: Floats
    query: Floats

    def __getitem__(self, name: str) -> list[int]:
        """Return the group's items; equally near ones by their number."""
        items = self.members[name]
        ordered: list[int] = items[np.argsort(-(self.vectors[items] @ self.query), kind="stable")].tolist()
        return ordered

    def __contains__(self, name: object) -> bool:
        """Tell whether a group is called so."""
        return name in self.members

    def __iter__(self) -> Iterator[str]:
        """Go through the groups' names."""
        return iter(self.members)

    def __len__(self) -> int:
        """Count the groups."""
        return len(self.members)


@dataclass(frozen=True)
class Tasks:
    """One variant's conversations about the items of one catalogue.

    Attributes
    ----------
    names : object array (items,)
        "" for items without a title, which are left out everywhere.
    counts : int64 array (items,)
        How popular each item is.
    near : VectorScorer
        LLMSeqSim: the order of lists to learn, the candidates to rank.
    clusters : Clusters or None
        For ``classify``.
    window : int
        How many names of a sequence are shown, the newest ones.
    seed : int
        Decides the order in which candidates are shown.
    """

    variant: str
    names: Texts
    counts: Longs
    near: VectorScorer
    clusters: Clusters | None
    window: int
    seed: int

    @cached_property
    def named(self) -> Bools:
        """Tell which items have a name: bool array (items,)."""
        return np.asarray(self.names != "", np.bool_)

    @cached_property
    def known(self) -> dict[str, list[int]]:
        """Items by their name, in the catalogue's order of names; of one name the most popular first."""
        found: dict[str, list[int]] = {str(self.names[item]): [] for item in np.flatnonzero(self.named)}
        for item in np.lexsort((np.arange(len(self.counts)), -self.counts)):
            if self.named[item]:
                found[str(self.names[item])].append(int(item))
        return found

    def training(self, inputs: Sequences, targets: Longs) -> list[Conversation]:
        """Return a conversation with its right answer for each sequence and the item that came next.

        Those whose target, or every item of whose sequence, has no name (or, for ``classify``, no embedding) are left
        out.
        """
        usable = (targets >= 0) & self.named[targets] & (inputs.keep(self.named).lengths > 0)
        if self.variant == "classify":
            usable &= self.near.recommendable[targets]
        inputs, targets = inputs.take(usable), targets[usable]
        if self.variant == "item" or not len(targets):
            found: list[list[int]] = [[] for _ in targets]
        elif self.variant == "classify":
            found = self._clusters.nearest(self.near.item_vectors.numpy()[targets])[:, :LIST_LENGTH].tolist()
        else:
            found = self._similar(inputs, self.named)
        return [
            self._example(history, int(target), more)
            for history, target, more in zip(self._histories(inputs), targets, found, strict=True)
        ]

    def asking(self, sequences: Sequences, usable: Bools) -> list[Question | None]:
        """Return what is asked of each sequence; None for one without a name, or without candidates to rank.

        Parameters
        ----------
        usable : bool array (items,)
            Items that an answer may stand for.
        """
        histories = self._histories(sequences)
        if self.variant == "rank":
            return [
                self._ranking(history, candidates) if history and candidates else None
                for history, candidates in zip(histories, self._similar(sequences, usable), strict=True)
            ]
        if self.variant == "classify":
            members, vectors = self._members(usable), self.near.item_vectors.numpy()
            options = self._clusters.names
            return [
                Question(conversation("classify", history, options), Groups(members, vectors, query))
                if history
                else None
                for history, query in zip(histories, self.near.queries(sequences).numpy(), strict=True)
            ]
        return [Question(conversation(self.variant, history), self.known) if history else None for history in histories]

    def _histories(self, sequences: Sequences) -> list[list[str]]:
        shown = sequences.keep(self.named).last(self.window)
        return [[str(name) for name in self.names[shown[row]]] for row in range(len(shown))]

    def _example(self, history: list[str], target: int, found: list[int]) -> Conversation:
        name = str(self.names[target])
        if self.variant == "item":
            return conversation("item", history, answer=[name])
        if self.variant == "classify":
            names = self._clusters.names
            return conversation("classify", history, names, [names[cluster] for cluster in found])
        others = [str(self.names[item]) for item in found if self.names[item] != name]
        # a target that is no candidate takes the last one's place: to rank is to choose among what is shown
        answer = [name, *others][:LIST_LENGTH]
        return conversation(self.variant, history, self._shuffled(answer) if self.variant == "rank" else (), answer)

    def _ranking(self, history: list[str], candidates: list[int]) -> Question:
        names = {str(self.names[item]): [item] for item in candidates}
        return Question(conversation("rank", history, self._shuffled(list(names))), names)

    def _similar(self, sequences: Sequences, usable: Bools) -> list[list[int]]:
        """Return LLMSeqSim's list for each sequence: items with a name, one of each name, none of the sequence's."""
        allowed = self.near.recommendable & self.named & usable
        _, lists = self.near.top(sequences, LIST_LENGTH + SPARE, sequences, allowed)
        found = []
        for row in lists:
            by_name: dict[str, int] = {}
            for item in row[row >= 0]:
                by_name.setdefault(str(self.names[item]), int(item))
            found.append(list(by_name.values())[:LIST_LENGTH])
        return found

    def _members(self, usable: Bools) -> dict[str, Longs]:
        """Return the usable items of each group, by its name."""
        items = np.flatnonzero(usable & self.near.recommendable)
        return {name: items[self._cluster_of[items] == place] for place, name in enumerate(self._clusters.names)}

    def _shuffled(self, names: list[str]) -> list[str]:
        # drawn from the names: the same question reads the same, whatever else is asked
        digest = hashlib.sha256("\n".join([str(self.seed), *names]).encode()).digest()
        generator = np.random.default_rng(int.from_bytes(digest[:8]))
        return [names[place] for place in generator.permutation(len(names))]

    @property
    def _clusters(self) -> Clusters:
        assert self.clusters is not None  # noqa: S101 - fitted with the variant that needs them
        return self.clusters

    @cached_property
    def _cluster_of(self) -> Ints:
        return self._clusters.nearest(self.near.item_vectors.numpy())[:, 0].astype(np.int32)
