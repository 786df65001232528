"""Histories: which faults happen on which nights, drawn from a seed, and kept as JSON to be lived through again."""

import json
from collections.abc import Collection
from dataclasses import asdict, dataclass
from random import Random

from benchmarks.chaos.catalogue import FAULTS

CALM_NIGHTS = 0.3  # share of nights on which nothing happens
NIGHTS_WITH_TWO = 0.25  # share on which two things do


@dataclass(frozen=True)
class Fault:
    """One fault of one night.

    Attributes
    ----------
    name : str
        A key of ``FAULTS``.
    where, which : float
        Numbers from 0 to 1 that decide how far the night has come when it happens, and what it hits.
    """

    name: str
    where: float
    which: float


@dataclass(frozen=True)
class Night:
    """A night, by the number of the day before it, with its faults."""

    number: int
    faults: tuple[Fault, ...] = ()

    @property
    def names(self) -> set[str]:
        """The names of the night's faults."""
        return {fault.name for fault in self.faults}

    def __str__(self) -> str:
        faults = ", ".join(f"{fault.name} ({fault.where:.3f}, {fault.which:.3f})" for fault in self.faults)
        return f"night {self.number}: {faults or 'nothing happens'}"


def draw_history(seed: int, nights: int, names: Collection[str]) -> list[Night]:
    """Return that many nights; the first one is calm, so that there is something to lose."""
    return [Night(0), *(_draw_night(seed, number, sorted(names)) for number in range(1, nights))]


def _draw_night(seed: int, number: int, names: list[str]) -> Night:
    random = Random(f"{seed}/faults/{number}")
    count = random.choices((0, 1, 2), (CALM_NIGHTS, 1 - CALM_NIGHTS - NIGHTS_WITH_TWO, NIGHTS_WITH_TWO))[0]
    drawn: dict[str, Fault] = {}
    for _ in range(count):
        name = random.choice(names)
        fault = Fault(name, random.random(), random.random())
        drawn.setdefault(FAULTS[name].group, fault)  # one of a group in a night
    return Night(number, tuple(drawn.values()))


def history_as_json(history: list[Night]) -> str:
    """Return the text of a history, a night a line."""
    return "[\n" + ",\n".join(json.dumps(asdict(night)) for night in history) + "\n]\n"


def history_from_json(text: str) -> list[Night]:
    """Return the history that :func:`history_as_json` wrote."""
    return [Night(night["number"], tuple(Fault(**fault) for fault in night["faults"])) for night in json.loads(text)]
