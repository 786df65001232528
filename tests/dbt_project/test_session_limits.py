"""The limit `max_session_minutes`, on times around the limit, without dbt."""

import duckdb
import pytest

from jobs.dbt_vars import check_and_complete_vars, default_vars
from jobs.warehouse.dbt_macros import dbt_macros

SECONDS = [0, 60, 2399, 2400, 2429, 2430, 4799, 4800, 4859, 4860]


def seconds_of_sessions(max_session_minutes: float) -> list[list[int]]:
    """Return the times of one visit's events, in seconds from the visit's start, session by session."""
    changed_vars = check_and_complete_vars({"max_session_minutes": max_session_minutes, "session_gap_minutes": 60})
    sessions = dbt_macros(dbt_vars={**default_vars(), **changed_vars}).assign_sessions("events", "true")
    with duckdb.connect() as connection:
        connection.execute(
            """
            create table events as
            select
                'e' || second as event_id, 'ann' as visitor_id, null::varchar as source_session_id,
                null::varchar as tracker_session_cut_reason, second,
                timestamptz '2026-01-01 10:00:00+00' + to_seconds(second) as event_at
            from (select unnest(?::integer[]) as second)
            """,
            [SECONDS],
        )
        query = f"select list(second order by position) from ({sessions}) group by session_id order by min(second)"
        return [seconds for (seconds,) in connection.execute(query).fetchall()]


@pytest.mark.parametrize("limit", [40, 40.0])
def test_a_limit_cuts_at_its_multiples_however_it_is_written(limit):
    assert seconds_of_sessions(limit) == [SECONDS[:3], SECONDS[3:7], SECONDS[7:]]


def test_a_limit_may_have_a_fraction_of_a_minute():
    assert seconds_of_sessions(40.5) == [SECONDS[:5], SECONDS[5:9], SECONDS[9:]]
