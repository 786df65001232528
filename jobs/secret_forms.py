"""Finds the secrets in the environment, and the forms in which a text can contain a secret, such as Base64."""

import base64
import json
import os
import re
from functools import cache
from urllib.parse import quote, quote_plus, unquote

SECRET_VARIABLES = ("OPENAI_API_KEY", "OPENAI_ADMIN_KEY", "PGPASSWORD", "MYSQL_PWD")
"""Environment variables whose values must never appear in a log, a message or a table."""

MIN_SECRET_LENGTH = 4
"""The fewest characters of a secret that is replaced in texts; a shorter secret is part of many words by chance."""

MIN_GUESSED_LENGTH = 8
"""The fewest characters of a value that is taken for a secret because of its variable's name alone."""

_SECRET_NAME = re.compile(r"(^|_)(API_?KEY|KEY|TOKEN|SECRET|PASSWORD|PASSWD|PASSPHRASE|PASS|PWD|CREDENTIALS?)(_|$)")
_NO_SECRETS = ("PWD", "OLDPWD")
_PASSWORD_IN_ADDRESS = re.compile(r"\b\w[\w+.-]*://([^/@\s:]*):([^/@\s]+)@")


def environment_secrets() -> dict[str, str]:
    """Return the secrets in the environment: secret -> name of its variable.

    They are the values of ``SECRET_VARIABLES``, the values of variables that are named like secrets (``HF_TOKEN``), and
    the passwords in addresses (``HTTPS_PROXY=http://user:password@host``).
    """
    secrets = {}
    for name, value in os.environ.items():
        for found in _PASSWORD_IN_ADDRESS.finditer(value):
            secrets[found[2]] = secrets[unquote(found[2])] = name
        is_guessed = name not in _NO_SECRETS and len(value) >= MIN_GUESSED_LENGTH and _SECRET_NAME.search(name.upper())
        if name in SECRET_VARIABLES or is_guessed:
            secrets[value] = secrets[value.strip()] = name
    return secrets


@cache
def forms_of_secret(secret: str) -> tuple[str, ...]:
    """Return the forms in which a text may hold a secret, longest first: as it is, escaped, quoted, and in Base64.

    A longer text that holds the secret, such as ``user:password`` of a header, may be in Base64. Base64 encodes three
    bytes at a time, so the secret then has one of three forms, by its position. Of each form, the first and the last
    characters are left out, because they also depend on the bytes beside the secret.
    """
    plain = {
        secret, quote(secret), quote(secret, safe=""), quote_plus(secret), json.dumps(secret)[1:-1], repr(secret)[1:-1],
        json.dumps(secret, ensure_ascii=False)[1:-1], secret.replace("'", "''"),
    }  # fmt: skip
    encoded = set()
    for before in range(3):
        padded = b"\0" * before + secret.encode("utf-8", "surrogateescape")
        start, end = -(-before * 8 // 6), len(padded) * 8 // 6
        for encode in (base64.b64encode, base64.urlsafe_b64encode):
            encoded.add(encode(padded).decode()[start:end])
    return tuple(sorted({*plain, *(text for text in encoded if len(text) >= MIN_SECRET_LENGTH)}, key=len, reverse=True))
