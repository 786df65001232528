"""Writes a source's report as aligned lines, and as warnings of rows that the next build would reject or misread."""

from collections.abc import Iterable, Mapping

from jobs.loading.attributes import Attributes
from jobs.loading.source_report import ColumnReport, ItemMatches, NearMiss, SourceReport
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
    lines = describe(report) + _attribute_lines(report.attributes)
    if report.is_sampled:
        lines.append(
            ("sample", f"shares, times and days are those of {report.measured_rows:,} of {report.rows:,} rows")
        )
    return [f"  {title:<10}{on_one_line(text)}" for title, text in lines]


def report_warnings(report: SourceReport) -> list[str]:
    """Return warnings for the user before the next build: one line each, without control characters."""
    warnings = [
        f"only {share_text(column.read, of)} of {_PLURAL_NAMES[name]} can be used{_unread_text(column)}"
        for name, column, of in _column_shares(report)
        if of and column.read < GOOD_SHARE * of
    ]
    if report.too_early + report.in_future > (1 - GOOD_SHARE) * report.measured_rows:
        warnings.append(
            f"times that can't be right: {_wrong_times_text(report)}; the next build rejects these {report.table}"
        )
    if report.unknown_event_types:
        warnings.append(f"known_event_types lacks {_value_counts_text(report.unknown_event_types)}; they are rejected")
    items = report.items
    # that old events name items which the catalogue has no more is no fault of new items
    if items and not items.has_catalogue:
        warnings.append(NO_CATALOGUE)
    elif items and items.known_rows < GOOD_SHARE * items.rows and (report.table == "events" or items.near_misses):
        warnings.append(f"only {_match_text(items)}")
    if report.visitors_with_events == 0:
        warnings.append("none of them has an event: are their ids those that events have as visitor_id?")
    return [on_one_line(f"{report.table}: {text}") for text in warnings]


def share_text(part: int, total: int) -> str:
    """Return a share as a text such as ``98.7 %``; only the whole is 100 %, and only nothing is 0 %."""
    if part == 0 or part == total:
        return "100 %" if part else "0 %"
    return f"{min(999, max(1, round(1000 * part / total))) / 10:.1f} %"


def _column_shares(report: SourceReport) -> list[tuple[str, ColumnReport, int]]:
    """Return the columns' reports, each with the number of its rows that staging should be able to read."""
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
    return [(name, report.columns[name], report.measured_rows) for name in required] + [
        (name, report.columns[name], report.columns[name].given) for name in optional
    ]


def _event_lines(report: SourceReport) -> list[tuple[str, str]]:
    times, visitors, users = (report.columns[name] for name in ("event_at", "visitor_id", "user_id"))
    about = "about " if report.is_sampled else ""
    when = f" ({_period_text(report)}, {report.days:,} {'day' if report.days == 1 else 'days'} with events)"
    types = dict(list(report.event_types.items())[:TYPES_SHOWN])
    more_types = report.more_event_types + len(report.event_types) - len(types)
    lines = [
        (
            "times",
            f"{share_text(times.read, report.measured_rows)} read{when if report.first_time else ''}"
            f"{_unread_text(times)}{_no_value_text(times, report.measured_rows)}{_wrong_times_text(report, '; ')}",
        ),
        ("visitors", f"{about}{report.visitors:,}{_no_value_text(visitors, report.measured_rows)}"),
    ]
    if users.read:
        lines.append(
            ("users", f"{about}{report.users:,}, named by {share_text(users.read, report.measured_rows)} of the events")
        )
    lines.append(
        ("types", f"{_value_counts_text(types)}{f', and {more_types:,} more types' if more_types > 0 else ''}")
    )
    if report.items:
        missing = _no_value_text(report.columns["item_id"], report.measured_rows)
        lines.append(("items", f"{report.items.ids:,}{missing}; {_match_text(report.items)}"))
    return lines


def _item_lines(report: SourceReport) -> list[tuple[str, str]]:
    price, available, updated = (report.columns[name] for name in ("price", "available", "updated_at"))
    ids = f"{report.rows:,}{_no_value_text(report.columns['item_id'], report.measured_rows)}"
    lines = [("items", f"{ids}; {share_text(report.texts, report.measured_rows)} have a text")]
    for title, column, more in (
        ("prices", price, ""),
        ("available", available, f" ({report.withdrawn:,} not available)" if available.read else ""),
        ("times", updated, f" ({_period_text(report)})" if report.first_time else ""),
    ):
        if column.given:
            given = f", given for {share_text(column.given, report.measured_rows)} of the items"
            text = f"{share_text(column.read, column.given)} read{more}"
            lines.append((title, f"{text}{given if column.given < report.measured_rows else ''}{_unread_text(column)}"))
    if report.items:
        lines.append(("events", _match_text(report.items)))
    return lines


