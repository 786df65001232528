"""Projections: fitted reductions of the LLM's embeddings, each stored as a mean and a matrix.

A projection also reduces the embeddings of items that are new since the fit.
"""

from dataclasses import dataclass

import numpy as np

from jobs.core.arrays import Doubles, Floats, State, Texts
from jobs.core.catalog import Catalog
from jobs.errors import UnusableParametersError

# The names of the reductions, which jobs.models.reductions makes.
REDUCTION_NAMES = ("pca", "random", "autoencoder", "lda", "whitening", "shrinkage")
RANDOM_REDUCTIONS = ("random", "autoencoder")  # the reductions whose result depends on the seed

SHRINKAGE = 0.04  # default strength λ of the reduction "shrinkage", see reductions.SpectralShrinkage

# Hyper-parameters, with their defaults, of all families that reduce embeddings. ``reduction`` is one of
# ``REDUCTION_NAMES``. ``shrinkage`` is only read if ``reduction`` is "shrinkage": 0 makes the reduction a whitening,
# and larger values bring the reduction closer to PCA. The family's ``width`` is the size of the reduced vectors.
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
        One of ``REDUCTION_NAMES``.
    width : int
        Size of the reduced vectors. If the reduction finds fewer components, because items, categories or dimensions
        are few or embeddings are equal, the remaining entries are zero.
    shrinkage : float
        Strength λ of the reduction ``shrinkage``, see :class:`jobs.models.reductions.SpectralShrinkage`.
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
    UnusableParametersError
        If the reduction is ``lda`` and there are fewer than two categories, or as many categories as items.
    """
    has_embedding = catalog.has_embedding_mask
    if not has_embedding.any():
        return None
    embeddings = catalog.embeddings[has_embedding]
    components = np.zeros((embeddings.shape[1], width))
    mean = embeddings.mean(axis=0, dtype=np.float64)
    centred = embeddings - mean
    rank = _numerical_rank(centred, mean)
    if rank == 0:  # all embeddings are equal: they differ in no direction, and scaling would magnify rounding errors
        return Projection(mean.astype(np.float32), components.astype(np.float32))
    # imported here, because scikit-learn loads slowly and few processes fit a reduction
    from jobs.models.reductions import REDUCTIONS

    transformer = REDUCTIONS[reduction](min(width, rank), shrinkage, seed)
    if reduction == "lda":
        labels = _categories_for_lda(catalog)[has_embedding]
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


def _numerical_rank(centred_rows: Doubles, mean_row: Doubles) -> int:
    """Count the principal directions in which the centred rows differ by more than float32's rounding errors."""
    covariance = centred_rows.T @ centred_rows / len(centred_rows)
    smallest = 10 * np.finfo(np.float32).eps * np.sqrt(np.trace(covariance) + mean_row @ mean_row)
    return int((np.sqrt(np.linalg.eigvalsh(covariance).clip(min=0)) > smallest).sum())


def _categories_for_lda(catalog: Catalog) -> Texts:
    """Return each item's category, "" for none; refuse LDA if items or categories are too few for it."""
    labels = catalog.categories if len(catalog.categories) else np.full(len(catalog), "", np.object_)
    labelled = labels[catalog.has_embedding_mask & (labels != "")]
    if not 2 <= len(np.unique(labelled)) < len(labelled):
        raise UnusableParametersError(
            "reduction 'lda' needs items of at least two categories, and more items than categories: the "
            f"{len(labelled)} items with a category and an embedding have {len(np.unique(labelled))}. "
            "Fill in the catalogue's category, or choose another reduction"
        )
    return labels
