"""A language model that OpenAI, or a server that speaks like it (``OPENAI_BASE_URL``), fine-tunes and runs.

Nothing is bought before it is planned, allowed and written down, and nothing twice. Answers are committed as they come:
a run that is killed loses those to the requests that were under way, at most ``AT_ONCE``.
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
from jobs.language_models.fine_tuning import FineTuning
from jobs.language_models.language_model import Conversation, LanguageModel, Sampling
from jobs.language_models.prices import price_of
from jobs.language_models.purchases import Completion, FineTune, Purchases
from jobs.language_models.service import SERVICE, Service, as_jsonl, conversation_tokens, count_tokens, messages
from jobs.language_models.services import Services
from jobs.progress import progress, say
from jobs.services.errors import Denied, Refused, ServiceError, WrongAnswer
from jobs.settings import PromptPrice

AT_ONCE = 8  # requests for answers


class OpenAIModel(LanguageModel):
    """One base model and what becomes of it.

    Parameters
    ----------
    name : str
        The base model, as the service calls it.
    parameters : mapping
        Reads ``epochs``; the service chooses the rest.
    services : Services
    """

    def __init__(self, name: str, parameters: Mapping[str, Any], services: Services) -> None:
        self.base, self.epochs, self.services = name, int(parameters["epochs"]), services
        self.fine_tuned = ""
        self._ledger = Purchases(services.connection)
        self._service = Service()
        self._spending = threading.Lock()

    def fine_tune(
        self,
        examples: Sequence[Conversation],
        held_out: Sequence[Conversation],
        seed: int,
        checkpoint: Path | None,  # noqa: ARG002 - the warehouse holds how far it is
    ) -> None:
        """Have the base model fine-tuned, or go on waiting for it; equal examples are learnt from once.

        Raises
        ------
        UsageError
            If it would cost more than ``prompt_max_cost``: the message holds the plan.
        NextmartError
            If the service fails, or the job does.
        """
        files = {"training": as_jsonl(examples), "validation": as_jsonl(held_out)}
        recipe = _hash([self.base, self.epochs, seed, *(hashlib.sha256(file).hexdigest() for file in files.values())])
        tokens = self.epochs * sum(map(conversation_tokens, examples))
        cost = tokens * self._price.training / 1e6
        row = self._ledger.fine_tune(recipe)
        is_asked_for = row is not None and (row.job_id is not None or self._fine_tuning(row).exists())
        if row is None or not is_asked_for:
            self._allow(
                f"fine-tuning {self.base} on {len(examples):,} examples, {self.epochs} epochs, {tokens:,} tokens", cost
            )
            row = row or self._ledger.begin(recipe, self.base, len(examples), tokens)
            self.services.spent += cost
        job_id = row.job_id
        if job_id is None:
            job_id, status = self._fine_tuning(row).create(files, self.epochs, seed)
            self._ledger.note(row.fine_tune_id, job_id=job_id, status=status)
        self.fine_tuned = row.fine_tuned_model or self._fine_tuning(row).wait(job_id, self._price.training)

    def answer(self, conversations: Sequence[Conversation], sampling: Sampling) -> list[list[str]]:
        """Ask the fine-tuned model what was not asked before; a question that the service refuses has no answers.

        At temperature 0 one answer is bought, and repeated.

        Raises
        ------
        UsageError
            If it might cost more than ``prompt_max_cost``: the message holds the plan.
        ServiceError
            If the service fails, or has refused everything that this model was ever asked, or if wrong answers, which
            are paid for and in no plan, pass ``prompt_max_cost``.
        """
        times = 1
        if sampling.temperature == 0:  # all answers are one
            times, sampling = sampling.samples, replace(sampling, samples=1)
        bodies = [self._body(conversation, sampling) for conversation in conversations]
        hashes = [_hash(body) for body in bodies]
        kept = self._ledger.completions(hashes)
        missing = {key: place for place, key in enumerate(hashes) if key not in kept}
        if missing:
            asked = sum(conversation_tokens(conversations[place]) for place in missing.values())
            most = len(missing) * sampling.samples * sampling.max_tokens
            self._allow(
                f"asking {self.fine_tuned} {len(missing):,} questions, {sampling.samples} answers each, "
                f"{asked:,} tokens in and at most {most:,} out",
                self._cost(asked, most),
            )
            kept |= self._buy({key: bodies[place] for key, place in missing.items()})
        return [kept.get(key, []) * times for key in hashes]

    def choose(
        self,
        conversations: Sequence[Conversation],  # noqa: ARG002
        choices: Sequence[str],  # noqa: ARG002
        k: int,  # noqa: ARG002
    ) -> list[list[int]]:
        """Refuse: the service shows no probabilities of given answers."""
        raise UsageError("constrained answers need provider = 'local': a service's probabilities can't be seen")

    def state(self) -> State:
        """Return the fine-tuned model's name."""
        return {"fine_tuned": np.frombuffer(self.fine_tuned.encode(), np.uint8)}

    def restore(self, state: State) -> None:
        """Take back the fine-tuned model's name."""
        self.fine_tuned = state["fine_tuned"].tobytes().decode()

    def _fine_tuning(self, row: FineTune) -> FineTuning:
        return FineTuning(self._service, self._ledger, row, self.base)

    @cached_property
    def _price(self) -> PromptPrice:
        return price_of(self.base, self.services.settings)

    def _cost(self, prompt_tokens: int, completion_tokens: int) -> float:
        return float(prompt_tokens * self._price.input + completion_tokens * self._price.output) / 1e6

    def _allow(self, plan: str, cost: float) -> None:
        """Say what is about to be bought, and refuse where it is too much."""
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

    def _body(self, conversation: Conversation, sampling: Sampling) -> dict[str, Any]:
        return {
            "model": self.fine_tuned,
            "messages": messages(conversation),
            "n": sampling.samples,
            "temperature": sampling.temperature,
            "max_tokens": sampling.max_tokens,
            "seed": sampling.seed,
        }

    def _buy(self, bodies: Mapping[str, dict[str, Any]]) -> dict[str, list[str]]:
        """Ask several questions at a time and keep each one's answers as they come."""
        found: dict[str, list[str]] = {}
        stop = threading.Event()
        ended_by: ServiceError | None = None
        refused: Refused | None = None
        left = iter(bodies.items())
        under_way: dict[Future[Completion], str] = {}
        with progress(f"asking {self.fine_tuned}", len(bodies)) as advance, ThreadPoolExecutor(AT_ONCE) as pool:
            try:
                while True:
                    # no more are asked or waiting to be stored than can be lost
                    wanted = 0 if stop.is_set() else AT_ONCE - len(under_way)
                    under_way |= {pool.submit(self._complete, body, stop): key for key, body in islice(left, wanted)}
                    if not under_way:
                        break
                    for future in wait(under_way, return_when=FIRST_COMPLETED).done:
                        key = under_way.pop(future)
                        try:
                            bought = future.result()
                        except Refused as error:
                            refused = error
                        except ServiceError as error:  # what is under way is paid for, and still taken
                            ended_by = ended_by or error
                            stop.set()
                        else:
                            self._ledger.keep(key, self.fine_tuned, bought)
                            found[key] = bought.answers
                            advance(1, f"${self.services.spent:.4f}")
            finally:
                stop.set()
        if ended_by:
            raise ended_by
        if refused:
            if not self._ledger.has_answers(self.fine_tuned):  # then it is not the questions that are wrong
                raise refused
            say(f"{SERVICE} refused {len(bodies) - len(found):,} of {len(bodies):,} questions: {redact(str(refused))}")
        return found

    def _complete(self, body: dict[str, Any], stop: threading.Event) -> Completion:
        def complete() -> Completion:
            limit = self.services.settings.prompt_max_cost
            if limit is not None and self.services.spent > limit:  # the plan knows of no wrong answers
                raise Denied(f"llmseqprompt: ${self.services.spent:.4f} are spent, over prompt_max_cost = {limit:g}")
            answer = self._service.client.chat.completions.create(**body)
            answers = [choice.message.content or "" for choice in answer.choices]
            prompt = answer.usage.prompt_tokens if answer.usage else sum(
                count_tokens(message["content"]) for message in body["messages"]
            )  # fmt: skip
            completion = answer.usage.completion_tokens if answer.usage else sum(map(count_tokens, answers))
            cost = self._cost(prompt, completion)
            with self._spending:
                self.services.spent += cost
            if len(answers) != body["n"]:  # charged for all the same
                raise WrongAnswer(f"{SERVICE} gave {len(answers)} answers, not the {body['n']} that were asked for")
            return Completion(answers, prompt, completion, cost)

        return self._service.ask(self.fine_tuned, complete, stop)


def _hash(value: Any) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()
