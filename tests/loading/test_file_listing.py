"""The files of a folder: the same for a feed and for the command line, wherever links lead."""

import os

import duckdb
import pytest

from jobs.errors import NextmartError
from jobs.loading.feed_files import find_feed_files
from jobs.loading.feed_settings import read_feeds
from jobs.loading.file_listing import find_file_paths

FOUND = ["archive/2025.csv", "linked.csv", "march/3.csv"]


def listed(folder):
    """Return the files that a feed finds, and those of the command line, in alphabetical order."""
    feed = read_feeds({"f": {"kind": "events", "files": str(folder)}}, 0.01)[0]
    with duckdb.connect() as connection:
        return sorted(file.path for file in find_feed_files(feed)), find_file_paths(connection, str(folder))


def test_links_are_followed_and_each_folder_counts_once(tmp_path):
    for name in ("other/2025.csv", "other/.hidden/x.csv", "events/march/3.csv", "events/_old/1.csv"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("x")
    events = tmp_path / "events"
    for link, target in (
        ("archive", tmp_path / "other"),
        ("archive_2", tmp_path / "other"),  # the same folder again
        ("latest", events / "march"),
        ("march/loop", events),
        ("gone", tmp_path / "nothing"),
        ("linked.csv", tmp_path / "other" / "2025.csv"),
    ):
        (events / link).symlink_to(target)
    expected = [str(events / name) for name in FOUND]
    assert listed(events) == (expected, expected)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read all folders")
def test_a_folder_that_may_not_be_read_is_named(tmp_path):
    (tmp_path / "closed").mkdir(mode=0)
    with duckdb.connect() as connection, pytest.raises(NextmartError, match="closed"):
        find_file_paths(connection, str(tmp_path))
