"""What dbt checks before it builds anything: also when somebody, or a scheduler, calls dbt and not `nextmart run`."""

import pytest

EVENTS = [
    {"event_id": f"e{n}", "visitor_id": "ann", "item_id": "lamp", "event_type": "view",
     "event_at": f"2026-05-01 10:{20 * n:02}:00"}
    for n in range(3)
]  # fmt: skip


@pytest.fixture
def shop(warehouse, tmp_path, monkeypatch):
    """A warehouse with events, in a folder where ``set_vars`` writes ``nextmart.toml``."""
    warehouse.add("items", [{"item_id": "lamp"}], "2026-06-01 00:00:00+00")
    warehouse.add("events", EVENTS, "2026-06-01 00:00:00+00")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PWD", str(tmp_path))
    warehouse.set_vars = lambda text: (tmp_path / "nextmart.toml").write_text(f"[vars]\n{text}\n")
    return warehouse


def built_tables(shop):
    return shop.rows("duckdb_tables() where schema_name not in ('raw', 'ml')", ["table_name"])


def test_vars_of_nextmart_toml_that_dbt_was_not_given_stop_it_and_the_message_has_the_option(shop):
    shop.set_vars('max_rejected_share = 0.5\nknown_event_types = ["view"]')
    with pytest.raises(AssertionError) as refused:
        shop.run(select="stg_items")
    said = str(refused.value)
    assert 'known_event_types = ["view"] (dbt uses [])' in said
    assert """--vars '{"max_rejected_share": 0.5, "known_event_types": ["view"]}'""" in said
    assert "max_rejected_share = " not in said  # the option --vars of this call names it
    assert built_tables(shop) == []
    shop.run("--vars", '{"max_rejected_share": 1, "known_event_types": ["view"]}', select="stg_items")
    assert built_tables(shop) == [("stg_items",)]


def test_a_var_that_makes_no_sense_stops_dbt_before_it_builds(shop):
    with pytest.raises(AssertionError, match=r"session_gap_minutes': .*got -5\); allowed: number, above 0"):
        shop.run("--vars", "{session_gap_minutes: -5}", select="stg_items")
    with pytest.raises(
        AssertionError, match=r"sequences leave out order.*Add order to sequence_event_types, or set it"
    ):
        shop.run("--vars", "{sequence_event_types: [view], target_event_types: [order]}", select="stg_items")
    with pytest.raises(AssertionError, match="--vars: unknown dbt var 'session_gap': did you mean"):
        shop.run("--vars", "{session_gap: 5}", select="stg_items")
    assert built_tables(shop) == []


def test_another_rule_of_sessions_stops_dbt_before_it_builds_until_a_full_refresh(shop):
    shop.run()
    gap = "--vars", "{max_rejected_share: 1, session_gap_minutes: %s}"
    shop.run(gap[0], gap[1] % "30.0", select="session_changes")  # 30 is the same number
    before = shop.rows("sessions.session_items")
    with pytest.raises(AssertionError) as refused:
        shop.run(gap[0], gap[1] % "10")
    said = str(refused.value)
    assert "cut by 'gap 30 min" in said
    assert "'gap 10 min" in said
    assert "nextmart run --full-refresh" in said
    assert shop.rows("sessions.session_items") == before
    shop.run("--full-refresh", gap[0], gap[1] % "10")
    assert len(shop.rows("sessions.sessions")) == 3
