"""The fault of a night that hits a running process: armed before a command, and read off after it."""

from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path

from benchmarks.chaos.commands import Ended, Running
from benchmarks.chaos.history import Fault
from benchmarks.chaos.machine import Machine
from benchmarks.chaos.orders import Action, Call

DAY = timedelta(days=1).total_seconds()
AT_CALLS = {
    "killed_at_write": (Action.KILL_GROUP, Call.WRITE),
    "killed_at_fsync": (Action.KILL_GROUP, Call.FSYNC),
    "killed_at_rename": (Action.KILL_GROUP, Call.RENAME),
    "killed_at_unlink": (Action.KILL_GROUP, Call.UNLINK),
    "torn_write": (Action.TEAR_AND_KILL, Call.WRITE),
    "one_killed": (Action.KILL_PROCESS, Call.WRITE),
    "disk_full": (Action.DISK_FULL, Call.WRITE),
    "clock_jumps_midway": (Action.CLOCK_JUMP, Call.WRITE),
}
CLOCK_JUMP = 2 * DAY


@dataclass
class Disturbance:
    """Runs commands, undisturbed or with a fault; from undisturbed ones it learns how many calls a command makes."""

    machine: Machine
    folder: Path
    environment: dict[str, str]
    calls: dict[str, dict[Call, int]] = field(default_factory=dict)
    seconds: dict[str, float] = field(default_factory=dict)
    happened_at: str = ""

    def run(self, arguments: tuple[str, ...], fault: Fault | None) -> Ended:
        """Run a command with a fault, or without one.

        ``happened_at`` says afterwards where the fault happened; it is empty where it did not.
        """
        command = arguments[0]
        self.happened_at = ""
        self.machine.orders.start_counting()
        kill_after = None
        if fault and fault.name in AT_CALLS:
            action, call = AT_CALLS[fault.name]
            number = 1 + int(fault.where * self.calls.get(command, {}).get(call, 1))
            self.machine.orders.give(action, call, number, CLOCK_JUMP)
        elif fault and fault.name == "killed_at_any_time":
            kill_after = fault.where * self.seconds.get(command, 1.0)
        ended = self.start(arguments).wait(kill_after)
        if fault:
            if place := self.machine.orders.fired_at:
                self.happened_at = f"{fault.name} of {command} at {place}"
            elif ended.code < 0:
                self.happened_at = f"{fault.name} of {command} after {kill_after:.1f} s"
            self.machine.orders.end()
        elif ended.code == 0:
            self.calls[command] = self.machine.orders.counted()
            self.seconds[command] = ended.seconds
        return ended

    def start(self, arguments: tuple[str, ...], folder: Path | None = None) -> Running:
        """Start a command in the shop's folder, or another."""
        return self.machine.commands.start(*arguments, environment=self.environment, folder=folder or self.folder)
