"""Property: outcomes and the visitors of uplift are those of a plain Python reference; faults in the SQL are seen."""

import plain_outcomes
import pytest
from drawn_histories import at, history
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from outcome_tables import Event, History, Impression, OutcomeTables, Place, Price, opened

OUTCOMES = """
    select day, placement, model, arm, rank, event_type, evidence, places, visitors, followed, events, revenue
    from outcomes order by all
"""
VISITORS = """
    select placement, measure, visitor_id, arm, entered_at, day, outcome, outcome_before
    from uplift_visitors order by all
"""
PROPERTY = settings(
    max_examples=25, deadline=None, derandomize=True, database=None, suppress_health_check=list(HealthCheck)
)


@pytest.fixture(scope="module")
def tables() -> OutcomeTables:
    return opened()


@PROPERTY
@given(seed=st.integers(0, 2**32))
def test_outcomes_are_those_of_a_plain_reference(tables, seed):
    drawn = history(seed)
    tables.show(drawn)
    assert tables.rows(OUTCOMES) == plain_outcomes.outcomes(drawn)
    assert tables.rows(VISITORS) == plain_outcomes.uplift_visitors(drawn)


# a list of two items that another replaces; impressions on home; a control that begins later than the first lists
EXAMPLE = History(
    events=[
        Event("before", "ann", "lamp", "view", at(1)),
        Event("same moment", "ann", "lamp", "view", at(2)),
        Event("two days later", "ann", "mug", "purchase", at(6)),
        Event("as the list ends", "ann", "lamp", "purchase", at(8)),
        Event("at home", "ann", "tray", "view", at(6)),
        Event("end of the window", "ann", "tray", "view", at(9)),
        Event("after both were shown", "ann", "mug", "view", at(7)),
        Event("a control's", "bob", "mug", "purchase", at(7)),
        Event("before the control", "bob", "lamp", "view", at(3)),
        Event("end of bob's window", "bob", "lamp", "view", at(8)),
        Event("a robot's", "cid", "lamp", "view", at(5)),
        Event("no outcome", "bob", "lamp", "cart", at(7)),
        Event("newest", "dan", "lamp", "view", at(12)),
    ],
    places=[
        Place("default", "ann", 1, "lamp", "sknn", "model", at(2), at(8)),
        Place("default", "ann", 2, "mug", "sknn", "model", at(2), at(8)),
        Place("default", "ann", 1, "lamp", "sasrec", "model", at(8), None),
        Place("default", "bob", 1, "mug", "sknn", "model", at(2), at(4)),
        Place("default", "bob", 1, "mug", "popularity", "control", at(4), None),
        Place("default", "dan", 1, "mug", "sknn", "model", at(2), at(4)),
        Place("default", "dan", 1, "mug", "popularity", "control", at(4), at(6)),
        Place("default", "dan", 1, "mug", "sknn", "model", at(6), None),
        Place("default", "cid", 1, "lamp", "sknn", "model", at(2), None),
        Place("default", "eve", 1, "lamp", "sknn", "model", at(13), None),  # newer than the newest event, on its day
        Place("home", "ann", 3, "tray", "sknn", "model", at(4), at(7)),
        Place("home", "ann", 2, "mug", "sknn", "model", at(4), at(7)),
        Place("home", "bob", 1, "tray", "popularity", "control", at(3), None),
        Place("cart", "ann", 1, "mug", "sknn", "model", at(4), None),
        Place("cart", "bob", 1, "lamp", "popularity", "control", at(4), at(7)),
    ],
    impressions=[
        Impression("i1", "ann", "home", "tray", 1, at(5)),
        Impression("i2", "ann", "home", "mug", None, at(5)),
        Impression("i3", "ann", "home", "mug", 4, at(6)),
        Impression("i2 as i3", "ann", "home", "mug", 2, at(6)),  # of the same moment as i3, whose key is greater
        Impression("i8", "ann", "cart", "mug", 1, at(5)),
        Impression("i4", "ann", "home", "lamp", 1, at(5)),
        Impression("i5", "bob", "home", "tray", 1, at(3)),
        Impression("i6", "ann", "home", "tray", 1, at(7)),
    ],
    prices=[Price("lamp", 2.5, at(7), at(8)), Price("lamp", 4.0, at(8), None), Price("mug", 3.0, at(0), None)],
    bots=["cid"],
)


def test_an_event_counts_for_the_list_that_was_live_and_for_no_other(tables):
    tables.show(EXAMPLE)
    followed = """
        select date_diff('day', date '2026-03-05', day), model, rank, event_type, places, followed, events, revenue
        from outcomes where placement = '{}' and followed + events > 0 order by model, rank, event_type, day
    """
    assert tables.rows(followed.format("default")) == [
        (2, "popularity", 1, "purchase", 2, 1, 0, 0.0),
        (3, "popularity", 1, "purchase", 1, 1, 1, 3.0),
        (4, "sasrec", 1, "purchase", 1, 1, 1, 4.0),  # as the list before it ends
        (1, "sknn", 1, "view", 3, 1, 1, None),  # as the list begins; not what was viewed before
        (2, "sknn", 2, "purchase", 1, 1, 0, 0.0),  # the day before; two days before, the window ends
        (3, "sknn", 2, "purchase", 1, 1, 1, 3.0),
        (2, "sknn", 2, "view", 1, 1, 0, None),
        (3, "sknn", 2, "view", 1, 1, 1, None),
    ]
    assert tables.rows(followed.format("home")) == [
        (2, "sknn", 1, "view", 1, 1, 1, None),  # not the view after the tray was shown beside the list
        (3, "sknn", 4, "purchase", 1, 1, 1, 3.0),  # the latest impression
        (3, "sknn", 4, "view", 1, 1, 1, None),
    ]
    assert tables.rows("select distinct placement, evidence from outcomes order by all") == [
        ("cart", "shown"),
        ("default", "could have seen"),
        ("home", "shown"),
    ]


