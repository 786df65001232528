"""Writes a source's report as aligned lines, and as warnings of rows that the next build would reject or misread."""

from collections.abc import Iterable, Mapping

from jobs.loading.attributes import AttributeChoice
from jobs.loading.source_report import ColumnReport, ItemMatches, Respelling, SourceReport
from jobs.progress import on_one_line

GOOD_SHARE = 0.9
"""The least share of usable values (times, ids, prices, ...) in a column for which the user is not warned."""
NEAR_MISSES_SHOWN = 2
TYPES_SHOWN = 8
NAMES_SHOWN = 20
VALUE_LENGTH = 40
NO_CATALOGUE = (
    "there is no catalogue yet, and only events on its items count: nextmart load --items FILE, or a feed of the kind "
    "items. If no file has a catalogue, load the ids from a file of the events: --items FILE_OF_EVENTS"
)

_WHOSE_IDS = {"events": "in the events", "catalogue": "in the catalogue", "both": "in both"}
_PLURAL_NAMES = {
    "event_id": "event ids",
    "visitor_id": "visitor ids",
    "item_id": "item ids",
    "event_type": "event types",
    "event_at": "times",
    "updated_at": "times of change",
    "shown_at": "times",
    "rank": "ranks",
    "propensity": "propensities",
    "price": "prices",
    "available": "words for availability",
}


def report_lines(report: SourceReport) -> list[str]:
    """Return a source's report as aligned lines for the terminal, without control characters."""
    describe = {
        "events": _event_lines,
        "items": _item_lines,
        "visitors": _visitor_lines,
        "impressions": _impression_lines,
    }[report.table]
    lines = describe(report) + _attribute_lines(report.attribute_choice)
    if report.is_sampled:
        lines.append(
            (
                "sample",
                f"shares, times and days are those of {report.measured_row_count:,} of {report.row_count:,} rows",
            )
        )
    return [f"  {title:<10}{on_one_line(text)}" for title, text in lines]


def report_warnings(report: SourceReport) -> list[str]:
    """Return warnings for the user before the next build: one line each, without control characters."""
    warnings = [
        f"only {share_text(column.readable_count, of)} of {_PLURAL_NAMES[name]} can be used{_unread_text(column)}"
        for name, column, of in _columns_with_expected_readable_counts(report)
        if of and column.readable_count < GOOD_SHARE * of
    ]
    if report.too_early_time_count + report.future_time_count > (1 - GOOD_SHARE) * report.measured_row_count:
        warnings.append(
            f"times that can't be right: {_wrong_times_text(report)}; the next build rejects these {report.table}"
        )
    if report.unknown_event_type_counts:
        warnings.append(
            f"known_event_types lacks {_value_counts_text(report.unknown_event_type_counts)}; they are rejected"
        )
    items = report.item_matches
    # events of earlier loads may name items that have left the catalogue; this is no fault of the items in this load
    if items and not items.has_catalogue:
        warnings.append(NO_CATALOGUE)
    elif (
        items
        and items.events_on_catalogue_items_count < GOOD_SHARE * items.events_with_item_id_count
        and (report.table == "events" or items.respellings)
    ):
        warnings.append(f"only {_match_text(items)}")
    if report.visitors_with_events_count == 0:
        warnings.append("none of them has an event: are their ids those that events have as visitor_id?")
    return [on_one_line(f"{report.table}: {text}") for text in warnings]


def share_text(part: int, total: int) -> str:
    """Return a share as a text such as ``98.7 %``; only the shares 0 and 1 are written as ``0 %`` and ``100 %``."""
    if part == 0 or part == total:
        return "100 %" if part else "0 %"
    return f"{min(999, max(1, round(1000 * part / total))) / 10:.1f} %"


def _columns_with_expected_readable_counts(report: SourceReport) -> list[tuple[str, ColumnReport, int]]:
    """Return each column's name, its report, and the number of rows whose value staging should be able to read.

    For a required column, these are all rows; for an optional column, they are the rows that have a value.
    """
    required = {
        "events": ("event_id", "visitor_id", "item_id", "event_type", "event_at"),
        "items": ("item_id",),
        "visitors": ("visitor_id",),
        "impressions": ("visitor_id", "item_id", "shown_at"),
    }[report.table]
    optional = {
        "events": (),
        "items": ("price", "available", "updated_at"),
        "visitors": ("updated_at",),
        "impressions": ("rank", "propensity"),
    }[report.table]
    return [(name, report.column_reports[name], report.measured_row_count) for name in required] + [
        (name, report.column_reports[name], report.column_reports[name].given_count) for name in optional
    ]


