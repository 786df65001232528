"""Histories are drawn from a seed, survive as JSON, and shrink to what shows a difference."""

from itertools import pairwise

import pytest

from benchmarks.chaos import shrinking
from benchmarks.chaos.campaign import with_lasting_fault
from benchmarks.chaos.catalogue import FAULTS
from benchmarks.chaos.difference import Difference
from benchmarks.chaos.history import Fault, Night, draw_history, history_as_json, history_from_json
from benchmarks.chaos.shop import Shop, Size
from benchmarks.chaos.shrinking import smallest
from benchmarks.chaos.tally import Tally


def test_a_seed_gives_the_same_history_also_a_longer_one(tmp_path):
    drawn = draw_history(7, 300, FAULTS)
    assert drawn == draw_history(7, 400, FAULTS)[:300]
    assert drawn != draw_history(8, 300, FAULTS)
    assert {name for night in drawn for name in night.names} == {*FAULTS}
    assert history_from_json(history_as_json(drawn)) == drawn
    assert all(len({FAULTS[name].group for name in night.names}) == len(night.faults) for night in drawn)


def fault(name: str) -> Fault:
    return Fault(name, 0.5, 0.5)


@pytest.mark.parametrize("needed", [{"clock_ahead"}, {"clock_ahead", "disk_full"}, set()])
def test_shrinking_keeps_what_is_needed_and_nothing_else(needed):
    drawn = [night for night in draw_history(0, 40, FAULTS) if not night.names & {"clock_ahead", "disk_full"}]
    history = [
        *drawn,
        Night(50, (fault("clock_ahead"), fault("items_cut"))),
        Night(60, (fault("disk_full"),)),
        Night(70),
    ]

    def lived_until(nights: list[Night]) -> list[Night] | None:
        happened = {name for night in nights for name in night.names}
        return nights if needed <= happened else None

    shrunk = smallest(history, lived_until, 100, say=lambda _: None)
    assert [night.number for night in shrunk] == [
        0,
        *([50] if "clock_ahead" in needed else []),
        *([60] if "disk_full" in needed else []),
        70,
    ]
    assert {name for night in shrunk for name in night.names} == needed


def test_a_calm_night_follows_a_history_and_its_tables_are_compared_with_a_full_refresh(tmp_path, monkeypatch):
    called = []

    class Campaign:
        def __init__(self, *_: object) -> None:
            self.tally, self.happened, self.cpu_seconds_of_last_night = Tally(), [], 0.0

        def live(self, night: Night) -> None:
            called.append(("live", night))

        def refresh(self, night: Night) -> None:
            called.append(("refresh", night))
            raise Difference("lists: as a full refresh makes it")

        def close(self) -> None:
            called.append(("close",))

    monkeypatch.setattr(shrinking, "Campaign", Campaign)
    history = [Night(0), Night(7, (fault("killed_at_write"),))]
    trial = shrinking.Trial(tmp_path, machine=None, seed=0, size=Size(), refresh_every=10)
    _, difference, lived = shrinking.live_through(trial, history, say=lambda _: None)
    assert lived == [*history, Night(8)]
    assert called == [*(("live", night) for night in lived), ("refresh", Night(8)), ("close",)]
    assert difference.rule == "lists: as a full refresh makes it"


def test_shrinking_stops_at_its_limit():
    tried = []
    history = draw_history(0, 40, FAULTS)
    assert smallest(history, tried.append, 5, say=lambda _: None) == history
    assert len(tried) == 5


def test_days_do_not_depend_on_the_nights_before(tmp_path):
    whole, dropped = (Shop(tmp_path / name, 3, Size()) for name in ("whole", "dropped"))
    for number in range(6):
        whole.deliver(number, set())
    for number in (0, 5):
        dropped.deliver(number, set())
    assert {name: row for name, row in whole.events.items() if name.startswith("e0005")} == {
        name: row for name, row in dropped.events.items() if name.startswith("e0005")
    }
    assert whole.catalogue.keys() == dropped.catalogue.keys()
    assert whole.events_of(1) != Shop(tmp_path / "other", 4, Size()).events_of(1)


@pytest.mark.parametrize("refused", ["items_cut", "items_all_withdrawn"])
def test_a_refused_list_lasts_until_another_list_comes(tmp_path, refused):
    shop = Shop(tmp_path, 3, Size())
    lasting = []
    for number, faults in enumerate([(), (refused,), ("items_missing",), ("items_empty",), (), ("items_missing",)]):
        night = Night(number, tuple(map(fault, faults)))
        shop.deliver(number, night.names)
        lasting.append(with_lasting_fault(night, shop).names - night.names)
    assert lasting == [set(), set(), {refused}, {refused}, set(), set()]


def test_each_week_has_texts_to_pay_for(tmp_path):
    shop = Shop(tmp_path, 3, Size())
    titles = [{row["title"] for row in shop.list_of(day)} for day in range(0, 70, 7)]
    assert all(len(after - before) >= 5 for before, after in pairwise(titles))
