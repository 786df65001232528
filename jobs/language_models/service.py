"""Requests to a service of language models that speaks like OpenAI's (``OPENAI_BASE_URL``), and their size."""

import json
import threading
from collections.abc import Callable, Sequence
from functools import cached_property
from typing import Any, TypeVar

import tenacity

from jobs.language_models.language_model import Conversation
from jobs.services.client import client, explained
from jobs.services.errors import Busy, Unavailable, WrongAnswer
from jobs.services.tokens import encoding

SERVICE = "the language model's service"  # what errors call it
TIMEOUT = 120.0  # seconds, of a request
PATIENCE = 120.0  # seconds for which the service may fail
TRIES = 3  # that a request has at least: one that times out may use up the patience by itself
LONGEST_WAIT = 30.0  # seconds between two tries
ANSWERS = 3  # wrong ones that a request may get, each charged for
MESSAGE_TOKENS = 4  # around a message; OpenAI's cookbook counts so

T = TypeVar("T")


class Service:
    """OpenAI's own client, and patience with it."""

    @cached_property
    def client(self) -> Any:
        """The client, which tries each request once; see :func:`jobs.services.client.client`."""
        return client(TIMEOUT)

    def ask(self, model: str, request: Callable[[], T], stop: threading.Event | None = None) -> T:
        """Make a request, again and again while that may help and nobody says stop.

        Raises
        ------
        ServiceError
            One of the classes of :mod:`jobs.embedding.provider`, which say whose fault it is.
        """
        stop = stop or threading.Event()
        wrong = 0

        def once() -> T:
            nonlocal wrong
            try:
                with explained(model, SERVICE):
                    return request()
            except WrongAnswer:
                wrong += 1
                raise

        jitter = tenacity.wait_random_exponential(multiplier=min(0.5, PATIENCE / 16), max=LONGEST_WAIT)

        def pause(state: tenacity.RetryCallState) -> float:
            error = state.outcome.exception() if state.outcome else None
            wanted = getattr(error, "retry_after", None)
            return float(jitter(state) if wanted is None else min(wanted, PATIENCE))

        is_over = tenacity.stop_all(tenacity.stop_after_delay(PATIENCE), tenacity.stop_after_attempt(TRIES))
        retrying = tenacity.Retrying(
            retry=tenacity.retry_if_exception_type((Busy, Unavailable, WrongAnswer)),
            stop=lambda state: wrong >= ANSWERS or stop.is_set() or is_over(state),
            wait=pause, sleep=tenacity.sleep_using_event(stop), reraise=True,
        )  # fmt: skip
        return retrying(once)


def messages(conversation: Conversation) -> list[dict[str, str]]:
    """Return a conversation as chat messages; its answer too, where there is one to learn from."""
    said = {"system": conversation.system, "user": conversation.user, "assistant": conversation.answer}
    return [{"role": role, "content": content} for role, content in said.items() if role != "assistant" or content]


def as_jsonl(conversations: Sequence[Conversation]) -> bytes:
    """Return a file of examples, one a line."""
    lines = (json.dumps({"messages": messages(one)}, ensure_ascii=False) + "\n" for one in conversations)
    return "".join(lines).encode()


def count_tokens(text: str) -> int:
    """Count by cl100k_base, which GPT-3.5 and GPT-4 read; for other models this is an estimate."""
    return len(encoding().encode_ordinary(text))


def conversation_tokens(conversation: Conversation) -> int:
    """Count the tokens of all messages of a conversation, and of what stands around them."""
    return sum(count_tokens(message["content"]) + MESSAGE_TOKENS for message in messages(conversation))
