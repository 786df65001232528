"""`nextmart demo`'s shop: a catalogue and visitors, made in SQL (``sql/demo``)."""

from datetime import datetime
from typing import Any, Final

from jobs.errors import NextmartError
from jobs.files import sql_text
from jobs.warehouse.connection import Connection, transaction

_SMALL_SHOP: Final = {"width": 64, "negatives": 0, "epochs": 15}  # few items: the exact loss costs nothing more

DEMO_SETTINGS: Final[dict[str, Any]] = {
    "models": ["popularity", "llmseqsim", "sasrec", "llm2sasrec", "fusion"],
    "parameters": {"sasrec": _SMALL_SHOP, "llm2sasrec": {**_SMALL_SHOP, "initial_std": 0.1}},
}
"""The paper's point at a glance: a sequence model without and with the LLM's embeddings, and what both must beat.

Sizes are those that a shop of a thousand visitors needs, so that the demo ends within a minute or two.
"""


def make_shop(connection: Connection, *, visitors: int, items: int, seed: int, until: datetime) -> None:
    """Fill an empty warehouse with a shop; the same arguments make the same rows.

    Parameters
    ----------
    until : datetime
        Every event lies before it, and counts as loaded at it.

    Raises
    ------
    NextmartError
        If the warehouse holds raw rows already: a demo never mixes with real data.
    """
    found = connection.execute("select exists (from raw.events) or exists (from raw.items)").fetchone()
    if found and found[0]:
        raise NextmartError("this warehouse has events or items already; the demo needs one of its own")
    connection.execute(sql_text("demo/vocabulary.sql"))
    shop = {"items": items, "seed": seed, "until": until}
    with transaction(connection):
        for table, parameters in (("items", shop), ("events", {**shop, "visitors": visitors})):
            connection.execute(
                f"insert into raw.{table} by name select *, $until as loaded_at from ({sql_text(f'demo/{table}.sql')})",
                parameters,
            )
