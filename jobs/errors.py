"""Errors that a user can act on: the command line prints the error's message without a traceback."""

import difflib
from collections.abc import Iterable

from jobs.secret_forms import MIN_SECRET_LENGTH, environment_secrets, forms_of_secret

_kept_secrets: dict[str, str] = {}


class NextmartError(Exception):
    """An error whose message tells the user the reason and what to do; the command exits with code 1."""


class UsageError(NextmartError):
    """An error in an argument or a setting; the command exits with code 2."""


class UnusableParametersError(UsageError):
    """Hyper-parameters with which a model can't be fitted on this data, or that can't be combined."""


def nearest_name_hint(name: str, known_names: Iterable[str]) -> str:
    """Return a hint for an unknown name: the known name that is closest in spelling, or else all known names."""
    known_names = sorted(known_names)
    close = difflib.get_close_matches(name, known_names, n=1, cutoff=0.5)
    return f"did you mean '{close[0]}'?" if close else f"known: {', '.join(known_names)}"


def register_secret(secret: str, name: str) -> None:
    """Register a secret, so that ``redact`` replaces it by ``<name>`` from now on in this process."""
    _kept_secrets[secret] = name


def redact(text: str) -> str:
    """Return ``text`` with secrets replaced, so that it may be stored.

    The secrets are those in the environment (:func:`jobs.secret_forms.environment_secrets`) and those that were passed
    to ``register_secret``. Each is replaced in every form that :func:`jobs.secret_forms.forms_of_secret` returns.
    """
    secrets = environment_secrets() | _kept_secrets
    # longer secrets are replaced first, because a secret may contain a shorter one
    for secret in sorted(secrets, key=len, reverse=True):
        if len(secret) >= MIN_SECRET_LENGTH:
            for form in forms_of_secret(secret):
                text = text.replace(form, f"<{secrets[secret]}>")
    return text
