"""The interface of language models: fine-tuning on conversations, drawing answers, and choosing among answers."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from jobs.core.arrays import State


@dataclass(frozen=True)
class Conversation:
    """One exchange with a chat model: instructions, data, and the right answer if it is known.

    Attributes
    ----------
    system : str
        The instructions: nextmart's own words, never words of the catalogue.
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
        Seed of the random numbers by which answers are drawn.
    """

    samples: int = 20
    temperature: float = 0.25
    max_tokens: int = 50
    seed: int = 0


class LanguageModel(ABC):
    """A language model, on the local machine or at a service."""

    @abstractmethod
    def fine_tune(
        self, examples: Sequence[Conversation], held_out: Sequence[Conversation], seed: int, checkpoint: Path | None
    ) -> None:
        """Learn to give the answers of ``examples``; the ``held_out`` conversations only decide when to stop."""

    @abstractmethod
    def answer(self, conversations: Sequence[Conversation], sampling: Sampling) -> list[list[str]]:
        """Draw ``sampling.samples`` answers to each conversation, and return them in the order drawn."""

    @abstractmethod
    def choose(self, conversations: Sequence[Conversation], choices: Sequence[str], k: int) -> list[list[int]]:
        """Return, for each conversation, which ``k`` of the answers ``choices`` are likeliest, the likeliest first.

        Returns
        -------
        for each conversation, a list of positions in ``choices``

        Raises
        ------
        UsageError
            If the model runs at a service, which does not show its probabilities.
        """

    @abstractmethod
    def state(self) -> State:
        """Return what fine-tuning has learnt, as named arrays."""

    @abstractmethod
    def restore(self, state: State) -> None:
        """Load what :meth:`state` returned."""
