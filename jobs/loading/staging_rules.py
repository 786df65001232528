"""How dbt's staging models read the values of the raw tables: the same macros, as SQL for the loader.

A change of a macro's name, or of the macro that a column is read by, is made here and nowhere else in the loader.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from jobs.warehouse.connection import literal
from jobs.warehouse.dbt_macros import dbt_macros

Rule = Callable[[str], str]
"""From the name of a raw column, the SQL of its value as staging reads it; null where staging can't read the value."""


@dataclass(frozen=True)
class StagingRules:
    """The rules by which staging reads raw values, and the limits that it sets for events.

    Attributes
    ----------
    text : Rule
        An id or a word, trimmed; null if it is blank.
    time, price, availability : Rule
        A value of the type timestamptz, double or boolean.
    earliest_event_at : str
        SQL of the time before which an event is rejected.
    latest_event_at : str
        SQL of the time after which an event that arrives now is rejected.
    known_event_types : tuple of str
        Types of events that are accepted; empty: all types.
    """

    text: Rule
    time: Rule
    price: Rule
    availability: Rule
    earliest_event_at: str
    latest_event_at: str
    known_event_types: tuple[str, ...]


def staging_rules(dbt_vars: Mapping[str, Any]) -> StagingRules:
    """Return the rules of the dbt project's staging models under the given values of dbt vars."""
    macros = dbt_macros(variables=dbt_vars)

    def text(column: str) -> str:
        return str(macros.null_word_as_null(column))

    def time(column: str) -> str:
        return str(macros.to_timestamp_utc(macros.blank_as_null(column)))

    def price(column: str) -> str:
        return str(macros.to_price(column))

    def availability(column: str) -> str:
        return str(macros.to_availability(macros.blank_as_null(column)))

    return StagingRules(
        text,
        time,
        price,
        availability,
        earliest_event_at=f"cast({literal(str(dbt_vars['earliest_event_at']))} as timestamptz)",
        latest_event_at=f"now() + {macros.minutes(dbt_vars['clock_skew_minutes'])}",
        known_event_types=tuple(dbt_vars["known_event_types"] or ()),
    )
