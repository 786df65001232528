"""Which column of a file is taken for which of nextmart's columns, and what speaks for it."""

from collections.abc import Collection, Sequence

from jobs.loading.mapping import TABLE_COLUMNS
from jobs.loading.proposals.common_names import named_columns
from jobs.loading.proposals.proposed import Choice, Question
from jobs.loading.proposals.samples import Sample, TimeFacts

GOOD_SHARE = 0.9
"""The share of values that must be times for a column to be one of times."""
UNMAPPED_SHOWN = 20


def first_named(sample: Sample, names: Sequence[str], taken: Collection[str]) -> str | None:
    """Return the first column that has one of some names and any value, and isn't taken."""
    found = (name for name in named_columns(sample.types, names) if name not in taken and sample.columns[name].given)
    return next(found, None)


def time_column(sample: Sample, names: Sequence[str], *, or_any: bool = False) -> str | None:
    """Return the first column of some names whose values are times; with ``or_any``, the only column of times."""
    found = [name for name in named_columns(sample.times, names) if _is_time(sample.times[name])]
    if found:
        return found[0]
    others = [name for name, facts in sample.times.items() if _is_time(facts)]
    return others[0] if or_any and len(others) == 1 else None


def _is_time(facts: TimeFacts) -> bool:
    if facts.given and facts.read >= GOOD_SHARE * facts.given:
        return True
    unread = facts.unread
    return bool(unread and unread.readings and unread.read_texts >= GOOD_SHARE * unread.texts)


def column_choice(sample: Sample, key: str, column: str, note: str = "") -> Choice:
    """Return the choice of a column, with what it holds as evidence; ``note`` ends the evidence."""
    facts = sample.columns[column]
    missing = f", {sample.rows - facts.given:,} missing" if facts.given < sample.rows else ""
    evidence = f"{facts.different:,} different in {sample.rows:,} rows{missing}, such as '{facts.example}'{note}"
    return Choice(key, column, evidence)


def time_evidence(facts: TimeFacts) -> str:
    """Return how the values of a column are read as times, in words."""
    if facts.unread and facts.unread.readings and facts.unread.count >= facts.read:
        return f"{facts.unread.count:,} of {facts.given:,} need a time_format, such as '{facts.unread.example}'"
    return f"{facts.read:,} of {facts.given:,} are read as times, such as '{facts.example}' = {facts.instant}"


def time_format_choice(column: str, facts: TimeFacts) -> tuple[Choice | None, tuple[Question, ...]]:
    """Return the format of a column of times that needs one; where several read its values, a question."""
    unread = facts.unread
    if unread is None:
        return None, ()
    if not unread.readings:
        text = (
            f"{unread.count:,} of {unread.given:,} times in {column} can't be read, such as '{unread.example}'. "
            "What is their format (DuckDB's strptime)?"
        )
        return None, (Question(text, (Choice("time_format", "%d.%m.%Y %H:%M", "an example"),)),)
    answers = tuple(
        Choice(
            "time_format",
            form,
            f"'{text}' is then {instant}; it reads {unread.read_texts:,} of {unread.texts:,} different texts",
        )
        for form, (text, instant) in unread.readings.items()
    )
    if len(answers) == 1:
        return answers[0], ()
    example = next(iter(unread.readings.values()))[0]
    text = f"'{example}' in {column} can be read in {len(answers)} ways. Choose one: nothing was guessed"
    return None, (Question(text, answers),)


def columns_of_our_names(sample: Sample, table: str, columns: Sequence[Choice]) -> list[Choice]:
    """Return the columns with nextmart's own names that are in no choice yet: the loader takes them all the same."""
    keys = {choice.key for choice in columns}
    own = {name.lower(): name for name in reversed(list(sample.types))}
    return [
        column_choice(sample, key, own[key], "; it has nextmart's name")
        for key in TABLE_COLUMNS[table]
        if key in own and key not in keys
    ]


def unmapped_columns(sample: Sample, columns: Sequence[Choice]) -> list[str]:
    """Return a remark that names the columns that no choice names, if there are any."""
    mapped = " ".join(choice.value for choice in columns)
    unmapped = [name for name in sample.types if name not in mapped]
    more = f" and {len(unmapped) - UNMAPPED_SHOWN:,} more" if len(unmapped) > UNMAPPED_SHOWN else ""
    return [f"In no map: {', '.join(unmapped[:UNMAPPED_SHOWN])}{more}"] if unmapped else []
