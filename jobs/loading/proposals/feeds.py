"""What a file holds, concluded from its columns and values: which table it belongs to, and which column is which."""

from collections.abc import Mapping
from dataclasses import replace

from jobs.loading.presets.layout import Layout, Preset
from jobs.loading.proposals.column_choices import (
    column_choice,
    columns_of_our_names,
    first_named,
    time_column,
    time_evidence,
    time_format_choice,
    unmapped_columns,
)
from jobs.loading.proposals.common_names import (
    EVENT_NAMES,
    ITEM_COLUMN_NAMES,
    ITEM_NAMES,
    ORDER_NAMES,
    QUANTITY_NAMES,
    RATING_NAMES,
    SESSION_NAMES,
    VISITOR_NAMES,
    named_columns,
)
from jobs.loading.proposals.event_feeds import events_feed
from jobs.loading.proposals.proposed import Choice, FeedProposal, Question
from jobs.loading.proposals.samples import Sample

CATALOGUE_ROWS = 20
"""From so many rows on, rows that all have another item, and a title, are those of a catalogue."""


def preset_feed(sample: Sample, preset: Preset, layout: Layout) -> FeedProposal:
    """Return the feed of files that have a layout of a preset."""
    if layout.first_line:
        seen = f"its first line is one of {layout.files}"
    else:
        seen = f"it has the columns {', '.join(layout.needs)}"
    return FeedProposal(sample, layout.table, f"{preset.title} ({layout.files}): {seen}", preset, layout)


def plain_feed(sample: Sample, item_column: str | None = None) -> FeedProposal:
    """Return the feed of files of nobody's format in particular.

    Parameters
    ----------
    item_column : str, optional
        The column that holds the item; None: its name says it.
    """
    if not sample.has_header:
        return _feed_without_header(sample)
    visitor, item, time = (
        _visitor(sample),
        item_column or _item(sample),
        time_column(sample, EVENT_NAMES["event_at"], or_any=True),
    )
    texts = [name for names in ITEM_COLUMN_NAMES.values() for name in named_columns(sample.types, names)]
    texts = [name for name in texts if name not in (visitor, item, time)]
    if visitor and item and time and not _lists_items(sample, item):
        reason = f"events: it has a visitor ({visitor}), an item ({item}) and a time ({time})"
        return events_feed(sample, reason, visitor, item, time)
    remarks = []
    if visitor and item and time:
        remarks.append(
            f"Each row has an item of its own and a title, so {visitor} is taken for a seller, and {time} for no time "
            "of an event. If the rows are events, say so: kind, and the map of visitor_id, item_id and event_at"
        )
        visitor = None
    if not visitor:
        item = item or next(iter(named_columns(sample.types, ("id", "code", "handle"))), None)
    if item and texts and not visitor:
        facts = sample.columns[item]
        reason = (
            f"items: it has an item ({item}; {facts.different:,} different in {sample.rows:,} rows) and what describes "
            f"it ({', '.join(dict.fromkeys(texts))}), but no visitor"
        )
        feed = _items_feed(sample, reason, item, None, {})
        return replace(feed, remarks=(*remarks, *feed.remarks))
    return _undecided_feed(sample, visitor, item, time)


def catalogue_feed(events: FeedProposal, texts_of_events: Mapping[str, str]) -> FeedProposal | None:
    """Return a feed of items from a file of events, for a shop that has no file of items; None if that can't be.

    The items are what the events are on, with whatever describes them in the events.

    Parameters
    ----------
    texts_of_events : column -> why it doesn't describe the items
    """
    if events.preset:
        layouts = [
            (preset, layout)
            for preset, layout in events.sample.layouts
            if preset is events.preset and layout.table == "items"
        ]
        return preset_feed(events.sample, *layouts[0]) if layouts else None
    by_key = {choice.key: choice for choice in events.columns}
    if events.kind != "events" or "item_id" not in by_key:
        return None
    reason = "items: no file lists the items, so the catalogue is made of the items in the events"
    time = by_key["event_at"].value if "event_at" in by_key else None
    return _items_feed(events.sample, reason, by_key["item_id"].value, time, texts_of_events)


def without_column(feed: FeedProposal, key: str, remark: str) -> FeedProposal:
    """Return a feed without one column of its map, and a remark why."""
    columns = tuple(choice for choice in feed.columns if choice.key != key)
    if key in {name.lower() for name in feed.sample.types}:
        # the loader takes a column that has our name, unless the map says something else
        columns += (Choice(key, "null", remark, True),)
    return replace(feed, columns=columns, remarks=(*feed.remarks, remark))


