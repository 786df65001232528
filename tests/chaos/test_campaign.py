"""A short campaign; and its checks see what is wrong, since a campaign that sees nothing proves nothing."""

import shutil

import duckdb
import pytest

from benchmarks.chaos.campaign import Campaign
from benchmarks.chaos.damage import restore_if_damaged
from benchmarks.chaos.difference import Difference
from benchmarks.chaos.disturbance import Disturbance
from benchmarks.chaos.history import Fault, Night
from benchmarks.chaos.machine import Machine
from benchmarks.chaos.placements import check_placements
from benchmarks.chaos.publication import check_alone
from benchmarks.chaos.shop import Size
from jobs.warehouse.backups import files_set_aside, list_backups

SPOILT_WAREHOUSES = {
    "raw.events holds each delivered event once": "insert into raw.events from raw.events limit 1",
    "staging.stg_events holds each usable event once": "delete from staging.checked_events where row_key = "
    "(select min(row_key) from staging.checked_events where reject_reason is null)",
    "staging.rejected_events holds each other event with its reason": "insert into staging.checked_events "
    "by name select 'e1' as event_id, 'rejected-e1' as row_key, 'unknown_item' as reject_reason",
    "sessions.session_items is what plain Python makes": "update sessions.session_items set position = position + 1",
    "catalog.item_embeddings holds the vector of the item's text": "update ml.embeddings "
    "set embedding = list_transform(embedding, lambda value: -value)",
    "nothing is kept of a forgotten person": "insert into ml.job_runs (run_id, job, started_at, status, error) "
    "select 'x', 'load', now(), 'failed', 'no ' || unnest($forgotten)",
    "no text is paid twice": "delete from ml.embeddings",
    "published: one model, the live one": "update ml.models set model_version = model_version || '-b'",
}

SPOILT_PUBLICATIONS = {
    "published: ranks are dense": "update visitor_recommendations set rank = rank + 1",
    "published: an item comes once": "update visitor_recommendations set item_id = 'item-001'",
    "published: scores are finite": "update visitor_recommendations set score = 'nan'",
    "the published tables belong together": "update publication set model_version = 'another'",
}

SPOILT_PLACEMENTS = {
    "a list has its length and dense ranks": "delete from placement_recommendations where rank = 1",
    "each visitor with a sequence has a list of home": "delete from placement_recommendations; "
    "delete from placement_lists",
    "an item comes once": "update placement_recommendations set item_id = 'item-001'",
    "nothing of the own sequence": "update placement_recommendations as lists set item_id = latest.items[1] "
    "from warehouse.sessions.latest_sequences as latest where latest.visitor_id = lists.visitor_id and rank = 1",
    "nothing unavailable or unknown": "update placement_recommendations set item_id = 'item-unknown' where rank = 1",
    "home has nothing of the excluded category": "update placement_recommendations as lists "
    "set item_id = (select min(item_id) from items where category = 'garden' and not exists ("
    "from warehouse.sessions.sequences as own where own.visitor_id = lists.visitor_id "
    "and list_contains(own.items, items.item_id))) where placement = 'home' and rank = 1",
}


@pytest.fixture(scope="module")
def campaign(tmp_path_factory):
    """A campaign after a calm night, a night that was killed, and a night on which all is mended."""
    folder = tmp_path_factory.mktemp("chaos")
    machine = Machine(folder, nights=3)
    if not machine.can_disturb:
        machine.close()
        pytest.skip("there is no C compiler here, or no Linux")
    campaign = Campaign(folder, machine, 5, Size(30, 20), refresh_every=99)
    yield campaign
    campaign.close()
    machine.close()


@pytest.fixture(scope="module")
def lived(campaign):
    campaign.live(Night(0))
    campaign.live(Night(1, (Fault("torn_write", 0.3, 0.9), Fault("events_doubled", 0, 0))))
    assert campaign.happened, "the fault happened"
    campaign.live(Night(2, (Fault("visitor_forgotten", 0.5, 0.5), Fault("events_out_of_order", 0, 0))))
    return campaign


