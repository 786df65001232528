"""The common base of trained sequence models: initial item vectors, training, storing, and scoring.

A model family adds its network, its batches and its loss. The ``LLM2…`` version of a family is the same model, except
that its item vectors start from the LLM's embeddings, reduced by PCA (Harte et al. 2023, arXiv 2309.09261, section 3.3)
or another reduction, and that some defaults are chosen to suit such a start.
"""

from abc import abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from jobs.core.arrays import Floats, Longs, State
from jobs.core.cases import NO_CASES, Cases
from jobs.core.catalog import Catalog
from jobs.core.device import device, preserve_random_state
from jobs.core.sequences import Sequences
from jobs.errors import UsageError
from jobs.models.base import FitOptions, Model
from jobs.models.hyperparameter_choice import (
    chosen_parameters_from_state,
    chosen_parameters_to_state,
    set_best_recency_weight,
)
from jobs.models.projection import Projection, fit_projection
from jobs.models.recency_correction import RecencyCorrection
from jobs.models.scorer import Scorer, case_ndcgs, validation_list_length
from jobs.models.sequential.losses import softmax_loss
from jobs.models.sequential.network import SequenceNetwork
from jobs.models.sequential.reasons import ScorerWithLeaveOneOutReasons
from jobs.training import processes
from jobs.training.loop import train
from jobs.training.processes import Batch

# Hyper-parameters, with their defaults, that all families of trained sequence models share. `initial_std` is the
# standard deviation of the initial item vectors' entries, `recency` the weight of the recency correction (1 as derived,
# 0 for none). `item_bias` decides whether each item has a trained bias that is added to its score. `averaging` is the
# decay of the moving average of the network's weights, which spans about the last 1 / (1 - averaging) steps; 0 keeps
# the last step's weights. `epoch_steps` is the least number of training steps in an epoch: an epoch passes over a small
# data set several times, so that a number of epochs is enough training for shops of all sizes. With a `temperature`
# above 0, the score of an item is the cosine of its vector and the predicted vector, divided by the temperature. With 0
# it is their inner product.
SHARED_DEFAULTS = {
    "initial_std": 0.05,
    "recency": 1.0,
    "item_bias": False,
    "temperature": 0.0,
    "batch_size": 128,
    "learning_rate": 1e-3,
    "weight_decay": 0.01,
    "averaging": 0.995,
    "epoch_steps": 50,
}


# Windows that a fit can choose besides the default of 20, and the share of the sequences that should fit whole into the
# window. One pass of SASRec over 1,107 sequences of UCI Online Retail, of 71 items on average, takes 1.6 CPU seconds
# with a window of 20, 2.8 with 50, and 4.8 with 100. If all sequences are shorter than 20, the model is the same with
# each window.
LONGER_WINDOWS = (50, 100)
SHARE_IN_WINDOW = 0.9


def choose_window(sequence_lengths: Longs, smallest_window: int) -> int:
    """Return the smallest window into which nine of ten training sequences fit whole; if there is none, the largest.

    Parameters
    ----------
    sequence_lengths : int64 array (sequences,)
        Number of items of each training sequence.
    smallest_window : int
        The smallest window to choose; the larger ones are ``LONGER_WINDOWS``.
    """
    needed = np.quantile(sequence_lengths, SHARE_IN_WINDOW, method="inverted_cdf") if len(sequence_lengths) else 0
    return next((window for window in (smallest_window, *LONGER_WINDOWS) if window >= needed), LONGER_WINDOWS[-1])


