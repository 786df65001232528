"""The search for the smallest history that breaks the same rule: nights and faults are dropped, the rest is repeated.

An attempt simulates all nights that are left, which takes long. So the search is greedy and limited, while the shrinker
of hypothesis needs hundreds of attempts. The search first keeps only the last nights with faults. Then it drops single
nights, and at last single faults.
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
    """All that a campaign needs besides its history: folder, processes, seed, and size of the shop.

    Attributes
    ----------
    full_refresh_every_nights : int
        Number of nights from one comparison with a full refresh to the next.
    """

    folder: Path
    harness: CommandHarness
    seed: int
    shop_size: ShopSize
    full_refresh_every_nights: int


def run_history(
    setup: CampaignSetup, nights: list[Night], print_line: PrintLine
) -> tuple[CampaignTally, BrokenRule | None, list[Night]]:
    """Simulate a history; return the tally, the first broken rule if any, and the nights up to it.

    A night without faults follows the history, and its tables are compared with those of a full refresh. The last night
    of the history itself may have published nothing that could be compared.
    """
    campaign = Campaign(setup.folder, setup.harness, setup.seed, setup.shop_size, setup.full_refresh_every_nights)
    calm_night = Night(nights[-1].number + 1)
    all_nights = [*nights, calm_night]
    try:
        for place, night in enumerate(all_nights):
            try:
                campaign.run_night(night)
                if night == calm_night:
                    campaign.compare_with_full_refresh()
            except BrokenRule as broken_rule:
                return campaign.tally, broken_rule, all_nights[: place + 1]
            finally:
                happened = f" [{'; '.join(campaign.happenings)}]" if campaign.happenings else ""
                print_line(f"{night}{happened}, {campaign.cpu_seconds_of_last_night:.1f} s of processor time")
    finally:
        campaign.close()
    return campaign.tally, None, all_nights


def make_reproducer(setup: CampaignSetup, rule: str) -> Callable[[list[Night]], list[Night] | None]:
    """Return a function that simulates a history and returns its nights up to the one that breaks ``rule``, or None."""
    folder = setup.folder / "shrinking"
    folder.mkdir(exist_ok=True)
    setup = replace(
        setup, folder=folder, full_refresh_every_nights=1 if "full refresh" in rule else setup.full_refresh_every_nights
    )

    def run_until_rule_breaks(nights: list[Night]) -> list[Night] | None:
        _, broken_rule, nights_lived = run_history(setup, nights, print_line=lambda _: None)
        return nights_lived if broken_rule and broken_rule.rule == rule else None

    return run_until_rule_breaks


def smallest_history(
    nights: list[Night],
    run_until_rule_breaks: Callable[[list[Night]], list[Night] | None],
    max_attempts: int,
    print_line: PrintLine,
) -> list[Night]:
    """Search for a smaller history that breaks the same rule as ``nights``, and return the smallest one found.

    Parameters
    ----------
    run_until_rule_breaks : callable
        Simulates a history, and returns its nights up to the one that breaks the rule; None if no night does.
    """
    ruled_out: set[tuple[Night, ...]] = set()
    for attempt in range(max_attempts):
        candidate = next((smaller for smaller in _smaller_histories(nights) if tuple(smaller) not in ruled_out), None)
        if candidate is None:
            break
        nights_lived = run_until_rule_breaks(candidate)
        print_line(
            f"attempt {attempt + 1}: {len(candidate)} nights {'break it too' if nights_lived else 'do not break it'}"
        )
        if nights_lived:
            nights = nights_lived
        else:
            ruled_out.add(tuple(candidate))
    return nights


def _smaller_histories(nights: list[Night]) -> Iterator[list[Night]]:
    """Yield smaller histories: first those with few nights with faults, then those without one night or one fault.

    The first and the last night always stay.
    """
    if len(nights) == 1:
        return
    first, *between, last = nights
    with_faults = [night for night in between if night.faults]
    for kept in (0, 1, 2, 4, 8, 16, 32, 64, 128, 256, 512):
        candidate = [first, *with_faults[max(0, len(with_faults) - kept) :], last]
        if len(candidate) < len(nights):
            yield candidate
    for place in range(1, len(nights) - 1):
        yield [*nights[:place], *nights[place + 1 :]]
    for place, night in enumerate(nights):
        if len(night.faults) > 1:
            for fault in night.faults:
                yield [*nights[:place], replace(night, faults=(fault,)), *nights[place + 1 :]]
