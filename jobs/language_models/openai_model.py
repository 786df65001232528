"""A language model that OpenAI, or a compatible server (``OPENAI_BASE_URL``), fine-tunes and runs.

Each purchase is planned and checked against the spending limit before it is made, and recorded in the warehouse, so
that nothing is bought twice. Answers are committed as they come: a run that is killed loses at most the answers to
``REQUESTS_IN_FLIGHT`` requests.
"""

import hashlib
import json
import threading
from collections.abc import Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import replace
from functools import cached_property
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

from jobs.core.arrays import State
from jobs.errors import NextmartError, UsageError, redact
from jobs.language_model_prices import LanguageModelPrices
from jobs.language_models.chat_requests import (
    chat_messages,
    count_conversation_tokens,
    count_tokens,
    training_file_content,
)
from jobs.language_models.fine_tuning import FineTuning
from jobs.language_models.language_model import Conversation, LanguageModel, Sampling
from jobs.language_models.paid_services import PaidServices
from jobs.language_models.prices import language_model_prices
from jobs.language_models.purchases import Completion, FineTune, PurchaseStore
from jobs.language_models.training_file_deletion import delete_used_training_files
from jobs.progress import progress, say
from jobs.services.errors import ActionNeededError, RequestRefusedError, ServiceError, WrongAnswerError
from jobs.services.retrying_client import RetryingClient

REQUESTS_IN_FLIGHT = 8  # the largest number of questions that are asked at the same time
SERVICE_NAME = "the language model's service"  # how messages name OpenAI or the compatible server