class SequentialModel(Model):
    """A sequence model whose :class:`SequenceNetwork` is trained by gradient descent.

    In a family with ``uses_embeddings``, item vectors start from the LLM's embeddings, so that cold items, which no
    training sequence holds, have a vector too. Such a family adds ``REDUCTION_DEFAULTS`` to its hyper-parameters.

    Raises
    ------
    UsageError
        If the number of attention heads does not divide the width, or for the reasons named at :class:`Model`.
    """

    values_to_try: ClassVar[Mapping[str, Sequence[Any]]] = {"window": (), "recency": ()}
    can_be_cut_short = True
    network: Any

    def __init__(self, hyperparameters: Mapping[str, Any] | None = None) -> None:
        super().__init__(hyperparameters)
        width, heads = self.parameters["width"], self.parameters.get("heads", 1)
        if width % heads:
            raise UsageError(f"{self.family}'s heads must divide its width, as {heads} doesn't {width}")

    @abstractmethod
    def _make_network(self, initial_item_vectors: Floats) -> SequenceNetwork:
        """Return an untrained network with the given initial item vectors, float32 (items, width)."""

    @abstractmethod
    def _batches_of_one_pass(self, sequences: Sequences, generator: np.random.Generator) -> Iterable[Batch]:
        """Draw the batches of one pass over the training sequences, each of which has at least two items.

        Parameters
        ----------
        sequences : Sequences
            Training sequences of row numbers in the table of item vectors, oldest item first.
        """

    @abstractmethod
    def _loss(self, batch: Batch) -> Tensor:
        """Return the loss of a batch: the mean over the items that the network has to predict."""

    @property
    @abstractmethod
    def _max_input_length(self) -> int:
        """Number of newest items of a sequence that the model reads when it recommends."""

    @property
    def _max_training_length(self) -> int:
        """Number of newest items of a training sequence that training uses."""
        return int(self.chosen_parameters["window"])

    def fit(self, train_sequences: Sequences, validation: Cases, catalog: Catalog, fit_options: FitOptions) -> None:
        """Train until the validation nDCG stops improving; without validation cases, train for all epochs.

        ``fit_options.is_time_up`` can end the training before.

        The window is chosen before the training, by the lengths of the training sequences. The weight of the recency
        correction is chosen after the training, on the validation cases.
        """
        if "window" in self.parameters_to_choose:
            self.chosen_parameters["window"] = choose_window(train_sequences.lengths, self.parameters["window"])
        self._train_network(train_sequences, validation, catalog, fit_options, self.parameters["epochs"])
        set_best_recency_weight(self, validation, catalog, fit_options.allow_repeats)

    def refit(self, sequences: Sequences, catalog: Catalog, fit_options: FitOptions) -> "SequentialModel":
        """Return a new model trained on all sequences, for the number of epochs that was best on validation cases."""
        model = type(self)(self.given_parameters)
        model.chosen_parameters = dict(self.chosen_parameters)
        model._train_network(sequences, NO_CASES, catalog, fit_options, self.best_epoch)
        return model

    def _train_network(
        self, train_sequences: Sequences, validation: Cases, catalog: Catalog, fit_options: FitOptions, max_epochs: int
    ) -> None:
        with preserve_random_state():
            torch.manual_seed(fit_options.seed)
            self.training_catalog = catalog
            self.vocabulary = np.unique(train_sequences.items)
            self.recency_correction = RecencyCorrection.from_sequences(train_sequences, catalog)
            self.projection = self._fit_projection(catalog, fit_options.seed)
            self.network = self._make_network_with_optional_bias(
                self._initial_item_vectors(catalog, fit_options.seed)
            ).to(device())
        table_row = np.full(len(catalog), -1, np.int32)
        table_row[self.vocabulary] = np.arange(len(self.vocabulary))
        rows = Sequences(
            table_row[train_sequences.items], train_sequences.offsets, time_numbers=train_sequences.time_numbers
        )
        rows = rows.take(rows.lengths >= 2)  # a sequence's only item has no earlier items to be predicted from
        repeats = fit_options.allow_repeats
        validate = (lambda: self._validation_score(validation, catalog, repeats)) if len(validation.targets) else None
        description = {
            "family": self.family,
            "parameters": self.parameters_in_use,
            "items": len(self.vocabulary),
            "seed": fit_options.seed,
        }
        processes.training_processes.send_model_to_fit(description, rows)
        self.best_epoch = train(
            self.network,
            lambda generator: self._epoch_batches(rows, generator),
            self.loss_share_of_this_process,
            validate,
            {**self.parameters, "epochs": max_epochs},
            f"training {self.family}",
            seed=fit_options.seed,
            checkpoint_file=fit_options.checkpoint_file,
            score_name=f"validation nDCG@{validation_list_length(len(validation.targets))}",
            process_group=processes.training_processes,
            is_time_up=fit_options.is_time_up,
        )

    def prepare_worker_training(
        self, sequences: Sequences, item_count: int
    ) -> Callable[[np.random.Generator], Iterable[Any]]:
        """Prepare this model, on a worker process, to take part in a training that rank 0 (the main process) leads.

        The weights of the new network are placeholders: rank 0 sends the real weights.

        Parameters
        ----------
        sequences : Sequences
            Training sequences of row numbers in the table of item vectors, oldest item first.
        item_count : int
            Number of item vectors.

        Returns
        -------
        numpy Generator -> iterable of batches
            A function that draws one epoch's batches, the same batches as on rank 0.
        """
        placeholders = np.zeros((item_count, self.parameters["width"]), np.float32)
        self.network = self._make_network_with_optional_bias(placeholders).to(device())
        return lambda generator: self._epoch_batches(sequences, generator)

    def _epoch_batches(self, sequences: Sequences, generator: np.random.Generator) -> Iterator[Batch]:
        """Yield an epoch's batches: whole passes over the training sequences, until ``epoch_steps`` batches or more.

        Items of one time, such as the lines of an order, are in no known order, so that each pass draws another one.
        """
        steps = 0
        while len(sequences) and steps < max(1, self.parameters["epoch_steps"]):
            newest = sequences.shuffle_items_of_one_time(generator).keep_last_items(self._max_training_length)
            for batch in self._batches_of_one_pass(newest, generator):
                steps += 1
                yield batch

    def _softmax_loss(self, predicted_vectors: Tensor, targets: Tensor) -> Tensor:
        """Return the mean loss of predicted vectors, float (positions, width), for target items, int64 (positions,)."""
        return softmax_loss(
            predicted_vectors,
            self.network.table,
            targets,
            self.parameters["negatives"],
            item_bias=self.network.bias,
            temperature=self.parameters["temperature"],
            generator=processes.training_processes.shared_generator,
        )

    def loss_share_of_this_process(self, batch: Batch) -> Tensor:
        """Return this process's share of a batch's mean loss; the shares of all processes add up to the mean loss."""
        part, weight = processes.training_processes.take_rows_of_rank(batch)
        return self._loss(part) * weight

    def _make_network_with_optional_bias(self, initial_item_vectors: Floats) -> SequenceNetwork:
        """Return an untrained network with the given item vectors, and zero biases if ``item_bias`` is set."""
        network = self._make_network(initial_item_vectors)
        if self.parameters["item_bias"]:
            network.bias = nn.Parameter(torch.zeros(len(initial_item_vectors)))
        return network

    def _fit_projection(self, catalog: Catalog, seed: int) -> Projection | None:
        """Fit the reduction of embeddings to item vectors; None if the family uses no embeddings or no item has any."""
        if not self.uses_embeddings:
            return None
        p = self.parameters
        return fit_projection(
            catalog,
            p["reduction"],
            p["width"],
            shrinkage=p["shrinkage"],
            seed=seed,
            output_standard_deviation=p["initial_std"],
        )

    def _initial_item_vectors(self, catalog: Catalog, seed: int) -> Floats:
        """Return the initial item vectors, float32 (items, width): reduced embeddings, random for items without one."""
        size = (len(self.vocabulary), self.parameters["width"])
        table = np.random.default_rng(seed).standard_normal(size, dtype=np.float32)
        table *= np.float32(self.parameters["initial_std"])
        if self.projection:
            has_embedding = catalog.has_embedding_mask[self.vocabulary]
            table[has_embedding] = self.projection(catalog.embeddings[self.vocabulary[has_embedding]])
        return table

    def _validation_score(self, validation: Cases, catalog: Catalog, allow_repeats: bool) -> float:
        return float(case_ndcgs(self.scorer(catalog), validation, allow_repeats).mean())

    def state(self) -> State:
        """Return weights, trained items, recency correction, chosen values, and the reduction of embeddings, if any."""
        weights = {f"network.{name}": value.cpu().numpy() for name, value in self.network.state_dict().items()}
        projection = self.projection.state() if self.projection else {}
        chosen = chosen_parameters_to_state(self.chosen_parameters)
        return {"vocabulary": self.vocabulary, **self.recency_correction.state(), **weights, **projection, **chosen}

    def restore(self, state: State, training_catalog: Catalog) -> None:
        """Load the weights and all other arrays that :meth:`state` returned."""
        self.chosen_parameters = chosen_parameters_from_state(state, self.parameters, [*self.values_to_try])
        self.training_catalog = training_catalog
        self.vocabulary = state["vocabulary"]
        self.recency_correction = RecencyCorrection.from_state(state, training_catalog)
        self.projection = Projection.from_state(state)
        self.network = self._make_network_with_optional_bias(state["network.table"])
        weights = {
            name.removeprefix("network."): torch.from_numpy(value)
            for name, value in state.items()
            if name.startswith("network.")
        }
        self.network.load_state_dict(weights)
        self.network.to(device()).eval()

    def scorer(self, catalog: Catalog) -> Scorer:
        """Return a scorer that can recommend every trained item and, if the family uses embeddings, some cold items.

        Cold items are in no training sequence. The scorer can recommend a cold item that has an embedding: the item's
        vector is the reduced embedding, lengthened as training lengthens the trained items' vectors.
        """
        width = self.parameters["width"]
        vectors = np.zeros((len(catalog), width), np.float32)
        has_vector = np.zeros(len(catalog), np.bool_)
        index = catalog.find_indices(self.training_catalog.item_ids[self.vocabulary])
        in_catalog = index >= 0
        trained = self.network.table.detach().cpu().numpy()[in_catalog]
        index = index[in_catalog]
        if self.projection:
            has_vector = catalog.has_embedding_mask.copy()
            vectors[has_vector] = self.projection(catalog.embeddings[has_vector])
            # Training lengthens item vectors, and items with longer vectors score higher, so the vectors of cold items
            # are lengthened by the same factor. Only trained items with an embedding show that factor.
            embedded = has_vector[index]
            norms = np.linalg.norm(trained[embedded]), np.linalg.norm(vectors[index[embedded]])
            vectors *= norms[0] / norms[1] if min(norms) > 0 else 1
        vectors[index] = trained
        has_vector[index] = True
        table = torch.from_numpy(vectors).to(device())
        temperature = self.parameters["temperature"]
        item_bias = self.recency_correction.item_bias(self.chosen_parameters["recency"], catalog)
        item_bias = None if item_bias is None else item_bias.to(device())
        if self.network.bias is not None:
            trained_bias = self.network.bias.detach()
            learnt = trained_bias.mean().repeat(len(catalog))  # a cold item gets the mean bias of the trained items
            learnt[index] = trained_bias[torch.from_numpy(in_catalog)]
            item_bias = learnt if item_bias is None else item_bias + learnt
        self.network.eval()

        @torch.inference_mode()
        def compute_queries(sequences: Sequences) -> Tensor:
            readable = sequences.keep_items(has_vector).keep_last_items(self._max_input_length)
            predicted = torch.zeros(len(sequences), width, device=device())
            # sequences of equal length are computed together, so that no time goes into padding
            for length in np.unique(readable.lengths[readable.lengths > 0]):
                rows = np.flatnonzero(readable.lengths == length)
                items = torch.from_numpy(readable.take(rows).padded_matrix(0)).long().to(device())
                predicted[rows] = self.network.predict_next_vectors(table, items)
            return functional.normalize(predicted, dim=1) / temperature if temperature else predicted

        return ScorerWithLeaveOneOutReasons(
            compute_queries,
            functional.normalize(table, dim=1) if temperature else table,
            has_vector,
            item_bias=item_bias,
            max_input_length=self._max_input_length,
        )
