"""Conversations as the requests and files that OpenAI's chat models take, and the size of such requests in tokens."""

import json
from collections.abc import Sequence

from jobs.language_models.language_model import Conversation
from jobs.services.tokens import cl100k_base

# Tokens that OpenAI's chat format adds to each message, by OpenAI's cookbook.
TOKENS_AROUND_MESSAGE = 4


def messages(conversation: Conversation) -> list[dict[str, str]]:
    """Return a conversation as chat messages (role and content), the answer included if there is one."""
    contents = {"system": conversation.system, "user": conversation.user, "assistant": conversation.answer}
    return [{"role": role, "content": content} for role, content in contents.items() if role != "assistant" or content]


def as_jsonl(conversations: Sequence[Conversation]) -> bytes:
    """Return conversations as a file of training examples: JSON Lines, one example a line."""
    lines = (
        json.dumps({"messages": messages(conversation)}, ensure_ascii=False) + "\n" for conversation in conversations
    )
    return "".join(lines).encode()


def count_tokens(text: str) -> int:
    """Count the tokens of a text in cl100k_base, which GPT-3.5 and GPT-4 read; for other models an estimate."""
    return len(cl100k_base().encode_ordinary(text))


def conversation_tokens(conversation: Conversation) -> int:
    """Count the tokens of a conversation: of its messages, and of the chat format around each message."""
    return sum(count_tokens(message["content"]) + TOKENS_AROUND_MESSAGE for message in messages(conversation))
