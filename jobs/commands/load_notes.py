"""Prints what `nextmart load` says of feeds and their rows while it loads, each thing once."""

from jobs.loading.feed_rows import Batch
from jobs.progress import printable, say

UNREADABLE_EXAMPLES = 5


def say_notes(batch: Batch, said: set[tuple[str, str]]) -> None:
    """Print the notes on a batch's rows, and its first unreadable rows, each thing once.

    Parameters
    ----------
    said : set of (table, text)
        What was printed already; what is printed now is added.
    """
    arrivals, feed = batch.arrivals, batch.feed
    if arrivals is None:
        assert feed is not None  # noqa: S101 - files of a command line without rows are an error
        kept = " that `where` keeps" if feed.settings.where else ""
        for name in [part.present_file.file.name for part in batch.parts] or [f"the table {feed.path}"]:
            say_once(printable(f"feed {feed.name}: {name} has no rows{kept}"), said)
        return
    for note in arrivals.notes:
        say_once(printable(note), said, arrivals.source.table)
    if arrivals.unreadable_count:
        name = f"feed {feed.name}, {arrivals.source.path}" if feed else arrivals.source.path
        say_once(
            f"{name}: {arrivals.unreadable_count:,} rows can't be read; they are set aside in "
            "raw.unreadable_rows. The first:\n  " + "\n  ".join(arrivals.examples[:UNREADABLE_EXAMPLES]),
            said,
            arrivals.source.table,
        )


def say_once(text: str, said: set[tuple[str, str]], table: str = "") -> None:
    """Print a text about the rows for a table, unless ``said`` has table and text already; then add them."""
    if (table, text) not in said:
        said.add((table, text))
        say(text)
