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
class ReaderLog:
    """What the process saw, known once it was stopped: its reads, rows that differ from the one before, errors."""

    read_count: int = 0
    rows: list[list[object]] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)


@contextmanager
def poll_while_block_runs(path: Path, query: str, pause_seconds: float = 0.001) -> Iterator[ReaderLog]:
    """Read the first row of ``query`` from ``path`` over and over, with pauses between reads, while the block runs."""
    reader_log = ReaderLog()
    command = [sys.executable, __file__, str(path), query, str(pause_seconds)]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout.readline() == "started\n"
        yield reader_log
    finally:
        summary, _ = process.communicate()  # the end of its standard input stops it
    for name, value in json.loads(summary).items():
        setattr(reader_log, name, value)


def run_reader(path: str, query: str, pause_seconds: str) -> None:
    stopped = threading.Event()
    threading.Thread(target=lambda: (sys.stdin.read(), stopped.set()), daemon=True).start()
    reader_log = ReaderLog()
    while not stopped.wait(float(pause_seconds)):
        try:
            with duckdb.connect(path, read_only=True) as connection:
                row = [str(value) for value in connection.execute(query).fetchone()]
        except duckdb.Error as error:
            reader_log.errors.append(str(error))
        else:
            if not reader_log.rows or row != reader_log.rows[-1]:
                reader_log.rows.append(row)
        reader_log.read_count += 1
        if reader_log.read_count == 1:
            print("started", flush=True)  # noqa: T201
    print(json.dumps(vars(reader_log)))  # noqa: T201


if __name__ == "__main__":
    run_reader(*sys.argv[1:])
