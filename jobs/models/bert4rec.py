"""BERT4Rec, and LLM2BERT4Rec, which differs in one thing: where the item vectors start.

BERT4Rec: Sun et al. 2019 (arXiv 1904.06690). LLM2BERT4Rec: Harte et al. 2023 (arXiv 2309.09261), section 3.3.
"""

from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from jobs.metrics import target_ranks
from jobs.models.base import Cases, Catalog, Fitting, Floats, Longs, Model, Scorer, State, device, recommend
from jobs.models.initial_vectors import Projection, fit_pca
from jobs.models.training import train
from jobs.models.transformer import Transformer
from jobs.sequences import Sequences


class Network(nn.Module):
    """Item table, mask vector, transformer, and the head whose output is compared with the table."""

    def __init__(self, table: Tensor, blocks: int, heads: int, window: int, dropout: float) -> None:
        super().__init__()
        width = table.shape[1]
        self.table = nn.Parameter(table)
        self.mask = nn.Parameter(torch.randn(width) * table.std())
        self.transformer = Transformer(width, blocks, heads, window, dropout)
        self.head = nn.Sequential(nn.Linear(width, width), nn.GELU(), nn.LayerNorm(width))

    def forward(self, table: Tensor, items: Tensor, wanted: Tensor) -> Tensor:
        """Return the head's output at the wanted positions.

        Parameters
        ----------
        table : float (items, width)
            The vectors to read, usually ``self.table``.
        items : int64 (rows, length)
            Row of the table; MASK and PADDING stand for themselves.
        wanted : bool (rows, length)
            Positions to compute, so that the costly product is made for these alone.
        """
        vectors = functional.embedding(items.clamp(min=0), table)
        vectors = torch.where((items == MASK)[:, :, None], self.mask, vectors)
        return self.head(self.transformer(vectors, items != PADDING)[wanted])  # type: ignore[no-any-return]


MASK, PADDING = -1, -2


class BERT4Rec(Model):
    """Fill in masked items of a sequence from both sides; at the end, the item that comes next."""

    family = "bert4rec"
    defaults = {
        "width": 128,
        "blocks": 2,
        "heads": 2,
        "window": 20,  # the paper's; a longer one gains nothing where sequences are short
        "dropout": 0.2,
        "mask_probability": 0.4,
        "random_copies": 1,  # randomly masked copies of a sequence an epoch, beside the one with its last item masked
        "initial_std": 0.05,  # of the item table's entries
        "batch_size": 256,
        "learning_rate": 1e-3,
        "weight_decay": 0.01,
        "epochs": 40,
        "patience": 3,
    }

    def fit(self, train_sequences: Sequences, validation: Cases, catalog: Catalog, fitting: Fitting) -> None:
        """Train until ``validation`` no longer gains."""
        with torch.random.fork_rng():
            torch.manual_seed(fitting.seed)
            self.trained_on = catalog
            self.vocabulary = np.unique(train_sequences.items)
            self.projection = self._project(catalog)
            self.network = self._make_network(self._initial_table(catalog, fitting.seed)).to(device())
        local = np.full(len(catalog), -1, np.int32)
        local[self.vocabulary] = np.arange(len(self.vocabulary))
        rows = Sequences(local[train_sequences.items], train_sequences.offsets).last(self.parameters["window"])
        rows = rows.take(rows.lengths >= 2)  # one item has nothing to be predicted from
        train(
            self.network,
            lambda generator: masked_batches(rows, self.parameters, generator),
            self._loss,
            lambda: self._validation_score(validation, catalog),
            self.parameters,
            fitting,
            f"training {self.family}",
        )

    def _project(self, catalog: Catalog) -> Projection | None:
        return None

    def _initial_table(self, catalog: Catalog, seed: int) -> Floats:
        size = (len(self.vocabulary), self.parameters["width"])
        table = np.random.default_rng(seed).standard_normal(size, dtype=np.float32)
        return table * np.float32(self.parameters["initial_std"])

    def _make_network(self, table: Floats) -> Network:
        p = self.parameters
        return Network(torch.from_numpy(table), p["blocks"], p["heads"], p["window"], p["dropout"])

    def _loss(self, batch: tuple[Tensor, Tensor]) -> Tensor:
        items, targets = (part.to(device()) for part in batch)
        wanted = targets != PADDING
        found = self.network(self.network.table, items, wanted)
        return functional.cross_entropy(found @ self.network.table.T, targets[wanted])

    def _validation_score(self, cases: Cases, catalog: Catalog) -> float:
        # nDCG@20 with one relevant item: 1 / log2(rank + 1)
        if len(cases.targets) == 0:
            return 0.0
        _, lists = recommend(self.scorer(catalog), cases.inputs, 20)
        ranks = target_ranks(lists, cases.targets)
        return float(np.where(ranks > 0, 1 / np.log2(ranks + 1.0, where=ranks > 0, out=np.ones(len(ranks))), 0).mean())

    def state(self) -> State:
        """Return the network's weights, the vocabulary, and the projection where there is one."""
        weights = {f"network.{name}": value.cpu().numpy() for name, value in self.network.state_dict().items()}
        projection = self.projection.state() if self.projection else {}
        return {"vocabulary": self.vocabulary, **weights, **projection}

    def restore(self, state: State, trained_on: Catalog) -> None:
        """Take back a state."""
        self.trained_on = trained_on
        self.vocabulary = state["vocabulary"]
        self.projection = Projection.from_state(state) if "projection.mean" in state else None
        self.network = self._make_network(state["network.table"])
        weights = {
            name.removeprefix("network."): torch.from_numpy(value)
            for name, value in state.items()
            if name.startswith("network.")
        }
        self.network.load_state_dict(weights)
        self.network.to(device()).eval()

    def scorer(self, catalog: Catalog) -> Scorer:
        """Score trained items, and with a projection cold ones too, by the vector they would have started from."""
        width = self.parameters["width"]
        vectors = np.zeros((len(catalog), width), np.float32)
        known = np.zeros(len(catalog), np.bool_)
        place = catalog.find(self.trained_on.item_ids[self.vocabulary])
        trained = self.network.table.detach().cpu().numpy()[place >= 0]
        place = place[place >= 0]
        if self.projection:
            known = catalog.has_embedding.copy()
            vectors[known] = self.projection(catalog.embeddings[known])
            # training lengthens vectors, and longer ones score higher: cold items are lengthened alike
            grown = np.linalg.norm(trained), np.linalg.norm(vectors[place])
            vectors *= grown[0] / grown[1] if min(grown) > 0 else 1
        vectors[place] = trained
        known[place] = True
        table = torch.from_numpy(vectors).to(device())
        self.network.eval()

        @torch.inference_mode()
        def queries(sequences: Sequences) -> Tensor:
            readable = sequences.keep(known).last(self.parameters["window"] - 1)
            found = torch.zeros(len(sequences), width, device=device())
            # rows of one length are computed together: no time goes into padding
            for length in np.unique(readable.lengths[readable.lengths > 0]):
                rows = np.flatnonzero(readable.lengths == length)
                items = torch.from_numpy(readable.take(rows).padded(PADDING)).long()
                items = functional.pad(items, (0, 1), value=MASK).to(device())
                wanted = torch.zeros_like(items, dtype=torch.bool)
                wanted[:, -1] = True
                found[rows] = self.network(table, items, wanted)
            return found

        return Scorer(queries, table, known)


