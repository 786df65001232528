"""The classes of a source's report: counts and examples of the values that dbt's staging models can read."""

from dataclasses import dataclass, field
from typing import Any

from jobs.loading.attributes import AttributeChoice


@dataclass(frozen=True)
class ColumnReport:
    """How many values of one raw column dbt's staging models can read.

    Attributes
    ----------
    given_count : int
        The number of rows that have a value.
    readable_count : int
        The number of rows whose value staging can read.
    unread_examples : value -> number of rows
        The most frequent values that staging can't read.
    """

    given_count: int
    readable_count: int
    unread_examples: dict[str, int] = field(default_factory=dict)

    def as_dictionary(self) -> dict[str, Any]:
        """Return the report as a dictionary for JSON."""
        return {"given": self.given_count, "read": self.readable_count, "unread": self.unread_examples}


@dataclass(frozen=True)
class Respelling:
    """A respelling of item ids that would make some unknown ids of events match the catalogue.

    Attributes
    ----------
    way : str
        A key of ``RESPELLINGS``.
    respelt_side : str
        Which ids the respelling changes: those of ``events``, ``catalogue`` or ``both``.
    matched_id_count : int
        The number of unknown ids that would match.
    """

    way: str
    respelt_side: str
    matched_id_count: int

    def as_dictionary(self) -> dict[str, Any]:
        """Return the respelling as a dictionary for JSON."""
        return {"way": self.way, "where": self.respelt_side, "ids": self.matched_id_count}


@dataclass(frozen=True)
class ItemMatches:
    """How the item ids of events match the catalogue.

    Attributes
    ----------
    id_count, row_count : int
        The numbers of different item ids, and of rows that have one.
    known_id_count, known_row_count : int
        The numbers of these ids and rows whose item is in the catalogue.
    unknown_id_examples : item id -> number of rows
        The most frequent ids that the catalogue lacks.
    respellings : tuple of Respelling
        Ways to make unknown ids match, the best first.
    has_catalogue : bool
        Whether the catalogue has any row.
    """

    id_count: int
    row_count: int
    known_id_count: int
    known_row_count: int
    unknown_id_examples: dict[str, int]
    respellings: tuple[Respelling, ...]
    has_catalogue: bool = True

    @property
    def unknown_id_count(self) -> int:
        """The number of different item ids that the catalogue lacks."""
        return self.id_count - self.known_id_count

    def as_dictionary(self) -> dict[str, Any]:
        """Return the matches as a dictionary for JSON."""
        return {
            "ids": self.id_count,
            "rows": self.row_count,
            "known_ids": self.known_id_count,
            "known_rows": self.known_row_count,
            "unknown": self.unknown_id_examples,
            "near_misses": [respelling.as_dictionary() for respelling in self.respellings],
            "has_catalogue": self.has_catalogue,
        }


@dataclass(frozen=True)
class SourceReport:
    """The report of one source: how many rows and values dbt's staging models can read, with examples.

    Attributes
    ----------
    table : str
        ``events``, ``item_matches``, ``visitor_count`` or ``impressions``.
    row_count : int
        The number of rows, each counted once however often the files repeat it; one row for each item or visitor.
    measured_row_count : int
        The number of rows whose values were read: all rows, or a sample of very many. The counts of values are those of
        these rows, except for event types, visitors, users and items.
    usable_row_count : int
        The number of rows that the next build doesn't reject, except for items that the catalogue lacks.
    column_reports : column of the raw table -> ColumnReport
    first_time, last_time : str, optional
        The earliest and the latest time in UTC, as ``2026-01-31 10:00:00``; of events, among acceptable times.
    too_early_count, future_count : int
        The numbers of events whose time is earlier, or later, than staging accepts.
    days_with_events : int
        The number of days with events.
    event_type_counts : event type -> number of rows
        The most frequent types first.
    further_event_type_count : int
        The number of further types, which ``event_type_counts`` leaves out.
    unknown_event_type_counts : event type -> number of rows
        Those of ``event_type_counts`` that the dbt var ``known_event_types`` lacks; they are rejected.
    visitor_count, user_count : int
        The numbers of different visitors and users, approximate if there is a sample.
    items_with_text, unavailable_items : int
        The numbers of items with a text, and of items that are not available.
    visitors_with_events : int, optional
        Of a table of visitors, the number of those that have events; None if there are no events, or they are not
        looked at because ``raw.events`` is a view.
    item_matches : ItemMatches, optional
        How the item ids of events match the catalogue: of the source's events, or, for items that are loaded without
        events, of the events that the warehouse has.
    attributes : AttributeChoice
        Which columns of the files are kept as attributes.
    """

    table: str
    row_count: int
    measured_row_count: int
    usable_row_count: int
    column_reports: dict[str, ColumnReport]
    first_time: str | None
    last_time: str | None
    too_early_count: int = 0
    future_count: int = 0
    days_with_events: int = 0
    event_type_counts: dict[str, int] = field(default_factory=dict)
    further_event_type_count: int = 0
    unknown_event_type_counts: dict[str, int] = field(default_factory=dict)
    visitor_count: int = 0
    user_count: int = 0
    items_with_text: int = 0
    unavailable_items: int = 0
    visitors_with_events: int | None = None
    item_matches: ItemMatches | None = None
    attributes: AttributeChoice = field(default_factory=lambda: AttributeChoice({}))

    @property
    def is_sampled(self) -> bool:
        """Whether only a sample of the rows' values was read."""
        return self.measured_row_count < self.row_count

    def as_dictionary(self) -> dict[str, Any]:
        """Return the report as a dictionary for JSON."""
        return {
            "table": self.table,
            "rows": self.row_count,
            "measured_rows": self.measured_row_count,
            "usable": self.usable_row_count,
            "columns": {name: column.as_dictionary() for name, column in self.column_reports.items()},
            "first_time": self.first_time,
            "last_time": self.last_time,
            "too_early": self.too_early_count,
            "in_future": self.future_count,
            "days": self.days_with_events,
            "event_types": self.event_type_counts,
            "more_event_types": self.further_event_type_count,
            "unknown_event_types": self.unknown_event_type_counts,
            "visitors": self.visitor_count,
            "users": self.user_count,
            "texts": self.items_with_text,
            "withdrawn": self.unavailable_items,
            "visitors_with_events": self.visitors_with_events,
            "items": self.item_matches.as_dictionary() if self.item_matches else None,
            "attributes": self.attributes.as_dictionary(),
        }
