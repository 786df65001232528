"""Access of models to paid services: they share one record of purchases and one spending limit."""

from collections.abc import Sequence
from dataclasses import dataclass

from jobs.core.arrays import Floats
from jobs.language_models.name_vectors import embed_names
from jobs.settings import Settings
from jobs.warehouse.connection import Connection


@dataclass
class PaidServices:
    """Access to paid language models and embeddings; all models of one job share its limit, ``prompt_max_cost``.

    Attributes
    ----------
    connection : Connection
        A connection to the warehouse, which keeps all purchases, so that nothing is bought twice.
    settings : Settings
    spent_usd : float
        The money that the job's models have spent so far, in US dollars.
    embedding_model : str or None
        The embedding model that gave the catalogue its vectors, by which names are embedded too; None: the one that the
        warehouse serves. An experiment may fit each of its models with vectors of another.
    """

    connection: Connection
    settings: Settings
    spent_usd: float = 0.0
    embedding_model: str | None = None

    def embed_names(self, made_up_item_names: Sequence[str]) -> dict[str, Floats]:
        """Return unit-length embeddings of item names, bought within the spending limit.

        See :func:`jobs.language_models.name_vectors.embed_names`.
        """
        left_to_spend = max(0.0, (self.settings.prompt_max_cost or 0.0) - self.spent_usd)
        settings = self.settings.with_embedding_model(self.embedding_model, None)
        return embed_names(self.connection, settings, made_up_item_names, left_to_spend, self._count_spending)

    def _count_spending(self, cost_usd: float) -> None:
        self.spent_usd += cost_usd
