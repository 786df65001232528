"""Errors that a user can act on: the command line prints the error's message without a traceback."""

import difflib
import os
from collections.abc import Iterable

SECRET_VARIABLES = ("OPENAI_API_KEY", "OPENAI_ADMIN_KEY")
"""Environment variables whose values must never appear in a log, a message or a table."""


class NextmartError(Exception):
    """An error whose message tells the user the reason and what to do; the command exits with code 1."""


class UsageError(NextmartError):
    """An error in an argument or a setting; the command exits with code 2."""


def nearest(name: str, known_names: Iterable[str]) -> str:
    """Return a hint for an unknown name: the known name that is closest in spelling, or else all known names."""
    known_names = sorted(known_names)
    close = difflib.get_close_matches(name, known_names, n=1, cutoff=0.5)
    return f"did you mean '{close[0]}'?" if close else f"known: {', '.join(known_names)}"


def redact(text: str) -> str:
    """Return ``text`` with the values of secret environment variables replaced, so that it may be logged or stored."""
    for variable in SECRET_VARIABLES:
        secret = os.environ.get(variable, "")
        if len(secret) >= 4:
            text = text.replace(secret, f"<{variable}>")
    return text
