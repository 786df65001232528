"""What outcomes and uplift must hold, in plain Python: loops over days, places and events, straight from the words."""

from collections import defaultdict
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta

from outcome_tables import DAYS, WINDOW_DAYS, Event, History, Place

WINDOW = timedelta(days=WINDOW_DAYS)
MOMENT = timedelta(microseconds=1)
LONG_AGO = datetime(1, 1, 1, tzinfo=UTC)
FAR = datetime(2999, 1, 1, tzinfo=UTC)
TYPES = ("purchase", "view")


def price_of(history: History, event: Event) -> float | None:
    """Return the last price known then, or else the first one known later; None for what was not bought."""
    versions = sorted(
        (price for price in history.prices if price.item == event.item and price.price is not None),
        key=lambda version: version.valid_from,
    )
    if event.kind != "purchase" or not versions:
        return None
    return [*versions[:1], *[version for version in versions if version.valid_from <= event.at]][-1].price


def people_of(history: History) -> tuple[list[Event], list[Place]]:
    events = [event for event in history.events if event.visitor not in history.bots and event.kind in TYPES]
    moments = [*[event.at for event in history.events], *[place.live_from for place in history.places]]
    first = max(moments).date() - timedelta(days=DAYS - 1) if moments else LONG_AGO.date()
    begins = datetime(first.year, first.month, first.day, tzinfo=UTC)
    known = [replace(place, live_from=max(place.live_from, begins)) for place in history.places]
    return events, [
        place for place in known
        if place.visitor not in history.bots and place.live_from < (place.live_until or FAR)
    ]  # fmt: skip


def is_live(place: Place, moment: datetime) -> bool:
    return place.live_from <= moment < (place.live_until or FAR)


def shown(history: History) -> list[tuple]:
    """Return the impressions of items that the visitor's list held then, each with its place."""
    _, places = people_of(history)
    return [
        (impression, place)
        for impression in history.impressions
        for place in places
        if (place.placement, place.visitor, place.item) == (impression.placement, impression.visitor, impression.item)
        and is_live(place, impression.shown_at)
    ]


class Cell:
    """The counts of one row."""

    def __init__(self):
        self.places, self.visitors, self.followed, self.events = 0, set(), 0, []

    def row(self, history: History, kind: str) -> tuple:
        prices = [price_of(history, event) for event in self.events]
        known = [price for price in prices if price is not None]
        revenue = sum(known) if kind == "purchase" and (known or not prices) else None
        return self.places, len(self.visitors), self.followed, len(self.events), revenue


def outcomes(history: History) -> list[tuple]:
    """Return day, placement, model, arm, rank, event type, evidence, places, visitors, followed, events, revenue."""
    events, places = people_of(history)
    kinds = sorted({event.kind for event in events})
    first_shown: dict[str, date] = {}
    for impression, place in shown(history):
        day = impression.shown_at.date()
        first_shown[place.placement] = min(day, first_shown.get(place.placement, day))
    cells: dict[tuple, Cell] = defaultdict(Cell)
    newest = max((event.at for event in history.events), default=LONG_AGO)
    for place in places:
        day = place.live_from.date()
        while day <= newest.date() and day < first_shown.get(place.placement, FAR.date()):
            midnight = datetime(day.year, day.month, day.day, tzinfo=UTC)
            start = max(midnight, place.live_from)
            end = min(midnight + timedelta(days=1), place.live_until or FAR, newest + MOMENT)
            for kind in kinds if start < end else []:
                cell = cells[day, place.placement, place.model, place.arm, place.rank, kind, "could have seen"]
                cell.places += 1
                cell.visitors.add(place.visitor)
                own = [e for e in events if (e.visitor, e.item, e.kind) == (place.visitor, place.item, kind)]
                cell.followed += any(start <= e.at < min(place.live_until or FAR, start + WINDOW) for e in own)
                cell.events += [e for e in own if start <= e.at < end]
            day += timedelta(days=1)
    for impression, place in shown(history):
        for kind in kinds:
            rank = place.rank if impression.rank is None else impression.rank
            cell = cells[impression.shown_at.date(), place.placement, place.model, place.arm, rank, kind, "shown"]
            cell.places += 1
            cell.visitors.add(place.visitor)
            own = [e for e in events if (e.visitor, e.item, e.kind) == (place.visitor, place.item, kind)]
            credited = [
                event for event in own
                if impression.shown_at <= event.at < impression.shown_at + WINDOW
                and impression == latest_impression(history, place.placement, event)
            ]  # fmt: skip
            cell.followed += bool(credited)
            cell.events += credited
    return sorted((*key, *cell.row(history, key[5])) for key, cell in cells.items())


def latest_impression(history: History, placement: str, event: Event):
    before = [
        impression for impression in history.impressions
        if (impression.placement, impression.visitor, impression.item) == (placement, event.visitor, event.item)
        and impression.shown_at <= event.at
    ]  # fmt: skip
    return max(before, key=lambda impression: (impression.shown_at, impression.impression_id))


def uplift_visitors(history: History) -> list[tuple]:
    """Return placement, measure, visitor, arm, entry, day, outcome, outcome before."""
    events, places = people_of(history)
    newest = max((event.at for event in history.events), default=LONG_AGO)
    measures = {event.kind for event in events}
    if any(price_of(history, event) is not None for event in events):
        measures.add("revenue")
    rows = []
    for placement in {place.placement for place in places}:
        control = [place for place in places if (place.placement, place.arm) == (placement, "control")]
        if not control:
            continue
        begins, ends = newest_time_span_of(control)
        impressions = [(i.shown_at, place) for i, place in shown(history) if place.placement == placement]
        for visitor in {place.visitor for place in places}:
            own = [place for place in places if (place.placement, place.visitor) == (placement, visitor)]
            if impressions:
                entries = [(at, place.arm) for at, place in impressions if place.visitor == visitor and at >= begins]
            else:
                entries = [
                    (max(place.live_from, begins), place.arm) for place in own if (place.live_until or FAR) > begins
                ]
            if not entries:
                continue
            entered, arm = min(entries)
            window_end = entered + WINDOW
            others = [
                place for place in own
                if place.arm != arm and place.live_from < window_end and (place.live_until or FAR) > entered
            ]  # fmt: skip
            day = (window_end - MOMENT).date()
            if others or window_end > ends or day >= newest.date():
                continue
            for measure in measures:
                after, before = (
                    sum(
                        amount_of(history, event, measure)
                        for event in events
                        if event.visitor == visitor and start <= event.at < start + WINDOW
                    )
                    for start in (entered, entered - WINDOW)
                )
                rows.append((placement, measure, visitor, arm, entered, day, after, before))
    return sorted(rows)


def newest_time_span_of(places: list[Place]) -> tuple[datetime, datetime]:
    """Return the beginning and the end of the newest time in which always one of the places was live."""
    begins, ends = LONG_AGO, LONG_AGO
    for place in sorted(places, key=lambda place: place.live_from):
        if place.live_from > ends:
            begins = place.live_from
        ends = max(ends, place.live_until or FAR)
    return begins, ends


def amount_of(history: History, event: Event, measure: str) -> float:
    if measure == "revenue":
        return price_of(history, event) or 0
    return float(event.kind == measure)
