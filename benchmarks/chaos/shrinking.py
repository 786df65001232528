"""The smallest history that shows a difference: nights and faults are dropped, and what is left is lived through again.

Each attempt takes as long as its nights do, so the search is greedy and has a limit, unlike that of hypothesis, whose
shrinker needs hundreds of attempts: first all but the last nights with faults go, then single faults.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from benchmarks.chaos.campaign import Campaign
from benchmarks.chaos.difference import Difference
from benchmarks.chaos.history import Night
from benchmarks.chaos.machine import Machine
from benchmarks.chaos.shop import Size
from benchmarks.chaos.tally import Tally

Say = Callable[[str], None]


@dataclass(frozen=True)
class Trial:
    """Where and how histories are lived through."""

    folder: Path
    machine: Machine
    seed: int
    size: Size
    refresh_every: int


def live_through(trial: Trial, history: list[Night], say: Say) -> tuple[Tally, Difference | None, list[Night]]:
    """Live through a history; return the tally, the first difference if any, and the nights up to that difference.

    A calm night follows the history. Its tables are compared with those of a full refresh, because the history's last
    night may have published nothing that could be compared.
    """
    campaign = Campaign(trial.folder, trial.machine, trial.seed, trial.size, trial.refresh_every)
    last = Night(history[-1].number + 1)
    nights = [*history, last]
    try:
        for place, night in enumerate(nights):
            try:
                campaign.live(night)
                if night == last:
                    campaign.refresh(night)
            except Difference as difference:
                return campaign.tally, difference, nights[: place + 1]
            finally:
                happened = f" [{'; '.join(campaign.happened)}]" if campaign.happened else ""
                say(f"{night}{happened}, {campaign.cpu_seconds_of_last_night:.1f} s of processor time")
    finally:
        campaign.close()
    return campaign.tally, None, nights


def shows(trial: Trial, rule: str) -> Callable[[list[Night]], list[Night] | None]:
    """Return a function that lives through a history, and returns its nights up to where it breaks ``rule``, if so."""
    folder = trial.folder / "shrinking"
    folder.mkdir(exist_ok=True)
    trial = replace(trial, folder=folder, refresh_every=1 if "full refresh" in rule else trial.refresh_every)

    def lived_until(history: list[Night]) -> list[Night] | None:
        _, difference, lived = live_through(trial, history, say=lambda _: None)
        return lived if difference and difference.rule == rule else None

    return lived_until


def smallest(
    history: list[Night], lived_until: Callable[[list[Night]], list[Night] | None], attempts: int, say: Say
) -> list[Night]:
    """Return the smallest history found, within some attempts, that shows the same difference as ``history``.

    Parameters
    ----------
    lived_until : callable
        Returns a history's nights up to the difference; None if the history does not show it.
    """
    refused: set[tuple[Night, ...]] = set()
    for attempt in range(attempts):
        candidate = next((smaller for smaller in _smaller(history) if tuple(smaller) not in refused), None)
        if candidate is None:
            break
        lived = lived_until(candidate)
        say(f"attempt {attempt + 1}: {len(candidate)} nights {'show it too' if lived else 'do not show it'}")
        if lived:
            history = lived
        else:
            refused.add(tuple(candidate))
    return history


def _smaller(history: list[Night]) -> Iterator[list[Night]]:
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
