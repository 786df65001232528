"""The smallest history that breaks the same rule: nights and faults are dropped, and the rest is lived through again.

Each attempt takes as long as its nights do, so the search is greedy and has a limit, unlike that of hypothesis, whose
shrinker needs hundreds of attempts: first all but the last nights with faults go, then single faults.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from benchmarks.chaos.broken_rule import BrokenRule
from benchmarks.chaos.campaign import Campaign
from benchmarks.chaos.harness import CommandHarness
from benchmarks.chaos.history import Night
from benchmarks.chaos.shop import ShopSize
from benchmarks.chaos.tally import CampaignTally

PrintLine = Callable[[str], None]


@dataclass(frozen=True)
class CampaignSetup:
    """Where and how histories are lived through."""

    folder: Path
    harness: CommandHarness
    seed: int
    shop_size: ShopSize
    full_refresh_every_nights: int


def run_history(
    setup: CampaignSetup, history: list[Night], print_line: PrintLine
) -> tuple[CampaignTally, BrokenRule | None, list[Night]]:
    """Live through a history; return the tally, the first broken rule if any, and the nights up to it.

    A calm night follows the history. Its tables are compared with those of a full refresh, because the history's last
    night may have published nothing that could be compared.
    """
    campaign = Campaign(setup.folder, setup.harness, setup.seed, setup.shop_size, setup.full_refresh_every_nights)
    last = Night(history[-1].number + 1)
    nights = [*history, last]
    try:
        for place, night in enumerate(nights):
            try:
                campaign.run_night(night)
                if night == last:
                    campaign.compare_with_full_refresh(night)
            except BrokenRule as broken_rule:
                return campaign.tally, broken_rule, nights[: place + 1]
            finally:
                happened = f" [{'; '.join(campaign.happenings)}]" if campaign.happenings else ""
                print_line(f"{night}{happened}, {campaign.cpu_seconds_of_last_night:.1f} s of processor time")
    finally:
        campaign.close()
    return campaign.tally, None, nights


def make_reproducer(setup: CampaignSetup, rule: str) -> Callable[[list[Night]], list[Night] | None]:
    """Return a function that lives through a history, and returns its nights up to where it breaks ``rule``, if so."""
    folder = setup.folder / "shrinking"
    folder.mkdir(exist_ok=True)
    setup = replace(
        setup, folder=folder, full_refresh_every_nights=1 if "full refresh" in rule else setup.full_refresh_every_nights
    )

    def nights_until_broken(history: list[Night]) -> list[Night] | None:
        _, broken_rule, nights_lived = run_history(setup, history, print_line=lambda _: None)
        return nights_lived if broken_rule and broken_rule.rule == rule else None

    return nights_until_broken


def smallest_history(
    history: list[Night],
    nights_until_broken: Callable[[list[Night]], list[Night] | None],
    max_attempts: int,
    print_line: PrintLine,
) -> list[Night]:
    """Return the smallest history found, within some attempts, that breaks the same rule as ``history``.

    Parameters
    ----------
    nights_until_broken : callable
        Returns a history's nights up to the broken rule; None if the history does not break it.
    """
    ruled_out: set[tuple[Night, ...]] = set()
    for attempt in range(max_attempts):
        candidate = next((smaller for smaller in _smaller_histories(history) if tuple(smaller) not in ruled_out), None)
        if candidate is None:
            break
        nights_lived = nights_until_broken(candidate)
        print_line(
            f"attempt {attempt + 1}: {len(candidate)} nights {'break it too' if nights_lived else 'do not break it'}"
        )
        if nights_lived:
            history = nights_lived
        else:
            ruled_out.add(tuple(candidate))
    return history


def _smaller_histories(history: list[Night]) -> Iterator[list[Night]]:
    """Yield smaller histories, the smallest first; the first and the last night stay."""
    if len(history) == 1:
        return
    first, *between, last = history
    with_faults = [night for night in between if night.faults]
    for kept in (0, 1, 2, 4, 8, 16, 32, 64, 128, 256, 512):
        candidate = [first, *with_faults[max(0, len(with_faults) - kept) :], last]
        if len(candidate) < len(history):
            yield candidate
    for place in range(1, len(history) - 1):
        yield [*history[:place], *history[place + 1 :]]
    for place, night in enumerate(history):
        if len(night.faults) > 1:
            for fault in night.faults:
                yield [*history[:place], replace(night, faults=(fault,)), *history[place + 1 :]]
