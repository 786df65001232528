"""`nextmart init`: look at files, and propose the settings by which nextmart loads them."""

import re
from collections.abc import Iterable
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from jobs.errors import NextmartError
from jobs.loading.proposals.common_names import ITEM_COLUMN_NAMES, named_columns
from jobs.loading.proposals.feeds import catalogue_feed, plain_feed, preset_feed, without_column
from jobs.loading.proposals.file_groups import file_groups
from jobs.loading.proposals.proposed import FeedProposal
from jobs.loading.proposals.samples import Sample, take_sample, values_per_item, with_facts
from jobs.loading.proposals.settings import QUESTION, SettingProposal, propose_settings
from jobs.loading.proposals.toml_text import settings_text
from jobs.loading.proposals.trials import reads_rows, try_feed
from jobs.progress import printable
from jobs.settings import default_vars
from jobs.warehouse.connection import Connection, connect, prepare_warehouse

MOST_TEXTS_PER_ITEM = 1.5
"""A column of events with more different values for each item, on average, doesn't describe the item."""

MOST_ODD_SESSIONS = 0.1
"""Where more of the sessions than this share have several visitors, or last too long, a column holds no sessions."""


@dataclass(frozen=True)
class InitProposal:
    """What `nextmart init` proposes.

    Attributes
    ----------
    text : str
        The text of ``nextmart.toml``.
    feeds : feed's name -> FeedProposal
    settings : tuple of SettingProposal
    problems : tuple of str
        Files that are in no feed, and why.
    """

    text: str
    feeds: dict[str, FeedProposal]
    settings: tuple[SettingProposal, ...]
    problems: tuple[str, ...]

    @property
    def questions(self) -> int:
        """The number of questions that the user has to answer."""
        of_settings = {setting.key for setting in self.settings if setting.status == QUESTION}
        return sum(len(feed.questions) for feed in self.feeds.values()) + len(of_settings)

    def as_dictionary(self) -> dict[str, Any]:
        """Return the proposal as values that JSON can hold."""
        return {
            "feeds": {
                name: {
                    "kind": feed.kind or None,
                    "files": list(feed.sample.files),
                    "preset": feed.preset.name if feed.preset else None,
                    "map": {choice.key: choice.mapped for choice in feed.columns},
                    "time_format": feed.time_format.value if feed.time_format else None,
                    "is_complete": feed.is_complete,
                    "questions": [question.text for question in feed.questions],
                }
                for name, feed in self.feeds.items()
            },
            "settings": [vars(setting) for setting in self.settings],
            "problems": list(self.problems),
        }

    def lines(self) -> list[str]:
        """Return the proposal in short, as lines for people."""
        lines = []
        for name, feed in self.feeds.items():
            files = ", ".join(feed.sample.files)
            lines.append(f"  {name:<20} {feed.kind or '?':<7} {files}: {feed.reason}")
        lines += [f"  left out: {problem}" for problem in self.problems]
        # a line end in a name must not begin a line that looks like one of nextmart's
        return [printable(" ".join(line.splitlines())) for line in lines]


def propose(paths: Iterable[str]) -> InitProposal:
    """Look at files, and return the settings by which nextmart would load them.

    Parameters
    ----------
    paths : iterable of str
        Paths of files and folders, and globs.

    Raises
    ------
    NextmartError
        If a path means no file, or none of the files can be read.
    """
    variables = default_vars()
    with closing(connect(Path(":memory:"))) as connection:
        prepare_warehouse(connection)
        groups, problems = file_groups(connection, paths)
        feeds: dict[str, FeedProposal] = {}
        for number, group in enumerate(groups):
            try:
                sample = take_sample(connection, group.patterns, group.first, f"sample_{number}")
            except NextmartError as error:
                problems.append(str(error))
                continue
            feeds[group.name] = _feed(connection, sample, variables)
        problems = [re.sub(r"[.;]?\s*[Nn]othing was loaded[.]?$", "", problem) for problem in problems]
        if not feeds:
            raise NextmartError("none of the files can be read:\n" + "\n".join(problems))
        feeds = _tried(connection, _with_catalogue(connection, _with_shared_items(feeds)), variables)
    settings = tuple(propose_settings(feeds.values()))
    return InitProposal(settings_text(feeds, settings, problems), feeds, settings, tuple(problems))


