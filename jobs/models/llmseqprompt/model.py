"""LLMSeqPrompt: a language model that was fine-tuned on sequences of names is asked which name comes next.

Sources: Harte et al. 2023 (arXiv 2309.09261), section 3.2, and for the variants the paper's extended version (arXiv
2402.01339). Two details follow the paper, not its released code: names are ranked by frequency, and items of the prompt
are not recommended.
"""

from collections.abc import Mapping
from importlib import import_module
from typing import Any

import numpy as np

from jobs.core.arrays import Longs, State
from jobs.core.cases import Cases
from jobs.core.catalog import Catalog
from jobs.core.sequences import Sequences
from jobs.errors import UnusableParametersError, UsageError
from jobs.language_models.chat_model_weights import require_lora_package
from jobs.language_models.language_model import LanguageModel, Sampling
from jobs.language_models.paid_services import PaidServices
from jobs.models.base import FitOptions, Model
from jobs.models.llmseqprompt.item_clusters import Clusters
from jobs.models.llmseqprompt.prompts import VARIANTS
from jobs.models.llmseqprompt.questions import QuestionWriter, item_names
from jobs.models.llmseqprompt.scorer import PromptScorer
from jobs.models.llmseqsim import LLMSeqSim
from jobs.models.scorer import Scorer, VectorScorer

# Hyper-parameters that change how the language model is asked for recommendations, but not how it is fine-tuned.
ASKING_PARAMETERS = ("mapping", "constrained", "samples", "temperature")
# Default number of answers to each question: 20 if an answer is one name, 1 if an answer is a list of names.
ITEM_SAMPLES, LIST_SAMPLES = 20, 1
# The most tokens that a language model may write in one answer: for a name, and for a list of names.
ITEM_TOKENS, LIST_TOKENS = 50, 1000


