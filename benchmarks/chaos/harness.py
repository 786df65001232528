"""The fault injector and the server of commands, which takes seconds to start; several campaigns share them."""

from pathlib import Path

from benchmarks.chaos.commands import CommandServer
from benchmarks.chaos.fault_injector import FaultInjector, compile_interposer


class CommandHarness:
    """A server of commands and a fault injector; without Linux and a C compiler no fault can be injected.

    Parameters
    ----------
    folder : Path
        Folder for the compiled library, the file of the faults and the output of commands.
    night_count : int
        Number of the campaign's nights.
    """

    def __init__(self, folder: Path, night_count: int) -> None:
        library = compile_interposer(folder)
        self.can_inject_faults = library is not None
        self.fault_injector = FaultInjector(folder / "faults")
        self.command_server = CommandServer(folder, library, self.fault_injector.fault_file, night_count)

    def close(self) -> None:
        """Stop the server of commands."""
        self.command_server.close()
