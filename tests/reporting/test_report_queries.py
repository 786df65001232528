"""What single queries of the report compute."""

import duckdb

from jobs.files import sql_text

OUTCOMES = """
    create schema recommendations;
    create table recommendations.outcomes as
    select date '2026-06-01' as day, 'default' as placement, 'sasrec' as model, 'model' as arm, rank,
        'purchase' as event_type, 'shown' as evidence, 100::bigint as places, 100::bigint as visitors,
        5::bigint as followed, 5::bigint as events, 10.0::double as revenue
    from range(1, 21) as ranks (rank);
"""


def test_for_the_interval_of_a_rate_over_all_ranks_a_visitor_counts_as_one_place():
    with duckdb.connect() as connection:
        connection.execute(OUTCOMES)
        [outcome] = connection.execute(sql_text("report/outcomes.sql")).pl().to_dicts()
    assert (outcome["places"], outcome["followed"], outcome["rate"], outcome["revenue"]) == (2000, 100, 0.05, 200)
    # if the same five of the hundred visitors acted on all twenty places, the places say no more than five of a hundred
    # would: Wilson's score by hand, (0.05 + z²/200 ± z √(0.000475 + z²/40000)) / (1 + z²/100) with z = 1.96
    assert (round(outcome["rate_low"], 4), round(outcome["rate_high"], 4)) == (0.0215, 0.1118)