def test_visitors_enter_with_the_experiment_and_leave_it_with_the_other_arm(tables):
    tables.show(EXAMPLE)
    # both had lists before the control began, at the fourth half day; dan's lists are of both arms; and the control of
    # the cart ended before the windows did
    entered = "select placement, visitor_id, arm, outcome, outcome_before from uplift_visitors where measure = 'view'"
    assert sorted(tables.rows(entered)) == [
        ("default", "ann", "model", 2.0, 2.0),
        ("default", "bob", "control", 0.0, 1.0),
        ("home", "ann", "model", 2.0, 2.0),
        ("home", "bob", "control", 1.0, 0.0),
    ]


def test_after_a_pause_of_the_control_another_experiment_begins_and_only_that_one_counts(tables):
    def lists(visitor: str, *arms_with_times: tuple) -> list[Place]:
        return [
            Place("default", visitor, 1, "lamp", "sknn", arm, at(start), end) for arm, start, end in arms_with_times
        ]

    places = [
        *lists("ann", ("control", 2, at(4)), ("model", 4, at(6)), ("control", 6, None)),
        *lists("bob", ("model", 2, at(7)), ("model", 7, None)),
        *lists("came in the pause", ("model", 5, at(6)), ("control", 6, at(7)), ("control", 7, None)),
    ]
    tables.show(History([Event("newest", "dan", "lamp", "view", at(13))], places))
    assert tables.rows("select visitor_id, arm, entered_at from uplift_visitors order by all") == [
        ("ann", "control", at(6)),
        ("bob", "model", at(6)),
        ("came in the pause", "control", at(6)),
    ]


def test_a_price_holds_until_the_next_known_one_and_the_first_also_before(tables):
    prices = [
        Price("lamp", None, at(0), at(2)),
        Price("lamp", 2.5, at(2), at(4)),
        Price("lamp", None, at(4), at(6)),
        Price("lamp", 4.0, at(6), None),
        # the clock was set back, so that the version of a later clock ended before it began
        Price("mug", 9.0, at(8), at(5)),
        Price("mug", 3.0, at(5), None),
        Price("tray", None, at(0), None),
    ]
    bought = [("lamp", 1), ("lamp", 3), ("lamp", 5), ("lamp", 7), ("mug", 9), ("tray", 3)]
    events = [Event(f"e{number}", "ann", item, "purchase", at(time)) for number, (item, time) in enumerate(bought)]
    tables.show(History(events, [Place("default", "ann", 1, "lamp", "sknn", "model", at(0), None)], prices=prices))
    assert tables.rows("select event_key, revenue from outcome_events order by event_key") == [
        ("e0", 2.5), ("e1", 2.5), ("e2", 2.5), ("e3", 4.0), ("e4", 3.0), ("e5", None),
    ]  # fmt: skip


def test_a_rate_has_wilsons_interval(tables):
    # 1 of 10: Wilson's score by hand, (0.1 + z²/20 ± z √(0.009 + z²/400)) / (1 + z²/10) with z = 1.96
    places = [Place("default", f"v{n}", 1, "lamp", "sknn", "model", at(0), None) for n in range(10)]
    tables.show(History([Event("e", "v0", "lamp", "view", at(1))], places))
    [row] = tables.rows("select places, followed, rate, round(rate_low, 4), round(rate_high, 4) from outcomes")
    assert row == (10, 1, 0.1, 0.0179, 0.4042)


@pytest.mark.parametrize("count", [15, 20])
def test_the_interval_holds_a_rate_of_one_to_the_last_digit(tables, count):
    places = [Place("default", f"v{n}", 1, "lamp", "sknn", "model", at(0), None) for n in range(count)]
    tables.show(History([Event(f"e{n}", f"v{n}", "lamp", "view", at(1)) for n in range(count)], places))
    # the dbt test consistent_outcomes stops a build if a rate lies outside its interval
    assert tables.rows("select rate_low < rate, rate, rate_high from outcomes") == [(True, 1.0, 1.0)]


# as people would mistype the SQL
FAULTS = [
    ("places_of_live_lists.live_from <= events.event_at", "places_of_live_lists.live_from < events.event_at"),
    ("(places_of_live_lists.live_until is null or places_of_live_lists.live_until > events.event_at)", "true"),
    ("places_of_live_lists.live_until > events.event_at", "places_of_live_lists.live_until >= events.event_at"),
    ("order by impressions.shown_at desc", "order by impressions.shown_at"),
    ("or impressions.shown_at < lists.live_until", "or true"),
    ("outcome_windows.arm <> lists.arm", "false"),
    ("experiments.ends_at is null", "true"),
    ("partition by events.event_key, impressions.placement", "partition by events.event_key"),
    ("impressions.impression_id desc", "impressions.impression_id"),
    ("lists.live_from <= newest_event_time.event_at", "true"),
    ("greatest(exposures.exposed_from, experiments.starts_at)", "exposures.exposed_from"),
    ("anti join bot_visitors as bots on lists.", "left join bot_visitors as bots on lists."),
    ("at time zone 'UTC' as date", "at time zone 'Asia/Kolkata' as date"),
]


@pytest.mark.parametrize(("right", "wrong"), FAULTS)
def test_the_example_shows_faults(right, wrong):
    faulty = opened((right, wrong))
    faulty.show(EXAMPLE)
    assert [faulty.rows(OUTCOMES), faulty.rows(VISITORS)] != [
        plain_outcomes.outcomes(EXAMPLE),
        plain_outcomes.uplift_visitors(EXAMPLE),
    ]
