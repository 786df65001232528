"""A program ``nextmart`` for shells, which has each command run in a warm process: see ``warm_commands``."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing.connection import Client, Listener
from pathlib import Path
from threading import Thread

from warm_commands import run_warm

KEY = b"of this test"
PROGRAM = """#!{python} -S
import os, sys
from multiprocessing.connection import Client

with Client({address!r}, authkey={key!r}) as connection:
    connection.send((sys.argv[1:], os.getcwd(), dict(os.environ)))
    exit_code, stdout, stderr = connection.recv()
sys.stderr.write(stderr)
sys.stdout.write(stdout)
sys.exit(exit_code)
"""


@contextmanager
def warm_nextmart_in(folder: Path) -> Iterator[None]:
    """Have the program in a folder; this process starts its commands, one at a time."""
    folder.mkdir()
    with Listener(family="AF_UNIX", authkey=KEY) as listener:
        program = folder / "nextmart"
        program.write_text(PROGRAM.format(python=sys.executable, address=listener.address, key=KEY))
        program.chmod(0o755)
        thread = Thread(target=_run_commands, args=(listener,))
        thread.start()
        try:
            yield
        finally:
            if thread.is_alive():  # else it has raised an error, and nobody would answer
                with Client(listener.address, authkey=KEY) as connection:
                    connection.send(None)
            thread.join()


def _run_commands(listener: Listener) -> None:
    """Run the commands that the program asks for, until None is asked for."""
    while True:
        with listener.accept() as connection:
            if (command := connection.recv()) is None:
                return
            arguments, folder, environment = command
            done = run_warm(arguments, Path(folder), environment)
            connection.send((done.returncode, done.stdout, done.stderr))
