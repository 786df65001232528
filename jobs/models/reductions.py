"""Dimensionality reductions of the LLM's embeddings: PCA, random projection, autoencoder, LDA, whitening, shrinkage.

Every reduction is a scikit-learn transformer that is linear on centred rows. Each fitted reduction is therefore stored
as a mean and a matrix, which also reduce the embeddings of new items.
"""

from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Self

import numpy as np
import torch
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.decomposition import PCA
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.random_projection import GaussianRandomProjection
from torch import nn

from jobs.core.arrays import Doubles, Floats, State, Texts
from jobs.core.catalog import Catalog
from jobs.errors import UsageError

SHRINKAGE = 0.04  # default strength λ of the reduction "shrinkage", see SpectralShrinkage

# Hyper-parameters, with their defaults, of all families that reduce embeddings. ``reduction`` is a key of
# ``REDUCTIONS``. ``shrinkage`` is only read if ``reduction`` is "shrinkage": 0 makes the reduction a whitening, and
# larger values bring the reduction closer to PCA. The family's ``width`` is the size of the reduced vectors.
REDUCTION_DEFAULTS = {
    "reduction": "pca",
    "shrinkage": SHRINKAGE,
}


@dataclass(frozen=True)
class Projection:
    """A fitted reduction of embeddings: subtract a mean, then multiply by a matrix.

    Attributes
    ----------
    mean : float32 array (dimensions,)
        Mean of the embeddings that the reduction was fitted on.
    components : float32 array (dimensions, width)
        The matrix, scaled so that the reduced embeddings have the requested standard deviation.
    """

    mean: Floats
    components: Floats

    def __call__(self, embeddings: Floats) -> Floats:
        """Reduce embeddings, float32 (items, dimensions), to vectors, float32 (items, width)."""
        return ((embeddings - self.mean) @ self.components).astype(np.float32)

    def state(self) -> State:
        """Return the mean and the matrix as named arrays."""
        return {"projection.mean": self.mean, "projection.components": self.components}

    @classmethod
    def from_state(cls, state: State) -> "Projection | None":
        """Load the projection from a model's state, or return None if the state holds no projection."""
        if "projection.mean" not in state:
            return None
        return cls(state["projection.mean"], state["projection.components"])


def fit_projection(
    catalog: Catalog,
    reduction: str,
    width: int,
    *,
    shrinkage: float = SHRINKAGE,
    seed: int = 0,
    output_standard_deviation: float = 1.0,
) -> Projection | None:
    """Fit a reduction on the embeddings of all items that have an embedding, even those without events.

    LLM2BERT4Rec reduces by PCA, centred and not whitened (arXiv 2309.09261, section 3.3); random projection, linear
    autoencoder and LDA come from the extended paper (arXiv 2402.01339). In the papers the vectors keep the scale that
    a reduction gives them, a scale that happens to suit the embedding model ada-002. Here the scale is explicit: all
    components are multiplied by one number, so that the entries of the reduced vectors have the given standard
    deviation.

    Whitening needs many more items than components: with n - 1 components, whitened vectors of n items are all
    equally far apart, so that no item is similar to another.

    Parameters
    ----------
    catalog : Catalog
        The items whose embeddings are reduced; LDA also reads their categories.
    reduction : str
        A key of ``REDUCTIONS``.
    width : int
        Size of the reduced vectors. If the reduction finds fewer components, because items, categories or dimensions
        are few or embeddings are equal, the remaining entries are zero.
    shrinkage : float
        Strength λ of the reduction ``shrinkage``, see :class:`SpectralShrinkage`.
    seed : int
        Seed of the random reductions.
    output_standard_deviation : float
        Root mean square of the reduced vectors' entries on the fitted items.

    Returns
    -------
    Projection or None
        None if no item has an embedding.

    Raises
    ------
    UsageError
        If the reduction is ``lda`` and there are fewer than two categories, or as many categories as items.
    """
    has_embedding = catalog.has_embedding
    if not has_embedding.any():
        return None
    embeddings = catalog.embeddings[has_embedding]
    components = np.zeros((embeddings.shape[1], width))
    mean = embeddings.mean(axis=0, dtype=np.float64)
    centred = embeddings - mean
    rank = _numerical_rank(centred, mean)
    if rank == 0:  # all embeddings are equal: they differ in no direction, and scaling would magnify rounding errors
        return Projection(mean.astype(np.float32), components.astype(np.float32))
    transformer = REDUCTIONS[reduction](min(width, rank), shrinkage, seed)
    if reduction == "lda":
        labels = _category_labels(catalog)[has_embedding]
        transformer.fit(centred[labels != ""], labels[labels != ""])
    else:
        transformer.fit(centred)
    # Row i of the projection's matrix is the transformed unit vector i minus the transformed zero vector. The zero
    # vector matters for LDA, which subtracts the mean of the items with a category before it applies its matrix.
    dimensions = embeddings.shape[1]
    linear = transformer.transform(np.eye(dimensions)) - transformer.transform(np.zeros((1, dimensions)))
    linear = linear[:, : min(width, rank)]
    spread = np.sqrt(np.square(centred @ linear).sum() / (len(centred) - 1) / width)
    if spread > 0:
        components[:, : linear.shape[1]] = linear * (output_standard_deviation / spread)
    return Projection(mean.astype(np.float32), components.astype(np.float32))


