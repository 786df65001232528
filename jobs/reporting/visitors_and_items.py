"""Gives the report a sample of visitors with their newest items and lists, and the items that its reader can search."""

from typing import Any
from urllib.parse import urlsplit

import polars as pl

from jobs.reporting.page_parts import cell_text
from jobs.reporting.report_queries import Frames


def sampled_visitors(frames: Frames) -> list[dict[str, Any]]:
    """Return the report's sample of visitors as dictionaries.

    The keys of a visitor are ``visitor_id``, ``history`` (the newest items of the visitor's sequence) and ``rows`` (the
    places of the visitor's list). Each item of ``history`` and ``rows`` is a dictionary, whose ``picture`` is an https
    address or None.
    """
    if frames["lists_of_sampled_visitors"].is_empty():
        return []
    history = _rows_by_visitor(frames["newest_items_of_sampled_visitors"])
    return [
        {"visitor_id": visitor_id, "history": history.get(visitor_id, []), "rows": rows}
        for visitor_id, rows in _rows_by_visitor(frames["lists_of_sampled_visitors"]).items()
    ]


def searchable_items(frame: pl.DataFrame) -> list[list[Any]]:
    """Return items for the report's search, each as ``[item_id, title, brand, category, price, similar titles]``."""
    if frame.is_empty():
        return []
    columns = ["item_id", "title", "brand", "category", "price", "neighbours"]
    return [
        [*row[:4], "" if row[4] is None else cell_text(row[4], digits=2), row[5]]
        for row in frame.select(columns).iter_rows()
    ]


def usable_picture_address(address: str | None) -> str | None:
    """Return a picture's address if the page may load it (https, with a host, without a password), else None."""
    if not address:
        return None
    try:
        parts = urlsplit(address.strip())
        is_usable = parts.scheme == "https" and bool(parts.hostname) and not (parts.username or parts.password)
    except ValueError:
        return None
    return address.strip() if is_usable else None


def _rows_by_visitor(frame: pl.DataFrame) -> dict[str, list[dict[str, Any]]]:
    found: dict[str, list[dict[str, Any]]] = {}
    for row in frame.iter_rows(named=True):
        found.setdefault(row["visitor_id"], []).append({**row, "picture": usable_picture_address(row["image_url"])})
    return found
