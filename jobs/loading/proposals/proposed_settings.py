"""Proposes settings for which the samples give evidence, such as the sign before the decimals of prices."""

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any, Final

from jobs.loading.proposals.proposal_classes import FeedProposal
from jobs.loading.source_report import SourceReport

PURCHASE_WORDS = frozenset({"purchase", "purchased", "order", "orders", "buy", "bought", "transaction", "sale", "sold"})
HISTORY_TYPES = PURCHASE_WORDS | {"rating", "review", "return", "cancellation"}
"""Event types that record no browsing: if all of a shop's events are of such types, they form no browsing sessions."""
SET: Final = "set"
OPTION: Final = "option"
QUESTION: Final = "question"
MIN_RETURNING_SHARE = 0.1
"""Sequences of whole histories are proposed if at least this share of visitors has events on several days."""


@dataclass(frozen=True)
class SettingProposal:
    """A proposed setting.

    Attributes
    ----------
    table : str
        The table of ``nextmart.toml`` to which the setting belongs: ``vars``, or empty for none.
    key : str
    value : any
        A text, number or boolean, or a list or table of texts, numbers and booleans.
    evidence : str
    status : str
        ``SET``: written as a setting. ``OPTION`` and ``QUESTION``: written as a comment, for the user to choose.
    """

    table: str
    key: str
    value: Any
    evidence: str
    status: str


def propose_settings(feed_proposals: Collection[FeedProposal]) -> list[SettingProposal]:
    """Propose settings from the reports of the trials in which the feeds' samples were loaded."""
    event_feeds = [feed for feed in feed_proposals if feed.kind == "events" and feed.trial]
    item_feeds = [feed for feed in feed_proposals if feed.kind == "items" and feed.trial]
    settings = _model_settings(item_feeds) if event_feeds else []
    settings += _sequence_and_weight_settings(event_feeds)
    reports = [feed.trial.report for feed in item_feeds if feed.trial]
    return settings + _price_settings(reports) + _availability_settings(reports)


def _model_settings(item_feeds: Collection[FeedProposal]) -> list[SettingProposal]:
    reports = [feed.trial.report for feed in item_feeds if feed.trial]
    texts = sum(report.items_with_text_count for report in reports)
    if texts:
        return []
    rows = sum(report.row_count for report in reports)
    evidence = (
        f"none of the {rows:,} items has a title, brand, category or description, which the other models read"
        if rows
        else "no file lists the items, so the items have no texts, which the other models read"
    )
    return [SettingProposal("", "models", ["popularity", "bert4rec"], evidence, SET)]


def _sequence_and_weight_settings(event_feeds: Collection[FeedProposal]) -> list[SettingProposal]:
    reports = [(feed.trial.report, feed.trial.returning_visitor_count) for feed in event_feeds if feed.trial]
    types: dict[str, int] = {}
    for report, _ in reports:
        for name, count in report.event_type_counts.items():
            types[name] = types.get(name, 0) + count
    visitors = sum(report.visitor_count for report, _ in reports)
    returning = sum(count for _, count in reports)
    if not types or not visitors:
        return []
    purchases = [name for name in types if name.lower() in PURCHASE_WORDS]
    returned = f"{returning:,} of {visitors:,} visitors have events on several days"
    settings = []
    if all(name.lower() in HISTORY_TYPES for name in types):
        evidence = f"no event is one of browsing ({', '.join(types)}), and {returned}"
        status = SET if returning >= MIN_RETURNING_SHARE * visitors else OPTION
        settings.append(SettingProposal("vars", "sequence_scope", "visitor", evidence, status))
        if purchases and len(purchases) < len(types):
            others = ", ".join(f"{name} {count:,}" for name, count in types.items() if name not in purchases)
            evidence = f"learn from {', '.join(purchases)} alone, not from {others}"
            settings.append(SettingProposal("vars", "sequence_event_types", purchases, evidence, SET))
    elif purchases and len(types) > 1:
        counts = ", ".join(f"{name} {types[name]:,}" for name in purchases)
        evidence = f"to predict purchases ({counts} of {sum(types.values()):,} events), learning from every event"
        settings.append(SettingProposal("vars", "target_event_types", purchases, evidence, OPTION))
        evidence = "to learn from purchases alone; unset: from every type"
        settings.append(SettingProposal("vars", "sequence_event_types", purchases, evidence, OPTION))
        evidence = "to let a purchase count more in popularity; unset: every type weighs 1"
        settings.append(SettingProposal("vars", "event_weights", dict.fromkeys(purchases, 5), evidence, OPTION))
    return settings


def _price_settings(item_reports: Collection[SourceReport]) -> list[SettingProposal]:
    unread = [value for report in item_reports for value in report.column_reports["price"].unread_examples]
    if not unread:
        return []
    count = sum(
        report.column_reports["price"].given_count - report.column_reports["price"].readable_count
        for report in item_reports
    )
    evidence = f"{count:,} prices can't be read, such as '{unread[0]}': which sign is the decimal one?"
    return [SettingProposal("vars", "price_decimal_sign", sign, evidence, QUESTION) for sign in (",", ".")]


def _availability_settings(item_reports: Collection[SourceReport]) -> list[SettingProposal]:
    unread = {
        word: count
        for report in item_reports
        for word, count in report.column_reports["available"].unread_examples.items()
    }
    if not unread:
        return []
    counts = ", ".join(f"'{word}' ({count:,})" for word, count in unread.items())
    evidence = f"words that nextmart doesn't know: {counts}. Items with them stay available; say what the words mean"
    return [SettingProposal("vars", "availability_words", dict.fromkeys(unread, False), evidence, QUESTION)]
