"""What trained sequence models share: an item table, where it starts, how it is trained, kept and asked.

A family gives its network, its batches and its loss. Its ``LLM2…`` version is the same model, whose item table starts
from the LLM's embeddings, reduced by PCA (Harte et al. 2023, arXiv 2309.09261, section 3.3) or otherwise. Defaults
differ where such a start wants others.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from jobs.core.arrays import Floats, State
from jobs.core.cases import NO_CASES, Cases
from jobs.core.catalog import Catalog
from jobs.core.device import device, fork_random
from jobs.core.sequences import Sequences
from jobs.errors import UsageError
from jobs.models.base import FitContext, Model
from jobs.models.recency import Recency
from jobs.models.reductions import Projection, fit_projection
from jobs.models.scorer import Scorer, ndcg_at_20
from jobs.models.sequential.losses import softmax_loss
from jobs.models.sequential.reasons import LeaveOneOutScorer
from jobs.training import team
from jobs.training.loop import train
from jobs.training.team import Batch


class SequenceNetwork(nn.Module, ABC):
    """A network with an item table; ``next_vectors`` is what recommending asks of it.

    Attributes
    ----------
    table : float (items, width)
    bias : float (items,), or None
        What is added to an item's score whatever the sequence.
    """

    table: nn.Parameter
    bias: nn.Parameter | None

    def __init__(self) -> None:
        super().__init__()
        self.register_parameter("bias", None)

    def for_products(self, found: Tensor) -> tuple[Tensor, Tensor]:
        """Return vectors and table such that their inner products are the scores, the items' biases included.

        With a bias, vectors get a constant 1 as their last column and items their bias: exact top-k and every loss
        stay what they are without one.

        Parameters
        ----------
        found : float (places, width)
        """
        if self.bias is None:
            return found, self.table
        return functional.pad(found, (0, 1), value=1), torch.cat([self.table, self.bias[:, None]], dim=1)

    @abstractmethod
    def next_vectors(self, table: Tensor, items: Tensor) -> Tensor:
        """Return the vectors to compare with the table, of what comes after sequences of one length.

        Parameters
        ----------
        table : float (items, width)
            The vectors to read, usually ``self.table``.
        items : int64 (rows, length)

        Returns
        -------
        float (rows, width)
        """


class SequentialModel(Model):
    """A model with a :class:`SequenceNetwork`.

    With ``uses_embeddings`` the item table starts from the LLM's embeddings, so that cold items have a vector too.
    Such a family adds ``REDUCTION_DEFAULTS`` to its parameters.
    """

    network: Any

    def __init__(self, parameters: Mapping[str, Any] | None = None) -> None:
        super().__init__(parameters)
        width, heads = self.parameters["width"], self.parameters.get("heads", 1)
        if width % heads:
            raise UsageError(f"{self.family}'s heads must divide its width, as {heads} doesn't {width}")

    @abstractmethod
    def _make_network(self, table: Floats) -> SequenceNetwork:
        """Return the untrained network around an item table, float32 (items, width)."""

    @abstractmethod
    def _batches(self, rows: Sequences, generator: np.random.Generator) -> Iterable[Batch]:
        """Draw one epoch's batches of rows of at least two items."""

    @abstractmethod
    def _loss(self, batch: Batch) -> Tensor:
        """Return the mean loss of a batch's targets."""

    @property
    @abstractmethod
    def _longest_input(self) -> int:
        """How many items of a sequence are read, the newest ones."""

    @property
    def _longest_row(self) -> int:
        """How many items of a training sequence are used, the newest ones."""
        return int(self.parameters["window"])

    def fit(self, train_sequences: Sequences, validation: Cases, catalog: Catalog, context: FitContext) -> None:
        """Train until ``validation`` no longer gains; without a case there, for all epochs."""
        self._fit(train_sequences, validation, catalog, context, self.parameters["epochs"])

    def refit(self, sequences: Sequences, catalog: Catalog, context: FitContext) -> "SequentialModel":
        """Return the model trained on all there is, for as many epochs as were best on the validation part."""
        model = type(self)(self.parameters)
        model._fit(sequences, NO_CASES, catalog, context, self.best_epoch)
        return model

    def _fit(
        self, train_sequences: Sequences, validation: Cases, catalog: Catalog, context: FitContext, epochs: int
    ) -> None:
        with fork_random():
            torch.manual_seed(context.seed)
            self.trained_on = catalog
            self.vocabulary = np.unique(train_sequences.items)
            self.recency = Recency.of(train_sequences, catalog)
            self.projection = self._project(catalog, context.seed)
            self.network = self._network_around(self._initial_table(catalog, context.seed)).to(device())
        local = np.full(len(catalog), -1, np.int32)
        local[self.vocabulary] = np.arange(len(self.vocabulary))
        rows = Sequences(local[train_sequences.items], train_sequences.offsets).last(self._longest_row)
        rows = rows.take(rows.lengths >= 2)  # one item has nothing to be predicted from
        repeats = context.allow_repeats
        validate = (lambda: self._validation_score(validation, catalog, repeats)) if len(validation.targets) else None
        facts = {
            "family": self.family,
            "parameters": self.parameters,
            "items": len(self.vocabulary),
            "seed": context.seed,
        }
        team.current.announce(facts, rows)
        self.best_epoch = train(
            self.network,
            lambda generator: self._batches(rows, generator),
            self.shared_loss,
            validate,
            {**self.parameters, "epochs": epochs},
            f"training {self.family}",
            seed=context.seed,
            checkpoint=context.checkpoint,
            team=team.current,
        )

    def prepare(self, rows: Sequences, items: int) -> Callable[[np.random.Generator], Iterable[Any]]:
        """Make a network for so many items, whose weights are to come, and return what draws an epoch's batches."""
        self.network = self._network_around(np.zeros((items, self.parameters["width"]), np.float32)).to(device())
        return lambda generator: self._batches(rows, generator)

    def _softmax_loss(self, found: Tensor, targets: Tensor) -> Tensor:
        """Return the mean loss of the targets, int64 (places,), by the vectors found there, float (places, width)."""
        found, table = self.network.for_products(found)
        return softmax_loss(found, table, targets, self.parameters["negatives"], team.current.generator)

    def shared_loss(self, batch: Batch) -> Tensor:
        """Return the part that this rank has of a batch's mean loss: alone, all of it."""
        own, weight = team.current.share(batch)
        return self._loss(own) * weight

    def _network_around(self, table: Floats) -> SequenceNetwork:
        network = self._make_network(table)
        if self.parameters["item_bias"]:
            network.bias = nn.Parameter(torch.zeros(len(table)))
        return network

    def _project(self, catalog: Catalog, seed: int) -> Projection | None:
        if not self.uses_embeddings:
            return None
        p = self.parameters
        return fit_projection(
            catalog,
            p["reduction"],
            p["width"],
            shrinkage=p["shrinkage"],
            seed=seed,
            standard_deviation=p["initial_std"],
        )

    def _initial_table(self, catalog: Catalog, seed: int) -> Floats:
        size = (len(self.vocabulary), self.parameters["width"])
        table = np.random.default_rng(seed).standard_normal(size, dtype=np.float32)
        table *= np.float32(self.parameters["initial_std"])
        if self.projection:
            given = catalog.has_embedding[self.vocabulary]
            table[given] = self.projection(catalog.embeddings[self.vocabulary[given]])
        return table

    def _validation_score(self, cases: Cases, catalog: Catalog, allow_repeats: bool) -> float:
        return ndcg_at_20(self.scorer(catalog), cases, allow_repeats)

    def state(self) -> State:
        """Return the network's weights, the vocabulary, items' recency, and the projection where there is one."""
        weights = {f"network.{name}": value.cpu().numpy() for name, value in self.network.state_dict().items()}
        projection = self.projection.state() if self.projection else {}
        return {"vocabulary": self.vocabulary, **self.recency.state(), **weights, **projection}

    def restore(self, state: State, trained_on: Catalog) -> None:
        """Take back a state."""
        self.trained_on = trained_on
        self.vocabulary = state["vocabulary"]
        self.recency = Recency.from_state(state, trained_on)
        self.projection = Projection.from_state(state)
        self.network = self._network_around(state["network.table"])
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
        in_catalog = place >= 0
        trained = self.network.table.detach().cpu().numpy()[in_catalog]
        place = place[in_catalog]
        if self.projection:
            known = catalog.has_embedding.copy()
            vectors[known] = self.projection(catalog.embeddings[known])
            # training lengthens vectors, and longer ones score higher: cold items are lengthened alike
            grown = np.linalg.norm(trained), np.linalg.norm(vectors[place])
            vectors *= grown[0] / grown[1] if min(grown) > 0 else 1
        vectors[place] = trained
        known[place] = True
        table = torch.from_numpy(vectors).to(device())
        biases = self.recency.bias(self.parameters["recency"], catalog)
        biases = None if biases is None else biases.to(device())
        if self.network.bias is not None:
            bias = self.network.bias.detach()
            learnt = bias.mean().repeat(len(catalog))  # a cold item's: as with the length of its vector
            learnt[place] = bias[torch.from_numpy(in_catalog)]
            biases = learnt if biases is None else biases + learnt
        self.network.eval()

        @torch.inference_mode()
        def queries(sequences: Sequences) -> Tensor:
            readable = sequences.keep(known).last(self._longest_input)
            found = torch.zeros(len(sequences), width, device=device())
            # rows of one length are computed together: no time goes into padding
            for length in np.unique(readable.lengths[readable.lengths > 0]):
                rows = np.flatnonzero(readable.lengths == length)
                items = torch.from_numpy(readable.take(rows).padded(0)).long().to(device())
                found[rows] = self.network.next_vectors(table, items)
            return found

        return LeaveOneOutScorer(queries, table, known, item_bias=biases, longest_input=self._longest_input)
