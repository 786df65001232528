"""Twenty visitors with what they did and what they get, and the items that can be searched for. Pure functions."""

from typing import Any
from urllib.parse import urlsplit

import polars as pl

from jobs.reporting.parts import cell
from jobs.reporting.reading import Frames


def visitors(frames: Frames) -> list[dict[str, Any]]:
    """Return the drawn visitors: ``visitor_id``, ``history`` and ``rows``, both lists of dictionaries.

    ``picture`` of a row is an https address, or None.
    """
    if frames["lists"].is_empty():
        return []
    history = _by_visitor(frames["visitors"])
    return [
        {"visitor_id": visitor_id, "history": history.get(visitor_id, []), "rows": rows}
        for visitor_id, rows in _by_visitor(frames["lists"]).items()
    ]


def searchable_items(frame: pl.DataFrame) -> list[list[Any]]:
    """Return each item as ``[item_id, title, brand, category, price, [titles of neighbours]]``, for the search."""
    if frame.is_empty():
        return []
    columns = ["item_id", "title", "brand", "category", "price", "neighbours"]
    return [
        [*row[:4], "" if row[4] is None else cell(row[4], digits=2), row[5]]
        for row in frame.select(columns).iter_rows()
    ]


def picture_address(text: str | None) -> str | None:
    """Return an address of a picture if its scheme is https and it names a host; else None."""
    if not text:
        return None
    try:
        parts = urlsplit(text.strip())
        is_usable = parts.scheme == "https" and bool(parts.hostname) and not (parts.username or parts.password)
    except ValueError:
        return None
    return text.strip() if is_usable else None


def _by_visitor(frame: pl.DataFrame) -> dict[str, list[dict[str, Any]]]:
    found: dict[str, list[dict[str, Any]]] = {}
    for row in frame.iter_rows(named=True):
        found.setdefault(row["visitor_id"], []).append({**row, "picture": picture_address(row["image_url"])})
    return found
