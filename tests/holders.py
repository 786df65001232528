"""Other processes that hold a warehouse until they are told to stop."""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

READER = """
import duckdb, sys
connection = duckdb.connect(sys.argv[1], read_only=True)
print("held", flush=True)
sys.stdin.read()
"""
"""A program that knows nothing of nextmart's lock, such as an analyst's."""

COMMAND = """
import sys
from pathlib import Path
from jobs.warehouse.lock import take_lock
lock = take_lock(Path(sys.argv[1]))
print("held", flush=True)
sys.stdin.read()
"""
"""A command of nextmart, which has the lock, but does not have the file open at the moment."""


@contextmanager
def held_by(program: str, warehouse: Path) -> Iterator[subprocess.Popen]:
    """Run one of the programs above; it lets the warehouse go when its stdin closes, or at the end of the block."""
    with subprocess.Popen(
        [sys.executable, "-c", program, str(warehouse)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout.readline() == "held\n"
        try:
            yield process
        finally:
            process.kill()