def _event_lines(report: SourceReport) -> list[tuple[str, str]]:
    times, visitors, users = (report.column_reports[name] for name in ("event_at", "visitor_id", "user_id"))
    about = "about " if report.is_sampled else ""
    days = report.days_with_events_count
    when = f" ({_period_text(report)}, {days:,} {'day' if days == 1 else 'days'} with events)"
    types = dict(list(report.event_type_counts.items())[:TYPES_SHOWN])
    more_types = report.further_event_type_count + len(report.event_type_counts) - len(types)
    lines = [
        (
            "times",
            f"{share_text(times.readable_count, report.measured_row_count)} read{when if report.earliest_time else ''}"
            f"{_unread_text(times)}{_no_value_text(times, report.measured_row_count)}{_wrong_times_text(report, '; ')}",
        ),
        ("visitors", f"{about}{report.visitor_count:,}{_no_value_text(visitors, report.measured_row_count)}"),
    ]
    if users.readable_count:
        lines.append(
            (
                "users",
                f"{about}{report.user_count:,}, named by "
                f"{share_text(users.readable_count, report.measured_row_count)} of the events",
            )
        )
    lines.append(
        ("types", f"{_value_counts_text(types)}{f', and {more_types:,} more types' if more_types > 0 else ''}")
    )
    if report.item_matches:
        missing = _no_value_text(report.column_reports["item_id"], report.measured_row_count)
        lines.append(
            ("items", f"{report.item_matches.event_item_id_count:,}{missing}; {_match_text(report.item_matches)}")
        )
    return lines


def _item_lines(report: SourceReport) -> list[tuple[str, str]]:
    price, available, updated = (report.column_reports[name] for name in ("price", "available", "updated_at"))
    ids = f"{report.row_count:,}{_no_value_text(report.column_reports['item_id'], report.measured_row_count)}"
    lines = [("items", f"{ids}; {share_text(report.items_with_text_count, report.measured_row_count)} have a text")]
    for title, column, more in (
        ("prices", price, ""),
        (
            "available",
            available,
            f" ({report.unavailable_item_count:,} not available)" if available.readable_count else "",
        ),
        ("times", updated, f" ({_period_text(report)})" if report.earliest_time else ""),
    ):
        if column.given_count:
            given = f", given for {share_text(column.given_count, report.measured_row_count)} of the items"
            text = f"{share_text(column.readable_count, column.given_count)} read{more}"
            lines.append(
                (
                    title,
                    f"{text}{given if column.given_count < report.measured_row_count else ''}{_unread_text(column)}",
                )
            )
    if report.item_matches:
        lines.append(("events", _match_text(report.item_matches)))
    return lines


def _visitor_lines(report: SourceReport) -> list[tuple[str, str]]:
    updated = report.column_reports["updated_at"]
    known = (
        ""
        if report.visitors_with_events_count is None
        else (f"; {share_text(report.visitors_with_events_count, report.row_count)} have events")
    )
    lines = [
        (
            "visitors",
            f"{report.row_count:,}"
            f"{_no_value_text(report.column_reports['visitor_id'], report.measured_row_count)}{known}",
        )
    ]
    if updated.given_count:
        when = f" ({_period_text(report)})" if report.earliest_time else ""
        lines.append(
            ("times", f"{share_text(updated.readable_count, updated.given_count)} read{when}{_unread_text(updated)}")
        )
    return lines


def _impression_lines(report: SourceReport) -> list[tuple[str, str]]:
    times = report.column_reports["shown_at"]
    when = f" ({_period_text(report)})" if report.earliest_time else ""
    lines = [
        (
            "times",
            f"{share_text(times.readable_count, report.measured_row_count)} read{when}"
            f"{_unread_text(times)}{_no_value_text(times, report.measured_row_count)}{_wrong_times_text(report, '; ')}",
        )
    ]
    for title, name in (("ranks", "rank"), ("propensity", "propensity")):
        column = report.column_reports[name]
        if column.given_count:
            given = f"{share_text(column.readable_count, column.given_count)} read{_unread_text(column)}"
            lines.append((title, f"{given}{_no_value_text(column, report.measured_row_count)}"))
    return lines


