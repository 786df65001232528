"""Shared by all campaigns of one call: the fault injector, and the server of commands, which takes seconds to start."""

from pathlib import Path

from benchmarks.chaos.commands import CommandServer
from benchmarks.chaos.fault_injector import FaultInjector, compile_interposer


class CommandHarness:
    """A server of commands whose files, disk and clock can be disturbed, where there is a compiler.

    Parameters
    ----------
    folder : Path
        Folder of the compiled library, the file of the faults and the output of commands.
    night_count : int
        Number of the campaign's nights.
    """

    def __init__(self, folder: Path, night_count: int) -> None:
        library = compile_interposer(folder)
        self.can_inject_faults = library is not None
        self.fault_injector = FaultInjector(folder / "faults")
        self.command_server = CommandServer(folder, library, self.fault_injector.path, night_count)

    def close(self) -> None:
        """End the server."""
        self.command_server.close()
