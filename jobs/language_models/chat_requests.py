"""Formats conversations as OpenAI's chat messages and training files, and counts their tokens."""

import json
from collections.abc import Sequence

from jobs.language_models.language_model import Conversation
from jobs.services.openai_tokenizer import cl100k_base

# Tokens that OpenAI's chat format adds to each message, according to OpenAI's cookbook.
TOKENS_AROUND_MESSAGE = 4


def chat_messages(conversation: Conversation) -> list[dict[str, str]]:
    """Return a conversation as chat messages (role and content), including the answer if there is one."""
    contents = {"system": conversation.system, "user": conversation.user, "assistant": conversation.answer}
    return [{"role": role, "content": content} for role, content in contents.items() if role != "assistant" or content]


def training_file_content(conversations: Sequence[Conversation]) -> bytes:
    """Return conversations as the content of a training file for OpenAI: JSON Lines, one conversation a line."""
    lines = (
        json.dumps({"messages": chat_messages(conversation)}, ensure_ascii=False) + "\n"
        for conversation in conversations
    )
    return "".join(lines).encode()


def count_tokens(text: str) -> int:
    """Count a text's tokens with cl100k_base, the tokenizer of GPT-3.5 and GPT-4; other models' counts may differ."""
    return len(cl100k_base().encode_ordinary(text))


def count_conversation_tokens(conversation: Conversation) -> int:
    """Count the tokens of a conversation's messages, including those that the chat format adds to each message."""
    return sum(count_tokens(message["content"]) + TOKENS_AROUND_MESSAGE for message in chat_messages(conversation))
