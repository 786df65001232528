"""Prints notes on feeds and their rows while `nextmart load` runs; the same note is printed once."""

from jobs.loading.feed_rows import RowBatch, feed_message
from jobs.loading.feed_settings import Feed
from jobs.progress import say, without_control_characters

UNREADABLE_EXAMPLES = 5


def say_notes(batch: RowBatch, printed_notes: set[tuple[str, str]]) -> None:
    """Print the notes on a batch's rows, and its first unreadable rows, unless they were printed before.

    Parameters
    ----------
    printed_notes : set of (table, text)
        What was printed already; what is printed now is added.
    """
    arrivals, feed = batch.arrivals, batch.feed
    if arrivals is None:
        assert feed is not None  # noqa: S101 - files of a command line without rows are an error
        kept = " that `where` keeps" if feed.settings.where else ""
        file_names = [each.file_on_disk.feed_file.masked_path for each in batch.files]
        for name in file_names or [f"the table {feed.attached_table}"]:
            say_once(without_control_characters(f"feed {feed.name}: {name} has no rows{kept}"), printed_notes)
        return
    for note in arrivals.notes:
        say_once(without_control_characters(note), printed_notes, arrivals.source.table)
    if arrivals.unreadable_count:
        name = f"feed {feed.name}, {arrivals.source.path}" if feed else arrivals.source.path
        say_once(
            f"{name}: {arrivals.unreadable_count:,} rows can't be read; they are set aside in "
            "raw.unreadable_rows. The first:\n  " + "\n  ".join(arrivals.unreadable_examples[:UNREADABLE_EXAMPLES]),
            printed_notes,
            arrivals.source.table,
        )


def say_feed_note(feed: Feed | None, note: str, printed_notes: set[tuple[str, str]]) -> None:
    """Print a note on a source, with the name of its feed if it has one, unless it was printed before."""
    say_once(without_control_characters(feed_message(feed, note) if feed else note), printed_notes)


def say_once(text: str, printed_notes: set[tuple[str, str]], table: str = "") -> None:
    """Print a text about the rows for a table, unless it is in ``printed_notes``, and add it there."""
    if (table, text) not in printed_notes:
        printed_notes.add((table, text))
        say(text)
