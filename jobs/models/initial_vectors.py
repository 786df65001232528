"""Initial item vectors from the LLM's embeddings, and the projection that gives new items theirs."""

from dataclasses import dataclass

import numpy as np
from sklearn.decomposition import PCA

from jobs.models.base import Floats, State


@dataclass(frozen=True)
class Projection:
    """A linear map of embeddings, fitted once and kept with the model.

    Attributes
    ----------
    mean : float32 array (dimensions,)
    components : float32 array (dimensions, width)
        Scaled, so that the projected training vectors have the wanted spread.
    """

    mean: Floats
    components: Floats

    def __call__(self, embeddings: Floats) -> Floats:
        """Project float32 (items, dimensions) to (items, width)."""
        return ((embeddings - self.mean) @ self.components).astype(np.float32)

    def state(self) -> State:
        """Return the arrays, named."""
        return {"projection.mean": self.mean, "projection.components": self.components}

    @classmethod
    def from_state(cls, state: State) -> "Projection":
        """Take back :meth:`state`."""
        return cls(state["projection.mean"], state["projection.components"])


def fit_pca(embeddings: Floats, width: int, standard_deviation: float) -> Projection:
    """Fit the principal components, as LLM2BERT4Rec does (arXiv 2309.09261, section 3.3), centred, not whitened.

    The paper keeps PCA's own scale, which happens to suit ada-002; here the scale is explicit: all components are
    multiplied by one number that gives the projected entries the wanted standard deviation.

    Parameters
    ----------
    embeddings : float32 array (items, dimensions)
        Rows of items that have one.
    width : int
        Wanted size; where fewer components exist (few items, short vectors, all equal), the rest is zero.
    """
    components = np.zeros((embeddings.shape[1], width))
    if (embeddings == embeddings[0]).all():  # no direction to be found, and any scale would blow up a new item's vector
        return Projection(embeddings[0], components.astype(np.float32))
    found = min(width, *embeddings.shape)
    # full SVD: exact and deterministic, and a matrix of dimensions² is small
    pca = PCA(n_components=found, svd_solver="covariance_eigh").fit(embeddings.astype(np.float64))
    spread = np.sqrt(pca.explained_variance_.sum() / width)
    components[:, :found] = pca.components_.T * (standard_deviation / spread)
    return Projection(pca.mean_.astype(np.float32), components.astype(np.float32))
