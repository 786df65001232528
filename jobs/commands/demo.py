"""`nextmart demo`'s shop: a catalogue and visitors, made in SQL (``sql/demo``)."""

from datetime import datetime

from jobs.errors import NextmartError
from jobs.files import sql_text
from jobs.warehouse.connection import Connection, transaction


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
    found = connection.execute(
        "select exists (from raw.events) or exists (from raw.items)"
    ).fetchone()  # fmt: skip
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
