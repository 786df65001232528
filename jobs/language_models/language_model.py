"""What LLMSeqPrompt asks of a language model: to learn from conversations, and to answer new ones, several times."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from jobs.core.arrays import State


@dataclass(frozen=True)
class Conversation:
    """A task in words.

    Attributes
    ----------
    system : str
        What is wanted; the project's own words, never the catalogue's.
    user : str
        The data: titles of the catalogue, as data.
    answer : str
        The right answer, to learn from; "" where it is asked for.
    """

    system: str
    user: str
    answer: str = ""


@dataclass(frozen=True)
class Sampling:
    """How answers are drawn.

    Attributes
    ----------
    samples : int
        Answers a conversation.
    temperature : float
        0: always the likeliest word.
    max_tokens : int
        Longest answer.
    seed : int
    """

    samples: int = 20
    temperature: float = 0.25
    max_tokens: int = 50
    seed: int = 0


class LanguageModel(ABC):
    """A language model, ours or a service's."""

    @abstractmethod
    def fine_tune(
        self, examples: Sequence[Conversation], held_out: Sequence[Conversation], seed: int, checkpoint: Path | None
    ) -> None:
        """Learn the answers of ``examples``; ``held_out`` may only decide when to stop."""

    @abstractmethod
    def answer(self, conversations: Sequence[Conversation], sampling: Sampling) -> list[list[str]]:
        """Return ``sampling.samples`` answers to each conversation, in the order drawn."""

    @abstractmethod
    def choose(self, conversations: Sequence[Conversation], choices: Sequence[str], k: int) -> list[list[int]]:
        """Return each conversation's ``k`` likeliest of some answers, the likeliest first, as places in ``choices``.

        Raises
        ------
        UsageError
            If the model's probabilities can't be seen, as with a service.
        """

    @abstractmethod
    def state(self) -> State:
        """Return what was learnt as named arrays."""

    @abstractmethod
    def restore(self, state: State) -> None:
        """Take back a state."""
