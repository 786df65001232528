"""Reading the newest training sequences and the validation cases, without the history before them.

What is read equals the newest rows of what :mod:`jobs.evaluation.splits` and
:func:`jobs.evaluation.validation_splits.validation_split` make of the whole history: tests hold one against the other.
"""

from dataclasses import dataclass

import polars as pl

from jobs.dbt_vars import JobVars
from jobs.evaluation.sequence_frames import SEQUENCE_ORDER
from jobs.evaluation.training_relation import SequenceKey, TrainingRelation
from jobs.evaluation.validation_splits import make_validation_cases, most_held_out, target_times
from jobs.settings import Settings
from jobs.warehouse.connection import Connection
from jobs.warehouse.reading import read_sequences, target_items_sql

LONG_ENOUGH = "len(items) >= 2"


@dataclass(frozen=True)
class TrainingSequences:
    """The sequences that models learn from: all of the training part or its newest, and the validation cases.

    Attributes
    ----------
    training_count : int
        The number of sequences of the whole training part.
    all_sequences : polars.DataFrame
        The training sequences, or the newest of them, in the order of (ended_at, sequence_id).
    older_sequences : polars.DataFrame
        Those that are not held out, or the newest of these, in the same order.
    validation_cases : polars.DataFrame
        The cases made of the held-out sequences.
    target_times : polars.Series of datetime[us, UTC] (cases,)
        When the target of each validation case happened.
    """

    training_count: int
    all_sequences: pl.DataFrame
    older_sequences: pl.DataFrame
    validation_cases: pl.DataFrame
    target_times: pl.Series


def read_newest_sequences(
    connection: Connection, settings: Settings, training_part: TrainingRelation, training_sequences: int
) -> TrainingSequences:
    """Read the newest training sequences, and the sequences that are held out for validation and give a case.

    The rows in memory are at most ``2 * training_sequences + settings.validation_limit``.

    Parameters
    ----------
    training_sequences : int
        The most sequences that ``all_sequences`` and ``older_sequences`` each have.
    """
    dbt_vars = settings.job_vars()
    gives_case = _gives_case_sql(dbt_vars)
    held_out_key = _oldest_held_out_key(connection, settings, training_part, gives_case)
    is_held_out_sql = f"({LONG_ENOUGH} and {_not_older_sql('held_out')})"
    rest = training_part.where(f"not {is_held_out_sql}", _named("held_out", held_out_key))
    to_read = training_part.where(
        f"{_not_older_sql('newest')} or ({is_held_out_sql} and {gives_case}) "
        f"or (not {is_held_out_sql} and {_not_older_sql('newest_of_rest')})",
        {
            **_named("held_out", held_out_key),
            **_named("newest", training_part.key_of_newest(connection, training_sequences)),
            **_named("newest_of_rest", rest.key_of_newest(connection, training_sequences)),
        },
    )
    rows = _read_in_order(connection, settings, to_read)
    is_held_out = (pl.col("items").list.len() >= 2) & _is_not_older(held_out_key)
    validation_cases = make_validation_cases(
        rows.filter(is_held_out), dbt_vars.allow_repeats, test_starts_at_a_date=training_part.protocol == "cutoff"
    )
    return TrainingSequences(
        training_part.count(connection),
        rows.tail(training_sequences),
        rows.filter(~is_held_out).tail(training_sequences),
        validation_cases,
        target_times(validation_cases, rows),
    )


def read_newest_training_sequences(
    connection: Connection, settings: Settings, training_part: TrainingRelation, training_sequences: int
) -> pl.DataFrame:
    """Read the newest sequences of the training part, in the order of (ended_at, sequence_id)."""
    newest_key = _named("newest", training_part.key_of_newest(connection, training_sequences))
    return _read_in_order(connection, settings, training_part.where(_not_older_sql("newest"), newest_key))


def _read_in_order(connection: Connection, settings: Settings, relation: TrainingRelation) -> pl.DataFrame:
    with_targets = bool(settings.job_vars().target_event_types)
    rows = read_sequences(connection, with_targets=with_targets, relation=relation.sql, parameters=relation.parameters)
    return rows.sort(SEQUENCE_ORDER)


def _oldest_held_out_key(
    connection: Connection, settings: Settings, training_part: TrainingRelation, gives_case: str
) -> SequenceKey:
    """Return the key of the oldest sequence that `validation_split` holds out; it holds out all newer ones too."""
    most = most_held_out(training_part.count(connection, LONG_ENOUGH))
    long_enough = training_part.where(LONG_ENOUGH, {})
    give_case = long_enough.where(gives_case, {})
    return max(
        long_enough.key_of_newest(connection, most), give_case.key_of_newest(connection, settings.validation_limit)
    )


def _gives_case_sql(dbt_vars: JobVars) -> str:
    """Return the SQL condition that a sequence counts as a validation case.

    As in `validation_split`, each sequence of two items or more counts if every step can be a target. Otherwise a
    sequence counts if a step after its first one can be a target. Without ``allow_repeats``, a step can't be one if an
    earlier target of the sequence has the same item.
    """
    if not dbt_vars.target_event_types:
        return "true"
    targets = target_items_sql(dbt_vars, "training_part")
    counted = targets if dbt_vars.allow_repeats else f"list_distinct({targets})"
    return f"len({counted}) > training_part.is_target[1]::integer"


def _named(name: str, key: SequenceKey) -> dict[str, object]:
    """Return a key as the values of the SQL parameters that `_not_older_sql` names."""
    return {f"{name}_ended_at": key[0], f"{name}_id": key[1]}


def _not_older_sql(name: str) -> str:
    """Return the SQL condition that a sequence is as new as a key, or newer."""
    # DuckDB 1.5 fails on two comparisons of (ended_at, sequence_id) with a row of values in one query
    return f"(ended_at > ${name}_ended_at or (ended_at = ${name}_ended_at and sequence_id >= ${name}_id))"


def _is_not_older(key: SequenceKey) -> pl.Expr:
    """Return the expression that a sequence is as new as a key, or newer."""
    ended_at = pl.lit(key[0]).cast(pl.Datetime("us", "UTC"))
    return (pl.col("ended_at") > ended_at) | ((pl.col("ended_at") == ended_at) & (pl.col("sequence_id") >= key[1]))