def _attribute_lines(attribute_choice: AttributeChoice) -> list[tuple[str, str]]:
    """Return report lines that say which columns are kept as attributes and which are left out."""
    lines = []
    if attribute_choice.column_of_attribute:
        lines.append(("columns", f"attributes kept: {_column_names_text(attribute_choice.column_of_attribute)}"))
    if attribute_choice.left_out_columns and attribute_choice.left_out_reason:
        count = len(attribute_choice.left_out_columns)
        columns = "1 column is no attribute" if count == 1 else f"{count:,} columns are no attributes"
        example = ",".join(attribute_choice.left_out_columns[:2])
        lines.append(
            (
                "columns",
                f"{columns}, {attribute_choice.left_out_reason}: "
                f"{_column_names_text(attribute_choice.left_out_columns)}; "
                f"name those that you want: --attributes {example}",
            )
        )
    elif attribute_choice.left_out_columns:
        lines.append(("columns", f"left out: {_column_names_text(attribute_choice.left_out_columns)}"))
    return lines


def _column_names_text(column_names: Iterable[str]) -> str:
    column_names = list(column_names)
    more = len(column_names) - NAMES_SHOWN
    return ", ".join(column_names[:NAMES_SHOWN]) + (f", and {more:,} more" if more > 0 else "")


def _period_text(report: SourceReport) -> str:
    first, last = ((time or "").removesuffix(":00") for time in (report.earliest_time, report.latest_time))
    return f"{first} to {last}"


def _unread_text(column_report: ColumnReport) -> str:
    return (
        f"; not read: {_value_counts_text(column_report.unread_examples, in_quotes=True)}"
        if column_report.unread_examples
        else ""
    )


def _no_value_text(column_report: ColumnReport, row_count: int) -> str:
    missing = row_count - column_report.given_count
    return f"; {share_text(missing, row_count)} of rows ({missing:,}) have none" if missing else ""


def _wrong_times_text(report: SourceReport, text_before: str = "") -> str:
    counts = [
        (report.too_early_time_count, "too early (earliest_event_at)"),
        (report.future_time_count, "in the future"),
    ]
    texts = [f"{count:,} {words}" for count, words in counts if count]
    return text_before + ", ".join(texts) if texts else ""


def _match_text(item_matches: ItemMatches) -> str:
    """Return a text with the share of events on items of the catalogue, ids that it lacks, and useful respellings."""
    if not item_matches.has_catalogue:
        return "there is no catalogue yet"
    share = share_text(item_matches.events_on_catalogue_items_count, item_matches.events_with_item_id_count)
    text = f"{share} of the events are on items of the catalogue"
    if not item_matches.unknown_id_count:
        return text
    examples = _value_counts_text(item_matches.unknown_id_examples, in_quotes=True)
    text += f"; it lacks {item_matches.unknown_id_count:,} of {item_matches.event_item_id_count:,} item ids: {examples}"
    near_misses = [
        _respelling_text(respelling, item_matches.unknown_id_count)
        for respelling in item_matches.respellings[:NEAR_MISSES_SHOWN]
    ]
    return "; ".join([text, *near_misses])


def _respelling_text(respelling: Respelling, unknown_id_count: int) -> str:
    return (
        f"{respelling.matched_id_count:,} of {unknown_id_count:,} would match {respelling.description} "
        f"({_WHOSE_IDS[respelling.respelt_side]})"
    )


def _value_counts_text(counts: Mapping[str, int], in_quotes: bool = False) -> str:
    """Return values and their numbers of rows as a text, such as ``'soon' (12), 'later' (3)``."""
    texts = []
    for value, count in counts.items():
        # line ends are replaced, so that a value can't add lines that look like nextmart's own
        shown = value.replace("\n", "�")
        shown = shown if len(shown) <= VALUE_LENGTH else shown[: VALUE_LENGTH - 1] + "…"
        texts.append(f"'{shown}' ({count:,})" if in_quotes else f"{shown} {count:,}")
    return ", ".join(texts)
