"""`nextmart init`: reads samples of files, and proposes the settings by which nextmart loads the files."""

import re
from collections.abc import Iterable
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from jobs.dbt_vars import default_vars
from jobs.errors import NextmartError
from jobs.loading.proposals.common_names import ITEM_COLUMN_NAMES, columns_with_names
from jobs.loading.proposals.feeds import (
    propose_catalogue_feed,
    propose_feed_without_preset,
    propose_preset_feed,
    without_column,
)
from jobs.loading.proposals.file_groups import group_files
from jobs.loading.proposals.proposal_classes import FeedProposal
from jobs.loading.proposals.proposed_settings import QUESTION, SettingProposal, propose_settings
from jobs.loading.proposals.samples import FileSample, mean_distinct_values_per_item, take_sample, with_value_facts
from jobs.loading.proposals.toml_text import settings_file_text
from jobs.loading.proposals.trials import layout_keeps_rows, try_feed
from jobs.progress import without_control_characters
from jobs.warehouse.connection import Connection, connect, prepare_warehouse

MAX_TEXTS_PER_ITEM = 1.5
"""The largest mean number of different values for each item in a column of events that describes items."""

MAX_SPLIT_SESSION_SHARE = 0.1
"""A column is taken for session ids if at most this share of its sessions have several visitors or are too long."""


@dataclass(frozen=True)
class InitProposal:
    """The proposal of `nextmart init`: the text of a ``nextmart.toml``, and the feeds and settings in it.

    Attributes
    ----------
    toml_text : str
        The text of ``nextmart.toml``.
    feed_proposals : feed's name -> FeedProposal
    setting_proposals : tuple of SettingProposal
    problems_of_left_out_files : tuple of str
        A text for each file that is in no feed: its path and the reason.
    """

    toml_text: str
    feed_proposals: dict[str, FeedProposal]
    setting_proposals: tuple[SettingProposal, ...]
    problems_of_left_out_files: tuple[str, ...]

    @property
    def question_count(self) -> int:
        """The number of questions that the user has to answer."""
        of_settings = {setting.key for setting in self.setting_proposals if setting.status == QUESTION}
        return sum(len(feed_proposal.questions) for feed_proposal in self.feed_proposals.values()) + len(of_settings)

    def as_dictionary(self) -> dict[str, Any]:
        """Return the proposal as a dictionary for JSON."""
        return {
            "feeds": {
                name: {
                    "kind": feed_proposal.kind or None,
                    "files": list(feed_proposal.sample.file_patterns),
                    "preset": feed_proposal.preset.name if feed_proposal.preset else None,
                    "map": {choice.key: choice.map_value for choice in feed_proposal.column_proposals},
                    "time_format": feed_proposal.time_format_proposal.value
                    if feed_proposal.time_format_proposal
                    else None,
                    "is_complete": feed_proposal.is_loadable,
                    "questions": [question.text for question in feed_proposal.questions],
                }
                for name, feed_proposal in self.feed_proposals.items()
            },
            "settings": [vars(setting) for setting in self.setting_proposals],
            "problems": list(self.problems_of_left_out_files),
        }

    def terminal_lines(self) -> list[str]:
        """Return a summary of the proposal as lines for the terminal."""
        lines = []
        for name, feed_proposal in self.feed_proposals.items():
            files = ", ".join(feed_proposal.sample.file_patterns)
            lines.append(f"  {name:<20} {feed_proposal.kind or '?':<7} {files}: {feed_proposal.reason_for_kind}")
        lines += [f"  left out: {problem}" for problem in self.problems_of_left_out_files]
        # line ends in names are replaced, so that a name can't add lines that look like nextmart's own
        return [without_control_characters(" ".join(line.splitlines())) for line in lines]


def make_init_proposal(paths: Iterable[str]) -> InitProposal:
    """Read samples of files, and propose the feeds and settings by which nextmart would load the files.

    Parameters
    ----------
    paths : iterable of str
        Paths of files and folders, and globs.

    Raises
    ------
    NextmartError
        If a path or glob matches no file, or no file can be read.
    """
    variables = default_vars()
    with closing(connect(Path(":memory:"))) as connection:
        prepare_warehouse(connection)
        groups, problems = group_files(connection, paths)
        feed_proposals: dict[str, FeedProposal] = {}
        for number, group in enumerate(groups):
            try:
                sample = take_sample(connection, group.file_patterns, group.first_path, f"sample_{number}")
            except NextmartError as error:
                problems.append(str(error))
                continue
            feed_proposals[group.feed_name] = _propose_feed(connection, sample, variables)
        problems = [re.sub(r"[.;]?\s*[Nn]othing was loaded[.]?$", "", problem) for problem in problems]
        if not feed_proposals:
            raise NextmartError("none of the files can be read:\n" + "\n".join(problems))
        feed_proposals = _with_trial_results(
            connection, _add_missing_item_feeds(connection, _with_shared_item_column(feed_proposals)), variables
        )
    setting_proposals = tuple(propose_settings(feed_proposals.values()))
    return InitProposal(
        settings_file_text(feed_proposals, setting_proposals, problems),
        feed_proposals,
        setting_proposals,
        tuple(problems),
    )


