"""Conversations as tokens of a chat model; special tokens that stand in titles are broken up, as titles are data."""

from collections.abc import Sequence
from functools import cached_property
from typing import Any

from jobs.language_models.language_model import Conversation
from jobs.progress import say

Tokens = list[int]


class ChatTokens:
    """Tokenizes conversations with a chat model's tokenizer.

    Parameters
    ----------
    tokenizer
        A tokenizer of transformers with a chat template and an end token.
    max_tokens : float
        Tokens that the model reads at most.
    """

    def __init__(self, tokenizer: Any, max_tokens: float) -> None:
        self._tokenizer, self._max_tokens = tokenizer, max_tokens

    def answers(self, texts: Sequence[str]) -> list[Tokens]:
        """Return the tokens of answers, each followed by the end token."""
        answers = [self.break_special_tokens(text) for text in texts]
        ids = self._tokenizer(answers, add_special_tokens=False)["input_ids"] if answers else []
        return [[*tokens, self._tokenizer.eos_token_id] for tokens in ids]

    def prompts(self, conversations: Sequence[Conversation], answer_lengths: Sequence[int]) -> dict[int, Tokens]:
        """Return the tokens of conversations up to the beginning of the answer, by the conversation's position.

        A conversation is left out, and reported to the user, if the conversation and an answer of ``answer_lengths``
        tokens together are longer than the model reads.
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
            if len(tokens) + answer_lengths[position] <= self._max_tokens
        }
        if len(prompts) < len(ids):
            say(
                f"llmseqprompt: {len(ids) - len(prompts):,} of {len(ids):,} conversations, with their answers, are "
                f"longer than the {self._max_tokens:,} tokens that the language model reads, and are left out"
            )
        return prompts

    def break_special_tokens(self, text: str) -> str:
        """Insert a blank into every special token in a text, so that a title can't end its message."""
        for token in self._special_tokens:
            text = text.replace(token, f"{token[0]} {token[1:]}")
        return text

    @cached_property
    def _special_tokens(self) -> list[str]:
        # ``all_special_tokens`` holds only tokens with a role, such as end of text; a chat template may use others too.
        added = self._tokenizer.added_tokens_decoder.values()
        tokens = [*self._tokenizer.all_special_tokens, *(token.content for token in added if token.special)]
        return list(dict.fromkeys(tokens))
