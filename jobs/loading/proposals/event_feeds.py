"""A feed of events from files of nobody's format in particular."""

from jobs.loading.proposals.column_choices import (
    column_choice,
    columns_of_our_names,
    first_named,
    time_evidence,
    time_format_choice,
    unmapped_columns,
)
from jobs.loading.proposals.common_names import (
    EVENT_NAMES,
    ORDER_NAMES,
    QUANTITY_NAMES,
    RATING_NAMES,
    SESSION_NAMES,
    named_columns,
)
from jobs.loading.proposals.proposed import Choice, FeedProposal, Question
from jobs.loading.proposals.samples import Sample
from jobs.loading.report_text import share_text
from jobs.warehouse.connection import quoted

MOST_EVENT_TYPES = 100
"""A column with more different values than this doesn't hold types of events."""
FEW_MISSING = 0.05
"""So large a share of rows without a visitor needs no decision."""


def events_feed(sample: Sample, reason: str, visitor: str, item: str, time: str) -> FeedProposal:
    """Return a feed of events, of whose file the columns with the visitor, the item and the time are known."""
    taken = {visitor, item, time}
    columns = [
        column_choice(sample, "visitor_id", visitor, _visitor_note(sample, visitor)),
        column_choice(sample, "item_id", item),
        Choice("event_at", time, time_evidence(sample.times[time])),
    ]
    remarks: list[str] = []
    questions: list[Question] = []
    user = first_named(sample, EVENT_NAMES["user_id"], taken)
    if user and visitor not in named_columns(sample.types, EVENT_NAMES["user_id"]):
        taken.add(user)
        columns.append(column_choice(sample, "user_id", user))
    columns += _event_type(sample, taken, questions)
    columns += _event_id(sample, item, taken, remarks)
    session = first_named(sample, SESSION_NAMES, taken)
    order = first_named(sample, ORDER_NAMES, taken)
    if session:
        columns.append(column_choice(sample, "source_session_id", session))
    elif visitor in named_columns(sample.types, SESSION_NAMES):
        columns.append(column_choice(sample, "source_session_id", visitor, "; the visitor is the session"))
    elif order and sample.columns[order].different < sample.rows:
        columns.append(column_choice(sample, "source_session_id", order, "; an order is a session"))
    agent = first_named(sample, EVENT_NAMES["user_agent"], taken)
    if agent:
        columns.append(column_choice(sample, "user_agent", agent))
    questions += _missing_visitors(sample, visitor)
    columns += columns_of_our_names(sample, "events", columns)
    time_format, time_questions = time_format_choice(time, sample.times[time])
    return FeedProposal(
        sample, "events", reason, columns=tuple(columns), time_format=time_format,
        questions=(*time_questions, *questions), remarks=(*remarks, *unmapped_columns(sample, columns)),
    )  # fmt: skip


def _visitor_note(sample: Sample, visitor: str) -> str:
    if visitor in named_columns(sample.types, SESSION_NAMES):
        return "; no column names a visitor, so each session counts as a visitor"
    if visitor in named_columns(sample.types, ("email", "customer_email")):
        return "; it is personal, and visitor ids are published: consider sha256 of it"
    return ""


def _event_type(sample: Sample, taken: set[str], questions: list[Question]) -> list[Choice]:
    for name in named_columns(sample.types, EVENT_NAMES["event_type"]):
        facts = sample.columns[name]
        if name not in taken and facts.given and facts.different <= MOST_EVENT_TYPES and facts.different < sample.rows:
            taken.add(name)
            return [column_choice(sample, "event_type", name)]
    order, quantity = first_named(sample, ORDER_NAMES, taken), first_named(sample, QUANTITY_NAMES, taken)
    if order or quantity:
        names = " and ".join(name for name in (order, quantity) if name)
        if quantity and sample.columns[quantity].negative:
            cases = f"case when {quoted(quantity)}::double < 0 then 'return' else 'purchase' end"
            negative = sample.columns[quantity].negative
            return [Choice("event_type", cases, f"{names}: orders; {negative:,} rows have a {quantity} below 0", True)]
        return [Choice("event_type", "'purchase'", f"the rows are of orders: {names}", True)]
    rating = first_named(sample, RATING_NAMES, taken)
    if rating:
        return [Choice("event_type", "'rating'", f"the rows are ratings: {rating}", True)]
    questions.append(
        Question(
            "No column says what happened, so each event is a view. If all are something else, say what:",
            (Choice("map.event_type", "'purchase'", "", True),),
        )
    )
    return []


def _event_id(sample: Sample, item: str, taken: set[str], remarks: list[str]) -> list[Choice]:
    for name in named_columns(sample.types, EVENT_NAMES["event_id"]):
        if name in taken:
            continue
        facts = sample.columns[name]
        if facts.different == sample.rows:
            taken.add(name)
            return [column_choice(sample, "event_id", name, "; each row has its own")]
        if name.lower() == "event_id":
            evidence = f"{facts.different:,} different event_ids in {sample.rows:,} rows: each row is an event"
            return [Choice("event_id", f"{quoted(name)} || '-' || {quoted(item)}", evidence, True)]
        remarks.append(
            f"{name} is no event_id: {facts.different:,} different values in {sample.rows:,} rows. "
            "Each row gets a hash of its values as its id"
        )
    return []


def _missing_visitors(sample: Sample, visitor: str) -> list[Question]:
    missing = sample.rows - sample.columns[visitor].given
    if missing <= FEW_MISSING * sample.rows:
        return []
    text = (
        f"{share_text(missing, sample.rows)} of the rows name no visitor in {visitor}. The next build rejects "
        "such rows, and stops if they are more than max_rejected_share (0.1). Leave them out, or set "
        "max_rejected_share under [vars]:"
    )
    return [Question(text, (Choice("where", f"{quoted(visitor)} is not null", "", True),))]
