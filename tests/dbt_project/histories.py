"""Histories of arrivals and builds, drawn with what goes wrong in real ones.

A few visitors have gaps of just under, exactly and just over the limit; several visitors share sessions of the tracker,
or such a session lasts too long; times are equal; events arrive late; ids come again with the same or another payload;
an item's catalogue row comes later or never; rows are broken; a slow transaction commits rows after a build; builds
stop after any of the models.

Left out: a row that becomes visible after a build and is older, by ``loaded_at``, than one which that build took up,
under an id that both have. The one which was taken up first stays; a full refresh would prefer the older one.
"""

from collections import Counter
from datetime import UTC, datetime, timedelta

from hypothesis import strategies as st
from memory_warehouse import Batch

FIRST_DAY = datetime(2026, 1, 1, 10, tzinfo=UTC)
FIRST_ARRIVAL = datetime(2026, 2, 1, tzinfo=UTC)


def time_text(moment: datetime, form: int) -> str:
    forms = [
        f"{moment:%Y-%m-%d %H:%M:%S}",
        f"{moment:%Y-%m-%dT%H:%M:%SZ}",
        f"{moment + timedelta(hours=2):%Y-%m-%dT%H:%M:%S+02:00}",
        str(int(moment.timestamp())),
    ]
    return forms[form % len(forms)]


def respelt(row: dict, form: int) -> dict:
    """Return the row with its time in another form, where that is known: still the same event."""
    try:
        moment = datetime.strptime(row["event_at"] or "", "%Y-%m-%d %H:%M:%S").replace(tzinfo=UTC)
    except ValueError:
        return row
    return {**row, "event_at": time_text(moment, form)}


# times lie on a grid of 30 minutes, some a second off: so gaps under, at and over the limit are all likely
moments = st.builds(
    lambda half_hours, seconds: FIRST_DAY + timedelta(minutes=30 * half_hours, seconds=seconds),
    st.integers(0, 9), st.sampled_from([0, 0, 0, -1, 1, 600]),
)  # fmt: skip

event_rows = st.fixed_dictionaries({
    "event_id": st.integers(1, 60).map(lambda number: f"e{number:02}"),
    "visitor_id": st.sampled_from(["ann", "ann", "bob"]),
    "user_id": st.sampled_from([None, None, "u1", "u2"]),
    "item_id": st.sampled_from(["lamp", "lamp", "mug", "late", "later", "never"]),
    "event_type": st.sampled_from(["view", "view", "purchase"]),
    "event_at": st.builds(time_text, moments, st.sampled_from([0, 0, 0, 0, 1, 2, 3])),
    "source_session_id": st.sampled_from([None] * 5 + ["s1", "s2", "s3", "s4"]),
    "user_agent": st.sampled_from([None, None, "Googlebot/2.1"]),
})  # fmt: skip
faults = st.sampled_from(
    [{}] * 25
    + [{"event_id": None}, {"visitor_id": " "}, {"item_id": None}, {"event_type": ""}]
    + [{"event_at": None}, {"event_at": "soon"}, {"event_at": "1970-01-01"}, {"event_at": "2031-01-01"}]
)


@st.composite
def histories(draw) -> list[Batch]:
    drawn = draw(st.lists(st.builds(dict.__or__, event_rows, faults), min_size=1, max_size=24))
    repeated = draw(st.lists(st.builds(respelt, st.sampled_from(drawn), st.integers(0, 3)), max_size=4))
    rows = draw(st.permutations([*drawn, *repeated]))
    cuts = draw(st.lists(st.integers(0, len(rows)), max_size=4).map(sorted))
    item_batch = {item: draw(st.integers(0, len(cuts))) for item in ("late", "later")}
    ids = Counter(row["event_id"] for row in rows)
    batches = []
    arrival = FIRST_ARRIVAL
    for number, (start, end) in enumerate(zip([0, *cuts], [*cuts, len(rows)], strict=True)):
        before = arrival
        # within the overlap of arrivals, at its edge, beyond it
        arrival += timedelta(minutes=draw(st.sampled_from([1, 60, 61, 1440])))
        events = []
        for row in rows[start:end]:
            loaded_at = arrival + timedelta(seconds=draw(st.integers(0, 5)))
            if ids[row["event_id"]] == 1:
                # committed after the last build, but older than rows of it; or without a time
                early = before - timedelta(minutes=draw(st.sampled_from([1, 30, 59])))
                loaded_at = draw(st.sampled_from([*[loaded_at] * 10, early, None]))
            events.append({**row, "loaded_at": loaded_at})
        items = [item for item, batch in item_batch.items() if batch == number] + (["lamp", "mug"] * (number == 0))
        complete = number == len(cuts)
        batches.append(
            Batch(events, items, arrival, 99 if complete else draw(st.sampled_from([99, 99, 99, 0, 1, 2, 4, 5])))
        )
    return batches


def event_at(number: int, visitor: str, hours: float, source_session_id: str | None = "s1") -> dict:
    """Return the row of a view so many hours after the first; the rows share a session of the tracker, or have none."""
    moment = FIRST_DAY + timedelta(hours=hours)
    arrival = FIRST_ARRIVAL + timedelta(days=number)
    return {
        "event_id": f"e{number}", "visitor_id": visitor, "user_id": None, "item_id": "lamp", "event_type": "view",
        "event_at": time_text(moment, 0), "source_session_id": source_session_id, "user_agent": None,
        "loaded_at": arrival,
    }  # fmt: skip


# a session of ann's that bob shares from the second build on
SHARED_BY_BOB = [
    Batch(
        [event_at(1, "ann", 0), event_at(2, "ann", 1)],
        ["lamp"],
        FIRST_ARRIVAL,
        99,
    ),
    Batch([event_at(3, "bob", 1.5)], [], FIRST_ARRIVAL, 99),
    Batch([event_at(4, "bob", 0.5)], [], FIRST_ARRIVAL, 99),
]

# A visit of several events at short distances, after an earlier visit; its last event comes in the second build
VISIT_THAT_GOES_ON = [
    Batch([event_at(number, "ann", hours, None) for number, hours in enumerate((-5, 0, 0.4, 0.8))], ["lamp"],
          FIRST_ARRIVAL, 99),
    Batch([event_at(4, "ann", 1.2, None)], [], FIRST_ARRIVAL, 99),
]  # fmt: skip
