"""Event types that settings name must be those of the events, else the build stops and says which there are."""

import pytest


@pytest.fixture
def shop(warehouse):
    warehouse.add("items", [{"item_id": "lamp"}], "2026-06-01 00:00:00+00")
    types = ["purchase", "view", "view"]
    warehouse.add(
        "events",
        [
            {"event_id": str(n), "visitor_id": "v", "item_id": "lamp", "event_type": name, "event_at": "2026-05-01"}
            for n, name in enumerate(types)
        ],
        "2026-06-01 00:00:00+00",
    )
    warehouse.run(select="stg_items int_events_typed int_events_checked")
    return warehouse


def check(shop, variables):
    # the test reads what the models have built, so that one build serves all settings
    shop.run("--vars", variables, command="test", select="event_types_of_settings_occur")


def test_types_that_settings_misspell_stop_the_build_and_others_do_not(shop):
    for variables, words in {
        "{sequence_event_types: [Purchase]}": "names Purchase, but the events have the types view, purchase",
        "{sequence_event_types: [order]}": "sequence_event_types names order",
        "{event_weights: {PURCHASE: 5, view: 1}}": "event_weights names PURCHASE",
        "{target_event_types: [Purchase]}": "target_event_types names Purchase, but the events have the types view",
        "{target_event_types: [order]}": "target_event_types names order",
        "{known_event_types: [View, purchase]}": "known_event_types names View",
        "{bought_event_types: [order]}": "bought_event_types names order",
    }.items():
        with pytest.raises(AssertionError, match=words):
            check(shop, variables)
    for variables in (
        "{}",
        "{sequence_event_types: [purchase, refund]}",  # no refund yet
        "{target_event_types: [purchase]}",
        "{event_weights: {purchase: 5}, known_event_types: [view, purchase, cart]}",
    ):
        check(shop, variables)


def test_a_shop_without_events_is_no_error(warehouse):
    warehouse.run(select="stg_items int_events_typed int_events_checked")
    check(warehouse, "{sequence_event_types: [purchase]}")