def _propose_feed(connection: Connection, sample: FileSample, dbt_vars: dict[str, Any]) -> FeedProposal:
    """Propose the feed of a file: by a preset that can read some of its rows, else by its columns."""
    # layouts of events are preferred, because a file of events can be read as items too
    layouts = sorted(sample.layouts, key=lambda pair: pair[1].table)
    for preset, layout in layouts:
        if layout_keeps_rows(connection, sample, layout):
            return propose_preset_feed(sample, preset, layout)
    return propose_feed_without_preset(with_value_facts(connection, sample, dbt_vars))


def _with_shared_item_column(feed_proposals: dict[str, FeedProposal]) -> dict[str, FeedProposal]:
    """Let feeds of events name items by the same column as the files of items, if their own files have that column."""
    columns = [
        choice.value
        for feed_proposal in feed_proposals.values()
        if feed_proposal.kind == "items"
        for choice in feed_proposal.column_proposals[:1]
    ]
    shared = {}
    for name, feed_proposal in feed_proposals.items():
        own = {choice.key: choice.value for choice in feed_proposal.column_proposals}.get("item_id")
        common = next((column for column in columns if column in feed_proposal.sample.column_types), None)
        if feed_proposal.kind == "events" and own and common and own not in columns:
            remark = f"{common} is the item here, not {own}, because the file of items has it"
            feed_proposal = propose_feed_without_preset(feed_proposal.sample, common)
            feed_proposal = replace(feed_proposal, remarks=(remark, *feed_proposal.remarks))
        shared[name] = feed_proposal
    return shared


def _add_missing_item_feeds(connection: Connection, feed_proposals: dict[str, FeedProposal]) -> dict[str, FeedProposal]:
    """Return the feeds, items first. If no file lists items, each file of events is proposed as a feed of items too."""
    if not any(feed_proposal.kind == "items" for feed_proposal in feed_proposals.values()):
        made = {
            f"{name}_items": propose_catalogue_feed(
                feed_proposal, _event_columns_that_are_no_item_texts(connection, feed_proposal)
            )
            for name, feed_proposal in feed_proposals.items()
        }
        feed_proposals = {name: feed_proposal for name, feed_proposal in made.items() if feed_proposal} | feed_proposals
    return dict(sorted(feed_proposals.items(), key=lambda pair: pair[1].kind != "items"))


def _event_columns_that_are_no_item_texts(connection: Connection, feed_proposal: FeedProposal) -> dict[str, str]:
    """Find columns of events that are named like an item's text (``title``, say), but vary between one item's events.

    Returns
    -------
    column -> reason why it is no text of an item
    """
    item = {choice.key: choice.value for choice in feed_proposal.column_proposals}.get("item_id")
    if feed_proposal.kind != "events" or item is None:
        return {}
    names = [name for key in ("title", "brand", "category", "description") for name in ITEM_COLUMN_NAMES[key]]
    columns = {
        column: mean_distinct_values_per_item(connection, feed_proposal.sample, item, column)
        for column in columns_with_names(feed_proposal.sample.column_types, names)
    }
    return {
        column: f"an item has {values:.1f} different values of {column} on average, so {column} is no text of an item"
        for column, values in columns.items()
        if values > MAX_TEXTS_PER_ITEM
    }


def _with_trial_results(
    connection: Connection, feed_proposals: dict[str, FeedProposal], dbt_vars: dict[str, Any]
) -> dict[str, FeedProposal]:
    """Load each feed's sample as a trial, and return the feeds with the results."""
    partly_seen = [
        feed_proposal.sample
        for feed_proposal in feed_proposals.values()
        if feed_proposal.kind == "items" and not feed_proposal.sample.has_all_rows
    ]
    tried = {}
    for name, feed_proposal in feed_proposals.items():
        if (
            feed_proposal.kind == "events"
            and partly_seen
            and partly_seen[0].sampled_path != feed_proposal.sample.sampled_path
        ):
            path, row_count = partly_seen[0].sampled_path, partly_seen[0].row_count
            remark = f"Of {path}, {row_count:,} rows were looked at: items may seem to be missing"
            feed_proposal = replace(feed_proposal, remarks=(*feed_proposal.remarks, remark))
        tried[name] = (
            _with_trial_result(connection, feed_proposal, dbt_vars) if feed_proposal.is_loadable else feed_proposal
        )
    return tried


def _with_trial_result(connection: Connection, feed_proposal: FeedProposal, dbt_vars: dict[str, Any]) -> FeedProposal:
    """Load a feed's sample as a trial; leave out its column of session ids if too many sessions look wrong."""
    try:
        trial = try_feed(connection, feed_proposal.sample, feed_proposal.source, feed_proposal.layout, dbt_vars)
        session = next((choice for choice in feed_proposal.column_proposals if choice.key == "source_session_id"), None)
        if trial.split_session_notes and session and trial.split_session_share > MAX_SPLIT_SESSION_SHARE:
            remark = f"{session.value} is not taken as source_session_id: {trial.split_session_notes[0]}"
            feed_proposal = without_column(feed_proposal, "source_session_id", remark.replace("warning: ", ""))
            trial = try_feed(connection, feed_proposal.sample, feed_proposal.source, feed_proposal.layout, dbt_vars)
    except NextmartError as error:
        return replace(
            feed_proposal, remarks=(*feed_proposal.remarks, f"WARN: the loader can't read these rows so: {error}")
        )
    return replace(feed_proposal, trial=trial)
