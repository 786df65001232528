"""Proposes a feed of events for files that fit no preset."""

from jobs.loading.proposals.column_proposals import (
    first_unmapped_column,
    propose_column,
    propose_columns_by_nextmart_names,
    propose_time_format,
    time_evidence,
    unmapped_columns_remarks,
)
from jobs.loading.proposals.common_names import (
    EVENT_NAMES,
    ORDER_NAMES,
    QUANTITY_NAMES,
    RATING_NAMES,
    SESSION_NAMES,
    columns_with_names,
)
from jobs.loading.proposals.proposal_classes import FeedKeyProposal, FeedProposal, UserQuestion
from jobs.loading.proposals.samples import FileSample
from jobs.loading.report_text import share_text
from jobs.warehouse.connection import quoted_name

MAX_EVENT_TYPES = 100
"""The most different values of a column that is taken for the event type."""
IGNORED_MISSING_SHARE = 0.05
"""The largest share of rows without a visitor for which the user is asked no question."""


def propose_events_feed(
    sample: FileSample, reason_for_kind: str, visitor_column: str, item_column: str, time_column: str
) -> FeedProposal:
    """Propose a feed of events for a file in which the columns of the visitor, the item and the time have been found.

    Parameters
    ----------
    reason_for_kind : str
        Why the rows are taken for events.
    """
    mapped_columns = {visitor_column, item_column, time_column}
    columns = [
        propose_column(sample, "visitor_id", visitor_column, _visitor_column_note(sample, visitor_column)),
        propose_column(sample, "item_id", item_column),
        FeedKeyProposal("event_at", time_column, time_evidence(sample.time_facts[time_column])),
    ]
    remarks: list[str] = []
    questions: list[UserQuestion] = []
    user = first_unmapped_column(sample, EVENT_NAMES["user_id"], mapped_columns)
    if user and visitor_column not in columns_with_names(sample.column_types, EVENT_NAMES["user_id"]):
        mapped_columns.add(user)
        columns.append(propose_column(sample, "user_id", user))
    columns += _propose_event_type(sample, mapped_columns, questions)
    columns += _propose_event_id(sample, item_column, mapped_columns, remarks)
    session = first_unmapped_column(sample, SESSION_NAMES, mapped_columns)
    order = first_unmapped_column(sample, ORDER_NAMES, mapped_columns)
    if session:
        columns.append(propose_column(sample, "source_session_id", session))
    elif visitor_column in columns_with_names(sample.column_types, SESSION_NAMES):
        columns.append(propose_column(sample, "source_session_id", visitor_column, "; the visitor is the session"))
    elif order and sample.column_facts[order].distinct_count < sample.row_count:
        columns.append(propose_column(sample, "source_session_id", order, "; an order is a session"))
    agent = first_unmapped_column(sample, EVENT_NAMES["user_agent"], mapped_columns)
    if agent:
        columns.append(propose_column(sample, "user_agent", agent))
    questions += _missing_visitor_questions(sample, visitor_column)
    columns += propose_columns_by_nextmart_names(sample, "events", columns)
    time_format_proposal, time_questions = propose_time_format(time_column, sample.time_facts[time_column])
    return FeedProposal(
        sample, "events", reason_for_kind, column_proposals=tuple(columns), time_format_proposal=time_format_proposal,
        questions=(*time_questions, *questions), remarks=(*remarks, *unmapped_columns_remarks(sample, columns)),
    )  # fmt: skip


def _visitor_column_note(sample: FileSample, visitor_column: str) -> str:
    if visitor_column in columns_with_names(sample.column_types, SESSION_NAMES):
        return "; no column names a visitor, so each session counts as a visitor"
    if visitor_column in columns_with_names(sample.column_types, ("email", "customer_email")):
        return "; it is personal, and visitor ids are published: consider sha256 of it"
    return ""


def _propose_event_type(
    sample: FileSample, mapped_columns: set[str], questions: list[UserQuestion]
) -> list[FeedKeyProposal]:
    """Return a proposal for ``event_type``, if there is one: a column of the file, or an expression.

    The column is added to ``mapped_columns``. If there is no proposal, a question is added to ``questions``.
    """
    for name in columns_with_names(sample.column_types, EVENT_NAMES["event_type"]):
        facts = sample.column_facts[name]
        if (
            name not in mapped_columns
            and facts.value_count
            and facts.distinct_count <= MAX_EVENT_TYPES
            and facts.distinct_count < sample.row_count
        ):
            mapped_columns.add(name)
            return [propose_column(sample, "event_type", name)]
    order, quantity = (
        first_unmapped_column(sample, ORDER_NAMES, mapped_columns),
        first_unmapped_column(sample, QUANTITY_NAMES, mapped_columns),
    )
    if order or quantity:
        names = " and ".join(name for name in (order, quantity) if name)
        if quantity and sample.column_facts[quantity].negative_count:
            cases = f"case when {quoted_name(quantity)}::double < 0 then 'return' else 'purchase' end"
            negative_count = sample.column_facts[quantity].negative_count
            return [
                FeedKeyProposal(
                    "event_type", cases, f"{names}: orders; {negative_count:,} rows have a {quantity} below 0", True
                )
            ]
        return [FeedKeyProposal("event_type", "'purchase'", f"the rows are of orders: {names}", True)]
    rating = first_unmapped_column(sample, RATING_NAMES, mapped_columns)
    if rating:
        return [FeedKeyProposal("event_type", "'rating'", f"the rows are ratings: {rating}", True)]
    questions.append(
        UserQuestion(
            "No column says what happened, so each event is a view. If all are something else, say what:",
            (FeedKeyProposal("map.event_type", "'purchase'", "", True),),
        )
    )
    return []


def _propose_event_id(
    sample: FileSample, item_column: str, mapped_columns: set[str], remarks: list[str]
) -> list[FeedKeyProposal]:
    """Return a proposal for ``event_id``, if there is one: a column of the file, or an expression.

    The column is added to ``mapped_columns``. For each column that is named like an id of events, but holds
    no such ids, a remark is added to ``remarks``.
    """
    for name in columns_with_names(sample.column_types, EVENT_NAMES["event_id"]):
        if name in mapped_columns:
            continue
        facts = sample.column_facts[name]
        if facts.distinct_count == sample.row_count:
            mapped_columns.add(name)
            return [propose_column(sample, "event_id", name, "; each row has its own")]
        if name.lower() == "event_id":
            evidence = (
                f"{facts.distinct_count:,} different event_ids in {sample.row_count:,} rows: each row is an event"
            )
            return [
                FeedKeyProposal("event_id", f"{quoted_name(name)} || '-' || {quoted_name(item_column)}", evidence, True)
            ]
        remarks.append(
            f"{name} is no event_id: {facts.distinct_count:,} different values in {sample.row_count:,} rows. "
            "Each row gets a hash of its values as its id"
        )
    return []


def _missing_visitor_questions(sample: FileSample, visitor_column: str) -> list[UserQuestion]:
    missing = sample.row_count - sample.column_facts[visitor_column].value_count
    if missing <= IGNORED_MISSING_SHARE * sample.row_count:
        return []
    text = (
        f"{share_text(missing, sample.row_count)} of the rows name no visitor in {visitor_column}. The next build "
        "rejects "
        "such rows, and stops if they are more than max_rejected_share (0.1). Leave them out, or set "
        "max_rejected_share under [vars]:"
    )
    return [UserQuestion(text, (FeedKeyProposal("where", f"{quoted_name(visitor_column)} is not null", "", True),))]
