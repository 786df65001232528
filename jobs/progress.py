"""Prints what people read: results on stdout; progress on stderr, as a bar if stderr is a terminal, else as lines.

Texts may come from others: from files, feeds, services and errors. So control characters and secrets are never printed.
"""

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Protocol

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from jobs.errors import redact

SECONDS_BETWEEN_LINES = 10.0


class ReportProgress(Protocol):
    """A function that a long step calls to report how much of its work is done."""

    def __call__(self, units: int = 1, note: str = "") -> None:
        """Report that ``units`` more units of work are done; ``note`` is a short text to show."""


def say(text: str) -> None:
    """Write a line for people to stderr, without control characters and secrets: progress, a warning or an error."""
    print(without_control_characters(redact(text)), file=sys.stderr, flush=True)  # noqa: T201


def print_result(text: str) -> None:
    """Write a result to stdout, without control characters and secrets."""
    print(without_control_characters(redact(text)), flush=True)  # noqa: T201


def without_control_characters(text: str) -> str:
    """Return ``text`` with its control characters replaced: they could move a terminal's cursor or hide other text."""
    return "".join(character if character.isprintable() or character in "\n\t" else "�" for character in text)


def on_one_line(text: str) -> str:
    """Return ``text`` on one line, without control characters, so that no part of it looks like a line of nextmart."""
    return without_control_characters(" ".join(text.split()))


def stage_line(stage_name: str, counts_text: str, seconds: float) -> str:
    """Return a line about a finished stage of a build: the stage's name, what it counted, and its seconds."""
    return f"{stage_name:<17}{counts_text:<50}{seconds:>7.1f} s"


@contextmanager
def progress(title: str, total_units: int) -> Iterator[ReportProgress]:
    """Show how much of ``total_units`` units of work is done; yield a function that reports finished units."""
    console = Console(stderr=True)
    started_at = last_line_at = time.monotonic()
    done = 0

    def units_per_second() -> float:
        return done / max(time.monotonic() - started_at, 1e-9)

    if console.is_terminal:
        columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
        with Progress(*columns, TextColumn("{task.fields[note]}"), console=console) as bar:
            task = bar.add_task(title, total=total_units, note="")

            def move_bar(units: int = 1, note: str = "") -> None:
                nonlocal done
                done += units
                notes = [f"{units_per_second():,.1f}/s", *([note] if note else [])]
                bar.update(task, advance=units, note=" ".join(notes))

            yield move_bar
        return

    def print_line(units: int = 1, note: str = "") -> None:
        nonlocal done, last_line_at
        done += units
        if done >= total_units or time.monotonic() - last_line_at >= SECONDS_BETWEEN_LINES:
            last_line_at = time.monotonic()
            time_left = timedelta(seconds=round((total_units - done) / units_per_second())) if done else "unknown time"
            notes = [f"{units_per_second():,.1f} a second", f"{time_left} left", *([note] if note else [])]
            say(f"{title}: {done:,} of {total_units:,} ({', '.join(notes)})")

    yield print_line
