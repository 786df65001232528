"""Running a command with a fault: set the fault, run the command, and find out where the fault happened."""

from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path

from benchmarks.chaos.commands import CommandResult, RunningCommand
from benchmarks.chaos.fault_injector import FaultAction, SystemCall
from benchmarks.chaos.harness import CommandHarness
from benchmarks.chaos.history import Fault

DAY = timedelta(days=1).total_seconds()
FAULTS_AT_SYSTEM_CALLS = {
    "killed_at_write": (FaultAction.KILL_GROUP, SystemCall.WRITE),
    "killed_at_fsync": (FaultAction.KILL_GROUP, SystemCall.FSYNC),
    "killed_at_rename": (FaultAction.KILL_GROUP, SystemCall.RENAME),
    "killed_at_unlink": (FaultAction.KILL_GROUP, SystemCall.UNLINK),
    "torn_write": (FaultAction.TEAR_AND_KILL, SystemCall.WRITE),
    "one_killed": (FaultAction.KILL_PROCESS, SystemCall.WRITE),
    "disk_full": (FaultAction.DISK_FULL, SystemCall.WRITE),
    "clock_jumps_midway": (FaultAction.CLOCK_JUMP, SystemCall.WRITE),
}
CLOCK_JUMP = 2 * DAY


@dataclass
class FaultyCommandRunner:
    """Runs commands with or without a fault.

    Attributes
    ----------
    call_counts_by_command, seconds_by_command : dict
        The system calls and the time of each command when it last ran without a fault. They tell when a fault has to
        happen, so that it falls within the command.
    fault_description : str
        Where the fault of the last command happened; empty if no fault happened.
    """

    harness: CommandHarness
    folder: Path
    environment: dict[str, str]
    call_counts_by_command: dict[str, dict[SystemCall, int]] = field(default_factory=dict)
    seconds_by_command: dict[str, float] = field(default_factory=dict)
    fault_description: str = ""

    def run(self, arguments: tuple[str, ...], fault: Fault | None) -> CommandResult:
        """Run a command, with a fault unless it is None; set ``fault_description`` and return the command's result."""
        command = arguments[0]
        self.fault_description = ""
        self.harness.fault_injector.reset_call_counts()
        kill_after_seconds = None
        if fault and fault.name in FAULTS_AT_SYSTEM_CALLS:
            action, call = FAULTS_AT_SYSTEM_CALLS[fault.name]
            number = 1 + int(fault.progress * self.call_counts_by_command.get(command, {}).get(call, 1))
            self.harness.fault_injector.inject(action, call, number, CLOCK_JUMP)
        elif fault and fault.name == "killed_at_any_time":
            kill_after_seconds = fault.progress * self.seconds_by_command.get(command, 1.0)
        result = self.start(arguments).wait(kill_after_seconds)
        if fault:
            if place := self.harness.fault_injector.path_of_fault:
                self.fault_description = f"{fault.name} of {command} at {place}"
            elif result.exit_code < 0:
                self.fault_description = f"{fault.name} of {command} after {kill_after_seconds:.1f} s"
            self.harness.fault_injector.clear()
        elif result.exit_code == 0:
            self.call_counts_by_command[command] = self.harness.fault_injector.call_counts()
            self.seconds_by_command[command] = result.seconds
        return result

    def start(self, arguments: tuple[str, ...], folder: Path | None = None) -> RunningCommand:
        """Start a command in ``folder``, by default the shop's folder, and return the running command."""
        return self.harness.command_server.start(*arguments, environment=self.environment, folder=folder or self.folder)
