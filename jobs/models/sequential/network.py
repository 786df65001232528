"""The interface of the networks of trained sequence models: they map a sequence to the vector of its next item."""

from abc import ABC, abstractmethod

from torch import Tensor, nn


class SequenceNetwork(nn.Module, ABC):
    """A network with a vector for each item, which predicts the vector of a sequence's next item.

    Attributes
    ----------
    table : float (items, width)
        The trained item vectors.
    bias : float (items,), or None
        A number that is added to the item's score, for every sequence.
    """

    table: nn.Parameter
    bias: nn.Parameter | None

    def __init__(self) -> None:
        super().__init__()
        self.register_parameter("bias", None)

    @abstractmethod
    def predict_next_vectors(self, item_vectors: Tensor, items: Tensor) -> Tensor:
        """Return the predicted vector of the item after each sequence; the sequences have equal length.

        Parameters
        ----------
        item_vectors : float (items, width)
            The item vectors to read, usually ``self.table``.
        items : int64 (rows, length)
            Sequences of row numbers in ``item_vectors``, oldest item first.

        Returns
        -------
        float (rows, width)
        """