def _feed(connection: Connection, sample: Sample, variables: dict[str, Any]) -> FeedProposal:
    """Return the feed of a file: by a preset that reads rows of it, else by what its columns say."""
    # a file of events holds items too, but not the other way round
    layouts = sorted(sample.layouts, key=lambda pair: pair[1].table)
    for preset, layout in layouts:
        if reads_rows(connection, sample, layout):
            return preset_feed(sample, preset, layout)
    return plain_feed(with_facts(connection, sample, variables))


def _with_shared_items(feeds: dict[str, FeedProposal]) -> dict[str, FeedProposal]:
    """Return the feeds, in which events name their items by the column that files of items have, if they have it."""
    columns = [choice.value for feed in feeds.values() if feed.kind == "items" for choice in feed.columns[:1]]
    shared = {}
    for name, feed in feeds.items():
        own = {choice.key: choice.value for choice in feed.columns}.get("item_id")
        common = next((column for column in columns if column in feed.sample.types), None)
        if feed.kind == "events" and own and common and own not in columns:
            remark = f"{common} is the item here, not {own}, because the file of items has it"
            feed = plain_feed(feed.sample, common)
            feed = replace(feed, remarks=(remark, *feed.remarks))
        shared[name] = feed
    return shared


def _with_catalogue(connection: Connection, feeds: dict[str, FeedProposal]) -> dict[str, FeedProposal]:
    """Return the feeds, with feeds of items made of the events if no file lists items; items come first."""
    if not any(feed.kind == "items" for feed in feeds.values()):
        made = {
            f"{name}_items": catalogue_feed(feed, _texts_of_events(connection, feed)) for name, feed in feeds.items()
        }
        feeds = {name: feed for name, feed in made.items() if feed} | feeds
    return dict(sorted(feeds.items(), key=lambda pair: pair[1].kind != "items"))


def _texts_of_events(connection: Connection, feed: FeedProposal) -> dict[str, str]:
    """Return the columns of events that are named like texts of items but say something of each event, with reasons."""
    item = {choice.key: choice.value for choice in feed.columns}.get("item_id")
    if feed.kind != "events" or item is None:
        return {}
    names = [name for key in ("title", "brand", "category", "description") for name in ITEM_COLUMN_NAMES[key]]
    columns = {
        column: values_per_item(connection, feed.sample, item, column)
        for column in named_columns(feed.sample.types, names)
    }
    return {
        column: f"an item has {values:.1f} different values of {column} on average, so {column} is no text of an item"
        for column, values in columns.items()
        if values > MOST_TEXTS_PER_ITEM
    }


def _tried(
    connection: Connection, feeds: dict[str, FeedProposal], variables: dict[str, Any]
) -> dict[str, FeedProposal]:
    """Return the feeds with what came of their trials, and without the sessions that are none."""
    partly_seen = [feed.sample for feed in feeds.values() if feed.kind == "items" and not feed.sample.is_whole]
    tried = {}
    for name, feed in feeds.items():
        if feed.kind == "events" and partly_seen and partly_seen[0].path != feed.sample.path:
            remark = (
                f"Of {partly_seen[0].path}, {partly_seen[0].rows:,} rows were looked at: items may seem to be missing"
            )
            feed = replace(feed, remarks=(*feed.remarks, remark))
        tried[name] = _tried_feed(connection, feed, variables) if feed.is_complete else feed
    return tried


def _tried_feed(connection: Connection, feed: FeedProposal, variables: dict[str, Any]) -> FeedProposal:
    try:
        trial = try_feed(connection, feed.sample, feed.source, feed.layout, variables)
        session = next((choice for choice in feed.columns if choice.key == "source_session_id"), None)
        if trial.session_notes and session and trial.odd_sessions > MOST_ODD_SESSIONS:
            remark = f"{session.value} is not taken as source_session_id: {trial.session_notes[0]}"
            feed = without_column(feed, "source_session_id", remark.replace("warning: ", ""))
            trial = try_feed(connection, feed.sample, feed.source, feed.layout, variables)
    except NextmartError as error:
        return replace(feed, remarks=(*feed.remarks, f"WARN: the loader can't read these rows so: {error}"))
    return replace(feed, trial=trial)
