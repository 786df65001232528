"""Parts of the report's page as plain data: tiles, sections, charts and tables."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Any

import polars as pl

Cell = str
"""The text in a cell of a table."""


@dataclass(frozen=True)
class Chart:
    """A drawing for the page: ``svg`` is the text of an SVG element, whose colours are CSS variables of the page."""

    title: str
    svg: str


@dataclass(frozen=True)
class Table:
    """A table for the page, with a heading for each column.

    ``numeric_columns`` and ``time_columns`` hold positions of columns, from 0. Numbers are aligned to the right, and
    times are not broken into lines.
    """

    caption: str
    headings: list[str]
    rows: list[list[Cell]]
    numeric_columns: frozenset[int] = frozenset()
    time_columns: frozenset[int] = frozenset()


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
    """A small box of the page with the answer to one question; its ``state`` is good, warning, bad or unknown."""

    question: str
    answer: str
    detail: str
    state: str


def cell_text(value: Any, digits: int = 4) -> Cell:
    """Return a value as text for people: numbers have thousands separators, instants are in UTC, None is a dash."""
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


def table_of_frame(
    frame: pl.DataFrame,
    caption: str,
    headings: Mapping[str, str],
    digits: int = 4,
    money_columns: Collection[str] = (),
) -> Table:
    """Return columns of a data frame as a table of the page.

    Parameters
    ----------
    headings : column -> heading
        The columns that the table shows, in their order.
    digits : int
        Number of decimals of a float.
    money_columns : collection of str
        Columns of amounts of money, which have two decimals instead.
    """
    columns = list(headings)
    decimals = [2 if column in money_columns else digits for column in columns]
    types = [frame.schema[column] for column in columns]
    numeric = frozenset(place for place, dtype in enumerate(types) if dtype.is_numeric())
    timed = frozenset(place for place, dtype in enumerate(types) if dtype.is_temporal())
    rows = [list(map(cell_text, row, decimals)) for row in frame.select(columns).iter_rows()]
    return Table(caption, list(headings.values()), rows, numeric, timed)


def percent_text(share: float | None) -> str:
    """Return a share as text of a percentage, such as 12.5 %; None as a dash."""
    return "–" if share is None else f"{100 * share:.1f} %"
