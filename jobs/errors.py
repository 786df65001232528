"""Errors that a user can act on: the command line prints their text and no traceback."""

import difflib
import os
from collections.abc import Iterable

SECRET_VARIABLES = ("OPENAI_API_KEY", "OPENAI_ADMIN_KEY")


class NextmartError(Exception):
    """Something failed for a reason that the message states, with what to do (exit code 1)."""


class UsageError(NextmartError):
    """A wrong argument or setting (exit code 2)."""


def nearest(name: str, known: Iterable[str]) -> str:
    """Return a hint that names the known word closest to ``name``, or lists them all."""
    known = sorted(known)
    close = difflib.get_close_matches(name, known, n=1, cutoff=0.5)
    return f"did you mean '{close[0]}'?" if close else f"known: {', '.join(known)}"


def redact(text: str) -> str:
    """Replace every secret of the environment in ``text``, so that it may be logged or stored."""
    for variable in SECRET_VARIABLES:
        secret = os.environ.get(variable, "")
        if len(secret) >= 4:
            text = text.replace(secret, f"<{variable}>")
    return text
