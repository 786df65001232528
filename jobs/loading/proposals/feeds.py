"""Proposes a feed for a file: its columns and values show which raw table gets the rows, and how columns are mapped."""

from collections.abc import Mapping
from dataclasses import replace

from jobs.loading.presets.layout import FileLayout, Preset
from jobs.loading.proposals.column_proposals import (
    first_unmapped_column,
    propose_column,
    propose_columns_by_nextmart_names,
    propose_time_format,
    time_column,
    time_evidence,
    unmapped_columns_remarks,
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
    columns_with_names,
)
from jobs.loading.proposals.event_feeds import propose_events_feed
from jobs.loading.proposals.proposal_classes import FeedKeyProposal, FeedProposal, UserQuestion
from jobs.loading.proposals.samples import FileSample

MIN_CATALOGUE_ROWS = 20
"""A smaller file is not taken for a catalogue, because each of a few events may be on another item by chance."""


def propose_preset_feed(sample: FileSample, preset: Preset, layout: FileLayout) -> FeedProposal:
    """Propose a feed for files that have a preset's layout."""
    if layout.first_line_pattern:
        evidence = f"its first line is one of {layout.usual_file_name}"
    else:
        evidence = f"it has the columns {', '.join(layout.required_columns)}"
    return FeedProposal(sample, layout.table, f"{preset.title} ({layout.usual_file_name}): {evidence}", preset, layout)


def propose_feed_without_preset(sample: FileSample, item_column: str | None = None) -> FeedProposal:
    """Propose a feed for files that fit no preset.

    Parameters
    ----------
    item_column : str, optional
        The column with the item's id; None: it is found by its name.
    """
    if not sample.has_header:
        return _feed_without_header(sample)
    visitor, item, time = (
        _visitor_column(sample),
        item_column or _item_column(sample),
        time_column(sample, EVENT_NAMES["event_at"], accept_any_name=True),
    )
    texts = [name for names in ITEM_COLUMN_NAMES.values() for name in columns_with_names(sample.column_types, names)]
    texts = [name for name in texts if name not in (visitor, item, time)]
    if visitor and item and time and not _is_catalogue(sample, item):
        reason_for_kind = f"events: it has a visitor ({visitor}), an item ({item}) and a time ({time})"
        return propose_events_feed(sample, reason_for_kind, visitor, item, time)
    remarks = []
    if visitor and item and time:
        remarks.append(
            f"Each row has an item of its own and a title, so {visitor} is taken for a seller, and {time} for no time "
            "of an event. If the rows are events, say so: kind, and the map of visitor_id, item_id and event_at"
        )
        visitor = None
    if not visitor:
        item = item or next(iter(columns_with_names(sample.column_types, ("id", "code", "handle"))), None)
    if item and texts and not visitor:
        facts = sample.column_facts[item]
        reason_for_kind = (
            f"items: it has an item ({item}; {facts.distinct_count:,} different in {sample.row_count:,} rows) and what "
            f"describes it ({', '.join(dict.fromkeys(texts))}), but no visitor"
        )
        feed_proposal = _propose_items_feed(sample, reason_for_kind, item, None, {})
        return replace(feed_proposal, remarks=(*remarks, *feed_proposal.remarks))
    return _undecided_feed(sample, visitor, item, time)


def propose_catalogue_feed(events_feed: FeedProposal, excluded_columns: Mapping[str, str]) -> FeedProposal | None:
    """Propose a feed that reads items from a file of events; None if the file doesn't name items.

    A shop without a file of items needs such a feed. Its items are those of the events, described by other columns of
    the same file.

    Parameters
    ----------
    excluded_columns : column of the file -> why it doesn't describe the items
    """
    if events_feed.preset:
        layouts = [
            (preset, layout)
            for preset, layout in events_feed.sample.layouts
            if preset is events_feed.preset and layout.table == "items"
        ]
        return propose_preset_feed(events_feed.sample, *layouts[0]) if layouts else None
    by_key = {proposal.key: proposal for proposal in events_feed.column_proposals}
    if events_feed.kind != "events" or "item_id" not in by_key:
        return None
    reason_for_kind = "items: no file lists the items, so the catalogue is made of the items in the events"
    time = by_key["event_at"].value if "event_at" in by_key else None
    return _propose_items_feed(events_feed.sample, reason_for_kind, by_key["item_id"].value, time, excluded_columns)


def without_column(feed_proposal: FeedProposal, raw_column: str, remark: str) -> FeedProposal:
    """Return a feed whose map lacks the raw column ``raw_column``; the remark says why it is left out."""
    columns = tuple(proposal for proposal in feed_proposal.column_proposals if proposal.key != raw_column)
    if raw_column in {name.lower() for name in feed_proposal.sample.column_types}:
        # the map says null, because the loader would else load the column by its name
        columns += (FeedKeyProposal(raw_column, "null", remark, True),)
    return replace(feed_proposal, column_proposals=columns, remarks=(*feed_proposal.remarks, remark))


