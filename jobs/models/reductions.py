"""Initial item vectors from the LLM's embeddings, and the projection that gives new items theirs.

Every reduction is a scikit-learn transformer that is linear on centred rows, so that one stored form, a mean and a
matrix, serves them all.
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

SHRINKAGE = 0.04

# What a family with a reduction adds to its parameters, beside its ``width``.
REDUCTION_DEFAULTS = {
    "reduction": "pca",  # pca, random, autoencoder, lda, whitening or shrinkage
    "shrinkage": SHRINKAGE,  # of reduction = "shrinkage": 0 whitens, and the larger, the nearer to PCA
}


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
    def from_state(cls, state: State) -> "Projection | None":
        """Take back :meth:`state`; None where a model has no projection."""
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
    standard_deviation: float = 1.0,
) -> Projection | None:
    """Fit a reduction on all items that have an embedding, those without events included.

    LLM2BERT4Rec reduces by PCA, centred and not whitened (arXiv 2309.09261, section 3.3); random projection, linear
    autoencoder and LDA are those of the extended paper (arXiv 2402.01339). The papers keep each reduction's own
    scale, which happens to suit ada-002; here the scale is explicit: all components are multiplied by one number that
    gives the projected entries the wanted standard deviation.

    Whitening wants many more items than components: as many components as there are items, less one, would set all
    items equally far apart, and nothing would be alike.

    Parameters
    ----------
    reduction : str
        A key of ``REDUCTIONS``.
    width : int
        Wanted size; where a reduction finds fewer components (few items or categories, short vectors, all equal),
        the rest is zero.
    shrinkage : float
        See :class:`SpectralShrinkage`.

    Returns
    -------
    Projection or None
        None where no item has an embedding.

    Raises
    ------
    UsageError
        If ``lda`` has too few categories.
    """
    given = catalog.has_embedding
    if not given.any():
        return None
    embeddings = catalog.embeddings[given]
    components = np.zeros((embeddings.shape[1], width))
    mean = embeddings.mean(axis=0, dtype=np.float64)
    centred = embeddings - mean
    rank = _rank(centred, mean)
    if rank == 0:  # no direction to be found, and any scale would blow up a new item's vector
        return Projection(mean.astype(np.float32), components.astype(np.float32))
    transformer = REDUCTIONS[reduction](min(width, rank), shrinkage, seed)
    if reduction == "lda":
        labels = _labels(catalog)[given]
        transformer.fit(centred[labels != ""], labels[labels != ""])
    else:
        transformer.fit(centred)
    # what is linear is known by what it makes of the unit vectors; LDA takes off its own items' mean, too
    dimensions = embeddings.shape[1]
    linear = transformer.transform(np.eye(dimensions)) - transformer.transform(np.zeros((1, dimensions)))
    linear = linear[:, : min(width, rank)]
    spread = np.sqrt(np.square(centred @ linear).sum() / (len(centred) - 1) / width)
    if spread > 0:
        components[:, : linear.shape[1]] = linear * (standard_deviation / spread)
    return Projection(mean.astype(np.float32), components.astype(np.float32))


class SpectralShrinkage(TransformerMixin, BaseEstimator):  # type: ignore[misc]
    """Principal components whose spread is evened out: between whitening and PCA, in closed form.

    A singular value s of the centred rows becomes sqrt(s² / (s² + λ)) (ACE, arXiv 2605.29322). λ is given relative to
    the data, so that one value means the same for every embedding model and any number of items: s² counts as its
    share of the sum of all s², that is as if centred rows had a mean squared length of 1, divided by their number.
    ACE's best λ, about 500 for 12,101 items, is 0.04 in this unit if its rows are about that long, more if shorter.

    Parameters
    ----------
    n_components : int
        At most the rank of the centred rows, for with λ = 0 the components beyond have no scale.
    shrinkage : float
        λ, at least 0. 0 is whitening; with a large one all components are scaled alike, as in PCA.
    """

    def __init__(self, n_components: int, shrinkage: float) -> None:
        self.n_components = n_components
        self.shrinkage = shrinkage

    def fit(self, X: Doubles, y: None = None) -> Self:
        """Decompose rows (items, dimensions)."""
        pca = PCA(self.n_components, svd_solver="covariance_eigh").fit(X)
        shares = pca.explained_variance_ratio_
        self.mean_ = pca.mean_
        # rows @ direction = s u, of which s / sqrt(s² + λ) u is wanted
        self.components_ = pca.components_ / np.sqrt(shares + self.shrinkage)[:, None]
        return self

    def transform(self, X: Doubles) -> Doubles:
        """Map rows (items, dimensions) to (items, n_components)."""
        return (X - self.mean_) @ self.components_.T  # type: ignore[no-any-return]


class LinearAutoencoder(TransformerMixin, BaseEstimator):  # type: ignore[misc]
    """The encoder of an autoencoder of linear layers alone, as the extended paper trains it (arXiv 2402.01339).

    Layers double in width from ``n_components`` up to the input's, and back: mean squared error, Adam, batches of 512.
    Trained to its end it spans the principal components (Baldi & Hornik 1989). The paper's three epochs stop before
    that, and with few items hardly leave the random projection that training begins with.
    The layers have no bias and are multiplied into one matrix, so rows should be centred.

    Parameters
    ----------
    n_components : int
    epochs : int
    random_state : int
        Decides the first weights and the batches: on one machine and number of threads, the same bits each time.
    """

    def __init__(self, n_components: int, epochs: int = 3, random_state: int = 0) -> None:
        self.n_components = n_components
        self.epochs = epochs
        self.random_state = random_state

    def fit(self, X: Doubles, y: None = None) -> Self:
        """Train on centred rows (items, dimensions)."""
        generator = torch.Generator().manual_seed(self.random_state)
        rows = torch.from_numpy(X / X.std()).float()  # a step of Adam has one size, whatever the rows'
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
            for chosen in torch.randperm(len(rows), generator=generator).tensor_split(-(-len(rows) // 512)):
                batch = rows[chosen]
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
        """Map rows (items, dimensions) to (items, n_components)."""
        return X @ self.components_.T  # type: ignore[no-any-return]


RANDOM_REDUCTIONS = ("random", "autoencoder")  # those that another seed changes

# by name: an unfitted transformer for a width, a shrinkage and a seed; the eigendecomposition of the covariance is
# exact and deterministic, and a matrix of dimensions² is small
REDUCTIONS: dict[str, Callable[[int, float, int], Any]] = {
    "pca": lambda width, _, __: PCA(width, svd_solver="covariance_eigh"),
    "random": lambda width, _, seed: GaussianRandomProjection(width, random_state=seed),
    "autoencoder": lambda width, _, seed: LinearAutoencoder(width, random_state=seed),
    "lda": lambda _, __, ___: LinearDiscriminantAnalysis(),  # as many components as there are, the best ones first
    "whitening": lambda width, _, __: PCA(width, whiten=True, svd_solver="covariance_eigh"),
    "shrinkage": lambda width, shrinkage, _: SpectralShrinkage(width, shrinkage),
}


def _rank(centred: Doubles, mean: Doubles) -> int:
    """Count the directions in which rows differ by more than the rounding of float32 vectors of their length."""
    covariance = centred.T @ centred / len(centred)
    smallest = 10 * np.finfo(np.float32).eps * np.sqrt(np.trace(covariance) + mean @ mean)
    return int((np.sqrt(np.linalg.eigvalsh(covariance).clip(min=0)) > smallest).sum())


def _labels(catalog: Catalog) -> Texts:
    """Return each item's category, "" where it has none; refuse what no discriminant can be found for."""
    labels = catalog.categories if len(catalog.categories) else np.full(len(catalog), "", np.object_)
    used = labels[catalog.has_embedding & (labels != "")]
    if not 2 <= len(np.unique(used)) < len(used):
        raise UsageError(
            "reduction 'lda' needs items of at least two categories, and more items than categories: the "
            f"{len(used)} items with a category and an embedding have {len(np.unique(used))}. "
            "Fill in the catalogue's category, or choose another reduction"
        )
    return labels
