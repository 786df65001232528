"""Dimensionality reductions of the LLM's embeddings: PCA, random projection, autoencoder, LDA, whitening, shrinkage.

Every reduction is a scikit-learn transformer that is linear on centred rows, so that a mean and a matrix describe a
fitted reduction fully.
"""

from collections.abc import Callable
from itertools import pairwise
from typing import Any, Self

import numpy as np
import torch
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.decomposition import PCA
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.random_projection import GaussianRandomProjection
from torch import nn

from jobs.core.arrays import Doubles


class SpectralShrinkage(TransformerMixin, BaseEstimator):  # type: ignore[misc]
    """Principal components whose variances are partly equalized: a reduction between whitening and PCA.

    A singular value s of the centred rows becomes sqrt(s² / (s² + λ)), the closed form of ACE (arXiv 2605.29322). Here
    s² is divided by the sum of all s², so that a λ means the same for every embedding model and number of items. This
    equals ACE's formula if the centred rows have a mean squared length of 1 and ACE's λ is divided by their number.
    ACE's best λ, about 500 for 12,101 items, then becomes 0.04, or more if ACE's rows are shorter than 1.

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
