"""Conversations as the tokens of a chat model; titles in them are data, whatever marks they hold."""

from collections.abc import Sequence
from functools import cached_property
from typing import Any

from jobs.language_models.language_model import Conversation
from jobs.progress import say

Tokens = list[int]


class ChatTokens:
    """A chat model's tokenizer, for conversations.

    Parameters
    ----------
    tokenizer
        Of transformers, with a chat template and an end token.
    reads : float
        Tokens that the model reads at most.
    """

    def __init__(self, tokenizer: Any, reads: float) -> None:
        self._tokenizer, self._reads = tokenizer, reads

    def answers(self, texts: Sequence[str]) -> list[Tokens]:
        """Return the tokens of answers, each with the end token."""
        ids = (
            self._tokenizer([self.plain(text) for text in texts], add_special_tokens=False)["input_ids"]
            if texts
            else []
        )
        return [[*tokens, self._tokenizer.eos_token_id] for tokens in ids]

    def prompts(self, conversations: Sequence[Conversation], rooms: Sequence[int]) -> dict[int, Tokens]:
        """Return the tokens of conversations up to where the answer begins, by their places.

        Those that the model can't read together with an answer of ``rooms`` tokens are left out, which is said.
        """
        texts = [
            self._tokenizer.apply_chat_template(
                [
                    {"role": "system", "content": self.plain(conversation.system)},
                    {"role": "user", "content": self.plain(conversation.user)},
                ],
                tokenize=False,
                add_generation_prompt=True,
            )
            for conversation in conversations
        ]
        ids: list[Tokens] = self._tokenizer(texts, add_special_tokens=False)["input_ids"] if texts else []
        prompts = {place: tokens for place, tokens in enumerate(ids) if len(tokens) + rooms[place] <= self._reads}
        if len(prompts) < len(ids):
            say(
                f"llmseqprompt: {len(ids) - len(prompts):,} of {len(ids):,} conversations, with their answers, are "
                f"longer than the {self._reads:,} tokens that the language model reads, and are left out"
            )
        return prompts

    def plain(self, text: str) -> str:
        """Break the marks of a conversation in a text: a title is data, and can't end its message."""
        for mark in self._marks:
            text = text.replace(mark, f"{mark[0]} {mark[1:]}")
        return text

    @cached_property
    def _marks(self) -> list[str]:
        added = self._tokenizer.added_tokens_decoder.values()  # a chat's turns may begin with one that has no role
        found = [*self._tokenizer.all_special_tokens, *(token.content for token in added if token.special)]
        return list(dict.fromkeys(found))
