"""A language model that OpenAI, or a compatible server (``OPENAI_BASE_URL``), fine-tunes and runs.

Each purchase is planned, checked against the spending limit and recorded before it is made; nothing is bought twice.
Answers are committed as they come: a run that is killed loses at most the answers to ``REQUESTS_IN_FLIGHT`` requests.
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
from jobs.errors import UsageError, redact
from jobs.language_models.chat_requests import chat_messages, conversation_tokens, count_tokens, training_file
from jobs.language_models.fine_tuning import FineTuning
from jobs.language_models.language_model import Conversation, LanguageModel, Sampling
from jobs.language_models.prices import prompt_price
from jobs.language_models.purchases import Completion, FineTune, Purchases
from jobs.language_models.services import Services
from jobs.progress import progress, say
from jobs.services.errors import Denied, Refused, ServiceError, WrongAnswer
from jobs.services.retrying_client import RetryingClient
from jobs.settings import PromptPrice

REQUESTS_IN_FLIGHT = 8  # questions that are asked at the same time, at most
SERVICE_NAME = "the language model's service"  # name of the service in error messages


class OpenAIModel(LanguageModel):
    """A language model at the service: a base model, and the fine-tuned model made from it.

    Parameters
    ----------
    name : str
        The service's name of the base model.
    parameters : mapping
        Parameters of LLMSeqPrompt; only ``epochs`` is read, since the service chooses the others.
    services : Services
        What keeps the record of paid requests, and the spending limit.

    Attributes
    ----------
    fine_tuned : str
        The service's name of the fine-tuned model; "" before fine-tuning.
    """

    def __init__(self, name: str, parameters: Mapping[str, Any], services: Services) -> None:
        self.base_model, self.epochs, self.services = name, int(parameters["epochs"]), services
        self.fine_tuned = ""
        self._purchases = Purchases(services.connection)
        self._client = RetryingClient(SERVICE_NAME)
        self._spending_lock = threading.Lock()

    def fine_tune(
        self,
        examples: Sequence[Conversation],
        held_out: Sequence[Conversation],
        seed: int,
        checkpoint: Path | None,  # noqa: ARG002 - the warehouse records a fine-tuning's progress
    ) -> None:
        """Let the service fine-tune the base model, or wait for the same fine-tuning if an earlier run requested it.

        Raises
        ------
        UsageError
            If the fine-tuning would cost more than ``prompt_max_cost``; the message holds the plan.
        NextmartError
            If the service or the fine-tuning fails.
        """
        files = {"training": training_file(examples), "validation": training_file(held_out)}
        file_hashes = [hashlib.sha256(file).hexdigest() for file in files.values()]
        recipe = _json_hash([self.base_model, self.epochs, seed, *file_hashes])
        tokens = self.epochs * sum(map(conversation_tokens, examples))
        cost = tokens * self._price.training / 1e6
        row = self._purchases.find_fine_tune(recipe)
        is_bought = row is not None and (row.job_id is not None or self._fine_tuning(row).exists())
        if row is None or not is_bought:
            self._require_within_limit(
                f"fine-tuning {self.base_model} on {len(examples):,} examples, {self.epochs} epochs, {tokens:,} tokens",
                cost,
            )
            row = row or self._purchases.add_fine_tune(recipe, self.base_model, len(examples), tokens)
            self.services.spent += cost
        job_id = row.job_id
        if job_id is None:
            job_id, status = self._fine_tuning(row).create(files, self.epochs, seed)
            self._purchases.update_fine_tune(row.fine_tune_id, job_id=job_id, status=status)
        self.fine_tuned = row.fine_tuned_model or self._fine_tuning(row).wait(job_id, self._price.training)

    def answer(self, conversations: Sequence[Conversation], sampling: Sampling) -> list[list[str]]:
        """Return answers of the fine-tuned model; only questions without recorded answers are asked, and paid for.

        A question that the service refuses has no answers. At temperature 0 all answers to a question are equal: one is
        bought and repeated.

        Raises
        ------
        UsageError
            If the answers might exceed ``prompt_max_cost``; the message holds the plan.
        ServiceError
            If the service fails, if it has refused every question that this model was ever asked, or if wrong answers,
            which are charged for but not planned, bring the cost over ``prompt_max_cost``.
        """
        repeats = 1
        if sampling.temperature == 0:
            repeats, sampling = sampling.samples, replace(sampling, samples=1)
        bodies = [self._request_body(conversation, sampling) for conversation in conversations]
        hashes = [_json_hash(body) for body in bodies]
        answers = self._purchases.find_answers(hashes)
        missing = {key: position for position, key in enumerate(hashes) if key not in answers}
        if missing:
            prompt_tokens = sum(conversation_tokens(conversations[position]) for position in missing.values())
            max_answer_tokens = len(missing) * sampling.samples * sampling.max_tokens
            self._require_within_limit(
                f"asking {self.fine_tuned} {len(missing):,} questions, {sampling.samples} answers each, "
                f"{prompt_tokens:,} tokens in and at most {max_answer_tokens:,} out",
                self._cost(prompt_tokens, max_answer_tokens),
            )
            answers |= self._buy_answers({key: bodies[position] for key, position in missing.items()})
        return [answers.get(key, []) * repeats for key in hashes]

    def choose(
        self,
        conversations: Sequence[Conversation],  # noqa: ARG002
        choices: Sequence[str],  # noqa: ARG002
        k: int,  # noqa: ARG002
    ) -> list[list[int]]:
        """Raise UsageError: a service does not show the probabilities of candidate answers."""
        raise UsageError("constrained answers need provider = 'local': a service's probabilities can't be seen")

    def state(self) -> State:
        """Return the name of the fine-tuned model, as UTF-8 bytes."""
        return {"fine_tuned": np.frombuffer(self.fine_tuned.encode(), np.uint8)}

    def restore(self, state: State) -> None:
        """Load the name of the fine-tuned model."""
        self.fine_tuned = state["fine_tuned"].tobytes().decode()

    def _fine_tuning(self, row: FineTune) -> FineTuning:
        return FineTuning(self._client, self._purchases, row, self.base_model)

    @cached_property
    def _price(self) -> PromptPrice:
        return prompt_price(self.base_model, self.services.settings)

    def _cost(self, prompt_tokens: int, completion_tokens: int) -> float:
        """Return the cost in US dollars of the tokens of questions and of answers."""
        return float(prompt_tokens * self._price.input + completion_tokens * self._price.output) / 1e6

    def _require_within_limit(self, plan: str, cost: float) -> None:
        """Print a planned purchase and its cost in US dollars; raise UsageError if that exceeds ``prompt_max_cost``."""
        plan = f"llmseqprompt: {plan}: at most ${cost:.4f}"
        limit = self.services.settings.prompt_max_cost
        if limit is None:
            raise UsageError(f"{plan}. Nothing is bought without a limit: set prompt_max_cost, in US dollars")
        if self.services.spent + cost > limit:
            raise UsageError(
                f"{plan}, after ${self.services.spent:.4f} in this run. That is over prompt_max_cost = {limit:g}: "
                "raise it, or set a smaller training_limit, fewer epochs or fewer samples"
            )
        say(plan)

    def _request_body(self, conversation: Conversation, sampling: Sampling) -> dict[str, Any]:
        """Return the body of the HTTP request for answers; recorded answers are found by the hash of the body."""
        return {
            "model": self.fine_tuned,
            "messages": chat_messages(conversation),
            "n": sampling.samples,
            "temperature": sampling.temperature,
            "max_tokens": sampling.max_tokens,
            "seed": sampling.seed,
        }

    def _buy_answers(self, bodies: Mapping[str, dict[str, Any]]) -> dict[str, list[str]]:
        """Ask the service several questions at a time, record the answers as they come, and return them.

        Parameters
        ----------
        bodies : request hash -> request body

        Returns
        -------
        request hash -> answers
            Questions that the service refuses are absent.
        """
        answers: dict[str, list[str]] = {}
        stop = threading.Event()
        ended_by: ServiceError | None = None
        refusal: Refused | None = None
        planned = iter(bodies.items())
        in_flight: dict[Future[Completion], str] = {}
        with (
            progress(f"asking {self.fine_tuned}", len(bodies)) as advance,
            ThreadPoolExecutor(REQUESTS_IN_FLIGHT) as pool,
        ):
            try:
                while True:
                    # A finished request counts as in flight until its answers are recorded, so a kill loses at most the
                    # answers to requests in flight.
                    free_slots = 0 if stop.is_set() else REQUESTS_IN_FLIGHT - len(in_flight)
                    in_flight |= {
                        pool.submit(self._ask_question, body, stop): key for key, body in islice(planned, free_slots)
                    }
                    if not in_flight:
                        break
                    for future in wait(in_flight, return_when=FIRST_COMPLETED).done:
                        key = in_flight.pop(future)
                        try:
                            completion = future.result()
                        except Refused as error:
                            refusal = error
                        except (
                            ServiceError
                        ) as error:  # other requests in flight are charged for: their answers are kept
                            ended_by = ended_by or error
                            stop.set()
                        else:
                            self._purchases.add_completion(key, self.fine_tuned, completion)
                            answers[key] = completion.answers
                            advance(1, f"${self.services.spent:.4f}")
            finally:
                stop.set()
        if ended_by:
            raise ended_by
        if refusal:
            # If the service has never answered, it is at fault, not a single question.
            if not self._purchases.has_answers(self.fine_tuned):
                raise refusal
            count = len(bodies) - len(answers)
            say(f"{SERVICE_NAME} refused {count:,} of {len(bodies):,} questions: {redact(str(refusal))}")
        return answers

    def _ask_question(self, body: dict[str, Any], stop: threading.Event) -> Completion:
        """Ask the service one question, with retries, and return its answers and their cost."""

        def try_once() -> Completion:
            limit = self.services.settings.prompt_max_cost
            if limit is not None and self.services.spent > limit:  # wrong answers are charged for but not in the plan
                raise Denied(f"llmseqprompt: ${self.services.spent:.4f} are spent, over prompt_max_cost = {limit:g}")
            response = self._client.client.chat.completions.create(**body)
            answers = [choice.message.content or "" for choice in response.choices]
            if response.usage:
                prompt_tokens, answer_tokens = response.usage.prompt_tokens, response.usage.completion_tokens
            else:
                prompt_tokens = sum(count_tokens(message["content"]) for message in body["messages"])
                answer_tokens = sum(map(count_tokens, answers))
            cost = self._cost(prompt_tokens, answer_tokens)
            with self._spending_lock:
                self.services.spent += cost
            if len(answers) != body["n"]:
                raise WrongAnswer(
                    f"{SERVICE_NAME} gave {len(answers)} answers, not the {body['n']} that were asked for"
                )
            return Completion(answers, prompt_tokens, answer_tokens, cost)

        return self._client.ask(self.fine_tuned, try_once, stop)


def _json_hash(content: Any) -> str:
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()
