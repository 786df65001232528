"""A short campaign; and its checks see what is wrong, since a campaign that sees nothing proves nothing."""

import shutil

import duckdb
import pytest

from benchmarks.chaos.broken_rule import BrokenRule
from benchmarks.chaos.campaign import Campaign
from benchmarks.chaos.faulty_commands import FaultyCommandRunner
from benchmarks.chaos.full_refresh_check import check_full_refresh
from benchmarks.chaos.harness import CommandHarness
from benchmarks.chaos.history import Fault, Night
from benchmarks.chaos.placements import check_placements
from benchmarks.chaos.publication_checks import check_published_file
from benchmarks.chaos.shop import ShopSize
from benchmarks.chaos.warehouse_damage import restore_warehouse_if_damaged
from jobs.warehouse.backups import list_backups, replaced_warehouse_paths

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
    harness = CommandHarness(folder, night_count=3)
    if not harness.can_inject_faults:
        harness.close()
        pytest.skip("there is no C compiler here, or no Linux")
    campaign = Campaign(folder, harness, 5, ShopSize(30, 20), full_refresh_every_nights=99)
    yield campaign
    campaign.close()
    harness.close()


@pytest.fixture(scope="module")
def lived_campaign(campaign):
    campaign.run_night(Night(0))
    campaign.run_night(Night(1, (Fault("torn_write", 0.3, 0.9), Fault("events_doubled", 0, 0))))
    assert campaign.happenings, "the fault happened"
    campaign.run_night(Night(2, (Fault("visitor_forgotten", 0.5, 0.5), Fault("events_out_of_order", 0, 0))))
    return campaign


def test_a_killed_night_is_mended_by_the_next_one(lived_campaign):
    tally = lived_campaign.tally
    assert (tally.night_count, tally.published_night_count) == (3, 2)
    assert tally.outcome_counts_by_fault["torn_write"] == {"killed, goes on the next night": 1}
    assert tally.outcome_counts_by_fault["visitor_forgotten"] == {"done": 1}
    assert lived_campaign.shop.forgotten_ids
    assert tally.published_file_read_count > 10


@pytest.mark.parametrize(("rule", "statement"), SPOILT_WAREHOUSES.items(), ids=SPOILT_WAREHOUSES)
def test_a_spoilt_warehouse_is_seen(lived_campaign, rule, statement):
    warehouse = lived_campaign.folder / "warehouse.duckdb"
    kept = warehouse.read_bytes()
    try:
        with duckdb.connect(str(warehouse)) as connection:
            parameters = {"forgotten": sorted(lived_campaign.shop.forgotten_ids)} if "$forgotten" in statement else {}
            assert connection.execute(statement, parameters).fetchone()[0]
        with pytest.raises(BrokenRule) as found:
            lived_campaign.check_warehouse(Night(3), was_published=True)
    finally:
        warehouse.write_bytes(kept)
    assert found.value.rule == rule
    lived_campaign.paid_text_accounts.lost_texts.clear()


def test_a_damaged_warehouse_is_restored_by_the_command_that_nextmart_names(lived_campaign):
    warehouse = lived_campaign.folder / "warehouse.duckdb"
    with warehouse.open("r+b") as file:
        # the beginning of each block behind the file's headers, since nobody reads a block that is free
        for start in range(3 * 4096, warehouse.stat().st_size, 1 << 18):
            file.seek(start)
            file.write(bytes(100_000))
    copies = list_backups(lived_campaign.folder / "backups", warehouse)
    restored = restore_warehouse_if_damaged(warehouse, lived_campaign.command_runner)
    assert "checksum" in restored.damage
    assert restored.backup_copy.name == copies[0].path.name
    assert restored.backup_copy.name in lived_campaign.sold_counts_before_copy
    assert restore_warehouse_if_damaged(warehouse, lived_campaign.command_runner) is None
    assert not replaced_warehouse_paths(warehouse)
    lived_campaign.check_warehouse(Night(3), was_published=True)


