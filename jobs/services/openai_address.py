"""Checks the address of an OpenAI-compatible service (``OPENAI_BASE_URL``) without loading OpenAI's client."""

import os
from urllib.parse import urlsplit

from jobs.errors import UsageError


def require_valid_openai_address() -> None:
    """Raise UsageError if ``OPENAI_BASE_URL`` is no address or holds a password; the message doesn't repeat it.

    A user name or password in the address would be sent in place of ``OPENAI_API_KEY``.
    """
    address = os.environ.get("OPENAI_BASE_URL", "")
    if not address:
        return
    parts = urlsplit(address.strip())
    if "@" in parts.netloc:
        wrong = (
            "holds a user name or password, which would be sent in place of OPENAI_API_KEY: take them out, and put the "
            "key of that server into OPENAI_API_KEY. For a server that asks for a password, use a proxy that adds it"
        )
    elif address != address.strip():
        wrong = "has blanks around it"
    elif parts.scheme not in ("http", "https"):
        wrong = "is no address: it begins with http:// or https://"
    elif not parts.hostname:
        wrong = "names no server"
    elif parts.query or parts.fragment:
        wrong = "holds ? or #: it ends with its path, and a key goes into OPENAI_API_KEY"
    else:
        return
    raise UsageError(f"OPENAI_BASE_URL {wrong}. An address is like https://host/v1; the key is in OPENAI_API_KEY.")
