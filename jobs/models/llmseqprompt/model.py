"""LLMSeqPrompt: a language model, fine-tuned on sequences of names, is asked what comes next.

Harte et al. 2023 (arXiv 2309.09261), section 3.2, and its extended version (arXiv 2402.01339), from which the variants
come. Two things differ from the released code, as the paper means them: names are ranked by frequency, and the items of
the prompt are left out.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from importlib import import_module
from typing import Any

import numpy as np

from jobs.core.arrays import Bools, Floats, Ints, Longs, State
from jobs.core.cases import Cases
from jobs.core.catalog import Catalog
from jobs.core.sequences import Sequences
from jobs.errors import UsageError
from jobs.language_models.language_model import LanguageModel, Sampling
from jobs.language_models.services import Services
from jobs.models.base import FitContext, Model
from jobs.models.llmseqprompt.prompts import VARIANTS, quoted, read_answer
from jobs.models.llmseqprompt.questions import Clusters, Question, Tasks, names_of
from jobs.models.llmseqprompt.rank_answers import ByEmbedding, BySpelling, Replace, Tally, drop, rank_answers
from jobs.models.llmseqsim import LLMSeqSim
from jobs.models.scorer import Scorer, VectorScorer

ROWS_AT_ONCE = 512  # sequences asked about together: their lists of free items are held side by side
WHEN_ASKED = ("mapping", "constrained", "samples", "temperature")  # parameters that change nothing of what is learnt
ITEM_SAMPLES, LIST_SAMPLES = 20, 1  # a list is a ranking by itself
ITEM_TOKENS, LIST_TOKENS = 50, 1000  # of the longest answer


class LLMSeqPrompt(Model):
    """Items whose names a language model answers, the most often named first.

    Behind them, where a list isn't full, stand the items that LLMSeqSim finds for the same sequence. The paper's code
    fills lists, too, with what is near in the embedding space, there near to repeated answers. Without it a low
    temperature gives lists of a few items.
    """

    family = "llmseqprompt"
    defaults = {
        "provider": "local",
        "language_model": "SmolLM2-135M-Instruct",  # the bundled one, a folder, or a model of the service
        "variant": "item",  # what is asked for: item, list, classify, rank
        "mapping": "embedding",  # a made-up name becomes the item nearest by embedding, by spelling (fuzzy), or none
        "constrained": False,  # the likeliest of the catalogue's names instead of free answers (local, item)
        "samples": 0,  # answers a sequence; 0: 20 of one item, or 1 list
        "temperature": 0.25,
        "window": 20,
        "training_limit": 0,  # so many of the newest training sequences are learnt from; 0: all
        "epochs": 3,
        # of a local model, see its reasons in jobs/language_models/local_model.py
        "patience": 3,
        "batch_size": 8,
        "learning_rate": 5e-4,
        "weight_decay": 0.0,
        "lora_rank": 8,
    }
    allowed = {"provider": ["local", "openai"], "variant": VARIANTS, "mapping": ["embedding", "fuzzy", "none"]}
    uses_embeddings = True
    counts: Longs
    language_model: LanguageModel

    def __init__(self, parameters: Mapping[str, Any] | None = None, services: Services | None = None) -> None:
        super().__init__(parameters)
        if self.parameters["constrained"] and (
            self.parameters["provider"] != "local" or self.parameters["variant"] != "item"
        ):
            raise UsageError(
                "llmseqprompt's constrained needs provider = 'local', whose probabilities can be seen, and "
                "variant = 'item', where there is one name to choose"
            )
        self.services = services
        self.clusters: Clusters | None = None

    def can_reuse(self, fitted: Model) -> bool:
        """Take the language model of one that is only asked otherwise.

        Not a service's: the warehouse holds what that has learnt.
        """
        return (
            fitted.family == self.family
            and self.parameters["provider"] == "local"
            and all(
                fitted.parameters[name] == value for name, value in self.parameters.items() if name not in WHEN_ASKED
            )
        )

    def fit(self, train_sequences: Sequences, validation: Cases, catalog: Catalog, context: FitContext) -> None:
        """Fine-tune the language model on each sequence's last item."""
        self.trained_on, self.seed = catalog, context.seed
        before = context.fitted.get(self.family)
        if isinstance(before, LLMSeqPrompt) and before.seed == self.seed and self.can_reuse(before):
            self.counts, self.clusters, self.language_model = before.counts, before.clusters, before.language_model
            return
        self.counts = np.bincount(train_sequences.items, minlength=len(catalog)).astype(np.int64)
        if self.parameters["variant"] == "classify":
            if not catalog.has_embedding.any():
                raise UsageError(
                    "llmseqprompt's variant 'classify' needs items with an embedding: run `nextmart embed`"
                )
            vectors = self._near(catalog).item_vectors.numpy()
            self.clusters = Clusters.fit(names_of(catalog), self.counts, vectors, context.seed)
        tasks = self._tasks(catalog, self.counts)
        rows = train_sequences.keep(tasks.named)
        rows = rows.take(rows.lengths >= 2)
        newest = min(len(rows), self.parameters["training_limit"] or len(rows))
        rows = rows.take(np.arange(len(rows) - newest, len(rows)))
        ends = rows.offsets[1:] - 1
        inputs = Sequences(np.delete(rows.items, ends), rows.offsets - np.arange(len(rows) + 1))
        examples = tasks.training(inputs, rows.items[ends].astype(np.int64))
        if not examples:
            raise UsageError("llmseqprompt needs training sequences whose items have titles; there are none")
        self.language_model = make_language_model(self.parameters, self.services)
        self.language_model.fine_tune(
            examples, tasks.training(validation.inputs, validation.targets), context.seed, context.checkpoint
        )

    def refit(self, sequences: Sequences, catalog: Catalog, context: FitContext) -> "LLMSeqPrompt":
        """Return the model as it is: a second fine-tuning would cost, in time or money, as much as the first."""
        return self

    def state(self) -> State:
        """Return what the language model learnt, how popular items are, and the groups of ``classify``."""
        learnt = {f"language_model.{name}": value for name, value in self.language_model.state().items()}
        return {
            "counts": self.counts,
            "seed": np.array([self.seed], np.int64),
            **learnt,
            **(self.clusters.state() if self.clusters else {}),
        }

    def restore(self, state: State, trained_on: Catalog) -> None:
        """Take back a state; a local language model is loaded for it."""
        self.trained_on, self.counts, self.seed = trained_on, state["counts"], int(state["seed"][0])
        self.clusters = Clusters.from_state(state) if "clusters.centres" in state else None
        self.language_model = make_language_model(self.parameters, self.services)
        prefix = "language_model."
        self.language_model.restore(
            {name.removeprefix(prefix): value for name, value in state.items() if name.startswith(prefix)}
        )

    def scorer(self, catalog: Catalog) -> Scorer:
        """Recommend items with a title or an embedding, cold ones included."""
        place = self.trained_on.find(catalog.item_ids)
        counts = np.where(place >= 0, self.counts[place], 0)
        tasks = self._tasks(catalog, counts)
        is_item = self.parameters["variant"] == "item"
        sampling = Sampling(
            self.parameters["samples"] or (ITEM_SAMPLES if is_item else LIST_SAMPLES),
            self.parameters["temperature"],
            ITEM_TOKENS if is_item else LIST_TOKENS,
            self.seed,
        )
        return PromptScorer(tasks, self.language_model, sampling, self.parameters, self.services)

    def _tasks(self, catalog: Catalog, counts: Longs) -> Tasks:
        parameters = self.parameters
        return Tasks(
            parameters["variant"], names_of(catalog), counts, self._near(catalog), self.clusters, parameters["window"],
            self.seed,
        )  # fmt: skip

    def _near(self, catalog: Catalog) -> VectorScorer:
        near = LLMSeqSim().scorer(catalog)
        assert isinstance(near, VectorScorer)  # noqa: S101 - it is
        return near


