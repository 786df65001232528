"""The way from a model to the warehouse and the services: what is bought is kept there, and found there again."""

from collections.abc import Sequence
from dataclasses import dataclass

from jobs.models.base import Floats
from jobs.prompting.name_vectors import name_vectors
from jobs.settings import Settings
from jobs.warehouse import Connection


@dataclass(frozen=True)
class Access:
    """A connection of the job that runs, and its settings."""

    connection: Connection
    settings: Settings

    def name_vectors(self, names: Sequence[str]) -> dict[str, Floats]:
        """Return unit vectors of names, see :func:`jobs.prompting.name_vectors.name_vectors`."""
        return name_vectors(self.connection, self.settings, names)
