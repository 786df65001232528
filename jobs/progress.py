"""Progress on stderr: a bar on a terminal, a line now and then elsewhere."""

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
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


def printable(text: str) -> str:
    """Return text of others without control characters, which could move a terminal's cursor or hide other text."""
    return "".join(character if character.isprintable() or character == "\n" else "�" for character in text)


def stage_line(name: str, counts: str, seconds: float) -> str:
    """Return one line about a stage that has ended: its name, what it did, and how long it took."""
    return f"{name:<17}{counts:<50}{seconds:>7.1f} s"


@contextmanager
def progress(title: str, total: int) -> Iterator[Advance]:
    """Show how far a long step of ``total`` units is, how fast it goes and how long it will take."""
    console = Console(stderr=True)
    started_at = said_at = time.monotonic()
    done = 0

    def rate() -> float:
        return done / max(time.monotonic() - started_at, 1e-9)

    if console.is_terminal:
        columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
        with Progress(*columns, TextColumn("{task.fields[note]}"), console=console) as bar:
            task = bar.add_task(title, total=total, note="")

            def move(amount: int = 1, note: str = "") -> None:
                nonlocal done
                done += amount
                facts = [f"{rate():,.1f}/s", *([note] if note else [])]
                bar.update(task, advance=amount, note=" ".join(facts))

            yield move
        return

    def advance(amount: int = 1, note: str = "") -> None:
        nonlocal done, said_at
        done += amount
        if done >= total or time.monotonic() - said_at >= LINE_EVERY_SECONDS:
            said_at = time.monotonic()
            left = timedelta(seconds=round((total - done) / rate())) if done else "unknown time"
            facts = [f"{rate():,.1f} a second", f"{left} left", *([note] if note else [])]
            say(f"{title}: {done:,} of {total:,} ({', '.join(facts)})")

    yield advance
