"""Groups of similar items, for the variant ``classify``: the language model names groups instead of items."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch

from jobs.core.arrays import Floats, Longs, State, Texts

MAX_CLUSTERS = 200  # groups that the language model chooses from, as in LLMSeqPrompt's paper (arXiv 2309.09261)


@dataclass(frozen=True)
class Clusters:
    """Groups of items with similar embeddings; each group is named after its most popular item.

    Attributes
    ----------
    centres : float32 array (clusters, dimensions)
    names : list of str
        A different name for each group.
    """

    centres: Floats
    names: list[str]

    @classmethod
    def fit(cls, names: Texts, counts: Longs, vectors: Floats, seed: int) -> "Clusters":
        """Group the items that have an embedding by k-means.

        A group is left out if its items have no names, or if other groups already have all of their names.

        Parameters
        ----------
        names : object array (items,)
            The name of each item; "" for items without a name.
        counts : int64 array (items,)
            Number of training events of each item.
        vectors : float32 array (items, dimensions)
            Embeddings of the items; zeros for items without one.
        """
        from sklearn.cluster import KMeans

        embedded = np.flatnonzero(vectors.any(axis=1))
        k_means = KMeans(min(MAX_CLUSTERS, len(embedded)), n_init=3, random_state=seed).fit(vectors[embedded])
        cluster_by_name: dict[str, int] = {}
        for item in embedded[np.lexsort((embedded, -counts[embedded]))]:
            cluster = int(k_means.labels_[np.searchsorted(embedded, item)])
            if names[item] and names[item] not in cluster_by_name and cluster not in cluster_by_name.values():
                cluster_by_name[str(names[item])] = cluster
        centres = k_means.cluster_centers_[list(cluster_by_name.values())].astype(np.float32)
        return cls(centres, list(cluster_by_name))

    def nearest(self, vectors: Floats) -> Longs:
        """Return the clusters in the order of their Euclidean distance from each vector, the nearest first.

        Parameters
        ----------
        vectors : float32 array (vectors, dimensions)

        Returns
        -------
        int64 array (vectors, clusters)
        """
        return np.asarray(torch.cdist(torch.from_numpy(vectors), torch.from_numpy(self.centres)).argsort(stable=True))

    def state(self) -> State:
        """Return the groups' centres and names as arrays; names are joined by line breaks, which no name holds."""
        text = "\n".join(self.names).encode()
        return {"clusters.centres": self.centres, "clusters.names": np.frombuffer(text, np.uint8)}

    @classmethod
    def from_state(cls, state: State) -> "Clusters":
        """Return the clusters whose :meth:`state` returned ``state``."""
        return cls(state["clusters.centres"], state["clusters.names"].tobytes().decode().split("\n"))


@dataclass(frozen=True)
class ItemsByGroup(Mapping[str, Sequence[int]]):
    """Maps the name of a group to its items, those nearest to one sequence first.

    The items of a group are sorted only when the group is looked up: an answer names few groups, but all groups
    together hold the whole catalogue.

    Attributes
    ----------
    members : name -> int64 array (items of the group,)
    vectors : float32 array (items, dimensions)
    query : float32 array (dimensions,)
        The vector of the sequence.
    """

    members: Mapping[str, Longs]
    vectors: Floats
    query: Floats

    def __getitem__(self, name: str) -> list[int]:
        """Return the items of the group ``name``, the nearest first; equally near items are ordered by index."""
        items = self.members[name]
        ordered: list[int] = items[np.argsort(-(self.vectors[items] @ self.query), kind="stable")].tolist()
        return ordered

    def __contains__(self, name: object) -> bool:
        """Tell whether a group has this name."""
        return name in self.members

    def __iter__(self) -> Iterator[str]:
        """Iterate over the names of all groups."""
        return iter(self.members)

    def __len__(self) -> int:
        """Return the number of groups."""
        return len(self.members)
