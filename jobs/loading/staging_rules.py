"""Gives the loader the SQL by which dbt's staging models read raw values, rendered from the same dbt macros."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from jobs.warehouse.connection import literal
from jobs.warehouse.dbt_macros import dbt_macros

ReadingRule = Callable[[str], str]
"""A function: name of a raw column -> SQL of the value that staging reads from it, null if the value can't be read."""

COLUMNS_WITHOUT_NULL_WORDS: Final = ("event_id", "event_type", "event_at", "shown_at", "available")
"""Raw columns in which staging doesn't read words such as ``NULL`` as null. In times they are unparsable texts."""


@dataclass(frozen=True)
class StagingRules:
    """The SQL by which dbt's staging models read raw values, and the limits that staging sets for events.

    Attributes
    ----------
    text_sql : ReadingRule
        The SQL of a trimmed id or word; null if it is blank or, except in ``COLUMNS_WITHOUT_NULL_WORDS``, a word for
        null, such as ``NULL``.
    time_sql, price_sql, availability_sql, rank_sql, propensity_sql : ReadingRule
        The SQL of a time (timestamptz), price or propensity (double), availability (boolean) or rank (integer); null if
        the value can't be read.
    earliest_event_at_sql : str
        SQL of the time before which an event is rejected.
    latest_event_at_sql : str
        SQL of the time after which an event that arrives now is rejected.
    known_event_types : tuple of str
        Types of events that are accepted; empty if all types are.
    """

    text_sql: ReadingRule
    time_sql: ReadingRule
    price_sql: ReadingRule
    availability_sql: ReadingRule
    rank_sql: ReadingRule
    propensity_sql: ReadingRule
    earliest_event_at_sql: str
    latest_event_at_sql: str
    known_event_types: tuple[str, ...]


def staging_rules(dbt_vars: Mapping[str, Any]) -> StagingRules:
    """Return the rules of dbt's staging models for the given values of dbt vars."""
    macros = dbt_macros(dbt_vars=dbt_vars)

    def text_sql(column: str) -> str:
        rule = macros.blank_as_null if column in COLUMNS_WITHOUT_NULL_WORDS else macros.null_word_as_null
        return str(rule(column))

    def time_sql(column: str) -> str:
        return str(macros.to_timestamp_utc(macros.blank_as_null(column)))

    def price_sql(column: str) -> str:
        return str(macros.to_price(column))

    def availability_sql(column: str) -> str:
        return str(macros.to_availability(macros.blank_as_null(column)))

    def rank_sql(column: str) -> str:
        return str(macros.to_rank(text_sql(column)))

    def propensity_sql(column: str) -> str:
        return str(macros.to_propensity(text_sql(column)))

    return StagingRules(
        text_sql,
        time_sql,
        price_sql,
        availability_sql,
        rank_sql,
        propensity_sql,
        earliest_event_at_sql=f"cast({literal(str(dbt_vars['earliest_event_at']))} as timestamptz)",
        latest_event_at_sql=f"now() + {macros.interval_of_minutes(dbt_vars['clock_skew_minutes'])}",
        known_event_types=tuple(dbt_vars["known_event_types"] or ()),
    )