class OpenAIModel(LanguageModel):
    """A language model at OpenAI or a compatible service: a base model, and the fine-tuned model made from it.

    Parameters
    ----------
    base_model : str
        The service's name of the base model.
    hyperparameters : mapping
        The recommender LLMSeqPrompt's hyperparameters. Only ``epochs`` is read; the service itself chooses the learning
        rate, the batch size and the like.
    paid_services : PaidServices
        Access to the record of paid requests, and to the spending limit.

    Attributes
    ----------
    fine_tuned : str
        The service's name of the fine-tuned model; "" before fine-tuning.
    """

    def __init__(self, base_model: str, hyperparameters: Mapping[str, Any], paid_services: PaidServices) -> None:
        self.base_model, self.epochs, self.paid_services = base_model, int(hyperparameters["epochs"]), paid_services
        self.fine_tuned = ""
        self._purchase_store = PurchaseStore(paid_services.connection)
        self._client = RetryingClient(SERVICE_NAME)
        self._spending_lock = threading.Lock()

    def fine_tune(
        self,
        examples: Sequence[Conversation],
        held_out_examples: Sequence[Conversation],
        seed: int,
        checkpoint_file: Path | None,  # noqa: ARG002 - the warehouse records a fine-tuning's progress
    ) -> None:
        """Have the service fine-tune the base model; continue the same fine-tuning if an earlier run requested it.

        Raises
        ------
        UsageError
            If the fine-tuning would exceed ``prompt_max_cost``; the message states the planned purchase.
        NextmartError
            If the service or the fine-tuning fails.
        """
        files = {"training": training_file_content(examples), "validation": training_file_content(held_out_examples)}
        file_hashes = [hashlib.sha256(file).hexdigest() for file in files.values()]
        recipe_hash = _json_hash([self.base_model, self.epochs, seed, *file_hashes])
        tokens = self.epochs * sum(map(count_conversation_tokens, examples))
        cost = tokens * self._prices.training / 1e6
        self._close_earlier_fine_tunes(recipe_hash)
        row = self._purchase_store.find_fine_tune(recipe_hash)
        is_bought = row is not None and (row.job_id is not None or self._fine_tuning(row).job_exists())
        if row is None or not is_bought:
            self._require_within_limit(
                f"fine-tuning {self.base_model} on {len(examples):,} examples, {self.epochs} epochs, {tokens:,} tokens",
                cost,
            )
            row = row or self._purchase_store.add_fine_tune(recipe_hash, self.base_model, len(examples), tokens)
            self.paid_services.spent_usd += cost
        job_id = row.job_id
        try:
            if job_id is None:
                job_id, status = self._fine_tuning(row).create_job(files, self.epochs, seed)
                self._purchase_store.update_fine_tune(row.fine_tune_id, job_id=job_id, status=status)
            self.fine_tuned = row.fine_tuned_model or self._fine_tuning(row).wait_for_job(job_id, self._prices.training)
        except NextmartError:
            delete_used_training_files(self._client, self._purchase_store)
            raise
        delete_used_training_files(self._client, self._purchase_store)

    def _close_earlier_fine_tunes(self, recipe_hash: str) -> None:
        """Record the end of this base model's other fine-tunings that runs were killed in, and delete their files.

        Histories change from night to night, and the examples with them, so such a fine-tuning may never be continued.
        A failure of the service only gives a warning: the next fine-tuning tries again.
        """
        open_rows = self._purchase_store.find_open_fine_tunes(self.base_model, recipe_hash)
        for row in open_rows:
            try:
                self._fine_tuning(row).record_end(self._prices.training)
            except NextmartError as error:
                say(f"WARN: an earlier fine-tuning, {row.fine_tune_id}: {error}")
        if open_rows:
            delete_used_training_files(self._client, self._purchase_store)

    def draw_answers(self, conversations: Sequence[Conversation], sampling: Sampling) -> list[list[str]]:
        """Return the fine-tuned model's answers; ask and pay only for questions without recorded answers.

        A question that the service refuses gets no answers. At temperature 0 all answers to a question are equal, so
        one answer is bought and repeated.

        Raises
        ------
        UsageError
            If the answers might exceed ``prompt_max_cost``; the message states the planned purchase.
        ServiceError
            If the service fails, or if it has refused every question that this model was ever asked. Also if the cost
            exceeds ``prompt_max_cost`` all the same, since a reply with a wrong number of answers costs money too.
        """
        repeats = 1
        if sampling.temperature == 0:
            repeats, sampling = sampling.answers_per_conversation, replace(sampling, answers_per_conversation=1)
        request_bodies = [self._request_body(conversation, sampling) for conversation in conversations]
        hashes = [_json_hash(request_body) for request_body in request_bodies]
        answers = self._purchase_store.find_answers(hashes)
        missing = {key: position for position, key in enumerate(hashes) if key not in answers}
        if missing:
            prompt_tokens = sum(count_conversation_tokens(conversations[position]) for position in missing.values())
            max_answer_tokens = len(missing) * sampling.answers_per_conversation * sampling.max_tokens
            self._require_within_limit(
                f"asking {self.fine_tuned} {len(missing):,} questions, {sampling.answers_per_conversation} answers "
                f"each, {prompt_tokens:,} tokens in and at most {max_answer_tokens:,} out",
                self._cost_of_tokens(prompt_tokens, max_answer_tokens),
            )
            answers |= self._buy_answers({key: request_bodies[position] for key, position in missing.items()})
        return [answers.get(key, []) * repeats for key in hashes]

    def choose_likeliest_answers(
        self,
        conversations: Sequence[Conversation],  # noqa: ARG002
        choices: Sequence[str],  # noqa: ARG002
        k: int,  # noqa: ARG002
    ) -> list[list[int]]:
        """Raise UsageError: a service does not show the probabilities of candidate answers."""
        raise UsageError("constrained answers need provider = 'local': a service's probabilities can't be seen")

    def state(self) -> State:
        """Return the name of the fine-tuned model, as an array of its UTF-8 bytes."""
        return {"fine_tuned": np.frombuffer(self.fine_tuned.encode(), np.uint8)}

    def restore(self, state: State) -> None:
        """Load the name of the fine-tuned model, as returned by :meth:`state`."""
        self.fine_tuned = state["fine_tuned"].tobytes().decode()

    def _fine_tuning(self, fine_tune_row: FineTune) -> FineTuning:
        return FineTuning(self._client, self._purchase_store, fine_tune_row, self.base_model)

    @cached_property
    def _prices(self) -> LanguageModelPrices:
        return language_model_prices(self.base_model, self.paid_services.settings)

    def _cost_of_tokens(self, prompt_tokens: int, completion_tokens: int) -> float:
        """Return the cost, in US dollars, of asking questions and getting answers with these numbers of tokens."""
        return float(prompt_tokens * self._prices.input + completion_tokens * self._prices.output) / 1e6

    def _require_within_limit(self, purchase_description: str, cost_usd: float) -> None:
        """Print a planned purchase and its cost; raise UsageError if it would exceed the job's ``prompt_max_cost``."""
        plan = f"llmseqprompt: {purchase_description}: at most ${cost_usd:.4f}"
        limit = self.paid_services.settings.prompt_max_cost
        if limit is None:
            raise UsageError(f"{plan}. Nothing is bought without a limit: set prompt_max_cost, in US dollars")
        if self.paid_services.spent_usd + cost_usd > limit:
            raise UsageError(
                f"{plan}, after ${self.paid_services.spent_usd:.4f} in this run. That is over "
                f"prompt_max_cost = {limit:g}: raise it, or set a smaller training_limit, fewer epochs or fewer samples"
            )
        say(plan)

    def _request_body(self, conversation: Conversation, sampling: Sampling) -> dict[str, Any]:
        """Return the body of the HTTP request for answers; the hash of the body is the key of recorded answers."""
        return {
            "model": self.fine_tuned,
            "messages": chat_messages(conversation),
            "n": sampling.answers_per_conversation,
            "temperature": sampling.temperature,
            "max_tokens": sampling.max_tokens,
            "seed": sampling.seed,
        }

    def _buy_answers(self, request_bodies: Mapping[str, dict[str, Any]]) -> dict[str, list[str]]:
        """Ask the service several questions at a time, record the answers as they come, and return them.

        Parameters
        ----------
        request_bodies : request hash -> request body

        Returns
        -------
        dict : request hash -> answers
            Questions that the service refuses are absent.
        """
        answers: dict[str, list[str]] = {}
        stop = threading.Event()
        ended_by: ServiceError | None = None
        refusal: RequestRefusedError | None = None
        planned = iter(request_bodies.items())
        in_flight: dict[Future[Completion], str] = {}
        with (
            progress(f"asking {self.fine_tuned}", len(request_bodies)) as advance,
            ThreadPoolExecutor(REQUESTS_IN_FLIGHT) as pool,
        ):
            try:
                while True:
                    # Requests in flight include finished ones whose answers are not recorded yet, so a run that is
                    # killed loses the answers to at most REQUESTS_IN_FLIGHT requests.
                    free_slots = 0 if stop.is_set() else REQUESTS_IN_FLIGHT - len(in_flight)
                    in_flight |= {
                        pool.submit(self._ask_question, request_body, stop): key
                        for key, request_body in islice(planned, free_slots)
                    }
                    if not in_flight:
                        break
                    for future in wait(in_flight, return_when=FIRST_COMPLETED).done:
                        key = in_flight.pop(future)
                        try:
                            completion = future.result()
                        except RequestRefusedError as error:
                            refusal = error
                        except ServiceError as error:
                            # The other requests in flight cost money anyway, so the loop still records their answers.
                            ended_by = ended_by or error
                            stop.set()
                        else:
                            self._purchase_store.add_completion(key, self.fine_tuned, completion)
                            answers[key] = completion.answers
                            advance(1, f"${self.paid_services.spent_usd:.4f}")
            finally:
                stop.set()
        if ended_by:
            raise ended_by
        if refusal:
            # A model that has never answered any question is at fault itself, not a single question. So the job fails.
            if not self._purchase_store.has_answers(self.fine_tuned):
                raise refusal
            count = len(request_bodies) - len(answers)
            say(f"{SERVICE_NAME} refused {count:,} of {len(request_bodies):,} questions: {redact(str(refusal))}")
        return answers

    def _ask_question(self, request_body: dict[str, Any], stop_asking: threading.Event) -> Completion:
        """Ask the service one question, with retries, and return its answers and their cost."""

        def request_answers() -> Completion:
            limit = self.paid_services.settings.prompt_max_cost
            # A reply with a wrong number of answers costs money too, so spending can exceed the planned cost.
            if limit is not None and self.paid_services.spent_usd > limit:
                raise ActionNeededError(
                    f"llmseqprompt: ${self.paid_services.spent_usd:.4f} are spent, over prompt_max_cost = {limit:g}"
                )
            response = self._client.client.chat.completions.create(**request_body)
            answers = [choice.message.content or "" for choice in response.choices]
            if response.usage:
                prompt_tokens, answer_tokens = response.usage.prompt_tokens, response.usage.completion_tokens
            else:
                prompt_tokens = sum(count_tokens(message["content"]) for message in request_body["messages"])
                answer_tokens = sum(map(count_tokens, answers))
            cost = self._cost_of_tokens(prompt_tokens, answer_tokens)
            with self._spending_lock:
                self.paid_services.spent_usd += cost
            if len(answers) != request_body["n"]:
                raise WrongAnswerError(
                    f"{SERVICE_NAME} gave {len(answers)} answers, not the {request_body['n']} that were asked for"
                )
            return Completion(answers, prompt_tokens, answer_tokens, cost)

        return self._client.ask(self.fine_tuned, request_answers, stop_asking)


def _json_hash(content: Any) -> str:
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()
