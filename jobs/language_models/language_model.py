"""The interface of language models: fine-tuning on conversations, and answering or ranking answers to new ones."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from jobs.core.arrays import State


@dataclass(frozen=True)
class Conversation:
    """One exchange with a chat model: instructions, data, and the answer if it is known.

    Attributes
    ----------
    system : str
        The instructions: the project's own words, never the catalogue's.
    user : str
        The data: titles of the catalogue.
    answer : str
        The right answer, for fine-tuning; "" when the model is to answer.
    """

    system: str
    user: str
    answer: str = ""


@dataclass(frozen=True)
class Sampling:
    """How a language model draws answers.

    Attributes
    ----------
    samples : int
        Answers to each conversation.
    temperature : float
        The logits are divided by it; 0 always takes the likeliest token.
    max_tokens : int
        Tokens of an answer, at most.
    seed : int
        Decides which answers are drawn.
    """

    samples: int = 20
    temperature: float = 0.25
    max_tokens: int = 50
    seed: int = 0


class LanguageModel(ABC):
    """A language model, on this machine or at a service."""

    @abstractmethod
    def fine_tune(
        self, examples: Sequence[Conversation], held_out: Sequence[Conversation], seed: int, checkpoint: Path | None
    ) -> None:
        """Learn the answers of ``examples``; ``held_out`` conversations may only decide when to stop."""

    @abstractmethod
    def answer(self, conversations: Sequence[Conversation], sampling: Sampling) -> list[list[str]]:
        """Return ``sampling.samples`` answers to each conversation, in the order in which they are drawn."""

    @abstractmethod
    def choose(self, conversations: Sequence[Conversation], choices: Sequence[str], k: int) -> list[list[int]]:
        """Return the ``k`` likeliest of the given answers to each conversation, the likeliest first.

        Returns
        -------
        for each conversation, a list of positions in ``choices``

        Raises
        ------
        UsageError
            If the model's probabilities can't be read, as at a service.
        """

    @abstractmethod
    def state(self) -> State:
        """Return what fine-tuning has learnt, as named arrays."""

    @abstractmethod
    def restore(self, state: State) -> None:
        """Load what :meth:`state` returned."""
