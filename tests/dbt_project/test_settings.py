"""Settings that the cases leave at their defaults: cuts, portions, users' sequences, known types."""

CUT = "{max_rejected_share: 1, max_session_minutes: 20, max_session_events: 3, sequence_scope: user, %s}"
PORTIONS = CUT % "max_events_per_build: 5, known_event_types: [view], collapse_repeats: false"
AT_ONCE = CUT % "known_event_types: [view], collapse_repeats: false"


def event(number, visitor, minute, user=None, kind="view"):
    return {
        "event_id": f"e{number}", "visitor_id": visitor, "user_id": user, "item_id": "lamp", "event_type": kind,
        "event_at": f"2026-05-01 10:{minute:02}:00",
    }  # fmt: skip


def test_a_long_visit_is_cut_in_portions_of_arrivals_and_a_users_devices_make_one_sequence(warehouse):
    warehouse.add("items", [{"item_id": "lamp"}], "2026-06-01 00:00:00+00")
    # every five minutes; the login lies in the first session
    on_phone = [event(n, "phone", 5 * n, user="ann" if n == 2 else None) for n in range(8)]
    warehouse.add("events", on_phone, "2026-06-01 00:00:00+00")
    warehouse.add("events", [event(20, "laptop", 50, user="ann")], "2026-06-02 00:00:00+00")
    warehouse.add("events", [event(30, "laptop", 55, kind="odd")], "2026-06-03 00:00:00+00")

    batches = "staging.event_batches", ["batch_id", "event_count", "rejected_count", "waiting_count"]
    warehouse.run("--vars", PORTIONS)
    assert warehouse.rows(*batches) == [("1", "8", "0", "2")]  # an arrival is never divided
    warehouse.run("--vars", PORTIONS)
    warehouse.run("--vars", PORTIONS)  # nothing is left
    assert warehouse.rows(*batches) == [("1", "8", "0", "2"), ("2", "2", "1", "0")]

    sessions = warehouse.rows("sessions.sessions", ["first_event_id", "event_count", "cut_reason", "stitched_user_id"])
    assert sessions == [
        ("e0", "3", None, "ann"),
        ("e20", "1", None, "ann"),
        ("e3", "1", "max_session_events", "ann"),
        ("e4", "2", "max_session_minutes", "ann"),
        ("e6", "2", "max_session_minutes", "ann"),
    ]
    assert warehouse.rows("sessions.sequences", ["sequence_id", "visitor_id", "item_count"]) == [
        ("user:ann", "laptop", "9")
    ]
    assert warehouse.rows("sessions.latest_sequences", ["visitor_id", "sequence_id"]) == [
        ("laptop", "user:ann"),
        ("phone", "user:ann"),
    ]
    assert warehouse.rows("staging.rejected_events", ["event_id", "reason"]) == [("e30", "unknown_event_type")]

    items = "sessions.session_items", ["* exclude (batch_id, assigned_batch_id)"]
    incremental = warehouse.rows(*items)
    warehouse.run("--full-refresh", "--vars", AT_ONCE)
    assert warehouse.rows(*items) == incremental


def test_settings_that_reject_more_leave_the_events_alone_that_a_build_has_judged(warehouse):
    warehouse.add("items", [{"item_id": "lamp"}], "2026-06-01 00:00:00+00")
    warehouse.add("events", [event(1, "guest", 1), event(2, "ann", 2)], "2026-06-01 00:00:00+00")
    models = "stg_items int_events_typed int_events_checked"
    warehouse.run(select=models)
    columns = ["event_id", "visitor_id", "reject_reason"]
    judged = warehouse.rows("staging.checked_events", columns)
    assert judged == [("e1", "guest", None), ("e2", "ann", None)]

    warehouse.add("events", [event(3, "guest", 3), event(4, "bob", 4)], "2026-06-01 00:10:00+00")
    stricter = "{max_rejected_share: 1, null_words: [guest], known_event_types: [purchase]}"
    warehouse.run("--vars", stricter, select=models)  # it reads the first rows again, because arrivals overlap
    new = [("e3", None, "missing_visitor_id"), ("e4", "bob", "unknown_event_type")]
    assert warehouse.rows("staging.checked_events", columns) == judged + new
