"""A process that opens a published file anew, reads one row and closes it again, over and over.

It stands for every analyst and tool that reads while a night's tables are swapped in.
"""

import json
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import duckdb


@dataclass
class Polled:
    """What the process saw, known once it was stopped: its reads, rows that differ from the one before, errors."""

    reads: int = 0
    rows: list[list[object]] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)


@contextmanager
def polling(path: Path, query: str, pause: float = 0.001) -> Iterator[Polled]:
    """Read the first row of ``query`` from ``path``, with ``pause`` seconds between reads, while the block runs."""
    polled = Polled()
    command = [sys.executable, __file__, str(path), query, str(pause)]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout.readline() == "started\n"
        yield polled
    finally:
        summary, _ = process.communicate()  # the end of its standard input stops it
    for name, value in json.loads(summary).items():
        setattr(polled, name, value)


def poll(path: str, query: str, pause: str) -> None:
    stopped = threading.Event()
    threading.Thread(target=lambda: (sys.stdin.read(), stopped.set()), daemon=True).start()
    polled = Polled()
    while not stopped.wait(float(pause)):
        try:
            with duckdb.connect(path, read_only=True) as connection:
                row = [str(value) for value in connection.execute(query).fetchone()]
        except duckdb.Error as error:
            polled.errors.append(str(error))
        else:
            if not polled.rows or row != polled.rows[-1]:
                polled.rows.append(row)
        polled.reads += 1
        if polled.reads == 1:
            print("started", flush=True)  # noqa: T201
    print(json.dumps(vars(polled)))  # noqa: T201


if __name__ == "__main__":
    poll(*sys.argv[1:])
