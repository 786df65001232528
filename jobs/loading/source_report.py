"""The classes of a source's report: counts and examples of the values that dbt's staging models can read."""

from dataclasses import dataclass, field
from typing import Any

from jobs.loading.attributes import AttributeChoice

EXAMPLES_LISTED = 5
"""The most examples that a report lists of one kind of values."""
EXAMPLE_LENGTH = 80
"""The most characters of a value that a report shows."""


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
    description : str
        Words for the respelling, such as ``in lower case``: a key of ``RESPELLINGS``.
    respelt_side : str
        Which ids the respelling changes: those of ``events``, ``catalogue`` or ``both``.
    matched_id_count : int
        The number of unknown ids that would match.
    """

    description: str
    respelt_side: str
    matched_id_count: int

    def as_dictionary(self) -> dict[str, Any]:
        """Return the respelling as a dictionary for JSON."""
        return {"way": self.description, "where": self.respelt_side, "ids": self.matched_id_count}


@dataclass(frozen=True)
class ItemMatches:
    """How the item ids of events match the catalogue.

    Attributes
    ----------
    event_item_id_count, events_with_item_id_count : int
        The numbers of different item ids in the events, and of events that have an item id.
    known_id_count, events_on_catalogue_items_count : int
        The numbers of these ids, and of these events, whose item is in the catalogue.
    unknown_id_examples : item id -> number of rows
        The most frequent ids that the catalogue lacks.
    respellings : tuple of Respelling
        Ways to make unknown ids match, the best first.
    has_catalogue : bool
        Whether the catalogue has any row.
    """

    event_item_id_count: int
    events_with_item_id_count: int
    known_id_count: int
    events_on_catalogue_items_count: int
    unknown_id_examples: dict[str, int]
    respellings: tuple[Respelling, ...]
    has_catalogue: bool = True

    @property
    def unknown_id_count(self) -> int:
        """The number of different item ids that the catalogue lacks."""
        return self.event_item_id_count - self.known_id_count

    def as_dictionary(self) -> dict[str, Any]:
        """Return the matches as a dictionary for JSON."""
        return {
            "ids": self.event_item_id_count,
            "rows": self.events_with_item_id_count,
            "known_ids": self.known_id_count,
            "known_rows": self.events_on_catalogue_items_count,
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
        ``events``, ``items``, ``visitors`` or ``impressions``.
    row_count : int
        The number of rows; a row that the files repeat counts once. An item or a visitor is one row.
    measured_row_count : int
        The number of rows whose values were read: all rows, or a sample if there are very many. Only these rows count
        for the numbers of values; all rows count for event types, visitors, users and items.
    usable_row_count : int
        The number of measured rows that staging doesn't reject; an event on an item that the catalogue lacks counts.
    column_reports : column of the raw table -> ColumnReport
    earliest_time, latest_time : str, optional
        The earliest and the latest time in UTC, as ``2026-01-31 10:00:00``. For events and impressions, only times that
        staging accepts count.
    too_early_time_count, future_time_count : int
        The numbers of events whose time is earlier, or later, than staging accepts.
    days_with_events_count : int
        The number of days on which there are events, by the date in UTC.
    event_type_counts : event type -> number of rows
        The most frequent types first.
    further_event_type_count : int
        The number of event types that ``event_type_counts`` leaves out because they are less frequent.
    unknown_event_type_counts : event type -> number of rows
        The types in ``event_type_counts`` that the dbt var ``known_event_types`` lacks. Their events are rejected.
    visitor_count, user_count : int
        The numbers of different visitors and users, approximate if there is a sample.
    items_with_text_count, unavailable_item_count : int
        The numbers of items with a text, and of items that are not available.
    visitors_with_events_count : int, optional
        For a source of visitors, the number of visitors who have events; None if there are no events, or if
        ``raw.events`` is a view, which is not read.
    item_matches : ItemMatches, optional
        How the item ids of events match the catalogue. For a source of events, its own events are compared; for items
        that are loaded without events, the events in the warehouse are.
    attribute_choice : AttributeChoice
        Which columns of the files are kept as attributes.
    """

    table: str
    row_count: int
    measured_row_count: int
    usable_row_count: int
    column_reports: dict[str, ColumnReport]
    earliest_time: str | None
    latest_time: str | None
    too_early_time_count: int = 0
    future_time_count: int = 0
    days_with_events_count: int = 0
    event_type_counts: dict[str, int] = field(default_factory=dict)
    further_event_type_count: int = 0
    unknown_event_type_counts: dict[str, int] = field(default_factory=dict)
    visitor_count: int = 0
    user_count: int = 0
    items_with_text_count: int = 0
    unavailable_item_count: int = 0
    visitors_with_events_count: int | None = None
    item_matches: ItemMatches | None = None
    attribute_choice: AttributeChoice = field(default_factory=lambda: AttributeChoice({}))

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
            "first_time": self.earliest_time,
            "last_time": self.latest_time,
            "too_early": self.too_early_time_count,
            "in_future": self.future_time_count,
            "days": self.days_with_events_count,
            "event_types": self.event_type_counts,
            "more_event_types": self.further_event_type_count,
            "unknown_event_types": self.unknown_event_type_counts,
            "visitors": self.visitor_count,
            "users": self.user_count,
            "texts": self.items_with_text_count,
            "withdrawn": self.unavailable_item_count,
            "visitors_with_events": self.visitors_with_events_count,
            "items": self.item_matches.as_dictionary() if self.item_matches else None,
            "attributes": self.attribute_choice.as_dictionary(),
        }