def _propose_items_feed(
    sample: FileSample,
    reason_for_kind: str,
    item_column: str,
    event_time_column: str | None,
    excluded_columns: Mapping[str, str],
) -> FeedProposal:
    columns = [propose_column(sample, "item_id", item_column)]
    mapped_columns = {item_column, *excluded_columns}
    remarks = list(excluded_columns.values())
    for ours, names in ITEM_COLUMN_NAMES.items():
        theirs = first_unmapped_column(sample, names, mapped_columns)
        if theirs and ours != "updated_at":
            mapped_columns.add(theirs)
            columns.append(propose_column(sample, ours, theirs))
    has_title = any(proposal.key == "title" for proposal in columns)
    columns = [
        FeedKeyProposal("title", proposal.value, f"{proposal.evidence}; no column is named like a title")
        if proposal.key == "description" and not has_title
        else proposal
        for proposal in columns
    ]
    facts = sample.column_facts[item_column]
    if facts.distinct_count < facts.value_count:
        remarks.append(
            f"{facts.value_count - facts.distinct_count:,} rows repeat an item: the newest row of an item counts"
        )
    questions: tuple[UserQuestion, ...] = ()
    time_format_proposal = None
    updated = event_time_column or time_column(sample, ITEM_COLUMN_NAMES["updated_at"])
    # if the item's id is the only other column, the time is left out: it would add rows without information
    if updated and len(columns) > 1:
        note = "; the newest row of an item counts" if event_time_column else ""
        columns.append(FeedKeyProposal("updated_at", updated, time_evidence(sample.time_facts[updated]) + note))
        time_format_proposal, questions = propose_time_format(updated, sample.time_facts[updated])
    keys = {proposal.key for proposal in columns}
    # the map says null for these columns, because the loader would else load them by their names
    columns += [
        FeedKeyProposal(name.lower(), "null", text, True)
        for name, text in excluded_columns.items()
        if name.lower() in ITEM_COLUMN_NAMES and name.lower() not in keys
    ]
    columns += propose_columns_by_nextmart_names(sample, "items", columns)
    return FeedProposal(
        sample, "items", reason_for_kind, column_proposals=tuple(columns), time_format_proposal=time_format_proposal,
        questions=questions, remarks=(*remarks, *unmapped_columns_remarks(sample, columns)),
    )  # fmt: skip


def _undecided_feed(
    sample: FileSample, visitor_column: str | None, item_column: str | None, event_time_column: str | None
) -> FeedProposal:
    columns_by_key = {"visitor_id": visitor_column, "item_id": item_column, "event_at": event_time_column}
    known = [propose_column(sample, ours, theirs) for ours, theirs in columns_by_key.items() if theirs]
    missing = [ours for ours, theirs in columns_by_key.items() if not theirs]
    no_times = [
        f"{name} is named like a time, but only {facts.readable_count:,} of {facts.value_count:,} values are"
        for name, facts in sample.time_facts.items()
        if not event_time_column and facts.value_count
    ]
    question = UserQuestion(
        f"What is in this file? Events need a visitor_id, an item_id and an event_at; no column seems to be "
        f"{' or '.join(missing)}. Items need an item_id, and a title to be understood. Its columns: "
        + ", ".join(f"{name} (such as '{facts.example}')" for name, facts in sample.column_facts.items())
        + "".join(f"; {text}" for text in no_times),
        tuple(FeedKeyProposal(f"map.{ours}", "THEIR_COLUMN", "") for ours in missing),
    )
    return FeedProposal(sample, "", "not decided", column_proposals=tuple(known), questions=(question,))


def _feed_without_header(sample: FileSample) -> FeedProposal:
    times = [
        f"{name} holds times, such as '{facts.example}' = {facts.example_reading}"
        for name, facts in sample.time_facts.items()
    ]
    ids = [
        f"{name} has {facts.distinct_count:,} different values in {sample.row_count:,} rows, such as '{facts.example}'"
        for name, facts in sample.column_facts.items()
        if name not in sample.time_facts
    ]
    question = UserQuestion(
        f"The file has no header: its first line is {sample.first_line!r}. Which of the {len(sample.column_facts)} "
        "columns "
        f"is which? {'; '.join((*times, *ids))}. Name all columns in the file's order."
    )
    return FeedProposal(sample, "", "not decided: the file has no header", questions=(question,))


def _is_catalogue(sample: FileSample, item_column: str) -> bool:
    """Tell whether a file is a catalogue: each row is another item, it has titles, and no column is typical of events.

    Without this test, a catalogue would be taken for events if its items have a date, and a seller in a column that is
    named like a column of visitors.
    """
    of_events = (*EVENT_NAMES["event_type"], *SESSION_NAMES, *ORDER_NAMES, *QUANTITY_NAMES, *RATING_NAMES)
    if columns_with_names(sample.column_types, [name for name in of_events if name != "type"]):
        return False
    has_title = bool(first_unmapped_column(sample, ITEM_COLUMN_NAMES["title"], {item_column}))
    return (
        has_title
        and sample.row_count >= MIN_CATALOGUE_ROWS
        and sample.column_facts[item_column].distinct_count == sample.row_count
    )


def _visitor_column(sample: FileSample) -> str | None:
    return first_unmapped_column(sample, (*VISITOR_NAMES, *SESSION_NAMES, "email", "customer_email"), ())


def _item_column(sample: FileSample) -> str | None:
    return first_unmapped_column(sample, ITEM_NAMES, ())
