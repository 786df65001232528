"""Histories are drawn from a seed, survive as JSON, and shrink to what breaks the same rule."""

from itertools import pairwise

import pytest

from benchmarks.chaos import shrinking
from benchmarks.chaos.broken_rule import BrokenRule
from benchmarks.chaos.campaign import with_fault_of_refused_catalogue
from benchmarks.chaos.fault_kinds import FAULTS
from benchmarks.chaos.history import Fault, Night, draw_history, history_as_json, history_from_json
from benchmarks.chaos.shop import ShopSize, SimulatedShop
from benchmarks.chaos.shrinking import smallest_history
from benchmarks.chaos.tally import CampaignTally


def test_a_seed_gives_the_same_history_also_a_longer_one(tmp_path):
    drawn = draw_history(7, 300, FAULTS)
    assert drawn == draw_history(7, 400, FAULTS)[:300]
    assert drawn != draw_history(8, 300, FAULTS)
    assert {name for night in drawn for name in night.fault_names} == {*FAULTS}
    assert history_from_json(history_as_json(drawn)) == drawn
    assert all(
        len({FAULTS[name].exclusive_group for name in night.fault_names}) == len(night.faults) for night in drawn
    )


def fault(name: str) -> Fault:
    return Fault(name, 0.5, 0.5)


@pytest.mark.parametrize("needed", [{"clock_ahead"}, {"clock_ahead", "disk_full"}, set()])
def test_shrinking_keeps_what_is_needed_and_nothing_else(needed):
    drawn = [night for night in draw_history(0, 40, FAULTS) if not night.fault_names & {"clock_ahead", "disk_full"}]
    history = [
        *drawn,
        Night(50, (fault("clock_ahead"), fault("items_cut"))),
        Night(60, (fault("disk_full"),)),
        Night(70),
    ]

    def run_until_rule_breaks(nights: list[Night]) -> list[Night] | None:
        happened = {name for night in nights for name in night.fault_names}
        return nights if needed <= happened else None

    shrunk = smallest_history(history, run_until_rule_breaks, 100, print_line=lambda _: None)
    assert [night.number for night in shrunk] == [
        0,
        *([50] if "clock_ahead" in needed else []),
        *([60] if "disk_full" in needed else []),
        70,
    ]
    assert {name for night in shrunk for name in night.fault_names} == needed


def test_a_calm_night_follows_a_history_and_its_tables_are_compared_with_a_full_refresh(tmp_path, monkeypatch):
    called = []

    class Campaign:
        def __init__(self, *_: object) -> None:
            self.tally, self.happenings, self.cpu_seconds_of_last_night = CampaignTally(), [], 0.0

        def run_night(self, night: Night) -> None:
            called.append(("run_night", night))

        def compare_with_full_refresh(self) -> None:
            called.append(("compare_with_full_refresh",))
            raise BrokenRule("lists: as a full refresh makes it")

        def close(self) -> None:
            called.append(("close",))

    monkeypatch.setattr(shrinking, "Campaign", Campaign)
    history = [Night(0), Night(7, (fault("killed_at_write"),))]
    setup = shrinking.CampaignSetup(tmp_path, harness=None, seed=0, shop_size=ShopSize(), full_refresh_every_nights=10)
    _, broken_rule, nights_lived = shrinking.run_history(setup, history, print_line=lambda _: None)
    assert nights_lived == [*history, Night(8)]
    assert called == [
        *(("run_night", night) for night in nights_lived),
        ("compare_with_full_refresh",),
        ("close",),
    ]
    assert broken_rule.rule == "lists: as a full refresh makes it"


def test_shrinking_stops_at_its_limit():
    tried = []
    history = draw_history(0, 40, FAULTS)
    assert smallest_history(history, tried.append, 5, print_line=lambda _: None) == history
    assert len(tried) == 5


def test_days_do_not_depend_on_the_nights_before(tmp_path):
    whole, dropped = (SimulatedShop(tmp_path / name, 3, ShopSize()) for name in ("whole", "dropped"))
    for number in range(6):
        whole.deliver_files(number, set())
    for number in (0, 5):
        dropped.deliver_files(number, set())
    assert {name: row for name, row in whole.delivered_events.items() if name.startswith("e0005")} == {
        name: row for name, row in dropped.delivered_events.items() if name.startswith("e0005")
    }
    assert whole.delivered_items.keys() == dropped.delivered_items.keys()
    assert whole.events_of_day(1) != SimulatedShop(tmp_path / "other", 4, ShopSize()).events_of_day(1)


@pytest.mark.parametrize("refused", ["items_cut", "items_all_withdrawn"])
def test_a_refused_list_lasts_until_another_list_comes(tmp_path, refused):
    shop = SimulatedShop(tmp_path, 3, ShopSize())
    lasting = []
    for number, faults in enumerate([(), (refused,), ("items_missing",), ("items_empty",), (), ("items_missing",)]):
        night = Night(number, tuple(map(fault, faults)))
        shop.deliver_files(number, night.fault_names)
        lasting.append(with_fault_of_refused_catalogue(night, shop).fault_names - night.fault_names)
    assert lasting == [set(), set(), {refused}, {refused}, set(), set()]


def test_each_week_has_texts_to_pay_for(tmp_path):
    shop = SimulatedShop(tmp_path, 3, ShopSize())
    titles = [{row["title"] for row in shop.catalogue_of_day(day)} for day in range(0, 70, 7)]
    assert all(len(after - before) >= 5 for before, after in pairwise(titles))
