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
        The instructions: nextmart's own words, never text from the catalogue.
    user : str
        The data: titles of catalogue items.
    answer : str
        The right answer, for fine-tuning; "" if the model is asked for an answer.
    """

    system: str
    user: str
    answer: str = ""


@dataclass(frozen=True)
class Sampling:
    """Settings by which a language model draws random answers.

    Attributes
    ----------
    answers_per_conversation : int
        The number of answers to each conversation.
    temperature : float
        The divisor of the logits; at 0 the model always takes the likeliest token.
    max_tokens : int
        The largest number of tokens in an answer.
    seed : int
        Seed of the random numbers by which answers are drawn.
    """

    answers_per_conversation: int = 20
    temperature: float = 0.25
    max_tokens: int = 50
    seed: int = 0


class LanguageModel(ABC):
    """A language model that runs on the local machine or at OpenAI or a compatible service."""

    @abstractmethod
    def fine_tune(
        self,
        examples: Sequence[Conversation],
        held_out_examples: Sequence[Conversation],
        seed: int,
        checkpoint_file: Path | None,
    ) -> None:
        """Fine-tune the model to give the answers in ``examples``; ``held_out_examples`` only decide when to stop."""

    @abstractmethod
    def draw_answers(self, conversations: Sequence[Conversation], sampling: Sampling) -> list[list[str]]:
        """Draw ``sampling.answers_per_conversation`` answers to each conversation; return them in the order drawn."""

    @abstractmethod
    def choose_likeliest_answers(
        self, conversations: Sequence[Conversation], choices: Sequence[str], k: int
    ) -> list[list[int]]:
        """Return the ``k`` likeliest answers to each conversation among the texts ``choices``, the likeliest first.

        Returns
        -------
        for each conversation, a list of positions in ``choices``

        Raises
        ------
        UsageError
            If the model runs at a service, since a service does not show its probabilities.
        """

    @abstractmethod
    def state(self) -> State:
        """Return the results of fine-tuning as named arrays, which :meth:`restore` loads."""

    @abstractmethod
    def restore(self, state: State) -> None:
        """Load the results of fine-tuning that :meth:`state` returned."""
