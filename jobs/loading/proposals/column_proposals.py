"""Proposes which column of a file is mapped to each of nextmart's columns, with the evidence for the proposal."""

from collections.abc import Collection, Sequence

from jobs.loading.mapping import TABLE_COLUMNS
from jobs.loading.proposals.common_names import columns_with_names
from jobs.loading.proposals.proposal_classes import FeedKeyProposal, UserQuestion
from jobs.loading.proposals.samples import FileSample, TimeFacts

MIN_TIME_SHARE = 0.9
"""A column counts as a column of times if at least this share of its values are times."""
UNMAPPED_COLUMNS_SHOWN = 20


def first_unmapped_column(
    sample: FileSample, common_names: Sequence[str], mapped_columns: Collection[str]
) -> str | None:
    """Return the first column that has one of the common names, holds a value and is not mapped yet, or None."""
    unmapped_matches = (
        name
        for name in columns_with_names(sample.column_types, common_names)
        if name not in mapped_columns and sample.column_facts[name].value_count
    )
    return next(unmapped_matches, None)


def time_column(sample: FileSample, common_names: Sequence[str], *, accept_any_name: bool = False) -> str | None:
    """Return the first column that has one of the common names and holds times, or None.

    If there is none and ``accept_any_name`` is true, the file's only column of times is returned, whatever its name is.
    """
    time_columns = [
        name for name in columns_with_names(sample.time_facts, common_names) if _holds_times(sample.time_facts[name])
    ]
    if time_columns:
        return time_columns[0]
    others = [name for name, facts in sample.time_facts.items() if _holds_times(facts)]
    return others[0] if accept_any_name and len(others) == 1 else None


def _holds_times(time_facts: TimeFacts) -> bool:
    if time_facts.value_count and time_facts.readable_count >= MIN_TIME_SHARE * time_facts.value_count:
        return True
    unread = time_facts.unread_time_facts
    return bool(
        unread and unread.example_readings and unread.readable_text_count >= MIN_TIME_SHARE * unread.sampled_text_count
    )


def propose_column(sample: FileSample, raw_column: str, file_column: str, note: str = "") -> FeedKeyProposal:
    """Propose a column of the file for a raw column, with evidence: counts and an example of its values, and a note."""
    facts = sample.column_facts[file_column]
    missing = f", {sample.row_count - facts.value_count:,} missing" if facts.value_count < sample.row_count else ""
    evidence = (
        f"{facts.distinct_count:,} different in {sample.row_count:,} rows{missing}, such as '{facts.example}'{note}"
    )
    return FeedKeyProposal(raw_column, file_column, evidence)


def time_evidence(facts: TimeFacts) -> str:
    """Return evidence that a column holds times: how many of its values are read as times, with an example."""
    if (
        facts.unread_time_facts
        and facts.unread_time_facts.example_readings
        and facts.unread_time_facts.unread_count >= facts.readable_count
    ):
        return (
            f"{facts.unread_time_facts.unread_count:,} of {facts.value_count:,} need a time_format, such as "
            f"'{facts.unread_time_facts.example}'"
        )
    return (
        f"{facts.readable_count:,} of {facts.value_count:,} are read as times, such as '{facts.example}' = "
        f"{facts.example_reading}"
    )


def propose_time_format(column: str, facts: TimeFacts) -> tuple[FeedKeyProposal | None, tuple[UserQuestion, ...]]:
    """Propose the time format that a column needs; ask the user if several formats, or none, can read its values.

    Returns
    -------
    tuple
        The proposal, or None if no format is needed or the user has to say it; and the questions to the user.
    """
    unread = facts.unread_time_facts
    if unread is None:
        return None, ()
    if not unread.example_readings:
        text = (
            f"{unread.unread_count:,} of {unread.value_count:,} times in {column} can't be read, such as "
            f"'{unread.example}'. "
            "What is their format (DuckDB's strptime)?"
        )
        return None, (UserQuestion(text, (FeedKeyProposal("time_format", "%d.%m.%Y %H:%M", "an example"),)),)
    answers = tuple(
        FeedKeyProposal(
            "time_format",
            form,
            f"'{text}' is then {instant}; it reads {unread.readable_text_count:,} of {unread.sampled_text_count:,} "
            "different texts",
        )
        for form, (text, instant) in unread.example_readings.items()
    )
    if len(answers) == 1:
        return answers[0], ()
    example = next(iter(unread.example_readings.values()))[0]
    text = f"'{example}' in {column} can be read in {len(answers)} ways. Choose one: nothing was guessed"
    return None, (UserQuestion(text, answers),)


def propose_columns_by_nextmart_names(
    sample: FileSample, table: str, column_proposals: Sequence[FeedKeyProposal]
) -> list[FeedKeyProposal]:
    """For each raw column without a proposal, propose the file's column that has the raw column's name.

    Without these proposals, the loader would load such columns by their names all the same.
    """
    keys = {proposal.key for proposal in column_proposals}
    own = {name.lower(): name for name in reversed(list(sample.column_types))}
    return [
        propose_column(sample, key, own[key], "; it has nextmart's name")
        for key in TABLE_COLUMNS[table]
        if key in own and key not in keys
    ]


def unmapped_columns_remarks(sample: FileSample, column_proposals: Sequence[FeedKeyProposal]) -> list[str]:
    """Return a remark that lists the file's columns that no proposal uses; no remark if all are used."""
    mapped = " ".join(proposal.value for proposal in column_proposals)
    unmapped = [name for name in sample.column_types if name not in mapped]
    more = f" and {len(unmapped) - UNMAPPED_COLUMNS_SHOWN:,} more" if len(unmapped) > UNMAPPED_COLUMNS_SHOWN else ""
    return [f"In no map: {', '.join(unmapped[:UNMAPPED_COLUMNS_SHOWN])}{more}"] if unmapped else []
