"""OpenAI's own client, for OpenAI's service or any server that speaks like it (``OPENAI_BASE_URL``)."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import httpx2
import openai

from jobs.errors import UsageError, redact
from jobs.services.errors import Busy, Denied, Refused, ServiceError, Unavailable, WrongAnswer

EMBEDDINGS = "the embedding service"  # what errors call it
UNREADABLE = (AttributeError, KeyError, TypeError, ValueError)  # the client's, for other answers than it expects


def client(timeout: float) -> openai.OpenAI:
    """Return OpenAI's own client, which tries each request once.

    Raises
    ------
    UsageError
        Without a usable key in the environment.
    """
    key = os.environ.get("OPENAI_API_KEY", "")
    if not key or key != key.strip():  # a header can't hold a line's end; the client would retry that for long
        raise UsageError("the openai provider needs the environment variable OPENAI_API_KEY, without blanks around it")
    return openai.OpenAI(max_retries=0, timeout=timeout)


def failure_of(error: openai.OpenAIError, model: str, service: str = EMBEDDINGS) -> ServiceError:
    """Say whose fault an error of the client is, without the key."""
    message = redact(str(error))
    if not isinstance(error, openai.APIStatusError):
        if isinstance(error, openai.APIResponseValidationError):
            return WrongAnswer(f"{service}'s answer can't be read: {message}")
        return Unavailable(f"{service} can't be reached: {message}")
    wait = _seconds(error.response.headers)
    status = error.status_code
    if status == 429 and error.code == "insufficient_quota":
        return Denied(
            f"the quota of OPENAI_API_KEY is used up: add credit or raise its limit, then run again ({message})"
        )
    if status == 429:
        return Busy(f"{service} is busy: {message}", retry_after=wait)
    if status in (400, 413, 422):
        return Refused(f"{service} refuses: {message}")
    if status in (408, 409, 425) or status >= 500:
        return Unavailable(f"{service} fails: {message}", retry_after=wait)
    if status in (401, 403):
        return Denied(f"{service} doesn't accept OPENAI_API_KEY: check it, then run again ({message})")
    if status == 404:
        return Denied(f"{service} doesn't know the model '{model}', or OPENAI_BASE_URL is wrong ({message})")
    return Denied(f"{service} refuses: {message}")


@contextmanager
def explained(model: str, service: str = EMBEDDINGS) -> Iterator[None]:
    """Say of whatever the client raises whose fault it is."""
    try:
        yield
    except openai.OpenAIError as error:
        raise failure_of(error, model, service) from error
    except httpx2.HTTPError as error:  # the client lets them pass where an answer is read bit by bit
        raise Unavailable(f"{service} can't be reached: {error}") from error
    except UNREADABLE as error:
        raise Unavailable(f"{service}'s answer can't be read; is OPENAI_BASE_URL right?") from error


def _seconds(headers: Any) -> float | None:
    """Read how long a service asks to wait; a date instead of seconds, or no time at all, counts as no word."""
    for name, factor in (("retry-after-ms", 0.001), ("retry-after", 1.0)):
        try:
            seconds = float(headers[name]) * factor
        except (KeyError, ValueError):
            continue
        if seconds > 0:
            return seconds
    return None
