"""OpenAI's own client, for OpenAI's service or a compatible server (``OPENAI_BASE_URL``)."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import httpx2
import openai

from jobs.errors import UsageError, redact
from jobs.services.errors import (
    ActionNeededError,
    RequestRefusedError,
    ServiceBusyError,
    ServiceError,
    ServiceUnavailableError,
    WrongAnswerError,
)
from jobs.services.openai_address import require_valid_openai_address

EMBEDDING_SERVICE = "the embedding service"  # error messages call the service that embeds texts by this name

# Exceptions that OpenAI's client or nextmart raises when it reads a service's answer of an unexpected form.
UNREADABLE_ANSWER_ERRORS = (AttributeError, KeyError, TypeError, ValueError)


def make_openai_client(timeout_seconds: float) -> openai.OpenAI:
    """Return OpenAI's client, without its own retries.

    Parameters
    ----------
    timeout_seconds : float
        Seconds that one request may take.

    Raises
    ------
    UsageError
        If the environment holds no usable key, or ``OPENAI_BASE_URL`` holds more than an address.
    """
    key = os.environ.get("OPENAI_API_KEY", "")
    # A key with a line break can't be sent in an HTTP header: requests would fail as if the service were down.
    if not key or key != key.strip():
        raise UsageError("the openai provider needs the environment variable OPENAI_API_KEY, without blanks around it")
    require_valid_openai_address()
    return openai.OpenAI(max_retries=0, timeout=timeout_seconds)


def to_service_error(error: openai.OpenAIError, model_name: str, service_name: str = EMBEDDING_SERVICE) -> ServiceError:
    """Translate an error of OpenAI's client into a ServiceError whose class says who caused it; redact the API key.

    Parameters
    ----------
    model_name : str
        The model that the request asked for; the message names it.
    service_name : str
        Name of the service in the message.
    """
    message = redact(str(error))
    if not isinstance(error, openai.APIStatusError):
        if isinstance(error, openai.APIResponseValidationError):
            return WrongAnswerError(f"{service_name}'s answer can't be read: {message}")
        return ServiceUnavailableError(f"{service_name} can't be reached: {message}")
    retry_after_seconds = _retry_after_seconds(error.response.headers)
    status = error.status_code
    if status == 429 and error.code == "insufficient_quota":
        return ActionNeededError(
            f"the quota of OPENAI_API_KEY is used up: add credit or raise its limit, then run again ({message})"
        )
    if status == 429:
        return ServiceBusyError(f"{service_name} is busy: {message}", retry_after_seconds=retry_after_seconds)
    if status in (400, 413, 422):
        return RequestRefusedError(f"{service_name} refuses: {message}")
    if status in (408, 409, 425) or status >= 500:
        return ServiceUnavailableError(f"{service_name} fails: {message}", retry_after_seconds=retry_after_seconds)
    if status in (401, 403):
        return ActionNeededError(f"{service_name} doesn't accept OPENAI_API_KEY: check it, then run again ({message})")
    if status == 404:
        return ActionNeededError(
            f"{service_name} doesn't know the model '{model_name}', or OPENAI_BASE_URL is wrong ({message})"
        )
    return ActionNeededError(f"{service_name} refuses: {message}")


@contextmanager
def translate_openai_errors(model_name: str, service_name: str = EMBEDDING_SERVICE) -> Iterator[None]:
    """Turn every error that OpenAI's client raises inside the ``with`` block into a ServiceError.

    Parameters
    ----------
    model_name, service_name : str
        As for :func:`to_service_error`.
    """
    try:
        yield
    except openai.OpenAIError as error:
        raise to_service_error(error, model_name, service_name) from error
    except httpx2.HTTPError as error:  # OpenAI's client does not catch HTTP errors while it streams an answer
        raise ServiceUnavailableError(f"{service_name} can't be reached: {error}") from error
    except UNREADABLE_ANSWER_ERRORS as error:
        raise ServiceUnavailableError(f"{service_name}'s answer can't be read; is OPENAI_BASE_URL right?") from error


def _retry_after_seconds(headers: Any) -> float | None:
    """Return how many seconds a response asks the client to wait.

    None if the header is absent, is a date, or is not a positive number.
    """
    for name, factor in (("retry-after-ms", 0.001), ("retry-after", 1.0)):
        try:
            seconds = float(headers[name]) * factor
        except (KeyError, ValueError):
            continue
        if seconds > 0:
            return seconds
    return None