def test_a_killed_night_is_mended_by_the_next_one(lived):
    tally = lived.tally
    assert (tally.nights, tally.settled) == (3, 2)
    assert tally.outcomes["torn_write"] == {"killed, goes on the next night": 1}
    assert tally.outcomes["visitor_forgotten"] == {"done": 1}
    assert lived.shop.forgotten
    assert tally.reads > 10


@pytest.mark.parametrize(("rule", "statement"), SPOILT_WAREHOUSES.items(), ids=SPOILT_WAREHOUSES)
def test_a_spoilt_warehouse_is_seen(lived, rule, statement):
    warehouse = lived.folder / "warehouse.duckdb"
    kept = warehouse.read_bytes()
    try:
        with duckdb.connect(str(warehouse)) as connection:
            parameters = {"forgotten": sorted(lived.shop.forgotten)} if "$forgotten" in statement else {}
            assert connection.execute(statement, parameters).fetchone()[0]
        with pytest.raises(Difference) as found:
            lived.check_warehouse(Night(3), has_settled=True)
    finally:
        warehouse.write_bytes(kept)
    assert found.value.rule == rule
    lived.accounts.lost.clear()


def test_a_damaged_warehouse_is_restored_by_the_command_that_nextmart_names(lived):
    warehouse = lived.folder / "warehouse.duckdb"
    with warehouse.open("r+b") as file:
        # the beginning of each block behind the file's headers, since nobody reads a block that is free
        for start in range(3 * 4096, warehouse.stat().st_size, 1 << 18):
            file.seek(start)
            file.write(bytes(100_000))
    copies = list_backups(lived.folder / "backups", warehouse)
    restored = restore_if_damaged(warehouse, lived.disturbance)
    assert "checksum" in restored.damage
    assert restored.copy.name == copies[0].path.name
    assert restored.copy.name in lived.sold_before_copy
    assert restore_if_damaged(warehouse, lived.disturbance) is None
    assert not files_set_aside(warehouse)
    lived.check_warehouse(Night(3), has_settled=True)


def test_a_damage_that_no_copy_can_mend_is_a_difference(lived, tmp_path):
    warehouse = tmp_path / "warehouse.duckdb"
    warehouse.write_bytes(b"no database")
    with pytest.raises(Difference) as found:
        restore_if_damaged(warehouse, Disturbance(lived.disturbance.machine, tmp_path, lived.disturbance.environment))
    assert found.value.rule == "a damaged warehouse can be restored"


@pytest.mark.parametrize(("rule", "statement"), SPOILT_PUBLICATIONS.items(), ids=SPOILT_PUBLICATIONS)
def test_a_spoilt_publication_is_seen(lived, tmp_path, rule, statement):
    copy = tmp_path / "published.duckdb"
    shutil.copyfile(lived.published, copy)
    with duckdb.connect(str(copy)) as connection:
        connection.execute(f"use published.recommendations; {statement}")
    with pytest.raises(Difference) as found:
        check_alone(copy)
    assert found.value.rule == rule


@pytest.mark.parametrize(("rule", "statement"), SPOILT_PLACEMENTS.items(), ids=SPOILT_PLACEMENTS)
def test_a_spoilt_placement_is_seen(lived, tmp_path, rule, statement):
    copy = tmp_path / "published.duckdb"
    shutil.copyfile(lived.published, copy)
    with duckdb.connect(str(copy)) as connection:
        connection.execute(f"attach '{lived.folder / 'warehouse.duckdb'}' as warehouse (read_only)")
        connection.execute(f"use published.recommendations; {statement}; use warehouse")
        with pytest.raises(Difference) as found:
            check_placements(connection)
    assert found.value.rule == f"placements: {rule}"