class SpectralShrinkage(TransformerMixin, BaseEstimator):  # type: ignore[misc]
    """Principal components whose variances are partly equalized: a reduction between whitening and PCA.

    A singular value s of the centred rows becomes sqrt(s² / (s² + λ)), the closed form of ACE (arXiv 2605.29322). Here
    s² is divided by the sum of all s², so that a λ means the same for every embedding model and number of items. This
    equals ACE's formula if the centred rows have a mean squared length of 1 and ACE's λ is divided by their number.
    ACE's best λ, about 500 for 12,101 items, then becomes 0.04; it becomes more if ACE's rows are shorter.

    Parameters
    ----------
    n_components : int
        Number of components, at most the rank of the centred rows: with λ = 0, components beyond the rank have no
        scale.
    shrinkage : float
        The λ of the formula, at least 0: with 0 the transformer whitens; a large λ scales all components alike, as PCA.
    """

    def __init__(self, n_components: int, shrinkage: float) -> None:
        self.n_components = n_components
        self.shrinkage = shrinkage

    def fit(self, X: Doubles, y: None = None) -> Self:
        """Compute the scaled principal components of rows, float64 (items, dimensions)."""
        pca = PCA(self.n_components, svd_solver="covariance_eigh").fit(X)
        shares = pca.explained_variance_ratio_
        self.mean_ = pca.mean_
        # a row's coordinate along a component is proportional to the singular value s: dividing the component by
        # sqrt(s² + λ) changes s to s / sqrt(s² + λ)
        self.components_ = pca.components_ / np.sqrt(shares + self.shrinkage)[:, None]
        return self

    def transform(self, X: Doubles) -> Doubles:
        """Map rows, float64 (items, dimensions), to the components, float64 (items, n_components)."""
        return (X - self.mean_) @ self.components_.T  # type: ignore[no-any-return]


