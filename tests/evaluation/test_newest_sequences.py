"""What is read of a history with a limit on the sequences, against the newest rows of the whole history's split."""

from contextlib import closing
from datetime import UTC, datetime, timedelta

import duckdb
import numpy as np
import polars as pl
import pytest
from polars.testing import assert_frame_equal, assert_series_equal

from jobs.evaluation.newest_sequences import read_newest_sequences, read_newest_training_sequences
from jobs.evaluation.protocols import split_history
from jobs.evaluation.training_relation import find_training_relation
from jobs.evaluation.validation_splits import target_times, validation_split
from jobs.settings import Settings
from jobs.warehouse.reading import read_sequences

START = datetime(2026, 1, 1, tzinfo=UTC)
# of minutes, so that an hour has many times; of half hours and of days, so that many sequences end at one time
STEPS = {"minutes": timedelta(minutes=1), "half hours": timedelta(minutes=30), "days": timedelta(days=1)}


def draw_sequences(seed: int, step: timedelta, count: int = 60) -> pl.DataFrame:
    """Draw sequences of one to six items; a third of their steps are purchases."""
    generator = np.random.default_rng(seed)
    lengths = generator.integers(1, 7, count)
    times = [
        [START + step * int(place) for place in np.sort(generator.integers(0, 60, 1) + generator.integers(0, 40, n))]
        for n in lengths
    ]
    return pl.DataFrame(
        {
            "sequence_id": [f"s{number:02}" for number in generator.permutation(count)],
            "visitor_id": [f"v{number}" for number in range(count)],
            "items": [[f"i{item}" for item in generator.integers(0, 4, n)] for n in lengths],
            "event_times": times,
            "ended_at": [of_sequence[-1] for of_sequence in times],
            "is_target": [(generator.random(n) < 0.3).tolist() for n in lengths],
        },
        schema_overrides={
            "items": pl.List(pl.String),
            "event_times": pl.List(pl.Datetime("us", "UTC")),
            "ended_at": pl.Datetime("us", "UTC"),
            "is_target": pl.List(pl.Boolean),
        },
    )


def open_warehouse(sequences: pl.DataFrame) -> duckdb.DuckDBPyConnection:
    connection = duckdb.connect()
    connection.execute("set TimeZone = 'UTC'; create schema sessions")
    connection.register("drawn", sequences.to_arrow())
    connection.execute("create table sessions.sequences as select * from drawn")
    connection.unregister("drawn")
    return connection


def as_text(frame: pl.DataFrame) -> pl.DataFrame:
    return frame.with_columns(pl.col("items").cast(pl.List(pl.String)), pl.col("^target$").cast(pl.String))


@pytest.mark.parametrize("step", STEPS)
@pytest.mark.parametrize("targets", [[], ["purchase"]], ids=["all steps", "purchases"])
@pytest.mark.parametrize("allow_repeats", [False, True])
@pytest.mark.parametrize("protocol", ["cutoff", "paper"])
def test_the_newest_sequences_and_all_cases_are_those_of_the_whole_history(protocol, allow_repeats, targets, step):
    given = {"allow_repeats": allow_repeats, "target_event_types": targets}
    cases_seen = 0
    for seed, share, validation_limit in [(0, 0.1, 2000), (1, 0.3, 2)]:
        settings = Settings(protocol=protocol, holdout_share=share, validation_limit=validation_limit, vars=given)
        with closing(open_warehouse(draw_sequences(seed, STEPS[step]))) as connection:
            history = read_sequences(connection, with_targets=bool(targets))
            split = split_history(history, protocol, settings)
            older, cases = validation_split(
                split.train, validation_limit, allow_repeats=allow_repeats, test_starts_at_a_date=protocol == "cutoff"
            )
            part = find_training_relation(connection, settings)
            assert part.cutoff_at == split.cutoff_at
            for most in (1, 12, 1000):
                read = read_newest_sequences(connection, settings, part, most)
                assert_frame_equal(as_text(read.all_sequences), as_text(split.train.tail(most)))
                assert_frame_equal(as_text(read.older_sequences), as_text(older.tail(most)))
                assert_frame_equal(as_text(read.validation_cases), as_text(cases))
                assert_series_equal(read.target_times, target_times(cases, split.train))
                assert read.training_count == len(split.train)
                newest = read_newest_training_sequences(connection, settings, part, most)
                assert_frame_equal(as_text(newest), as_text(split.train.tail(most)))
            cases_seen += len(cases)
    assert cases_seen


@pytest.mark.parametrize("cutoff_at", [START + timedelta(hours=1), None], ids=["a date", "no date"])
@pytest.mark.parametrize("protocol", ["cutoff", "paper"])
@pytest.mark.parametrize("count", [0, 1, 2, 3])
def test_a_short_history_is_too_short_with_a_limit_where_it_is_without(count, protocol, cutoff_at):
    settings = Settings(protocol=protocol, cutoff_at=cutoff_at)
    for seed in range(3):
        with closing(open_warehouse(draw_sequences(seed, STEPS["minutes"], count))) as connection:
            split = split_history(read_sequences(connection), protocol, settings)
            part = find_training_relation(connection, settings)
            assert (part is not None and part.count(connection) > 0) == (split is not None)


def test_the_date_of_the_hold_out_is_that_of_the_whole_history():
    for seed in range(3):
        for step in STEPS.values():
            with closing(open_warehouse(draw_sequences(seed, step, 9))) as connection:
                for share in (0.01, 0.2, 0.5, 0.9):
                    settings = Settings(holdout_share=share)
                    split = split_history(read_sequences(connection), "cutoff", settings)
                    part = find_training_relation(connection, settings)
                    assert split is None or part.cutoff_at == split.cutoff_at
