"""The classes of a source's report: counts and examples of the values that dbt's staging models can read."""

from dataclasses import dataclass, field
from typing import Any

from jobs.loading.attributes import Attributes


@dataclass(frozen=True)
class ColumnReport:
    """How many values of one raw column dbt's staging models can read.

    Attributes
    ----------
    given : int
        The number of rows that have a value.
    read : int
        The number of rows whose value staging can read.
    unread : value -> number of rows
        The most frequent values that staging can't read.
    """

    given: int
    read: int
    unread: dict[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class NearMiss:
    """A respelling of item ids that would make some unknown ids of events match the catalogue.

    Attributes
    ----------
    way : str
        A key of ``RESPELLINGS``.
    where : str
        Which ids the respelling changes: those of ``events``, ``catalogue`` or ``both``.
    ids : int
        The number of unknown ids that would match.
    """

    way: str
    where: str
    ids: int


@dataclass(frozen=True)
class ItemMatches:
    """How the item ids of events match the catalogue.

    Attributes
    ----------
    ids, rows : int
        The numbers of different item ids, and of rows that have one.
    known_ids, known_rows : int
        The numbers of these ids and rows whose item is in the catalogue.
    unknown : item id -> number of rows
        The most frequent ids that the catalogue lacks.
    near_misses : tuple of NearMiss
        Ways to make unknown ids match, the best first.
    has_catalogue : bool
        Whether the catalogue has any row.
    """

    ids: int
    rows: int
    known_ids: int
    known_rows: int
    unknown: dict[str, int]
    near_misses: tuple[NearMiss, ...]
    has_catalogue: bool = True

    @property
    def unknown_ids(self) -> int:
        """The number of different item ids that the catalogue lacks."""
        return self.ids - self.known_ids

    def as_dictionary(self) -> dict[str, Any]:
        """Return the matches as a dictionary for JSON."""
        return {**vars(self), "near_misses": [vars(near_miss) for near_miss in self.near_misses]}


@dataclass(frozen=True)
class SourceReport:
    """The report of one source: how many rows and values dbt's staging models can read, with examples.

    Attributes
    ----------
    table : str
        ``events``, ``items``, ``visitors`` or ``impressions``.
    rows : int
        The number of rows, each counted once however often the files repeat it; one row for each item or visitor.
    measured_rows : int
        The number of rows whose values were read: all rows, or a sample of very many. The counts of values are those of
        these rows, except for event types, visitors, users and items.
    usable : int
        The number of rows that the next build doesn't reject, except for items that the catalogue lacks.
    columns : column of the raw table -> ColumnReport
    first_time, last_time : str, optional
        The earliest and the latest time in UTC, as ``2026-01-31 10:00:00``; of events, among acceptable times.
    too_early, in_future : int
        The numbers of events whose time is earlier, or later, than staging accepts.
    days : int
        The number of days with events.
    event_types : event type -> number of rows
        The most frequent types first.
    more_event_types : int
        The number of further types, which ``event_types`` leaves out.
    unknown_event_types : event type -> number of rows
        Those of ``event_types`` that the dbt var ``known_event_types`` lacks; they are rejected.
    visitors, users : int
        The numbers of different visitors and users, approximate if there is a sample.
    texts, withdrawn : int
        The numbers of items with a text, and of items that are not available.
    visitors_with_events : int, optional
        Of a table of visitors, the number of those that have events; None if there are no events, or they are not
        looked at because ``raw.events`` is a view.
    items : ItemMatches, optional
        How the item ids of events match the catalogue: of the source's events, or, for items that are loaded without
        events, of the events that the warehouse has.
    attributes : Attributes
        Which columns of the files are kept as attributes.
    """

    table: str
    rows: int
    measured_rows: int
    usable: int
    columns: dict[str, ColumnReport]
    first_time: str | None
    last_time: str | None
    too_early: int = 0
    in_future: int = 0
    days: int = 0
    event_types: dict[str, int] = field(default_factory=dict)
    more_event_types: int = 0
    unknown_event_types: dict[str, int] = field(default_factory=dict)
    visitors: int = 0
    users: int = 0
    texts: int = 0
    withdrawn: int = 0
    visitors_with_events: int | None = None
    items: ItemMatches | None = None
    attributes: Attributes = field(default_factory=lambda: Attributes({}))

    @property
    def is_sampled(self) -> bool:
        """Whether only a sample of the rows' values was read."""
        return self.measured_rows < self.rows

    def as_dictionary(self) -> dict[str, Any]:
        """Return the report as a dictionary for JSON."""
        return {
            **vars(self),
            "columns": {name: vars(column) for name, column in self.columns.items()},
            "items": self.items.as_dictionary() if self.items else None,
            "attributes": self.attributes.as_dictionary(),
        }