def _visitor_lines(report: SourceReport) -> list[tuple[str, str]]:
    updated = report.columns["updated_at"]
    known = (
        ""
        if report.visitors_with_events is None
        else (f"; {share_text(report.visitors_with_events, report.rows)} have events")
    )
    lines = [
        (
            "visitors",
            f"{report.rows:,}{_no_value_text(report.columns['visitor_id'], report.measured_rows)}{known}",
        )
    ]
    if updated.given:
        when = f" ({_period_text(report)})" if report.first_time else ""
        lines.append(("times", f"{share_text(updated.read, updated.given)} read{when}{_unread_text(updated)}"))
    return lines


def _impression_lines(report: SourceReport) -> list[tuple[str, str]]:
    times = report.columns["shown_at"]
    when = f" ({_period_text(report)})" if report.first_time else ""
    lines = [
        (
            "times",
            f"{share_text(times.read, report.measured_rows)} read{when}"
            f"{_unread_text(times)}{_no_value_text(times, report.measured_rows)}{_wrong_times_text(report, '; ')}",
        )
    ]
    for title, name in (("ranks", "rank"), ("propensity", "propensity")):
        column = report.columns[name]
        if column.given:
            given = f"{share_text(column.read, column.given)} read{_unread_text(column)}"
            lines.append((title, f"{given}{_no_value_text(column, report.measured_rows)}"))
    return lines


def _attribute_lines(attributes: Attributes) -> list[tuple[str, str]]:
    """Return report lines that say which columns are kept as attributes and which are left out."""
    lines = []
    if attributes.columns:
        lines.append(("columns", f"attributes kept: {_names_text(attributes.columns)}"))
    if attributes.left_out and attributes.reason:
        count = len(attributes.left_out)
        columns = "1 column is no attribute" if count == 1 else f"{count:,} columns are no attributes"
        example = ",".join(attributes.left_out[:2])
        lines.append(
            (
                "columns",
                f"{columns}, {attributes.reason}: {_names_text(attributes.left_out)}; "
                f"name those that you want: --attributes {example}",
            )
        )
    elif attributes.left_out:
        lines.append(("columns", f"left out: {_names_text(attributes.left_out)}"))
    return lines


def _names_text(names: Iterable[str]) -> str:
    names = list(names)
    more = len(names) - NAMES_SHOWN
    return ", ".join(names[:NAMES_SHOWN]) + (f", and {more:,} more" if more > 0 else "")


def _period_text(report: SourceReport) -> str:
    first, last = ((time or "").removesuffix(":00") for time in (report.first_time, report.last_time))
    return f"{first} to {last}"


def _unread_text(column: ColumnReport) -> str:
    return f"; not read: {_value_counts_text(column.unread, in_quotes=True)}" if column.unread else ""


def _no_value_text(column: ColumnReport, row_count: int) -> str:
    missing = row_count - column.given
    return f"; {share_text(missing, row_count)} of rows ({missing:,}) have none" if missing else ""


def _wrong_times_text(report: SourceReport, text_before: str = "") -> str:
    counts = [(report.too_early, "too early (earliest_event_at)"), (report.in_future, "in the future")]
    texts = [f"{count:,} {words}" for count, words in counts if count]
    return text_before + ", ".join(texts) if texts else ""


def _match_text(items: ItemMatches) -> str:
    """Return as text the share of events on items of the catalogue, the other ids, and which respelling would match."""
    if not items.has_catalogue:
        return "there is no catalogue yet"
    text = f"{share_text(items.known_rows, items.rows)} of the events are on items of the catalogue"
    if not items.unknown_ids:
        return text
    examples = _value_counts_text(items.unknown, in_quotes=True)
    text += f"; it lacks {items.unknown_ids:,} of {items.ids:,} item ids: {examples}"
    near_misses = [_near_miss_text(near_miss, items.unknown_ids) for near_miss in items.near_misses[:NEAR_MISSES_SHOWN]]
    return "; ".join([text, *near_misses])


def _near_miss_text(near_miss: NearMiss, unknown_ids: int) -> str:
    return f"{near_miss.ids:,} of {unknown_ids:,} would match {near_miss.way} ({_WHOSE_IDS[near_miss.where]})"


def _value_counts_text(counts: Mapping[str, int], in_quotes: bool = False) -> str:
    """Return values and their numbers of rows as a text, such as ``'soon' (12), 'later' (3)``."""
    texts = []
    for value, count in counts.items():
        # line ends are escaped, so that a value can't add lines that look like nextmart's own
        shown = value.replace("\n", "�")
        shown = shown if len(shown) <= VALUE_LENGTH else shown[: VALUE_LENGTH - 1] + "…"
        texts.append(f"'{shown}' ({count:,})" if in_quotes else f"{shown} {count:,}")
    return ", ".join(texts)
