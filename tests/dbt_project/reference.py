"""The gap rule once more, in plain Python: what the SQL is held against."""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from hashlib import md5
from itertools import groupby, pairwise

GAP = timedelta(minutes=30)
LONGEST_SOURCE_SESSION = timedelta(hours=24)


@dataclass(frozen=True, order=True)
class Event:
    visitor_id: str
    event_at: datetime
    event_id: str
    item_id: str
    event_type: str = "view"
    source_session_id: str | None = None
    user_id: str | None = None
    bot_reason: str | None = None


@dataclass(frozen=True)
class Session:
    events: tuple[Event, ...]
    cut_reason: str | None = None

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


def stream(event: Event) -> tuple[str, str]:
    """What events are divided within: the tracker's session where it has one, else all that the visitor did."""
    return event.visitor_id, event.source_session_id or ""


def cut_reasons(events: Iterable[Event], longest: timedelta) -> dict[str, str]:
    """Return why sessions of the tracker are cut by silence: one visitor's that are short enough are not."""
    events_by_source = defaultdict(list)
    for event in events:
        events_by_source[event.source_session_id or ""].append(event)
    reasons = {}
    for source, found in events_by_source.items():
        moments = [event.event_at for event in found]
        if source and len({event.visitor_id for event in found}) > 1:
            reasons[source] = "shared_source_session"
        elif source and max(moments) - min(moments) > longest:
            reasons[source] = "long_source_session"
    return reasons


def sessionize(events: Iterable[Event], longest_source_session: timedelta = LONGEST_SOURCE_SESSION) -> list[Session]:
    """Split each stream, by time and then event_id, where the silence is longer than 30 minutes."""
    sessions = []
    in_order = sorted(events, key=lambda event: (*stream(event), event.event_at, event.event_id))
    reasons = cut_reasons(in_order, longest_source_session)
    for (_, given), of_stream in groupby(in_order, key=stream):
        history = list(of_stream)
        starts = [
            place
            for place, (before, event) in enumerate(pairwise(history), 1)
            if (not given or given in reasons) and event.event_at - before.event_at > GAP
        ]
        for start, end in pairwise([0, *starts, len(history)]):
            sessions.append(Session(tuple(history[start:end]), reasons.get(given)))
    return sessions


def sequences(sessions: list[Session]) -> list[tuple]:
    """Return the rows of sequences: nothing is learnt from a visitor who has shown to be a bot."""
    bots = {event.visitor_id for session in sessions for event in session.events if event.bot_reason}
    return [session.sequence() for session in sessions if session.events[0].visitor_id not in bots]


def logins(sessions: list[Session]) -> dict[str, str]:
    """Return each visitor's last login."""
    events = sorted((e for session in sessions for e in session.events), key=lambda e: (e.event_at, e.event_id))
    return {event.visitor_id: event.user_id for event in events if event.user_id}


def stitched(sessions: list[Session]) -> list[tuple]:
    """Return session and stitched user: the session's own last login, else the visitor's."""
    of_visitor = logins(sessions)
    return [
        (session.session_id, logins([session]).get(visitor, of_visitor.get(visitor)))
        for session in sessions
        for visitor in [session.events[0].visitor_id]
    ]


READ_EVENTS = (
    "select visitor_id, event_at, event_id, item_id, event_type, source_session_id, user_id, bot_reason "
    "from staging.stg_events order by all"
)


# what a table holds, by the query that reads it
REFERENCE = {
    "select session_id, position, event_id, item_id, event_at from sessions.session_items": (
        lambda sessions: [row for session in sessions for row in session.item_rows()]
    ),
    "select session_id, visitor_id, started_at, ended_at, event_count, item_count, purchase_count "
    "from sessions.sessions": lambda sessions: [session.row() for session in sessions],
    "select sequence_id, items from sessions.sequences": sequences,
    "select visitor_id, user_id from sessions.user_mapping": lambda sessions: list(logins(sessions).items()),
    "select session_id, coalesce(stitched_user_id, '') from sessions.sessions": (
        lambda sessions: [(session, user or "") for session, user in stitched(sessions)]
    ),
    "select session_id, coalesce(cut_reason, '') from sessions.sessions": (
        lambda sessions: [(session.session_id, session.cut_reason or "") for session in sessions]
    ),
}
