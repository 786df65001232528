"""The scorer of LLMSeqPrompt: asks a language model about each sequence, and ranks the items that its answers name."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np

from jobs.core.arrays import Bools, Floats, Ints
from jobs.core.sequences import Sequences
from jobs.language_models.language_model import LanguageModel, Sampling
from jobs.language_models.paid_services import PaidServices
from jobs.models.llmseqprompt.prompts import name_as_json, read_answer
from jobs.models.llmseqprompt.questions import Question, QuestionWriter
from jobs.models.llmseqprompt.rank_named_items import (
    AnswerCounts,
    ReplacementByEmbedding,
    ReplacementBySpelling,
    ReplacementRule,
    drop_name,
    rank_named_items,
)
from jobs.models.scorer import Scorer

SEQUENCES_PER_CHUNK = 512  # number of sequences whose questions are asked together, to bound memory

Ranking = tuple[list[int], list[float]]  # the items that answers name, best first, and the items' scores


@dataclass
class PromptScorer(Scorer):
    """Ranks the items that a language model names; LLMSeqSim fills up lists and gives the reasons.

    The score of a named item is above 0 (:func:`rank_named_items`). The score of an item that LLMSeqSim adds is the
    item's cosine minus 1, so at most 0. The reason for a recommended item is found by LLMSeqSim, from embeddings: it
    says nothing about why the language model named the recommended item.

    Attributes
    ----------
    question_writer : QuestionWriter
    language_model : LanguageModel
        The fine-tuned language model.
    sampling : Sampling
    hyperparameters : mapping
        Hyper-parameters of LLMSeqPrompt.
    paid_services : PaidServices or None
        The services that embed made-up names; None if made-up names without an embedding are dropped.
    answer_counts : AnswerCounts
        Counts of the answers so far and of their faults.
    """

    question_writer: QuestionWriter
    language_model: LanguageModel
    sampling: Sampling
    hyperparameters: Mapping[str, Any]
    paid_services: PaidServices | None
    answer_counts: AnswerCounts = field(default_factory=AnswerCounts)

    def __post_init__(self) -> None:
        self.recommendable_mask = (
            self.question_writer.item_has_name | self.question_writer.llmseqsim_scorer.recommendable_mask
        )

    def answer_fault_rates(self) -> dict[str, float]:
        """Return the shares of invalid answers, repeated names and made-up names; see :class:`AnswerCounts`."""
        return {} if self.hyperparameters["constrained"] else self.answer_counts.fault_rates()

    def top(
        self, sequences: Sequences, k: int, excluded_items: Sequences | None, allowed_mask: Bools
    ) -> tuple[Floats, Ints]:
        """Rank the items that the language model names for each sequence, and fill up the lists by LLMSeqSim's items.

        Equal sequences share one question to the language model.
        """
        scores = np.full((len(sequences), k), -np.inf, np.float32)
        items = np.full((len(sequences), k), -1, np.int32)
        llmseqsim = self.question_writer.llmseqsim_scorer
        for start in range(0, len(sequences), SEQUENCES_PER_CHUNK):
            rows = np.arange(start, min(start + SEQUENCES_PER_CHUNK, len(sequences)))
            chunk, excluded = sequences.take(rows), None if excluded_items is None else excluded_items.take(rows)
            rankings = self._rankings(chunk, k, excluded, allowed_mask)
            taken_items = [
                [*(() if excluded is None else excluded[row]), *named] for row, (named, _) in enumerate(rankings)
            ]
            fill_scores, fill_items = llmseqsim.top(
                chunk, k, Sequences.from_lists(taken_items), allowed_mask & llmseqsim.recommendable_mask
            )
            for row, (named, named_scores) in enumerate(rankings):
                is_filled = fill_items[row] >= 0
                cosines = np.minimum(fill_scores[row][is_filled] - 1, 0)
                items[start + row] = _cut_or_pad([*named, *fill_items[row][is_filled]], k, -1)
                scores[start + row] = _cut_or_pad([*named_scores, *cosines], k, -np.inf)
        return scores, items

    def reason_items(self, sequences: Sequences, recommended_items: Ints, allowed_mask: Bools | None = None) -> Ints:
        """Return LLMSeqSim's reasons: items of the sequence whose embeddings are near those of the recommended items.

        The reason is -1 for a recommended item without an embedding.
        """
        llmseqsim = self.question_writer.llmseqsim_scorer
        has_embedding = (recommended_items >= 0) & llmseqsim.recommendable_mask[recommended_items]
        return llmseqsim.reason_items(sequences, np.where(has_embedding, recommended_items, -1).astype(np.int32))

    def _rankings(
        self, sequences: Sequences, k: int, excluded_items: Sequences | None, allowed_mask: Bools
    ) -> list[Ranking]:
        """Return a ranking of at most k items for each sequence, made from the language model's answers."""
        usable_item_mask = allowed_mask & self.question_writer.item_has_name
        questions = self.question_writer.write_questions(sequences, allowed_mask)
        # Constrained answers also name items of the sequence itself, mostly those that the question shows: at most
        # ``window``. These items are dropped later, so ``window`` more names are asked for. The number of names is the
        # number of beams of the search, which decides what names are found. It is equal for all sequences, because a
        # sequence's list must not depend on the other sequences of the chunk.
        extra_names = 0 if excluded_items is None else self.question_writer.window
        names_of_answers_per_question = self._ask_questions(questions, k + extra_names, usable_item_mask)
        replacement_for = self._replacement_rule_getter(questions, names_of_answers_per_question)
        rankings: list[Ranking] = []
        for row, (question, answers) in enumerate(zip(questions, names_of_answers_per_question, strict=True)):
            if question is None:
                rankings.append(([], []))
                continue
            assignable_item_mask = usable_item_mask.copy()
            if excluded_items is not None:
                assignable_item_mask[excluded_items[row]] = False
            if self.question_writer.variant == "rank":  # a name can only stand for a candidate that the question shows
                is_shown = np.zeros_like(assignable_item_mask)
                is_shown[[item for items in question.items_by_name.values() for item in items]] = True
                assignable_item_mask &= is_shown
            self.answer_counts.add_answers(answers, question.items_by_name)
            named, scores = rank_named_items(
                answers, question.items_by_name, assignable_item_mask, replacement_for(question)
            )
            rankings.append((named[:k], scores[:k]))
        return rankings

    def _ask_questions(
        self, questions: list[Question | None], max_names_per_constrained_answer: int, usable_item_mask: Bools
    ) -> list[list[list[str]]]:
        """Ask the language model all questions, and return the names in the answers to each.

        Parameters
        ----------
        max_names_per_constrained_answer : int
            Largest number of names in a constrained answer, which consists of names of the catalogue.
        usable_item_mask : bool array (items,)
            Items that a constrained answer may name.

        Returns
        -------
        list of lists of lists of str
            For each question, and for each answer to it, the names in the answer. No answers if the question is None.
        """
        conversations = list(dict.fromkeys(question.conversation for question in questions if question))
        if self.hyperparameters["constrained"]:
            names = [
                name for name, items in self.question_writer.items_by_name.items() if usable_item_mask[items].any()
            ]
            choices, k = [name_as_json(name) for name in names], min(len(names), max_names_per_constrained_answer)
            chosen = self.language_model.choose_likeliest_answers(conversations, choices, k) if names else []
            answers = [[[names[position] for position in positions]] for positions in chosen] or [
                [] for _ in conversations
            ]
        else:
            texts = self.language_model.draw_answers(conversations, self.sampling) if conversations else []
            answers = [[read_answer(self.question_writer.variant, text) for text in drawn] for drawn in texts]
        by_conversation = dict(zip(conversations, answers, strict=True))
        return [by_conversation[question.conversation] if question else [] for question in questions]

    def _replacement_rule_getter(
        self, questions: list[Question | None], names_of_answers_per_question: list[list[list[str]]]
    ) -> Callable[[Question], ReplacementRule]:
        """Return a function that gives, for a question, the rule that replaces made-up names in its answers."""
        catalogue = self.question_writer.items_by_name
        if self.hyperparameters["mapping"] == "fuzzy":

            def spelling_rule(question: Question) -> ReplacementRule:
                asks_for_any_item = question.items_by_name is catalogue
                return (
                    self._catalogue_spelling_rule
                    if asks_for_any_item
                    else ReplacementBySpelling(question.items_by_name)
                )

            return spelling_rule
        made_up = {
            name
            for question, answers in zip(questions, names_of_answers_per_question, strict=True)
            if question
            for names in answers
            for name in names
            if name not in question.items_by_name
        }
        is_embedded = bool(made_up) and self.hyperparameters["mapping"] == "embedding"
        vectors = self.paid_services.embed_names(sorted(made_up)) if self.paid_services and is_embedded else {}
        item_vectors = self.question_writer.llmseqsim_scorer.item_vectors.numpy()
        replacement_rule: ReplacementRule = ReplacementByEmbedding(item_vectors, vectors) if vectors else drop_name
        return lambda _: replacement_rule

    @cached_property
    def _catalogue_spelling_rule(self) -> ReplacementBySpelling:
        return ReplacementBySpelling(self.question_writer.items_by_name)


def _cut_or_pad(entries: list[Any], length: int, padding: float) -> list[Any]:
    """Return a list of exactly ``length`` entries: a longer list is cut, a shorter list is filled up by ``padding``."""
    return [*entries[:length], *[padding] * (length - len(entries))]