def test_a_damage_that_no_copy_can_mend_is_a_broken_rule(lived_campaign, tmp_path):
    warehouse = tmp_path / "warehouse.duckdb"
    warehouse.write_bytes(b"no database")
    with pytest.raises(BrokenRule) as found:
        restore_warehouse_if_damaged(
            warehouse,
            FaultyCommandRunner(
                lived_campaign.command_runner.harness,
                tmp_path,
                lived_campaign.command_runner.environment,
            ),
        )
    assert found.value.rule == "a damaged warehouse can be restored"


@pytest.mark.parametrize(("rule", "statement"), SPOILT_PUBLICATIONS.items(), ids=SPOILT_PUBLICATIONS)
def test_a_spoilt_publication_is_seen(lived_campaign, tmp_path, rule, statement):
    copy = tmp_path / "published.duckdb"
    shutil.copyfile(lived_campaign.published_file, copy)
    with duckdb.connect(str(copy)) as connection:
        connection.execute(f"use published.recommendations; {statement}")
    with pytest.raises(BrokenRule) as found:
        check_published_file(copy)
    assert found.value.rule == rule


@pytest.mark.parametrize(("rule", "statement"), SPOILT_PLACEMENTS.items(), ids=SPOILT_PLACEMENTS)
def test_a_spoilt_placement_is_seen(lived_campaign, tmp_path, rule, statement):
    copy = tmp_path / "published.duckdb"
    shutil.copyfile(lived_campaign.published_file, copy)
    with duckdb.connect(str(copy)) as connection:
        connection.execute(f"attach '{lived_campaign.folder / 'warehouse.duckdb'}' as warehouse (read_only)")
        connection.execute(f"use published.recommendations; {statement}; use warehouse")
        with pytest.raises(BrokenRule) as found:
            check_placements(connection)
    assert found.value.rule == f"placements: {rule}"


def test_a_full_refresh_keeps_the_clock_with_which_the_night_ended(campaign, monkeypatch):
    shifts = []
    monkeypatch.setattr(campaign.fault_injector, "shift_clock", shifts.append)
    monkeypatch.setattr("benchmarks.chaos.campaign.check_full_refresh", lambda *_: None)
    campaign.compare_with_full_refresh()
    assert not shifts


def test_a_full_refresh_waits_until_every_text_has_its_vector(lived_campaign, tmp_path, monkeypatch):
    shop = shutil.copytree(lived_campaign.folder, tmp_path / "shop")
    compared = []
    monkeypatch.setattr(lived_campaign, "folder", shop)
    monkeypatch.setattr(lived_campaign, "full_refresh_every_nights", 10)
    monkeypatch.setattr(lived_campaign, "night_count_at_last_comparison", 0)
    monkeypatch.setattr(lived_campaign, "compare_with_full_refresh", lambda: compared.append("compared"))

    def compare_if_due(number, change=""):
        with duckdb.connect(str(shop / "warehouse.duckdb")) as warehouse:
            warehouse.execute(change)
        before = len(compared)
        lived_campaign.compare_with_full_refresh_if_due(Night(number))
        return len(compared) > before

    assert not compare_if_due(8)
    assert not compare_if_due(9, "insert into catalog.embedding_backlog (item_id) values ('item-001')")
    assert compare_if_due(10, "delete from catalog.embedding_backlog")
    assert not compare_if_due(11)


def test_metrics_that_are_deleted_after_the_publication_are_not_compared(lived_campaign, tmp_path):
    shop = shutil.copytree(lived_campaign.folder, tmp_path / "shop")
    with duckdb.connect(str(shop / "published.duckdb")) as published:
        published.execute(
            "insert into recommendations.model_leaderboard "
            "select * replace ('an old model' as model_version) from recommendations.model_leaderboard limit 1"
        )
    check_full_refresh(shop, tmp_path, lived_campaign.command_runner)
