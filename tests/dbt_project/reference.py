"""The gap rule once more, in plain Python: what the SQL is held against."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from hashlib import md5
from itertools import groupby, pairwise

GAP = timedelta(minutes=30)


@dataclass(frozen=True, order=True)
class Event:
    visitor_id: str
    event_at: datetime
    event_id: str
    item_id: str
    event_type: str = "view"


@dataclass(frozen=True)
class Session:
    events: tuple[Event, ...]

    @property
    def session_id(self) -> str:
        first = self.events[0]
        return md5(f"{first.visitor_id}:{first.event_id}".encode()).hexdigest()

    def item_rows(self) -> list[tuple]:
        """Rows of session_items: session, place, event, item, time."""
        return [
            (self.session_id, place, event.event_id, event.item_id, event.event_at)
            for place, event in enumerate(self.events, start=1)
        ]

    def row(self) -> tuple:
        """Return the row of sessions: session, visitor, start, end, events, items, purchases."""
        return (
            self.session_id,
            self.events[0].visitor_id,
            self.events[0].event_at,
            self.events[-1].event_at,
            len(self.events),
            len({event.item_id for event in self.events}),
            sum(event.event_type == "purchase" for event in self.events),
        )

    def sequence(self) -> tuple:
        """Return the row of sequences: session and items, repeats in a row once."""
        return self.session_id, [item for item, _ in groupby(event.item_id for event in self.events)]


def sessionize(events: Iterable[Event]) -> list[Session]:
    """Split each visitor's events, by time and then event_id, where the silence is longer than 30 minutes."""
    sessions = []
    for _, of_visitor in groupby(sorted(events), key=lambda event: event.visitor_id):
        history = list(of_visitor)
        starts = [
            place
            for place, (before, event) in enumerate(pairwise(history), 1)
            if event.event_at - before.event_at > GAP
        ]
        for start, end in pairwise([0, *starts, len(history)]):
            sessions.append(Session(tuple(history[start:end])))
    return sessions


# what a table holds, by the query that reads it
REFERENCE = {
    "select session_id, position, event_id, item_id, event_at from sessions.session_items": (
        lambda sessions: [row for session in sessions for row in session.item_rows()]
    ),
    "select session_id, visitor_id, started_at, ended_at, event_count, item_count, purchase_count "
    "from sessions.sessions": lambda sessions: [session.row() for session in sessions],
    "select sequence_id, items from sessions.sequences": lambda sessions: [s.sequence() for s in sessions],
}
