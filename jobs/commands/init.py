"""`nextmart init`: look at files, and propose the settings by which nextmart loads them."""

from collections.abc import Iterable
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from jobs.errors import NextmartError
from jobs.loading.proposals.feeds import catalogue_feed, plain_feed, preset_feed, without_column
from jobs.loading.proposals.file_groups import file_groups
from jobs.loading.proposals.proposed import FeedProposal
from jobs.loading.proposals.samples import Sample, take_sample, with_facts
from jobs.loading.proposals.settings import QUESTION, SettingProposal, propose_settings
from jobs.loading.proposals.toml_text import settings_text
from jobs.loading.proposals.trials import reads_rows, try_feed
from jobs.settings import default_vars
from jobs.warehouse.connection import Connection, connect, prepare_warehouse


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
        return lines + [f"  left out: {problem}" for problem in self.problems]


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
        groups, unknown = file_groups(connection, paths)
        problems = [f"{file}: its ending is not that of a format that nextmart reads" for file in unknown]
        feeds: dict[str, FeedProposal] = {}
        for number, group in enumerate(groups):
            try:
                sample = take_sample(connection, group.patterns, group.first, f"sample_{number}")
            except NextmartError as error:
                problems.append(str(error).removesuffix("\nNothing was loaded."))
                continue
            feeds[group.name] = _feed(connection, sample, variables)
        if not feeds:
            raise NextmartError("none of the files can be read:\n" + "\n".join(problems))
        feeds = _tried(connection, _with_catalogue(feeds), variables)
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


def _with_catalogue(feeds: dict[str, FeedProposal]) -> dict[str, FeedProposal]:
    """Return the feeds, with feeds of items made of the events if no file lists items; items come first."""
    if not any(feed.kind == "items" for feed in feeds.values()):
        made = {f"{name}_items": catalogue_feed(feed) for name, feed in feeds.items()}
        feeds = {name: feed for name, feed in made.items() if feed} | feeds
    return dict(sorted(feeds.items(), key=lambda pair: pair[1].kind != "items"))


def _tried(
    connection: Connection, feeds: dict[str, FeedProposal], variables: dict[str, Any]
) -> dict[str, FeedProposal]:
    """Return the feeds with what came of their trials, and without the sessions that are none."""
    tried = {}
    for name, feed in feeds.items():
        if not feed.is_complete:
            tried[name] = feed
            continue
        trial = try_feed(connection, feed.sample, feed.source, feed.layout, variables)
        session = next((choice for choice in feed.columns if choice.key == "source_session_id"), None)
        if trial and trial.session_notes and session:
            remark = f"{session.value} is not taken as source_session_id: {trial.session_notes[0]}"
            feed = without_column(feed, "source_session_id", remark.replace("warning: ", ""))
            trial = try_feed(connection, feed.sample, feed.source, feed.layout, variables)
        tried[name] = replace(feed, trial=trial)
    return tried