class LinearAutoencoder(TransformerMixin, BaseEstimator):  # type: ignore[misc]
    """The encoder of a purely linear autoencoder, trained as in the extended paper (arXiv 2402.01339).

    The input of the decoder is the code, of width ``n_components``; each layer of the decoder doubles the width, up to
    the width of the rows. The encoder has the same layers in reverse order. Training uses the mean squared error, Adam
    and batches of 512. A fully trained encoder spans the principal components (Baldi & Hornik 1989); the paper's three
    epochs stop before that, and with few items the encoder stays close to the random projection of its initial weights.
    The layers have no bias and are multiplied into one matrix, so rows should be centred.

    Parameters
    ----------
    n_components : int
        Width of the code, the reduced vector.
    epochs : int
        Passes over the rows.
    random_state : int
        Seed of the initial weights and the batches. The result is the same bit for bit on the same machine with the
        same number of threads.
    """

    def __init__(self, n_components: int, epochs: int = 3, random_state: int = 0) -> None:
        self.n_components = n_components
        self.epochs = epochs
        self.random_state = random_state

    def fit(self, X: Doubles, y: None = None) -> Self:
        """Train on centred rows, float64 (items, dimensions)."""
        generator = torch.Generator().manual_seed(self.random_state)
        # the rows are scaled to standard deviation 1, because Adam's step size doesn't depend on the scale of the data
        rows = torch.from_numpy(X / X.std()).float()
        widths = [self.n_components]
        while 2 * widths[-1] < X.shape[1]:
            widths.append(2 * widths[-1])
        down = [X.shape[1], *widths[::-1]]
        up = down[::-1]
        layers = [torch.empty(size) for half in (down, up) for size in pairwise(half)]
        for layer in layers:
            nn.init.xavier_uniform_(layer, generator=generator).requires_grad_()
        optimizer = torch.optim.Adam(layers)
        for _ in range(self.epochs):
            for row_numbers in torch.randperm(len(rows), generator=generator).tensor_split(-(-len(rows) // 512)):
                batch = rows[row_numbers]
                loss = nn.functional.mse_loss(torch.linalg.multi_dot([batch, *layers]), batch)
                optimizer.zero_grad()
                loss.backward()  # type: ignore[no-untyped-call]
                optimizer.step()
        with torch.no_grad():
            encoder = layers[: len(layers) // 2]
            whole = torch.linalg.multi_dot([torch.eye(X.shape[1]), *encoder])
        self.components_ = whole.numpy().T.astype(np.float64)
        return self

    def transform(self, X: Doubles) -> Doubles:
        """Map rows, float64 (items, dimensions), to the components, float64 (items, n_components)."""
        return X @ self.components_.T  # type: ignore[no-any-return]


RANDOM_REDUCTIONS = ("random", "autoencoder")  # the reductions whose result depends on the seed

# Reduction name -> function that makes the unfitted transformer from a width, a shrinkage (the lambda of
# SpectralShrinkage; the others ignore it) and a seed. PCA decomposes the covariance matrix (dimensions, dimensions),
# which is small; its result is exact and deterministic.
REDUCTIONS: dict[str, Callable[[int, float, int], Any]] = {
    "pca": lambda width, _shrinkage, _seed: PCA(width, svd_solver="covariance_eigh"),
    "random": lambda width, _shrinkage, seed: GaussianRandomProjection(width, random_state=seed),
    "autoencoder": lambda width, _shrinkage, seed: LinearAutoencoder(width, random_state=seed),
    "lda": lambda _width, _shrinkage, _seed: LinearDiscriminantAnalysis(),  # LDA finds all discriminants, best first
    "whitening": lambda width, _shrinkage, _seed: PCA(width, whiten=True, svd_solver="covariance_eigh"),
    "shrinkage": lambda width, shrinkage, _seed: SpectralShrinkage(width, shrinkage),
}


def _numerical_rank(centred_rows: Doubles, mean: Doubles) -> int:
    """Count the principal directions in which the centred rows differ by more than float32's rounding errors."""
    covariance = centred_rows.T @ centred_rows / len(centred_rows)
    smallest = 10 * np.finfo(np.float32).eps * np.sqrt(np.trace(covariance) + mean @ mean)
    return int((np.sqrt(np.linalg.eigvalsh(covariance).clip(min=0)) > smallest).sum())


def _category_labels(catalog: Catalog) -> Texts:
    """Return each item's category, "" for none; raise UsageError if items or categories are too few for LDA."""
    labels = catalog.categories if len(catalog.categories) else np.full(len(catalog), "", np.object_)
    labelled = labels[catalog.has_embedding & (labels != "")]
    if not 2 <= len(np.unique(labelled)) < len(labelled):
        raise UsageError(
            "reduction 'lda' needs items of at least two categories, and more items than categories: the "
            f"{len(labelled)} items with a category and an embedding have {len(np.unique(labelled))}. "
            "Fill in the catalogue's category, or choose another reduction"
        )
    return labels
