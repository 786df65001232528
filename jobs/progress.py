"""Progress on stderr: a bar on a terminal, a line now and then elsewhere."""

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

LINE_EVERY_SECONDS = 10.0


class Advance(Protocol):
    """Called as work gets done."""

    def __call__(self, amount: int = 1, note: str = "") -> None:
        """Say that ``amount`` more units are done, with a short note."""


def say(text: str) -> None:
    """Write one line for people."""
    print(text, file=sys.stderr, flush=True)  # noqa: T201


@contextmanager
def progress(title: str, total: int) -> Iterator[Advance]:
    """Show how far a long step of ``total`` units is."""
    console = Console(stderr=True)
    if console.is_terminal:
        columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
        with Progress(*columns, TextColumn("{task.fields[note]}"), console=console) as bar:
            task = bar.add_task(title, total=total, note="")
            yield lambda amount=1, note="": bar.update(task, advance=amount, note=note)
        return
    done, said_at = 0, time.monotonic()

    def advance(amount: int = 1, note: str = "") -> None:
        nonlocal done, said_at
        done += amount
        if done >= total or time.monotonic() - said_at >= LINE_EVERY_SECONDS:
            said_at = time.monotonic()
            say(f"{title}: {done:,} of {total:,}" + (f" ({note})" if note else ""))

    yield advance
