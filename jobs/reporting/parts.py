"""What a page is made of: tiles, sections, charts and tables, as plain data."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Any

import polars as pl

Cell = str
"""A value of a table as people read it."""


@dataclass(frozen=True)
class Chart:
    """A drawing: ``svg`` is a whole SVG element, whose colours are CSS variables of the page."""

    title: str
    svg: str


@dataclass(frozen=True)
class Table:
    """Rows with one heading for each column.

    ``numeric`` holds the positions of columns that are set to the right, ``timed`` those of times, kept on one line.
    """

    caption: str
    headings: list[str]
    rows: list[list[Cell]]
    numeric: frozenset[int] = frozenset()
    timed: frozenset[int] = frozenset()


@dataclass(frozen=True)
class Section:
    """A part of the page: a title, sentences, drawings and tables."""

    anchor: str
    title: str
    sentences: list[str]
    charts: list[Chart] = field(default_factory=list)
    tables: list[Table] = field(default_factory=list)


@dataclass(frozen=True)
class Tile:
    """The answer to one question of a manager; ``state`` is good, warning, bad or unknown."""

    question: str
    answer: str
    detail: str
    state: str


def cell(value: Any, digits: int = 4) -> Cell:
    """Return a value as people read it: numbers with thousands, instants in UTC, nothing as a dash."""
    if value is None:
        return "–"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return f"{value:,}"
    if isinstance(value, float):
        return f"{value:,.{digits}f}"
    if isinstance(value, datetime):
        return f"{value:%Y-%m-%d %H:%M}"
    if isinstance(value, date):
        return f"{value:%Y-%m-%d}"
    return str(value)


def table(frame: pl.DataFrame, caption: str, headings: Mapping[str, str], digits: int = 4) -> Table:
    """Return some columns of a frame as a table.

    Parameters
    ----------
    headings : column -> heading
        Which columns are shown, in which order.
    """
    columns = list(headings)
    types = [frame.schema[column] for column in columns]
    numeric = frozenset(place for place, dtype in enumerate(types) if dtype.is_numeric())
    timed = frozenset(place for place, dtype in enumerate(types) if dtype.is_temporal())
    rows = [[cell(value, digits) for value in row] for row in frame.select(columns).iter_rows()]
    return Table(caption, list(headings.values()), rows, numeric, timed)


def percent(share: float | None) -> str:
    """Return a share as a percentage."""
    return "–" if share is None else f"{100 * share:.1f} %"
