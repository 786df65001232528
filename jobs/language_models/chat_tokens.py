"""Tokenizing conversations for a chat model, so that a special token in an item's title has no special effect."""

from collections.abc import Sequence
from functools import cached_property
from typing import Any

from jobs.language_models.language_model import Conversation
from jobs.progress import say

Tokens = list[int]


class ConversationTokenizer:
    """Tokenizes conversations with a chat model's tokenizer.

    Parameters
    ----------
    tokenizer
        A tokenizer of transformers with a chat template and an end token.
    context_length : float
        The largest number of tokens that the model can read at once.
    """

    def __init__(self, tokenizer: Any, context_length: float) -> None:
        self._tokenizer, self._context_length = tokenizer, context_length

    def tokenize_answers(self, texts: Sequence[str]) -> list[Tokens]:
        """Return the tokens of each answer, followed by the end token."""
        answers = [self.break_special_tokens(text) for text in texts]
        ids = self._tokenizer(answers, add_special_tokens=False)["input_ids"] if answers else []
        return [[*tokens, self._tokenizer.eos_token_id] for tokens in ids]

    def tokenize_prompts(
        self, conversations: Sequence[Conversation], answer_lengths: Sequence[int]
    ) -> dict[int, Tokens]:
        """Return the tokens of each conversation up to its answer, by the conversation's index in ``conversations``.

        A conversation is left out if it is, together with its answer, longer than the model can read; the number of
        conversations left out is printed.

        Parameters
        ----------
        answer_lengths : sequence of int
            For each conversation, the number of tokens to reserve for its answer.
        """
        texts = [
            self._tokenizer.apply_chat_template(
                [
                    {"role": "system", "content": self.break_special_tokens(conversation.system)},
                    {"role": "user", "content": self.break_special_tokens(conversation.user)},
                ],
                tokenize=False,
                add_generation_prompt=True,
            )
            for conversation in conversations
        ]
        ids: list[Tokens] = self._tokenizer(texts, add_special_tokens=False)["input_ids"] if texts else []
        prompts = {
            position: tokens
            for position, tokens in enumerate(ids)
            if len(tokens) + answer_lengths[position] <= self._context_length
        }
        if len(prompts) < len(ids):
            say(
                f"llmseqprompt: {len(ids) - len(prompts):,} of {len(ids):,} conversations, with their answers, are "
                f"longer than the {self._context_length:,} tokens that the language model reads, and are left out"
            )
        return prompts

    def break_special_tokens(self, text: str) -> str:
        """Insert a blank into every special token in a text, so that an item's title can't end its chat message."""
        for token in self._special_tokens:
            text = text.replace(token, f"{token[0]} {token[1:]}")
        return text

    @cached_property
    def _special_tokens(self) -> list[str]:
        # The tokenizer's ``all_special_tokens`` holds only tokens with a named role, such as the end token; the chat
        # template may use other special tokens too.
        added = self._tokenizer.added_tokens_decoder.values()
        tokens = [*self._tokenizer.all_special_tokens, *(token.content for token in added if token.special)]
        return list(dict.fromkeys(tokens))
