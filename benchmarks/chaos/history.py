"""Histories of a campaign: the faults of each night, drawn from a seed; kept as JSON, they can be repeated."""

import json
from collections.abc import Collection
from dataclasses import asdict, dataclass
from random import Random

from benchmarks.chaos.fault_kinds import FAULTS

CALM_NIGHT_SHARE = 0.3  # share of nights without a fault
TWO_FAULT_NIGHT_SHARE = 0.25  # share of nights for which two faults are drawn


@dataclass(frozen=True)
class Fault:
    """One fault of one night.

    Attributes
    ----------
    name : str
        A key of ``FAULTS``.
    progress, target : float
        Random numbers from 0 to 1. ``progress`` says at which share of the command the fault happens. ``target``
        chooses which of the possible commands, people, models or settings the fault hits.
    """

    name: str
    progress: float
    target: float


@dataclass(frozen=True)
class Night:
    """A night with its faults; its number is that of the day before it, counted from 0."""

    number: int
    faults: tuple[Fault, ...] = ()

    @property
    def fault_names(self) -> set[str]:
        """The names of the night's faults."""
        return {fault.name for fault in self.faults}

    def __str__(self) -> str:
        faults = ", ".join(f"{fault.name} ({fault.progress:.3f}, {fault.target:.3f})" for fault in self.faults)
        return f"night {self.number}: {faults or 'nothing happens'}"


def draw_history(seed: int, night_count: int, fault_names: Collection[str]) -> list[Night]:
    """Return ``night_count`` nights with drawn faults; the first has none, so that there is data to lose."""
    return [Night(0), *(_draw_night(seed, number, sorted(fault_names)) for number in range(1, night_count))]


def _draw_night(seed: int, number: int, fault_names: list[str]) -> Night:
    random = Random(f"{seed}/faults/{number}")
    count = random.choices(
        (0, 1, 2), (CALM_NIGHT_SHARE, 1 - CALM_NIGHT_SHARE - TWO_FAULT_NIGHT_SHARE, TWO_FAULT_NIGHT_SHARE)
    )[0]
    drawn: dict[str, Fault] = {}
    for _ in range(count):
        name = random.choice(fault_names)
        fault = Fault(name, random.random(), random.random())
        drawn.setdefault(FAULTS[name].exclusive_group, fault)  # at most one fault of a group in a night
    return Night(number, tuple(drawn.values()))


def history_as_json(nights: list[Night]) -> str:
    """Return a history as JSON with a line for each night."""
    return "[\n" + ",\n".join(json.dumps(asdict(night)) for night in nights) + "\n]\n"


def history_from_json(text: str) -> list[Night]:
    """Return the history that a JSON text of :func:`history_as_json` holds."""
    return [Night(night["number"], tuple(Fault(**fault) for fault in night["faults"])) for night in json.loads(text)]
