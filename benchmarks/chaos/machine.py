"""What all campaigns of one call share: the server of commands, which takes seconds to start, and the orders."""

from pathlib import Path

from benchmarks.chaos.commands import Commands
from benchmarks.chaos.orders import Orders, interposer


class Machine:
    """A server of commands whose files, disk and clock can be disturbed, where there is a compiler.

    Parameters
    ----------
    folder : Path
        Folder of the compiled library, the file of orders and the output of commands.
    nights : int
        Number of the campaign's nights.
    """

    def __init__(self, folder: Path, nights: int) -> None:
        library = interposer(folder)
        self.can_disturb = library is not None
        self.orders = Orders(folder / "orders")
        self.commands = Commands(folder, library, self.orders.path, nights)

    def close(self) -> None:
        """End the server."""
        self.commands.close()
