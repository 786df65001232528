"""The way from a model to the warehouse and the services: what is bought is kept there, and found there again."""

from collections.abc import Sequence
from dataclasses import dataclass

from jobs.core.arrays import Floats
from jobs.language_models.name_vectors import name_vectors
from jobs.settings import Settings
from jobs.warehouse.connection import Connection


@dataclass
class Services:
    """A connection of the job that runs, its settings, and what all its models have spent, in US dollars.

    A job makes one, so that ``prompt_max_cost`` is what they may spend together.
    """

    connection: Connection
    settings: Settings
    spent: float = 0.0

    def name_vectors(self, names: Sequence[str]) -> dict[str, Floats]:
        """Return unit vectors of names, see :func:`jobs.language_models.name_vectors.name_vectors`."""
        left = max(0.0, (self.settings.prompt_max_cost or 0.0) - self.spent)
        vectors, cost = name_vectors(self.connection, self.settings, names, left)
        self.spent += cost
        return vectors
