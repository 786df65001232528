"""Conversations as requests to OpenAI's chat models and as training files, and their size in tokens."""

import json
from collections.abc import Sequence

from jobs.language_models.language_model import Conversation
from jobs.services.tokens import cl100k_base

# Tokens that OpenAI's chat format adds to each message, according to OpenAI's cookbook.
TOKENS_AROUND_MESSAGE = 4


def chat_messages(conversation: Conversation) -> list[dict[str, str]]:
    """Return a conversation as chat messages (role and content), including the answer if there is one."""
    contents = {"system": conversation.system, "user": conversation.user, "assistant": conversation.answer}
    return [{"role": role, "content": content} for role, content in contents.items() if role != "assistant" or content]


def training_file(conversations: Sequence[Conversation]) -> bytes:
    """Return the content of a file of training examples: JSON Lines, one conversation a line."""
    lines = (
        json.dumps({"messages": chat_messages(conversation)}, ensure_ascii=False) + "\n"
        for conversation in conversations
    )
    return "".join(lines).encode()


def count_tokens(text: str) -> int:
    """Count the tokens of a text by cl100k_base, the tokenizer of GPT-3.5 and GPT-4; for other models an estimate."""
    return len(cl100k_base().encode_ordinary(text))


def conversation_tokens(conversation: Conversation) -> int:
    """Count the tokens of a conversation's messages and of the chat format around each message."""
    return sum(count_tokens(message["content"]) + TOKENS_AROUND_MESSAGE for message in chat_messages(conversation))
