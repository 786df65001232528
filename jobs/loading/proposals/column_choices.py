"""Chooses the column of a file that is mapped to each of nextmart's columns, with the evidence for the choice."""

from collections.abc import Collection, Sequence

from jobs.loading.mapping import TABLE_COLUMNS
from jobs.loading.proposals.common_names import columns_with_names
from jobs.loading.proposals.proposed import KeyProposal, UserQuestion
from jobs.loading.proposals.samples import FileSample, TimeFacts

GOOD_SHARE = 0.9
"""The least share of a column's values that are times for the column to count as a column of times."""
UNMAPPED_SHOWN = 20


def first_unmapped_column(sample: FileSample, names: Sequence[str], mapped_columns: Collection[str]) -> str | None:
    """Return the first column with one of the given names that holds a value and is not mapped yet, or None."""
    unmapped_matches = (
        name
        for name in columns_with_names(sample.column_types, names)
        if name not in mapped_columns and sample.column_facts[name].value_count
    )
    return next(unmapped_matches, None)


def time_column(sample: FileSample, names: Sequence[str], *, accept_any_name: bool = False) -> str | None:
    """Return the first column with one of the given names whose values are times, or None.

    If there is none and ``accept_any_name`` is true, the file's only column of times is returned, whatever its name is.
    """
    time_columns = [
        name for name in columns_with_names(sample.time_facts, names) if _holds_times(sample.time_facts[name])
    ]
    if time_columns:
        return time_columns[0]
    others = [name for name, facts in sample.time_facts.items() if _holds_times(facts)]
    return others[0] if accept_any_name and len(others) == 1 else None


def _holds_times(time_facts: TimeFacts) -> bool:
    if time_facts.value_count and time_facts.readable_count >= GOOD_SHARE * time_facts.value_count:
        return True
    unread = time_facts.unread_times
    return bool(unread and unread.example_readings and unread.read_text_count >= GOOD_SHARE * unread.sampled_text_count)


def column_choice(sample: FileSample, key: str, column: str, note: str = "") -> KeyProposal:
    """Return the choice of a column for a key, with counts and an example as evidence; ``note`` ends the evidence."""
    facts = sample.column_facts[column]
    missing = f", {sample.row_count - facts.value_count:,} missing" if facts.value_count < sample.row_count else ""
    evidence = (
        f"{facts.distinct_count:,} different in {sample.row_count:,} rows{missing}, such as '{facts.example}'{note}"
    )
    return KeyProposal(key, column, evidence)


def time_evidence(facts: TimeFacts) -> str:
    """Return words for how many values of a column are read as times, with an example."""
    if (
        facts.unread_times
        and facts.unread_times.example_readings
        and facts.unread_times.unread_count >= facts.readable_count
    ):
        return (
            f"{facts.unread_times.unread_count:,} of {facts.value_count:,} need a time_format, such as "
            f"'{facts.unread_times.example}'"
        )
    return (
        f"{facts.readable_count:,} of {facts.value_count:,} are read as times, such as '{facts.example}' = "
        f"{facts.example_reading}"
    )


def time_format_choice(column: str, facts: TimeFacts) -> tuple[KeyProposal | None, tuple[UserQuestion, ...]]:
    """Return the time format that a column needs, or a question to the user if several formats read its values."""
    unread = facts.unread_times
    if unread is None:
        return None, ()
    if not unread.example_readings:
        text = (
            f"{unread.unread_count:,} of {unread.value_count:,} times in {column} can't be read, such as "
            f"'{unread.example}'. "
            "What is their format (DuckDB's strptime)?"
        )
        return None, (UserQuestion(text, (KeyProposal("time_format", "%d.%m.%Y %H:%M", "an example"),)),)
    answers = tuple(
        KeyProposal(
            "time_format",
            form,
            f"'{text}' is then {instant}; it reads {unread.read_text_count:,} of {unread.sampled_text_count:,} "
            "different texts",
        )
        for form, (text, instant) in unread.example_readings.items()
    )
    if len(answers) == 1:
        return answers[0], ()
    example = next(iter(unread.example_readings.values()))[0]
    text = f"'{example}' in {column} can be read in {len(answers)} ways. Choose one: nothing was guessed"
    return None, (UserQuestion(text, answers),)


def choices_by_nextmart_names(sample: FileSample, table: str, columns: Sequence[KeyProposal]) -> list[KeyProposal]:
    """Return choices for columns that have nextmart's own names and no choice yet: the loader loads them by name."""
    keys = {choice.key for choice in columns}
    own = {name.lower(): name for name in reversed(list(sample.column_types))}
    return [
        column_choice(sample, key, own[key], "; it has nextmart's name")
        for key in TABLE_COLUMNS[table]
        if key in own and key not in keys
    ]


def unmapped_columns_remark(sample: FileSample, columns: Sequence[KeyProposal]) -> list[str]:
    """Return a remark that lists the columns without a choice; no remark if all columns have one."""
    mapped = " ".join(choice.value for choice in columns)
    unmapped = [name for name in sample.column_types if name not in mapped]
    more = f" and {len(unmapped) - UNMAPPED_SHOWN:,} more" if len(unmapped) > UNMAPPED_SHOWN else ""
    return [f"In no map: {', '.join(unmapped[:UNMAPPED_SHOWN])}{more}"] if unmapped else []