def _items_feed(
    sample: Sample, reason: str, item: str, event_time: str | None, texts_of_events: Mapping[str, str]
) -> FeedProposal:
    columns = [column_choice(sample, "item_id", item)]
    taken = {item, *texts_of_events}
    remarks = list(texts_of_events.values())
    for ours, names in ITEM_COLUMN_NAMES.items():
        found = first_named(sample, names, taken)
        if found and ours != "updated_at":
            taken.add(found)
            columns.append(column_choice(sample, ours, found))
    has_title = any(choice.key == "title" for choice in columns)
    columns = [
        Choice("title", choice.value, f"{choice.evidence}; no column is named like a title")
        if choice.key == "description" and not has_title
        else choice
        for choice in columns
    ]
    facts = sample.columns[item]
    if facts.different < facts.given:
        remarks.append(f"{facts.given - facts.different:,} rows repeat an item: the newest row of an item counts")
    questions: tuple[Question, ...] = ()
    time_format = None
    updated = event_time or time_column(sample, ITEM_COLUMN_NAMES["updated_at"])
    # without any other column, a new time would only make the same item known again
    if updated and len(columns) > 1:
        note = "; the newest row of an item counts" if event_time else ""
        columns.append(Choice("updated_at", updated, time_evidence(sample.times[updated]) + note))
        time_format, questions = time_format_choice(updated, sample.times[updated])
    keys = {choice.key for choice in columns}
    # the loader takes a column that has our name, unless the map says something else
    columns += [
        Choice(name.lower(), "null", text, True)
        for name, text in texts_of_events.items()
        if name.lower() in ITEM_COLUMN_NAMES and name.lower() not in keys
    ]
    columns += columns_of_our_names(sample, "items", columns)
    return FeedProposal(
        sample, "items", reason, columns=tuple(columns), time_format=time_format, questions=questions,
        remarks=(*remarks, *unmapped_columns(sample, columns)),
    )  # fmt: skip


def _undecided_feed(sample: Sample, visitor: str | None, item: str | None, time: str | None) -> FeedProposal:
    found = {"visitor_id": visitor, "item_id": item, "event_at": time}
    known = [column_choice(sample, ours, theirs) for ours, theirs in found.items() if theirs]
    missing = [ours for ours, theirs in found.items() if not theirs]
    no_times = [
        f"{name} is named like a time, but only {facts.read:,} of {facts.given:,} values are"
        for name, facts in sample.times.items()
        if not time and facts.given
    ]
    question = Question(
        f"What is in this file? Events need a visitor_id, an item_id and an event_at; no column seems to be "
        f"{' or '.join(missing)}. Items need an item_id, and a title to be understood. Its columns: "
        + ", ".join(f"{name} (such as '{facts.example}')" for name, facts in sample.columns.items())
        + "".join(f"; {text}" for text in no_times),
        tuple(Choice(f"map.{ours}", "THEIR_COLUMN", "") for ours in missing),
    )
    return FeedProposal(sample, "", "not decided", columns=tuple(known), questions=(question,))


def _feed_without_header(sample: Sample) -> FeedProposal:
    times = [f"{name} holds times, such as '{facts.example}' = {facts.instant}" for name, facts in sample.times.items()]
    ids = [
        f"{name} has {facts.different:,} different values in {sample.rows:,} rows, such as '{facts.example}'"
        for name, facts in sample.columns.items()
        if name not in sample.times
    ]
    question = Question(
        f"The file has no header: its first line is {sample.first_line!r}. Which of the {len(sample.columns)} columns "
        f"is which? {'; '.join((*times, *ids))}. Name all columns in the file's order."
    )
    return FeedProposal(sample, "", "not decided: the file has no header", questions=(question,))


def _lists_items(sample: Sample, item: str) -> bool:
    """Tell whether each row has an item of its own and a title, and nothing that only events have.

    Such are the rows of a catalogue whose items have a seller and a day on which they came.
    """
    of_events = (*EVENT_NAMES["event_type"], *SESSION_NAMES, *ORDER_NAMES, *QUANTITY_NAMES, *RATING_NAMES)
    if named_columns(sample.types, [name for name in of_events if name != "type"]):
        return False
    has_title = bool(first_named(sample, ITEM_COLUMN_NAMES["title"], {item}))
    return has_title and sample.rows >= CATALOGUE_ROWS and sample.columns[item].different == sample.rows


def _visitor(sample: Sample) -> str | None:
    return first_named(sample, (*VISITOR_NAMES, *SESSION_NAMES, "email", "customer_email"), ())


def _item(sample: Sample) -> str | None:
    return first_named(sample, ITEM_NAMES, ())