class LLMSeqPrompt(Model):
    """Recommends the items that a language model names in its answers, the most frequently named first.

    Lists are filled up with the items that LLMSeqSim recommends for the same sequence; otherwise, lists at a low
    temperature would have few items. The code of the paper (arXiv 2309.09261) also fills lists, with the items whose
    embeddings are nearest to repeated answers.
    """

    family = "llmseqprompt"
    defaults = {
        "provider": "local",  # the language model runs on this machine (local) or at the service of OpenAI (openai)
        # the name of the bundled model or of a model of OpenAI, or a chat model's folder
        "language_model": "SmolLM2-135M-Instruct",
        "variant": "item",  # the kind of question: `item`, `list`, `classify` or `rank`, as described in prompts.py
        "mapping": "embedding",  # made-up names are replaced by embedding or by spelling (fuzzy), or dropped (none)
        # whether answers can only be names of the catalogue; only with the provider `local` and the variant `item`
        "constrained": False,
        "samples": 0,  # number of answers for each sequence; 0 means 20 for the variant `item` and 1 for other variants
        "temperature": 0.25,
        "window": 20,  # number of a sequence's newest names that a question shows
        "training_limit": 0,  # number of newest training sequences used for fine-tuning; 0 means all
        "epochs": 3,
        # Hyper-parameters of a local language model are explained in jobs/language_models/local_model.py.
        "patience": 3,
        "batch_size": 8,
        "learning_rate": 5e-4,
        "weight_decay": 0.0,
        "lora_rank": 8,
    }
    allowed_values = {"provider": ["local", "openai"], "variant": VARIANTS, "mapping": ["embedding", "fuzzy", "none"]}
    uses_embeddings = True
    event_counts: Longs
    language_model: LanguageModel

    def __init__(
        self, hyperparameters: Mapping[str, Any] | None = None, paid_services: PaidServices | None = None
    ) -> None:
        super().__init__(hyperparameters)
        if self.parameters["constrained"] and (
            self.parameters["provider"] != "local" or self.parameters["variant"] != "item"
        ):
            raise UsageError(
                "llmseqprompt's constrained needs provider = 'local', whose probabilities can be seen, and "
                "variant = 'item', where there is one name to choose"
            )
        self.paid_services = paid_services
        self.clusters: Clusters | None = None

    def can_reuse(self, fitted_model: Model) -> bool:
        """Tell whether the fine-tuned language model of ``fitted_model`` can also serve this model.

        The two models may differ only in how a language model is asked. The result is always False for a
        language model at a service: the warehouse records its fine-tunings, so none of them is repeated anyway.
        """
        return (
            fitted_model.family == self.family
            and self.parameters["provider"] == "local"
            and all(
                fitted_model.parameters[name] == value
                for name, value in self.parameters.items()
                if name not in ASKING_PARAMETERS
            )
        )

    def require_packages(self) -> None:
        """Raise UsageError if a local language model is to be trained and the package for it is not installed."""
        if self.parameters["provider"] == "local":
            require_lora_package()

    def fit(self, train_sequences: Sequences, validation: Cases, catalog: Catalog, fit_options: FitOptions) -> None:
        """Fine-tune the language model to answer the names of a sequence's earlier items with the last target's name.

        Raises
        ------
        UsageError
            If no training sequence has enough names, if ``classify`` finds no embedding, or if the language model is
            missing or may not be paid for.
        """
        self.training_catalog, self.seed = catalog, fit_options.seed
        earlier = fit_options.reusable_models.get(self.family)
        if isinstance(earlier, LLMSeqPrompt) and earlier.seed == self.seed and self.can_reuse(earlier):
            self.event_counts, self.clusters, self.language_model = (
                earlier.event_counts,
                earlier.clusters,
                earlier.language_model,
            )
            return
        self.event_counts = np.bincount(train_sequences.items, minlength=len(catalog)).astype(np.int64)
        if self.parameters["variant"] == "classify":
            if not catalog.has_embedding_mask.any():
                raise UnusableParametersError(
                    "llmseqprompt's variant 'classify' needs items with an embedding: run `nextmart embed`"
                )
            embeddings = _llmseqsim_scorer(catalog).item_vectors.numpy()
            self.clusters = Clusters.from_embeddings(
                item_names(catalog), self.event_counts, embeddings, fit_options.seed
            )
        writer = self._question_writer(catalog, self.event_counts)
        rows = train_sequences.keep_items(writer.item_has_name).cut_after_last_target()
        rows = rows.take(rows.lengths >= 2)
        newest = min(len(rows), self.parameters["training_limit"] or len(rows))
        rows = rows.take(np.arange(len(rows) - newest, len(rows)))
        ends = rows.offsets[1:] - 1
        inputs = Sequences(np.delete(rows.items, ends), rows.offsets - np.arange(len(rows) + 1))
        examples = writer.write_training_examples(inputs, rows.items[ends].astype(np.int64))
        if not examples:
            raise UsageError("llmseqprompt needs training sequences whose items have titles; there are none")
        self.language_model = make_language_model(self.parameters, self.paid_services)
        held_out = writer.write_training_examples(validation.inputs, validation.targets)
        self.language_model.fine_tune(examples, held_out, fit_options.seed, fit_options.checkpoint_file)

    def refit(self, sequences: Sequences, catalog: Catalog, fit_options: FitOptions) -> "LLMSeqPrompt":
        """Return this model unchanged: a second fine-tuning would cost as much time or money as the first."""
        return self

    def state(self) -> State:
        """Return the language model's state, the items' event counts, the seed, and the clusters of ``classify``."""
        learnt = {f"language_model.{name}": value for name, value in self.language_model.state().items()}
        return {
            "counts": self.event_counts,
            "seed": np.array([self.seed], np.int64),
            **learnt,
            **(self.clusters.state() if self.clusters else {}),
        }

    def restore(self, state: State, training_catalog: Catalog) -> None:
        """Load the language model anew, and restore the fitted model from the arrays that :meth:`state` returned."""
        self.training_catalog, self.event_counts, self.seed = training_catalog, state["counts"], int(state["seed"][0])
        self.clusters = Clusters.from_state(state) if "clusters.centres" in state else None
        self.language_model = make_language_model(self.parameters, self.paid_services)
        prefix = "language_model."
        self.language_model.restore(
            {name.removeprefix(prefix): value for name, value in state.items() if name.startswith(prefix)}
        )

    def scorer(self, catalog: Catalog) -> Scorer:
        """Return a scorer that can recommend every item with a title or an embedding, even an item without events."""
        trained_positions = self.training_catalog.find_indices(catalog.item_ids)
        counts = np.where(trained_positions >= 0, self.event_counts[trained_positions], 0)
        asks_for_item = self.parameters["variant"] == "item"
        sampling = Sampling(
            self.parameters["samples"] or (ITEM_SAMPLES if asks_for_item else LIST_SAMPLES),
            self.parameters["temperature"],
            ITEM_TOKENS if asks_for_item else LIST_TOKENS,
            self.seed,
        )
        writer = self._question_writer(catalog, counts)
        return PromptScorer(writer, self.language_model, sampling, self.parameters, self.paid_services)

    def _question_writer(self, catalog: Catalog, event_counts: Longs) -> QuestionWriter:
        return QuestionWriter(
            self.parameters["variant"],
            item_names(catalog),
            event_counts,
            _llmseqsim_scorer(catalog),
            self.clusters,
            self.parameters["window"],
            self.seed,
        )


def _llmseqsim_scorer(catalog: Catalog) -> VectorScorer:
    """Return the scorer of LLMSeqSim with default hyper-parameters for a catalogue; LLMSeqSim needs no training."""
    scorer = LLMSeqSim().scorer(catalog)
    assert isinstance(scorer, VectorScorer)  # noqa: S101 - LLMSeqSim makes no other kind of scorer
    return scorer


def make_language_model(hyperparameters: Mapping[str, Any], paid_services: PaidServices | None) -> LanguageModel:
    """Return the language model that the hyper-parameters of LLMSeqPrompt name, before any fine-tuning.

    Raises
    ------
    UsageError
        If the model is OpenAI's and ``paid_services`` is None: there is no warehouse to record purchases in.
    """
    if hyperparameters["provider"] == "local":
        # The libraries that local_model imports are installed only with the extra 'llm'.
        module = import_module("jobs.language_models.local_model")
        local: LanguageModel = module.LocalModel(hyperparameters["language_model"], hyperparameters)
        return local
    if paid_services is None:
        raise UsageError("llmseqprompt's provider 'openai' needs a warehouse: run it by `nextmart train`")
    module = import_module("jobs.language_models.openai_model")
    openai_model: LanguageModel = module.OpenAIModel(hyperparameters["language_model"], hyperparameters, paid_services)
    return openai_model