class LLM2BERT4Rec(BERT4Rec):
    """BERT4Rec whose item table starts from the LLM's embeddings, reduced by PCA."""

    family = "llm2bert4rec"
    uses_embeddings = True

    def _project(self, catalog: Catalog) -> Projection | None:
        if not catalog.has_embedding.any():
            return None
        return fit_pca(
            catalog.embeddings[catalog.has_embedding],
            self.parameters["width"],
            self.parameters["initial_std"],
        )

    def _initial_table(self, catalog: Catalog, seed: int) -> Floats:
        table = super()._initial_table(catalog, seed)
        given = catalog.has_embedding[self.vocabulary]
        if self.projection:
            table[given] = self.projection(catalog.embeddings[self.vocabulary[given]])
        return table


def masked_batches(
    rows: Sequences, parameters: dict[str, Any], generator: np.random.Generator
) -> Iterator[tuple[Tensor, Tensor]]:
    """Yield (items, targets), int64 (rows, length) each; targets are PADDING where nothing is asked."""
    size, copies, probability = (parameters[name] for name in ("batch_size", "random_copies", "mask_probability"))
    # copy 0 has its last item masked, as when recommending: without it BERT4Rec never learns that position
    copy = np.repeat(np.arange(1 + copies), len(rows))
    row = np.tile(np.arange(len(rows)), 1 + copies)
    for chosen in _batches_of_like_length(rows.lengths[row], size, generator):
        items = rows.take(row[chosen]).padded(PADDING).astype(np.int64)
        draw = generator.random(items.shape)
        draw[items == PADDING] = 2
        masked = draw < probability
        masked[np.arange(len(items)), draw.argmin(axis=1)] = True  # at least one
        last_only = copy[chosen] == 0
        masked[last_only] = False
        masked[last_only, -1] = True
        targets = np.where(masked, items, PADDING)
        yield torch.from_numpy(np.where(masked, MASK, items)), torch.from_numpy(targets)


def _batches_of_like_length(lengths: Longs, size: int, generator: np.random.Generator) -> list[Longs]:
    """Cut a random order into batches whose rows have nearly one length, in random order."""
    order = np.lexsort((generator.random(len(lengths)), lengths))
    batches = [order[start : start + size] for start in range(0, len(order), size)]
    return [batches[place] for place in generator.permutation(len(batches))]
