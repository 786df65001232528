"""LLMSeqSim: recommend what is near the sequence's items in the LLM's embedding space.

Harte et al. 2023 (arXiv 2309.09261), section 3.1; the decays are those of the extended paper (arXiv 2402.01339).
"""

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from jobs.errors import UsageError
from jobs.models.base import Cases, Catalog, Fitting, Floats, Longs, Model, Scorer, State, VectorScorer
from jobs.sequences import Sequences

# weight of the j-th newest item of a sequence, j = 1 for the last
DECAYS: dict[str, Callable[[Longs], Floats]] = {
    "last": lambda j: (j == 1).astype(np.float32),
    "mean": lambda j: np.ones(len(j), np.float32),
    "harmonic": lambda j: (1 / j).astype(np.float32),
    "squared_harmonic": lambda j: (1 / j**2).astype(np.float32),
}


class LLMSeqSim(Model):
    """Score = cosine of an item with the weighted mean of the sequence's items. Nothing is trained."""

    family = "llmseqsim"
    defaults = {"decay": "squared_harmonic"}
    uses_embeddings = True

    def fit(self, train_sequences: Sequences, validation: Cases, catalog: Catalog, fitting: Fitting) -> None:
        """Check the parameters: the embeddings are all there is."""
        if self.parameters["decay"] not in DECAYS:
            raise UsageError(f"llmseqsim's decay must be one of {', '.join(DECAYS)}")

    def state(self) -> State:
        """Return nothing: the vectors live in ml.embeddings."""
        return {}

    def restore(self, state: State, trained_on: Catalog) -> None:
        """Take back nothing."""

    def scorer(self, catalog: Catalog) -> Scorer:
        """Score every item with an embedding, cold ones included."""
        vectors = functional.normalize(torch.from_numpy(catalog.embeddings), dim=1)
        decay = DECAYS[self.parameters["decay"]]

        def queries(sequences: Sequences) -> Tensor:
            age = np.repeat(sequences.offsets[1:], sequences.lengths) - np.arange(len(sequences.items))
            weighted = vectors[sequences.items] * torch.from_numpy(decay(age))[:, None]
            means = torch.zeros(len(sequences), vectors.shape[1])
            means.index_add_(0, torch.from_numpy(sequences.rows()), weighted)
            return functional.normalize(means, dim=1)

        return VectorScorer(queries, vectors, catalog.has_embedding)
