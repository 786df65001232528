"""Clusters of items with similar embeddings, whose names are the answers in LLMSeqPrompt's variant ``classify``."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch

from jobs.core.arrays import Floats, Longs, State, Texts

MAX_CLUSTERS = 200  # largest number of clusters in a question, as in LLMSeqPrompt's paper (arXiv 2309.09261)


@dataclass(frozen=True)
class Clusters:
    """Clusters of items with similar embeddings; each cluster is named after its most popular item.

    Attributes
    ----------
    centres : float32 array (clusters, dimensions)
        The mean embedding of each cluster.
    names : list of str
        The name of each cluster; all names differ.
    """

    centres: Floats
    names: list[str]

    @classmethod
    def from_embeddings(cls, item_names: Texts, event_counts: Longs, embeddings: Floats, seed: int) -> "Clusters":
        """Cluster the items that have an embedding, by k-means.

        A cluster is left out if its items have no names, or if all names of its items are already those of other
        clusters.

        Parameters
        ----------
        item_names : object array (items,)
            The name of each item; "" for items without a name.
        event_counts : int64 array (items,)
            Number of training events of each item.
        embeddings : float32 array (items, dimensions)
            Embeddings of the items; zeros for items without one.
        """
        from sklearn.cluster import KMeans

        embedded = np.flatnonzero(embeddings.any(axis=1))
        k_means = KMeans(min(MAX_CLUSTERS, len(embedded)), n_init=3, random_state=seed).fit(embeddings[embedded])
        cluster_by_name: dict[str, int] = {}
        for item in embedded[np.lexsort((embedded, -event_counts[embedded]))]:
            cluster = int(k_means.labels_[np.searchsorted(embedded, item)])
            name = str(item_names[item])
            if name and name not in cluster_by_name and cluster not in cluster_by_name.values():
                cluster_by_name[name] = cluster
        centres = k_means.cluster_centers_[list(cluster_by_name.values())].astype(np.float32)
        return cls(centres, list(cluster_by_name))

    def clusters_by_distance(self, embeddings: Floats) -> Longs:
        """Return all clusters in ascending order of the Euclidean distance of their centres, for each embedding.

        Parameters
        ----------
        embeddings : float32 array (embeddings, dimensions)

        Returns
        -------
        int64 array (embeddings, clusters)
            Indices of clusters.
        """
        return np.asarray(
            torch.cdist(torch.from_numpy(embeddings), torch.from_numpy(self.centres)).argsort(stable=True)
        )

    def state(self) -> State:
        """Return the clusters' centres and names as arrays; the names are one text, with a name on each line."""
        text = "\n".join(self.names).encode()
        return {"clusters.centres": self.centres, "clusters.names": np.frombuffer(text, np.uint8)}

    @classmethod
    def from_state(cls, state: State) -> "Clusters":
        """Make the clusters again from the arrays that :meth:`state` returned."""
        return cls(state["clusters.centres"], state["clusters.names"].tobytes().decode().split("\n"))


@dataclass(frozen=True)
class ItemsByCluster(Mapping[str, Sequence[int]]):
    """Maps the name of a cluster to the cluster's items, those nearest to one sequence first.

    The items of a cluster are sorted only when the cluster is looked up: an answer names few clusters, but all clusters
    together hold the whole catalogue.

    Attributes
    ----------
    items_of_cluster : name of a cluster -> int64 array (items of the cluster,)
    item_vectors : float32 array (items, dimensions)
        Embeddings of all items.
    query_vector : float32 array (dimensions,)
        The vector of the sequence.
    """

    items_of_cluster: Mapping[str, Longs]
    item_vectors: Floats
    query_vector: Floats

    def __getitem__(self, cluster_name: str) -> list[int]:
        """Return the items of a cluster, nearest to the sequence first; equally near items are ordered by index."""
        items = self.items_of_cluster[cluster_name]
        ordered: list[int] = items[np.argsort(-(self.item_vectors[items] @ self.query_vector), kind="stable")].tolist()
        return ordered

    def __contains__(self, cluster_name: object) -> bool:
        """Tell whether a cluster of items has the name ``cluster_name``."""
        return cluster_name in self.items_of_cluster

    def __iter__(self) -> Iterator[str]:
        """Iterate over the names of all clusters of items; a cluster is named after its most popular item."""
        return iter(self.items_of_cluster)

    def __len__(self) -> int:
        """Return the number of clusters of items."""
        return len(self.items_of_cluster)