def make_language_model(parameters: Mapping[str, Any], services: Services | None) -> LanguageModel:
    """Return the untrained language model that the parameters name.

    Raises
    ------
    UsageError
        If it is a service's and there is no warehouse to keep what is bought.
    """
    if parameters["provider"] == "local":
        module = import_module("jobs.language_models.local_model")  # its libraries are an extra
        local: LanguageModel = module.LocalModel(parameters["language_model"], parameters)
        return local
    if services is None:
        raise UsageError("llmseqprompt's provider 'openai' needs a warehouse: run it by `nextmart train`")
    service: LanguageModel = import_module("jobs.language_models.openai_model").OpenAIModel(
        parameters["language_model"], parameters, services
    )
    return service


@dataclass
class PromptScorer(Scorer):
    """Asks about sequences and ranks what is named; LLMSeqSim fills lists and gives reasons.

    A score above 0 is the share of the answers that name the item (:func:`rank_answers`). Those of
    LLMSeqSim's items are their cosine less 1, so at most 0. The reason is the sequence's item nearest by embedding
    to the recommended one, which is not what the language model thought.
    """

    tasks: Tasks
    language_model: LanguageModel
    sampling: Sampling
    parameters: Mapping[str, Any]
    services: Services | None
    tally: Tally = field(default_factory=Tally)

    def __post_init__(self) -> None:
        self.recommendable = self.tasks.named | self.tasks.near.recommendable

    def rates(self) -> dict[str, float]:
        """Return the shares of invalid answers, of repeated names and of made-up ones so far, see :class:`Tally`."""
        return {} if self.parameters["constrained"] else self.tally.rates()

    def top(self, sequences: Sequences, k: int, exclude: Sequences | None, allowed: Bools) -> tuple[Floats, Ints]:
        """Ask about each sequence, once about equal ones."""
        scores = np.full((len(sequences), k), -np.inf, np.float32)
        items = np.full((len(sequences), k), -1, np.int32)
        for start in range(0, len(sequences), ROWS_AT_ONCE):
            rows = np.arange(start, min(start + ROWS_AT_ONCE, len(sequences)))
            chosen, excluded = sequences.take(rows), None if exclude is None else exclude.take(rows)
            slates = self._slates(chosen, k, excluded, allowed)
            taken = [[*(() if excluded is None else excluded[row]), *named] for row, (named, _) in enumerate(slates)]
            filling = self.tasks.near.top(
                chosen, k, Sequences.from_lists(taken), allowed & self.tasks.near.recommendable
            )
            for row, (named, shares) in enumerate(slates):
                found = filling[1][row] >= 0
                own = np.minimum(filling[0][row][found] - 1, 0)
                items[start + row], scores[start + row] = (
                    _padded([*named, *filling[1][row][found]], k, -1),
                    _padded([*shares, *own], k, -np.inf),
                )
        return scores, items

    def reasons(self, sequences: Sequences, items: Ints, allowed: Bools | None = None) -> Ints:
        """Name the item of the sequence with the nearest embedding; -1 for items without one."""
        known = (items >= 0) & self.tasks.near.recommendable[items]
        return self.tasks.near.reasons(sequences, np.where(known, items, -1).astype(np.int32))

    def _slates(
        self, sequences: Sequences, k: int, exclude: Sequences | None, allowed: Bools
    ) -> list[tuple[list[int], list[float]]]:
        usable = allowed & self.tasks.named
        questions = self.tasks.asking(sequences, allowed)
        # constrained answers name a sequence's own items too, mostly those they were shown, which are dropped later;
        # as many for all, since the number of beams decides what is found: a list must not depend on who is beside
        own = 0 if exclude is None else self.tasks.window
        samples = self._ask(questions, k + own, usable)
        replacement = self._replacement(questions, samples)
        slates: list[tuple[list[int], list[float]]] = []
        for row, (question, answers) in enumerate(zip(questions, samples, strict=True)):
            if question is None:
                slates.append(([], []))
                continue
            free = usable.copy()
            if exclude is not None:
                free[exclude[row]] = False
            if self.tasks.variant == "rank":  # only what was shown may be meant
                shown = np.zeros_like(free)
                shown[[item for items in question.known.values() for item in items]] = True
                free &= shown
            self.tally.count(answers, question.known)
            named, shares = rank_answers(answers, question.known, free, replacement(question))
            slates.append((named[:k], shares[:k]))
        return slates

    def _ask(self, questions: list[Question | None], longest: int, usable: Bools) -> list[list[list[str]]]:
        """Return the names in each answer to each question; ``longest``: names of a constrained answer."""
        asked = list(dict.fromkeys(question.conversation for question in questions if question))
        if self.parameters["constrained"]:
            names = [name for name, items in self.tasks.known.items() if usable[items].any()]
            wanted = min(len(names), longest)
            chosen = self.language_model.choose(asked, [quoted(name) for name in names], wanted) if names else []
            answers = [[[names[place] for place in places]] for places in chosen] or [[] for _ in asked]
        else:
            texts = self.language_model.answer(asked, self.sampling) if asked else []
            variant = self.parameters["variant"]
            answers = [[read_answer(variant, text) for text in drawn] for drawn in texts]
        by_conversation = dict(zip(asked, answers, strict=True))
        return [by_conversation[question.conversation] if question else [] for question in questions]

    def _replacement(
        self, questions: list[Question | None], samples: list[list[list[str]]]
    ) -> Callable[[Question], Replace]:
        """Return what replaces made-up names, for a question."""
        if self.parameters["mapping"] == "fuzzy":
            return lambda question: self._fuzzy if question.known is self.tasks.known else BySpelling(question.known)
        made_up = {
            name
            for question, answers in zip(questions, samples, strict=True) if question
            for names in answers for name in names if name not in question.known
        }  # fmt: skip
        wanted = bool(made_up) and self.parameters["mapping"] == "embedding"
        vectors = self.services.name_vectors(sorted(made_up)) if self.services and wanted else {}
        replace: Replace = ByEmbedding(self.tasks.near.item_vectors.numpy(), vectors) if vectors else drop
        return lambda _: replace

    @cached_property
    def _fuzzy(self) -> BySpelling:
        return BySpelling(self.tasks.known)


def _padded(values: list[Any], k: int, fill: float) -> list[Any]:
    return [*values[:k], *[fill] * (k - len(values))]
